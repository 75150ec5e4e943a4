//! What is wrong with a YAML file, `hull build` says in one line with file,
//! line, key and what is allowed; it exits with 1 and writes nothing.

use std::fs;
use std::path::Path;

use hull::arch::Arch;
use qemu_tests::image::hull_build;

/// A file that is wrong in one way.
struct Wrong {
    yaml: &'static str,
    /// Where, from 1.
    line: usize,
    /// What the message names: the key, and what is allowed or near.
    names: &'static [&'static str],
}

/// Builds it and looks at all that the promise says.
#[track_caller]
fn refused(wrong: &Wrong) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("wrong.yml");
    fs::write(&file, wrong.yaml).unwrap();
    let out = dir.path().join("out");
    fs::create_dir(&out).unwrap();

    let output = hull_build(Arch::X86_64, &out, std::slice::from_ref(&file)).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    let place = format!("{}:{}: ", file.display(), wrong.line);
    assert!(stderr.contains(&place), "{place:?} is not in {stderr}");
    for name in wrong.names {
        assert!(stderr.contains(name), "{name:?} is not in {stderr}");
    }
    assert!(output.stdout.is_empty());
    assert!(is_empty(&out), "something was written");
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().next().is_none()
}

#[test]
fn unknown_top_key() {
    refused(&Wrong {
        yaml: "kernel:\n  image: hullkit/kernel:6.12\nservice: []\n",
        line: 3,
        names: &["service", "services"],
    });
}

#[test]
fn unknown_key_of_an_entry() {
    refused(&Wrong {
        yaml: "services:\n  - name: web\n    image: dir:/\n    comand: [/bin/web]\n",
        line: 4,
        names: &["services[0]", "comand", "command"],
    });
}

#[test]
fn wrong_type() {
    refused(&Wrong {
        yaml: "services:\n  - name: web\n    image: dir:/\n    command: [/bin/web]\n    readonly: maybe\n",
        line: 5,
        names: &["services[0].readonly", "maybe", "true"],
    });
}

#[test]
fn missing_image() {
    refused(&Wrong {
        yaml: "services:\n  - name: web\n    image: no/such-image\n    command: [/bin/web]\n",
        line: 3,
        names: &["no/such-image", "hull image import"],
    });
}

#[test]
fn duplicate_service() {
    refused(&Wrong {
        yaml: "services:\n  - name: web\n    image: dir:/etc\n    command: [/a]\n  - name: web\n    image: dir:/etc\n    command: [/b]\n",
        line: 5,
        names: &["name", "web"],
    });
}

#[test]
fn unknown_capability() {
    refused(&Wrong {
        yaml: "services:\n  - name: web\n    image: dir:/etc\n    command: [/a]\n    capabilities: [CAP_NET_ADMIM]\n",
        line: 5,
        names: &["services[0].capabilities", "CAP_NET_ADMIM", "CAP_NET_ADMIN"],
    });
}

#[test]
fn impossible_time() {
    refused(&Wrong {
        yaml: "services:\n  - name: web\n    image: dir:/etc\n    command: [/a]\n    stopTimeout: soon\n",
        line: 5,
        names: &["services[0].stopTimeout", "soon", "10s"],
    });
}

#[test]
fn unknown_choice() {
    refused(&Wrong {
        yaml: "onboot:\n  - name: a\n    image: dir:/etc\n    command: [/a]\n    onFailure: explode\n",
        line: 5,
        names: &[
            "onboot[0].onFailure",
            "explode",
            "continue",
            "stop",
            "reboot",
            "poweroff",
        ],
    });
}

#[test]
fn dependency_on_nobody() {
    refused(&Wrong {
        yaml: "services:\n  - name: web\n    image: dir:/etc\n    command: [/a]\n    after: [databse]\n  - name: database\n    image: dir:/etc\n    command: [/b]\n",
        line: 5,
        names: &["web.after", "databse", "database"],
    });
}

#[test]
fn dependency_cycle() {
    refused(&Wrong {
        yaml: "services:\n  - name: a\n    image: dir:/etc\n    command: [/a]\n    after: [b]\n  - name: b\n    image: dir:/etc\n    command: [/b]\n    requires: [a]\n",
        line: 9,
        names: &["b.requires", "a → b"],
    });
}

#[test]
fn broken_yaml() {
    refused(&Wrong {
        yaml: "services:\n  - name: [web\n",
        line: 3,
        names: &[],
    });
}

/// Everything that is wrong is said at once, a line each.
#[test]
fn two_mistakes_are_two_lines() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("wrong.yml");
    fs::write(&file, "kernell: {}\nservicess: []\n").unwrap();
    let output = hull_build(Arch::X86_64, dir.path(), &[file]).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr.lines().count(), 2, "{stderr}");
}
