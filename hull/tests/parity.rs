//! What LinuxKit makes of each key, case by case, with `hull compose
//! --from-case` as people (and the comparison with LinuxKit's own results)
//! call it. `oracle.rs` has the results that LinuxKit itself gave; these are
//! worked out from its rules (`docs/yaml.md`).
//!
//! A case of `parity.json` has the fields of a service `c` (`entry`), what
//! stands before it in the file (`top`), its image's label and config, and
//! either `refused` or how the result differs from that of an entry that says
//! nothing: by JSON pointer, where `/mounts/+D` is a further mount and
//! `/mounts/=D` another one at the destination D.

#![allow(missing_docs, reason = "a test")]

mod absent;

use std::path::Path;
use std::process::Command;

use absent::bare;
use serde_json::{Value, json};

fn put(whole: &mut Value, pointer: &str, new: &Value) {
    let mounts = pointer.strip_prefix("/mounts/");
    if let Some(name) = mounts.and_then(|rest| rest.strip_prefix(['+', '='])) {
        let list = whole["mounts"].as_array_mut().unwrap();
        let there = list.iter().position(|m| m["destination"] == name);
        assert_eq!(there.is_some(), pointer.contains('='), "{pointer}");
        match there {
            Some(index) => list[index] = new.clone(),
            None => list.push(new.clone()),
        }
        list.sort_by_key(|m| m["destination"].as_str().unwrap_or_default().to_owned());
        return;
    }
    let mut at = whole;
    for part in pointer.trim_start_matches('/').split('/') {
        if at.is_null() {
            *at = json!({});
        }
        at = at
            .as_object_mut()
            .unwrap()
            .entry(part)
            .or_insert(Value::Null);
    }
    *at = new.clone();
}

/// The case in the form that LinuxKit's own results have, without the result.
fn as_case(case: &Value) -> Value {
    let image = json!({"Cmd": ["/bin/sh"], "Env": ["PATH=/usr/bin:/bin"]});
    let yaml = case["yaml"].as_str().map_or_else(
        || {
            let fields = case["entry"].as_str().unwrap().lines();
            let fields: String = fields.map(|line| format!("    {line}\n")).collect();
            let top = case["top"].as_str().unwrap_or_default();
            format!("{top}services:\n  - name: c\n    image: docker.io/library/x:v1\n{fields}")
        },
        str::to_owned,
    );
    json!({
        "yaml": yaml,
        "section": "services",
        "index": 0,
        "label": case["label"],
        "image_config": case.get("image").unwrap_or(&image),
    })
}

fn compose(dir: &Path, case: &Value) -> Value {
    let path = dir.join("case.json");
    std::fs::write(&path, case.to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hull"));
    command.args(["compose", "--from-case"]).arg(&path);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{case}: {output:?}");
    assert!(output.stderr.is_empty(), "{case}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn each_key_means_what_it_means_to_linuxkit() {
    let dir = tempfile::tempdir().unwrap();
    let text = include_bytes!("parity.json");
    let cases: Vec<Value> = serde_json::from_slice(text).unwrap();
    let nothing = include_bytes!("oracle/01-empty.json");
    let nothing: Value = serde_json::from_slice(nothing).unwrap();
    let mut wrong = Vec::new();
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        let found = compose(dir.path(), &as_case(case));
        let refused = case["refused"] == true;
        if refused != found["error"].is_string() {
            wrong.push(format!("{name}: {}", found["error"]));
            continue;
        }
        let whole = ["config", "runtime"].map(|file| {
            let mut expected = nothing["expect"][file].clone();
            for (pointer, value) in case[file].as_object().into_iter().flatten() {
                put(&mut expected, pointer, value);
            }
            (file, if refused { Value::Null } else { expected })
        });
        for (file, expected) in whole {
            let (expected, found) = (bare(expected), bare(found[file].clone()));
            if expected != found {
                wrong.push(format!(
                    "{name}: {file}\n  wanted {expected}\n  found  {found}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases.len() > 150, "{}", cases.len());
}

#[test]
fn linuxkits_own_results_by_the_same_way() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle");
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let case: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let mut expected = case["expect"].clone();
        let mut found = compose(dir.path(), &case);
        let refused = |result: &Value| result["error"].is_string();
        assert_eq!(refused(&found), refused(&expected), "{}", path.display());
        for result in [&mut found, &mut expected] {
            result["error"] = Value::Null;
        }
        assert_eq!(bare(found), bare(expected), "{}", path.display());
    }
}

#[test]
fn what_is_no_case_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("case.json");
    let yaml = "services: [{name: c, image: x}]";
    for (text, word) in [
        ("{".to_owned(), "case.json"),
        ("{}".to_owned(), "yaml"),
        (
            json!({"yaml": yaml, "section": "services", "index": 1}).to_string(),
            "services[1]",
        ),
    ] {
        std::fs::write(&path, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_hull"));
        let output = command.args(["compose", "--from-case"]).arg(&path).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(word), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}
