//! `metadata: yaml|json`: the files of a build as one document.

use serde_json::{Map, Value};

use super::node::{Kind, Node};
use super::types::{Metadata, Spec};

impl Spec {
    /// The files of the build, appended, as text: with `resolve` applied to
    /// each image reference.
    #[must_use]
    pub fn metadata(&self, form: Metadata, resolve: &dyn Fn(&str) -> String) -> String {
        let mut document = self.document.clone();
        resolve_images(&mut document, resolve);
        match form {
            Metadata::Json => format!("{document:#}\n"),
            Metadata::Yaml => {
                let mut text = String::new();
                block(&document, 0, &mut text);
                text
            }
        }
    }
}

/// Lays a file's document behind `whole`: lists are joined, the fields of
/// `kernel` replace earlier ones.
pub(super) fn append(whole: &mut Value, file: &Node) {
    if !whole.is_object() {
        *whole = Value::Object(Map::new());
    }
    let (Value::Object(whole), Value::Object(file)) = (whole, value(file)) else {
        return;
    };
    for (key, value) in file {
        match (whole.get_mut(&key), value) {
            (Some(Value::Array(all)), Value::Array(more)) => all.extend(more),
            (Some(Value::Object(all)), Value::Object(more)) => all.extend(more),
            (_, value) => {
                whole.insert(key, value);
            }
        }
    }
}

/// The node as JSON.
pub(super) fn value(node: &Node) -> Value {
    match &node.kind {
        Kind::Null => Value::Null,
        Kind::Bool(b) => Value::Bool(*b),
        Kind::Int(n) => i64::try_from(*n)
            .map(Value::from)
            .or_else(|_| u64::try_from(*n).map(Value::from))
            .unwrap_or_else(|_| Value::from(n.to_string())),
        Kind::Float(n) => Value::from(*n),
        Kind::Text(text) => Value::from(text.as_str()),
        Kind::List(items) => items.iter().map(value).collect(),
        Kind::Map(pairs) => {
            let pairs = pairs.iter().map(|(k, n)| (k.text.clone(), value(n)));
            Value::Object(pairs.collect())
        }
    }
}

fn resolve_images(document: &mut Value, resolve: &dyn Fn(&str) -> String) {
    let apply = |image: Option<&mut Value>| {
        if let Some(Value::String(text)) = image {
            *text = resolve(text);
        }
    };
    apply(document.pointer_mut("/kernel/image"));
    if let Some(Value::Array(images)) = document.get_mut("init") {
        images.iter_mut().for_each(|image| apply(Some(image)));
    }
    for list in ["onboot", "onshutdown", "services", "volumes"] {
        if let Some(Value::Array(entries)) = document.get_mut(list) {
            entries
                .iter_mut()
                .for_each(|entry| apply(entry.get_mut("image")));
        }
    }
}

/// Writes `value` as YAML in block style. Texts are in double quotes, as JSON
/// writes them, which YAML reads the same way.
fn block(value: &Value, indent: usize, out: &mut String) {
    let pad = "  ".repeat(indent);
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                out.push_str(&format!("{pad}{}:", Value::from(key.as_str())));
                nested(value, indent, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                out.push_str(&format!("{pad}-"));
                nested(item, indent, out);
            }
        }
        flat => out.push_str(&format!("{pad}{flat}\n")),
    }
}

/// The value behind a `key:` or a `-`.
fn nested(value: &Value, indent: usize, out: &mut String) {
    let is_block = match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if is_block {
        out.push('\n');
        block(value, indent + 1, out);
    } else {
        out.push_str(&format!(" {value}\n"));
    }
}
