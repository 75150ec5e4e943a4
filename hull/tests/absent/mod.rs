//! What LinuxKit's own results do not tell from nothing.

use serde_json::Value;

/// Removes what counts as absent: null, empty and false.
pub(crate) fn bare(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().map(|(k, v)| (k, bare(v)));
            Value::Object(kept.filter(|(_, v)| !is_absent(v)).collect())
        }
        Value::Array(items) => items.into_iter().map(bare).collect(),
        other => other,
    }
}

fn is_absent(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}
