use proptest::prelude::*;

use super::*;

#[test]
fn lines() {
    let setting = |path: &str, value: &str, optional| {
        Ok(Some(Setting {
            path: path.to_owned(),
            value: value.to_owned(),
            optional,
        }))
    };
    assert_eq!(parse("# x = 1"), Ok(None));
    assert_eq!(parse("; x = 1"), Ok(None));
    assert_eq!(parse("  "), Ok(None));
    assert_eq!(
        parse("kernel.panic = 10 "),
        setting("kernel/panic", "10", false)
    );
    assert_eq!(
        parse("-net.ipv4.tcp_rmem=4096 8192"),
        setting("net/ipv4/tcp_rmem", "4096 8192", true)
    );
    assert_eq!(
        parse("net/ipv4/conf/eth0.1/forwarding=1"),
        setting("net/ipv4/conf/eth0.1/forwarding", "1", false)
    );
    assert_eq!(
        parse("net.ipv4.conf.eth0/1.forwarding=1"),
        setting("net/ipv4/conf/eth0.1/forwarding", "1", false)
    );
}

#[test]
fn what_is_no_parameter_is_refused() {
    for bad in [
        "kernel.panic 10",
        "= 1",
        "a..b=1",
        "/etc/passwd=1",
        "net/../x=1",
        "a.*.b=1",
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn files_count_in_their_order_and_failures_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (etc, proc) = (dir.path().join("etc"), dir.path().join("proc"));
    fs::create_dir_all(etc.join("sysctl.d")).unwrap();
    fs::create_dir_all(proc.join("kernel")).unwrap();
    fs::write(etc.join("sysctl.d/20.conf"), "kernel.a=20\n").unwrap();
    fs::write(etc.join("sysctl.d/10.conf"), "kernel.a=10\nkernel.b=10\n").unwrap();
    fs::write(etc.join("sysctl.d/30.other"), "kernel.a=30\n").unwrap();
    fs::write(etc.join("sysctl.conf"), "#\nvm.gone=1\n-vm.gone=1\n").unwrap();
    let problems = apply(&etc, &proc);
    assert_eq!(fs::read(proc.join("kernel/a")).unwrap(), b"20");
    assert_eq!(fs::read(proc.join("kernel/b")).unwrap(), b"10");
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].to_string().contains("sysctl.conf:2: write"),
        "{problems:?}"
    );
}

proptest! {
    #[test]
    fn nothing_leaves_the_folder(line in "[-a./=*# ]{0,12}") {
        if let Ok(Some(setting)) = parse(&line) {
            prop_assert!(!setting.path.starts_with('/'));
            prop_assert!(setting.path.split('/').all(|part| part != ".."));
        }
    }
}
