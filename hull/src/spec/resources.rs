//! `resources`: the OCI runtime specification's `linux.resources`, as JSON.
//!
//! One table says which keys there are, of what type, and which of them
//! LinuxKit itself loses: its schema has them, its decoder looks for their
//! lower-case spelling and finds nothing.

use serde_json::{Map, Value};

use super::node::{Kind, Node};
use super::read::Reader;
use super::schema::Shape;

/// The type of a value.
#[derive(Debug)]
enum Type {
    Signed,
    Unsigned,
    Weight,
    Bool,
    Text,
    /// A size in bytes, or as the kernel writes it (`2MB`).
    PageSize,
    TextMap,
    Map(&'static [Field]),
    List(&'static [Field]),
}

/// A key of a map.
#[derive(Debug)]
pub(super) struct Field {
    /// As the YAML has it.
    key: &'static str,
    /// As the OCI specification has it.
    oci: &'static str,
    ty: Type,
    /// LinuxKit's result has it.
    kept: bool,
    /// LinuxKit's result has it as 0 where it is not said.
    zero: bool,
}

impl Field {
    /// As the YAML has it.
    pub(super) fn key(&self) -> &'static str {
        self.key
    }

    /// What its value may be, and where that is a map or a list of maps, their
    /// keys.
    pub(super) fn shape(&self) -> (Shape, Option<&'static [Self]>) {
        match self.ty {
            Type::Signed | Type::Unsigned | Type::Weight => (Shape::Whole, None),
            Type::Bool => (Shape::Flag, None),
            Type::Text => (Shape::Text, None),
            Type::PageSize => (Shape::OneOf(&[Shape::Whole, Shape::Text]), None),
            Type::TextMap => (Shape::TextMap, None),
            Type::Map(table) => (Shape::Resources, Some(table)),
            Type::List(table) => (Shape::List(&Shape::Resources), Some(table)),
        }
    }
}

const fn kept(key: &'static str, ty: Type) -> Field {
    Field {
        key,
        oci: key,
        ty,
        kept: true,
        zero: false,
    }
}

/// A number that stands in LinuxKit's result in any case.
const fn counted(key: &'static str, ty: Type) -> Field {
    Field {
        zero: true,
        ..kept(key, ty)
    }
}

const fn lost(key: &'static str, ty: Type) -> Field {
    Field {
        key,
        oci: key,
        ty,
        kept: false,
        zero: false,
    }
}

/// The keys of `resources`.
pub(super) const RESOURCES: &[Field] = &[
    kept("devices", Type::List(DEVICE)),
    kept("memory", Type::Map(MEMORY)),
    kept("cpu", Type::Map(CPU)),
    kept("pids", Type::Map(&[counted("limit", Type::Signed)])),
    Field {
        key: "blockio",
        oci: "blockIO",
        ty: Type::Map(BLOCK_IO),
        kept: true,
        zero: false,
    },
    lost("blockIO", Type::Map(BLOCK_IO)),
    lost("hugepageLimits", Type::List(HUGEPAGE)),
    kept("network", Type::Map(NETWORK)),
    lost("unified", Type::TextMap),
];

const DEVICE: &[Field] = &[
    kept("allow", Type::Bool),
    kept("type", Type::Text),
    kept("major", Type::Signed),
    kept("minor", Type::Signed),
    kept("access", Type::Text),
];

const MEMORY: &[Field] = &[
    kept("limit", Type::Signed),
    kept("reservation", Type::Signed),
    kept("swap", Type::Signed),
    kept("kernel", Type::Signed),
    lost("kernelTCP", Type::Signed),
    kept("swappiness", Type::Unsigned),
    lost("disableOOMKiller", Type::Bool),
    lost("useHierarchy", Type::Bool),
    lost("checkBeforeUpdate", Type::Bool),
];

const CPU: &[Field] = &[
    kept("shares", Type::Unsigned),
    kept("quota", Type::Signed),
    kept("period", Type::Unsigned),
    lost("burst", Type::Unsigned),
    lost("realtimeRuntime", Type::Signed),
    lost("realtimePeriod", Type::Unsigned),
    kept("cpus", Type::Text),
    kept("mems", Type::Text),
    lost("idle", Type::Signed),
];

const BLOCK_IO: &[Field] = &[
    kept("weight", Type::Weight),
    lost("leafWeight", Type::Weight),
    lost("weightDevice", Type::List(WEIGHT_DEVICE)),
    lost("throttleReadBpsDevice", Type::List(THROTTLE_DEVICE)),
    lost("throttleWriteBpsDevice", Type::List(THROTTLE_DEVICE)),
    lost("throttleReadIOPSDevice", Type::List(THROTTLE_DEVICE)),
    lost("throttleWriteIOPSDevice", Type::List(THROTTLE_DEVICE)),
];

const WEIGHT_DEVICE: &[Field] = &[
    kept("major", Type::Signed),
    kept("minor", Type::Signed),
    kept("weight", Type::Weight),
    kept("leafWeight", Type::Weight),
];

const THROTTLE_DEVICE: &[Field] = &[
    kept("major", Type::Signed),
    kept("minor", Type::Signed),
    kept("rate", Type::Unsigned),
];

const HUGEPAGE: &[Field] = &[
    kept("pageSize", Type::PageSize),
    kept("limit", Type::Unsigned),
];

const NETWORK: &[Field] = &[
    lost("classID", Type::Unsigned),
    kept(
        "priorities",
        Type::List(&[
            kept("name", Type::Text),
            counted("priority", Type::Unsigned),
        ]),
    ),
];

/// Reads `resources`.
pub(super) fn read(r: &mut Reader, node: &Node, field: &str) -> Option<Value> {
    map(r, node, field, RESOURCES)
}

fn map(r: &mut Reader, node: &Node, field: &str, table: &[Field]) -> Option<Value> {
    let keys: Vec<&str> = table.iter().map(|f| f.key).collect();
    let fields = r.fields(node, field, &keys)?;
    let mut object = Map::new();
    for known in table {
        let value = fields.read(r, known.key, |r, n, f| value(r, n, f, &known.ty));
        if let Some(value) = value {
            object.insert(known.oci.to_owned(), value);
        }
    }
    Some(Value::Object(object))
}

fn value(r: &mut Reader, node: &Node, field: &str, ty: &Type) -> Option<Value> {
    match ty {
        Type::Signed => r.integer::<i64>(node, field).map(Value::from),
        Type::Unsigned => r.integer::<u64>(node, field).map(Value::from),
        Type::Weight => r.integer::<u16>(node, field).map(Value::from),
        Type::Bool => r.boolean(node, field).map(Value::from),
        Type::Text => r.text(node, field).map(Value::from),
        Type::PageSize => match node.kind {
            Kind::Int(_) => r
                .integer::<u64>(node, field)
                .map(page_size)
                .map(Value::from),
            _ => r.text(node, field).map(Value::from),
        },
        Type::TextMap => r.text_map(node, field).map(|texts| {
            let pairs = texts.into_iter().map(|(k, v)| (k, Value::from(v)));
            Value::Object(pairs.collect())
        }),
        Type::Map(table) => map(r, node, field, table),
        Type::List(table) => r
            .list(node, field, |r, n, f| map(r, n, f, table))
            .map(Value::Array),
    }
}

/// A page size as the kernel names it: 2097152 → `2MB`.
fn page_size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB")];
    UNITS
        .iter()
        .find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit))
        .map_or_else(
            || format!("{bytes}B"),
            |(unit, name)| format!("{}{name}", bytes / unit),
        )
}

