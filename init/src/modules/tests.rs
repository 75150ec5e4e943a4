use super::*;

fn modules(dir: &Path) -> Modules {
    Modules {
        dir: dir.to_owned(),
        dep: Dep::new("kernel/a.ko:\n".to_owned()),
        softdep: String::new(),
        alias: OnceCell::new(),
        options: vec![
            ("a".to_owned(), "x=1".to_owned()),
            ("b".to_owned(), "y=1".to_owned()),
            ("a".to_owned(), "z".to_owned()),
        ],
        blacklist: vec!["b_c".to_owned()],
    }
}

#[test]
fn filesystems_are_whole_words() {
    let text = "nodev\tsysfs\nnodev\ttmpfs\n\text4\n";
    assert!(is_filesystem(text, "sysfs") && is_filesystem(text, "ext4"));
    assert!(!is_filesystem(text, "fs") && !is_filesystem(text, "nodev"));
}

#[test]
fn options_and_blacklist_are_by_module() {
    let modules = modules(Path::new("/nowhere"));
    assert_eq!(modules.options_of("a"), "x=1 z");
    assert_eq!(modules.options_of("c"), "");
    assert_eq!(modules.options_of("dummy"), "numdummies=0");
    assert!(modules.is_blacklisted("b-c") && !modules.is_blacklisted("b"));
}

#[test]
fn what_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let message = |name: &str| modules(dir.path()).load(name).unwrap_err().to_string();
    assert_eq!(
        message("hullkit-none"),
        format!("load module hullkit-none: not in {}", dir.path().display())
    );
    fs::write(dir.path().join("modules.alias"), "alias fs-x y\n").unwrap();
    assert_eq!(
        message("fs-x"),
        "load module y: named in modules.alias, not in modules.dep"
    );
    // Its file is gone.
    assert!(message("a").starts_with("open "), "{}", message("a"));
    fs::write(
        dir.path().join("modules.builtin"),
        "kernel/fs/hullkit_none.ko\n",
    )
    .unwrap();
    assert!(modules(dir.path()).load("hullkit-none").is_ok());
}

#[test]
fn the_words_for_no_device() {
    assert!(is_no_device(&io::Error::from(Errno::ENODEV)));
    assert!(!is_no_device(&io::Error::from(Errno::ENOEXEC)));
}
