//! The keys of a build file as data: `hull explain` tells them to people,
//! `hull schema` to editors. A test holds the table to what the readers take.

mod explain;
mod json;
mod keys;

use std::borrow::Cow;

use hullkit_bundle::layout::Section;

use super::{resources, supervise};

pub use explain::{Unknown, explain};
pub use json::json_schema;

/// What a value may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// A text. Numbers and booleans are none, unless they are in quotes.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Whole,
    /// A number.
    Number,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// Any of these.
    OneOf(&'static [Self]),
    /// A list of these.
    List(&'static Self),
    /// A map with these keys.
    Map(&'static [Key]),
    /// A map of texts, whatever its keys.
    TextMap,
    /// An entry of `onboot`, `onshutdown` or `services`.
    Entry,
    /// `resources`, which has a table of its own.
    Resources,
}

/// A key of a map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What its value may be.
    pub shape: Shape,
    /// What it is for, in a sentence or two.
    pub what: &'static str,
    /// What counts where it is left out; empty: nothing.
    pub default: &'static str,
    /// A value, in YAML; empty where its own keys say enough.
    pub example: &'static str,
    /// It may not be left out.
    pub required: bool,
}

/// The keys of a build file.
#[must_use]
pub fn top() -> &'static [Key] {
    keys::TOP
}

/// The keys of an entry of `section`.
#[must_use]
pub fn entry(section: Section) -> Vec<Key> {
    let ours = keys::SUPERVISE.iter();
    let ours = ours.filter(|key| supervise::applies(key.name, section));
    let others = keys::NAMED.iter().chain(keys::CONTAINER);
    others.chain(ours).copied().collect()
}

/// The keys of `resources`, or of a map in it.
fn of_resources(table: &'static [resources::Field]) -> Vec<Node> {
    let nodes = table.iter().map(|field| {
        let (shape, below) = field.shape();
        Node {
            key: Key {
                name: field.key(),
                shape,
                what: "As in the OCI specification's linux.resources.",
                default: "",
                example: "",
                required: false,
            },
            below: below.map(of_resources).unwrap_or_default(),
        }
    });
    nodes.collect()
}

/// A key with those below it, through lists.
#[derive(Clone, Debug)]
struct Node {
    key: Key,
    below: Vec<Self>,
}

impl Node {
    /// The whole tree of a build file.
    fn tree() -> Vec<Self> {
        let sections = Section::ALL.iter();
        let section = |name: &str| sections.clone().find(|s| s.as_str() == name);
        let top = keys::TOP.iter();
        top.map(|key| match section(key.name) {
            Some(section) => Self {
                key: *key,
                below: entry(*section).into_iter().map(Self::of).collect(),
            },
            None => Self::of(*key),
        })
        .collect()
    }

    fn of(key: Key) -> Self {
        let below = match inner(&key.shape) {
            Shape::Map(keys) => keys.iter().copied().map(Self::of).collect(),
            Shape::Resources => of_resources(resources::RESOURCES),
            _ => Vec::new(),
        };
        Self { key, below }
    }
}

/// What is inside lists, or the map among alternatives.
fn inner(shape: &Shape) -> &Shape {
    match shape {
        Shape::List(item) => inner(item),
        Shape::OneOf(shapes) => shapes
            .iter()
            .find(|s| matches!(s, Shape::Map(_)))
            .unwrap_or(shape),
        other => other,
    }
}

/// What a value may be, in words.
fn in_words(shape: &Shape) -> Cow<'static, str> {
    match shape {
        Shape::Text => "a text".into(),
        Shape::Flag => "true or false".into(),
        Shape::Whole => "a whole number".into(),
        Shape::Number => "a number".into(),
        Shape::Word(words) => {
            let said = words.iter().filter(|word| !word.is_empty());
            said.copied().collect::<Vec<_>>().join(" | ").into()
        }
        Shape::OneOf(shapes) => {
            let words: Vec<_> = shapes.iter().map(in_words).collect();
            words.join(", or ").into()
        }
        Shape::List(item) => format!("a list, each: {}", in_words(item)).into(),
        Shape::Map(_) | Shape::Entry | Shape::Resources => "a map".into(),
        Shape::TextMap => "a map of texts".into(),
    }
}

#[cfg(test)]
mod tests;