/// What LinuxKit itself makes of `resources`: without the keys that it loses.
pub(crate) fn as_linuxkit(resources: &Value) -> Value {
    strip(resources, RESOURCES)
}

fn strip(value: &Value, table: &[Field]) -> Value {
    let Value::Object(object) = value else {
        return value.clone();
    };
    let stripped = table
        .iter()
        .filter(|field| field.kept)
        .filter_map(|field| {
            let value = match object.get(field.oci) {
                None if field.zero => return Some((field.oci.to_owned(), Value::from(0))),
                said => said?,
            };
            let value = match &field.ty {
                Type::Map(table) => strip(value, table),
                Type::List(table) => match value {
                    Value::Array(items) => items.iter().map(|i| strip(i, table)).collect(),
                    other => other.clone(),
                },
                _ => value.clone(),
            };
            Some((field.oci.to_owned(), value))
        })
        .collect();
    Value::Object(stripped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_named_as_the_kernel_names_them() {
        for (bytes, name) in [
            (2 << 20, "2MB"),
            (1 << 30, "1GB"),
            (64 << 10, "64KB"),
            (7, "7B"),
            (0, "0B"),
        ] {
            assert_eq!(page_size(bytes), name);
        }
    }

    #[test]
    fn linuxkit_loses_keys_of_two_words() {
        let all = serde_json::json!({
            "memory": {"limit": 5, "disableOOMKiller": true},
            "cpu": {"shares": 2, "realtimePeriod": 3},
            "blockIO": {"weight": 10, "weightDevice": [{"major": 8}]},
            "hugepageLimits": [{"pageSize": "2MB"}],
        });
        let kept = serde_json::json!({
            "memory": {"limit": 5},
            "cpu": {"shares": 2},
            "blockIO": {"weight": 10},
        });
        assert_eq!(as_linuxkit(&all), kept);
    }
}
