//! The keys as a JSON Schema (draft 7, which editors know).

use serde_json::{Map, Value, json};

use super::{Node, Shape};

/// The schema of a build file.
#[must_use]
pub fn json_schema() -> Value {
    let mut schema = object(&Node::tree());
    if let Value::Object(schema) = &mut schema {
        let head = [
            ("$schema", "http://json-schema.org/draft-07/schema#"),
            ("title", "Hullkit build file"),
            (
                "description",
                "A bootable system: kernel, containers, files.",
            ),
        ];
        for (key, text) in head {
            schema.insert(key.to_owned(), Value::from(text));
        }
    }
    schema
}

fn object(nodes: &[Node]) -> Value {
    let required = nodes.iter().filter(|node| node.key.required);
    let required: Vec<&str> = required.map(|node| node.key.name).collect();
    let properties: Map<String, Value> = nodes
        .iter()
        .map(|node| (node.key.name.to_owned(), property(node)))
        .collect();
    let mut object = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    if !required.is_empty() {
        object["required"] = required.into();
    }
    object
}

fn property(node: &Node) -> Value {
    let mut schema = of_shape(&node.key.shape, &node.below);
    let mut text = node.key.what.to_owned();
    if !node.key.default.is_empty() {
        text = format!("{text} Default: {}.", node.key.default);
    }
    schema["description"] = text.into();
    schema
}

fn of_shape(shape: &Shape, below: &[Node]) -> Value {
    match shape {
        Shape::Text => json!({"type": "string"}),
        Shape::Flag => json!({"type": "boolean"}),
        Shape::Whole => json!({"type": "integer"}),
        Shape::Number => json!({"type": "number"}),
        Shape::Word(words) => json!({"enum": words}),
        Shape::OneOf(shapes) => {
            let any: Vec<Value> = shapes.iter().map(|s| of_shape(s, below)).collect();
            json!({"anyOf": any})
        }
        Shape::List(item) => json!({"type": "array", "items": of_shape(item, below)}),
        Shape::TextMap => json!({"type": "object", "additionalProperties": {"type": "string"}}),
        Shape::Map(_) | Shape::Entry | Shape::Resources => object(below),
    }
}
