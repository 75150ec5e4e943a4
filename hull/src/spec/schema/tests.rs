use serde_json::{Value, json};

use super::*;
use crate::spec::{Source, parse};

/// What the parser says of a file, as one text; empty: nothing is wrong.
fn problems(yaml: &str) -> String {
    let source = Source {
        name: "f",
        text: yaml.as_bytes(),
    };
    parse(&[source])
        .err()
        .map_or_else(String::new, |e| e.to_string())
}

/// A file in which `value` stands at `path`, as JSON, which YAML reads.
fn file(path: &[(&str, Shape)], value: &Value) -> String {
    let mut value = value.clone();
    for (depth, (name, shape)) in path.iter().enumerate().rev() {
        if matches!(shape, Shape::List(_)) && depth + 1 < path.len() {
            value = json!([value]);
        }
        let mut map = json!({ *name: value });
        if depth == 1 && matches!(path[0].1, Shape::List(Shape::Entry)) {
            map["name"] = "c".into();
            map["image"] = "x".into();
        }
        value = map;
    }
    value.to_string()
}

/// The keys that the parser allows there, in order.
fn allowed(path: &[(&str, Shape)]) -> Vec<String> {
    let wrong = json!({"no such key": 1});
    let is_list = path
        .last()
        .is_some_and(|(_, s)| matches!(s, Shape::List(_)));
    let text = problems(&file(path, &if is_list { json!([wrong]) } else { wrong }));
    let line = text
        .lines()
        .find(|line| line.contains("unknown key \"no such key\""));
    let line = line.unwrap_or_else(|| panic!("{path:?}: {text}"));
    let keys = line.split("allowed: ").nth(1).unwrap();
    keys.split(", ").map(str::to_owned).collect()
}

