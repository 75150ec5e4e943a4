//! Where a log is kept: the entry's word, the label's, the file's top.

use serde_json::{Value, json};

use super::scene::{file, service};

const LOG: &str = "/supervision/log";

#[test]
fn a_file_or_a_folder() {
    let whole = service("log: {path: /data/web.log, maxSize: 1M, maxFiles: 3}");
    assert_eq!(
        whole.runtime(LOG),
        json!({"path": "/data/web.log", "maxSize": 1_048_576, "maxFiles": 3})
    );
    let folder = service("log: {path: /data/}");
    assert_eq!(
        folder.runtime(LOG),
        json!({"path": "/data/services.c.log", "maxSize": 10_485_760, "maxFiles": 5})
    );
    assert_eq!(service("restart: never").runtime(LOG), Value::Null);
}

#[test]
fn what_cannot_be_is_refused() {
    for (fields, expected) in [
        ("log: {path: data}", "allowed: a path that begins with /"),
        ("log: {path: /a/../b}", "without . and .."),
        ("log: {path: /a, maxSize: 1K}", "allowed: from 64K to 1024G"),
        ("log: {path: /a, maxSize: 10MB}", "64K, 10M, 1G"),
        (
            "log: {path: /a, maxFiles: 0}",
            "allowed: a whole number from 1 to 1000",
        ),
        ("log: {maxFiles: 2}", "log: says not where"),
        ("log: {size: 2}", "unknown key"),
        ("log: all", "allowed: none"),
    ] {
        let errors = service(fields).errors();
        assert!(errors.contains(expected), "{fields}: {errors}");
    }
    let top = file("log: {path: /data/log}\n").errors();
    assert!(
        top.contains("allowed here: a folder, \"/data/log/\""),
        "{top}"
    );
    let two = "services:\n\
               - {name: a, image: x, log: {path: /l/a}}\n\
               - {name: b, image: x, log: {path: /l/a.1}}\n";
    let clash = file(two).errors();
    assert!(
        clash.contains("a.yml:3") && clash.contains("a file of the log of \"a\", at a.yml:2"),
        "{clash}"
    );
}

#[test]
fn the_top_says_it_for_all() {
    let top = "log: {path: /d/, maxFiles: 2}\n";
    let path = |entry: &str| {
        let scene = file(&format!(
            "{top}services:\n  - {{name: c, image: x{entry}}}\n"
        ));
        scene.runtime(LOG)
    };
    assert_eq!(
        path(""),
        json!({"path": "/d/services.c.log", "maxSize": 10_485_760, "maxFiles": 2})
    );
    assert_eq!(path(", log: none"), Value::Null);
    assert_eq!(
        path(", log: {path: /e/c, maxFiles: 1}"),
        json!({"path": "/e/c", "maxSize": 10_485_760, "maxFiles": 1})
    );
}
