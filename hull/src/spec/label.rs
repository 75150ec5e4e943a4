//! The labels of an image that give an entry defaults.

use super::container;
use super::node::{self, Kind};
use super::place::{Place, Problem, Problems};
use super::read::{Reader, Weight};
use super::supervise;
use super::types::{Container, Supervise};

/// LinuxKit's label: the fields of [`Container`], as JSON or YAML.
pub const MOBY: &str = "org.mobyproject.config";
/// Ours: the fields of [`Supervise`], as JSON or YAML.
pub const HULLKIT: &str = "org.hullkit.config";

/// A label, read.
#[derive(Clone, Debug, Default)]
pub struct Label<T> {
    /// What it says.
    pub fields: T,
    /// What is wrong with a value, if it is used: the field, and the problem.
    pub if_used: Vec<Problem>,
    /// What is wrong with a value, if it is used without LinuxKit's ways.
    pub if_strict: Vec<Problem>,
}

/// Reads [`MOBY`]. `name`: how errors name it.
///
/// # Errors
/// It is not YAML, not a map, or has a key or a type that does not belong.
pub fn moby(name: &str, text: &str) -> Result<Label<Container>, Problems> {
    read(name, text, container::KEYS, container::read)
}

/// Reads [`HULLKIT`]. `name`: how errors name it.
///
/// # Errors
/// It is not YAML, not a map, or has a key or a value that does not belong.
pub fn hullkit(name: &str, text: &str) -> Result<Label<Supervise>, Problems> {
    let keys: Vec<&str> = supervise::keys().collect();
    read(name, text, &keys, |r, fields| {
        supervise::read(r, fields, None)
    })
}

fn read<T: Default>(
    name: &str,
    text: &str,
    keys: &[&str],
    read: impl FnOnce(&mut Reader, &super::read::Fields<'_>) -> T,
) -> Result<Label<T>, Problems> {
    if text.is_empty() {
        return Ok(Label::default());
    }
    let mut r = Reader::new(name);
    let node = node::read(text.as_bytes()).map_err(|e| Problem {
        place: Place {
            file: name.into(),
            line: e.line,
        },
        field: String::new(),
        message: e.message,
    })?;
    let mut fields = T::default();
    if !matches!(node.kind, Kind::Map(_)) {
        let message = format!("found {}, allowed: a map", node.describe());
        r.problem(node.line, "", message);
    } else if let Some(map) = r.fields(&node, "", keys) {
        fields = read(&mut r, &map);
    }
    let mut label = Label {
        fields,
        if_used: Vec::new(),
        if_strict: Vec::new(),
    };
    let mut wrong = Vec::new();
    for (weight, problem) in r.into_problems() {
        match weight {
            Weight::Form => wrong.push(problem),
            Weight::Meaning => label.if_used.push(problem),
            Weight::Strict => label.if_strict.push(problem),
        }
    }
    if wrong.is_empty() {
        Ok(label)
    } else {
        Err(Problems(wrong))
    }
}
