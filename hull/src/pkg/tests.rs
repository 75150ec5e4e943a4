use std::fs;

use super::*;
use crate::spec;
use crate::spec::recipe;

const GUEST: &str = "guest";

/// A package folder with programs beside it.
fn folder(build: &str) -> (tempfile::TempDir, Recipe) {
    let dir = tempfile::tempdir().unwrap();
    let guest = dir.path().join(GUEST).join("x86_64");
    fs::create_dir_all(&guest).unwrap();
    for name in ["init", "dhcp"] {
        fs::write(guest.join(name), name).unwrap();
    }
    fs::write(dir.path().join("conf"), "k=v\n").unwrap();
    let recipe = recipe::parse(&spec::Source {
        name: "build.yml",
        text: build.as_bytes(),
    });
    (dir, recipe.unwrap())
}

fn built(build: &str, arch: Arch) -> Result<(Config, Tree), Error> {
    let (dir, recipe) = folder(build);
    let guest = dir.path().join(GUEST);
    let (config, tree) = super::build(
        &recipe,
        &Origin {
            dir: dir.path(),
            debs: Some(dir.path()),
            guest: Some(&guest),
            arch,
        },
    )?;
    // What lies in the folder is read while the folder is there.
    for (_, node) in tree.walk() {
        if let Some(content) = node.as_file() {
            content.read().unwrap();
        }
    }
    Ok((config, tree))
}

#[test]
fn parts_come_together() {
    let (config, tree) = built(
        r#"
image: x
entrypoint: [/bin/dhcp]
env: ["A=b"]
stopSignal: SIGINT
config: {readonly: true}
hullkit: {restart: never}
binaries: [{name: dhcp, path: /bin/dhcp}]
links: {dhcp: [/bin/other]}
files:
  - {path: etc/conf, source: conf, mode: "0644"}
  - {path: run, directory: true, mode: "0755"}
"#,
        Arch::X86_64,
    )
    .unwrap();
    let labels = config.labels().as_ref().unwrap();
    assert_eq!(labels["org.mobyproject.config"], r#"{"readonly":true}"#);
    assert_eq!(labels["org.hullkit.config"], r#"{"restart":"never"}"#);
    assert_eq!(config.stop_signal().as_deref(), Some("SIGINT"));
    assert_eq!(
        config.entrypoint().as_deref(),
        Some(&["/bin/dhcp".to_owned()][..])
    );
    assert_eq!(*config.cmd(), None);
    let mode = |path: &str| tree.get(path).unwrap().meta().mode;
    assert_eq!(
        (mode("bin/dhcp"), mode("etc/conf"), mode("run")),
        (0o755, 0o644, 0o755)
    );
    assert_eq!(
        tree.get("bin/other").unwrap().as_symlink(),
        Some(&b"dhcp"[..])
    );
}

#[test]
fn what_is_missing_is_named_with_its_line() {
    let error = |build: &str| built(build, Arch::X86_64).unwrap_err().to_string();
    let missing = error("image: x\nbinaries:\n  - {name: ntp, path: ntp}\n");
    assert!(missing.starts_with("build.yml:3: binaries: "), "{missing}");
    assert!(
        missing.contains("guest/x86_64/ntp: No such file"),
        "{missing}"
    );
    let missing = error("image: x\nfiles:\n  - {path: a, source: none}\n");
    assert!(missing.starts_with("build.yml:3: files: "), "{missing}");
    let missing = error("image: x\ndebs: [busybox-static]\n");
    assert!(
        missing.starts_with("build.yml:2: debs: busybox-static for amd64: none is in "),
        "{missing}"
    );
    let error = built("image: x\narches: [arm64]\n", Arch::X86_64).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("for aarch64 only, not for x86_64"),
        "{error}"
    );
}

/// A `.deb` with one program and one document (`deb(5)`), for amd64.
fn deb(name: &str) -> Vec<u8> {
    let tar = |entries: &[(&str, &str)]| {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, text) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o755);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(1234);
            tar.append_data(&mut header, path, text.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap()
    };
    let control = format!("Package: {name}\nVersion: 1\nArchitecture: amd64\n");
    let members = [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar", tar(&[("./control", &control)])),
        (
            "data.tar",
            tar(&[
                ("./bin/tool", "tool"),
                ("./usr/share/doc/tool/README", "?"),
                ("./usr/lib/tool/x", "x"),
            ]),
        ),
    ];
    let mut ar = b"!<arch>\n".to_vec();
    for (name, bytes) in members {
        ar.extend(
            format!(
                "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n",
                0,
                0,
                0,
                100_644,
                bytes.len()
            )
            .bytes(),
        );
        ar.extend(&bytes);
        ar.resize(ar.len().next_multiple_of(2), b'\n');
    }
    ar
}

#[test]
fn a_debian_package_is_unpacked_without_what_is_excluded() {
    let (dir, recipe) = folder("image: x\ndebs: [tool]\nexclude: [/usr/lib/tool]\n");
    let origin = Origin {
        dir: dir.path(),
        debs: Some(dir.path()),
        guest: None,
        arch: Arch::X86_64,
    };
    fs::write(dir.path().join("tool_1_amd64.deb"), deb("tool")).unwrap();
    fs::write(dir.path().join("tool_1_arm64.deb"), "not for this one").unwrap();
    let (_, tree) = super::build(&recipe, &origin).unwrap();
    let tool = tree.get("bin/tool").unwrap();
    assert_eq!(tool.as_file().unwrap().read().unwrap(), b"tool");
    assert_eq!(*tool.meta(), Meta::root(0o755), "from the epoch");
    assert!(tree.get("usr/share/doc").is_none());
    assert!(tree.get("usr/lib/tool").is_none());

    fs::write(dir.path().join("tool_2_amd64.deb"), deb("tool")).unwrap();
    let error = super::build(&recipe, &origin).unwrap_err().to_string();
    assert!(error.contains("2 are in "), "{error}");

    fs::remove_file(dir.path().join("tool_1_amd64.deb")).unwrap();
    fs::write(dir.path().join("tool_2_amd64.deb"), deb("other")).unwrap();
    let error = super::build(&recipe, &origin).unwrap_err().to_string();
    assert!(error.ends_with("it is the package other"), "{error}");
}