fn compare(nodes: &[Node], path: &[(&'static str, Shape)]) -> usize {
    let mut compared = 0;
    for node in nodes {
        if node.below.is_empty() {
            continue;
        }
        let mut path = path.to_vec();
        path.push((node.key.name, node.key.shape));
        let mut names: Vec<_> = node.below.iter().map(|n| n.key.name).collect();
        names.sort_unstable();
        let mut wanted = allowed(&path);
        // The reader names all keys of entries, and refuses those of other
        // sections by name.
        if path.len() == 1 && node.key.shape == Shape::List(&Shape::Entry) {
            let section = Section::ALL.iter().find(|s| s.as_str() == node.key.name);
            let others = keys::SUPERVISE.iter().map(|key| key.name);
            let others: Vec<_> = others
                .filter(|key| !supervise::applies(key, *section.unwrap()))
                .collect();
            wanted.retain(|key| !others.contains(&key.as_str()));
        }
        assert_eq!(names, wanted, "{path:?}");
        compared += 1 + compare(&node.below, &path);
    }
    compared
}

#[test]
fn the_table_has_the_keys_that_are_read() {
    let tree = Node::tree();
    let mut names: Vec<_> = tree.iter().map(|n| n.key.name).collect();
    names.sort_unstable();
    assert_eq!(names, allowed(&[]));
    assert!(compare(&tree, &[]) > 60);
}

/// Whether a JSON Schema of the words that we use admits a value.
fn admits(schema: &Value, value: &Value) -> bool {
    let of_type = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => panic!("{other}"),
    };
    if schema["type"].as_str().is_some_and(|name| !of_type(name)) {
        return false;
    }
    if schema["enum"]
        .as_array()
        .is_some_and(|e| !e.contains(value))
    {
        return false;
    }
    let any = schema["anyOf"].as_array();
    if any.is_some_and(|any| !any.iter().any(|s| admits(s, value))) {
        return false;
    }
    let required = schema["required"].as_array().into_iter().flatten();
    if required
        .into_iter()
        .any(|key| value.get(key.as_str().unwrap()).is_none())
    {
        return false;
    }
    match value {
        Value::Array(items) => {
            schema["items"].is_null() || items.iter().all(|item| admits(&schema["items"], item))
        }
        Value::Object(map) => map.iter().all(|(key, value)| {
            match (
                schema["properties"].get(key),
                &schema["additionalProperties"],
            ) {
                (Some(schema), _) => admits(schema, value),
                (None, Value::Bool(open)) => *open,
                (None, Value::Null) => true,
                (None, schema) => admits(schema, value),
            }
        }),
        _ => true,
    }
}

fn as_json(yaml: &str) -> Value {
    let node = crate::spec::node::read(yaml.as_bytes()).unwrap();
    crate::spec::metadata::value(&node)
}

#[test]
fn examples_are_taken_by_reader_and_schema() {
    let schema = json_schema();
    for node in Node::tree() {
        let yaml = format!("{}: {}\n", node.key.name, node.key.example);
        assert_eq!(problems(&yaml), "", "{yaml}");
        assert!(admits(&schema, &as_json(&yaml)), "{yaml}");
    }
    for section in Section::ALL {
        for key in entry(section) {
            if key.required {
                continue;
            }
            assert!(!key.example.is_empty(), "{}", key.name);
            let yaml = format!(
                "{}:\n  - name: c\n    image: x\n    {}: {}\n",
                section.as_str(),
                key.name,
                key.example
            );
            assert_eq!(problems(&yaml), "", "{yaml}");
            assert!(admits(&schema, &as_json(&yaml)), "{yaml}");
        }
    }
}

#[test]
fn what_the_reader_takes_the_schema_takes() {
    let schema = json_schema();
    let samples = [
        "1", "0.5", "true", "x", "''", "[]", "[1]", "[x]", "{}", "{a: b}", "{a: 1}",
    ];
    let mut refused = 0;
    for section in Section::ALL {
        for key in entry(section) {
            for sample in samples {
                let (name, section) = (key.name, section.as_str());
                let rest = ["name: c, ", "image: x, "]
                    .map(|other| if other.starts_with(name) { "" } else { other });
                let yaml = format!("{section}: [{{{}{name}: {sample}}}]", rest.concat());
                let (taken, admitted) =
                    (problems(&yaml).is_empty(), admits(&schema, &as_json(&yaml)));
                assert!(!taken || admitted, "{yaml}");
                refused += usize::from(!admitted);
            }
        }
    }
    assert!(refused > 500, "{refused}");
}

#[test]
fn files_that_are_good_are_good_to_the_schema() {
    let schema = json_schema();
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for folder in [here.join("tests/linuxkit-yaml"), here.join("../examples")] {
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|e| e == "yml") {
                let text = std::fs::read_to_string(&path).unwrap();
                assert!(admits(&schema, &as_json(&text)), "{}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 8, "{seen}");
}

#[test]
fn keys_are_explained_by_path_or_its_end() {
    let whole = explain("").unwrap();
    assert!(
        whole.contains("\n  services    Containers that run"),
        "{whole}"
    );
    let interval = explain("services[0].health.interval").unwrap();
    assert!(
        interval.starts_with("services.health.interval\n  a text\n"),
        "{interval}"
    );
    assert!(interval.contains("Default: 30s"), "{interval}");
    assert_eq!(explain("health.interval").unwrap(), interval);
    let add = explain("binds.add").unwrap();
    assert!(
        add.starts_with("onboot.binds.add, onshutdown.binds.add, services.binds.add\n"),
        "{add}"
    );
    let net = explain("net").unwrap();
    assert!(
        net.starts_with("onboot.net, onshutdown.net, services.net\n"),
        "{net}"
    );
    let resources = explain("resources").unwrap();
    assert!(resources.contains("  hugepageLimits"), "{resources}");
    let image = explain("image").unwrap();
    assert!(
        image.contains("kernel.image\n") && image.contains("services.image\n"),
        "{image}"
    );
}

#[test]
fn a_key_that_is_not_there_has_neighbours() {
    let unknown = explain("services.helth").unwrap_err();
    assert_eq!(unknown.near, ["services.health"]);
    let text = unknown.to_string();
    assert!(text.contains("did you mean services.health?"), "{text}");
    let far = explain("zzzzzzzz").unwrap_err();
    assert!(far.near.is_empty());
    assert!(far.to_string().contains("`hull explain` lists"), "{far}");
}
