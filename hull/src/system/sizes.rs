//! What a system holds, by size.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::tree::path::show;
use crate::tree::{Dir, Leaf, Node, Tree};

/// An entry, and what is below it.
#[derive(Debug)]
pub struct Sized {
    /// Its name, for people; of the root, empty.
    pub name: String,
    /// Bytes of all files in it. A file with several names counts where it is
    /// named first.
    pub bytes: u64,
    /// Files in it, or 1.
    pub files: u64,
    /// Of a folder, what is in it, the largest first.
    pub entries: Option<Vec<Self>>,
}

/// Adds up all of the tree.
#[must_use]
pub fn sizes(tree: &Tree) -> Sized {
    dir(String::new(), &tree.root, &mut HashSet::new())
}

fn dir(name: String, dir: &Dir, seen: &mut HashSet<*const Leaf>) -> Sized {
    let mut entries: Vec<_> = dir
        .entries
        .iter()
        .map(|(name, node)| one(show(name), node, seen))
        .collect();
    // Those of one size stay in the order of their names.
    entries.sort_by_key(|entry| Reverse(entry.bytes));
    Sized {
        name,
        bytes: entries.iter().map(|entry| entry.bytes).sum(),
        files: entries.iter().map(|entry| entry.files).sum(),
        entries: Some(entries),
    }
}

fn one(name: String, node: &Node, seen: &mut HashSet<*const Leaf>) -> Sized {
    match node {
        Node::Dir(sub) => dir(name, sub, seen),
        Node::Leaf(leaf) => {
            let content = leaf.as_file().filter(|_| seen.insert(Arc::as_ptr(leaf)));
            Sized {
                name,
                bytes: content.map_or(0, |content| content.len()),
                files: u64::from(content.is_some()),
                entries: None,
            }
        }
    }
}

impl Sized {
    /// As a tree for people, folders opened down to `depth` below the root.
    #[must_use]
    pub fn lines(&self, depth: usize) -> Vec<String> {
        let mut lines = vec![self.line("", "")];
        self.draw(depth, "", &mut lines);
        lines
    }

    fn line(&self, indent: &str, branch: &str) -> String {
        let slash = if self.entries.is_some() { "/" } else { "" };
        format!(
            "{:>12}  {indent}{branch}{}{slash}",
            grouped(self.bytes),
            self.name
        )
    }

    fn draw(&self, depth: usize, indent: &str, lines: &mut Vec<String>) {
        let entries = match depth {
            0 => &[],
            _ => self.entries.as_deref().unwrap_or_default(),
        };
        for (index, entry) in entries.iter().enumerate() {
            let last = index + 1 == entries.len();
            let (branch, below) = if last {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            lines.push(entry.line(indent, branch));
            entry.draw(depth - 1, &format!("{indent}{below}"), lines);
        }
    }

    /// For programs, folders opened down to `depth` below this one.
    #[must_use]
    pub fn json(&self, depth: usize) -> Value {
        let mut value = json!({"name": self.name, "bytes": self.bytes, "files": self.files});
        if let (Some(entries), 1..) = (&self.entries, depth) {
            value["entries"] = entries.iter().map(|entry| entry.json(depth - 1)).collect();
        }
        value
    }
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}
