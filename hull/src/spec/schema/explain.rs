//! A key, told to people: where it stands, what it may be, what it is for.

use std::fmt;

use super::{Key, Node, in_words};
use crate::spec::read::near;

/// No key has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Unknown {
    /// What was asked for.
    pub wanted: String,
    /// Keys of like names, as they are asked for.
    pub near: Vec<String>,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no key is called {:?}", self.wanted)?;
        match self.near.as_slice() {
            [] => write!(f, "; `hull explain` lists those of a build file"),
            near => write!(f, "; did you mean {}?", near.join(", ")),
        }
    }
}

/// Tells of the key at `field`: a path (`services.health.interval`,
/// `files[0].mode`), or its end (`health.interval`, `binds.add`). Empty: of
/// the file as a whole.
///
/// # Errors
/// There is no such key.
pub fn explain(field: &str) -> Result<String, Unknown> {
    let tree = Node::tree();
    let wanted = without_indices(field);
    if wanted.is_empty() {
        return Ok(format!(
            "A build file is a map of these keys:\n{}",
            list(&tree)
        ));
    }
    let mut all = Vec::new();
    walk(&tree, "", &mut all);
    let suffix = format!(".{wanted}");
    let mut found: Vec<&(String, &Node)> = all.iter().filter(|(path, _)| *path == wanted).collect();
    if found.is_empty() {
        found = all
            .iter()
            .filter(|(path, _)| path.ends_with(&suffix))
            .collect();
        // The entry's own key before one of the same name deeper down.
        let shortest = found.iter().map(|(path, _)| depth(path)).min();
        found.retain(|(path, _)| Some(depth(path)) == shortest);
    }
    if found.is_empty() {
        return Err(unknown(&wanted, &all));
    }
    Ok(together(&found))
}

/// Keys that say the same are told of once, with all places.
fn together(found: &[&(String, &Node)]) -> String {
    let mut told: Vec<(Vec<&str>, &Node)> = Vec::new();
    for (path, node) in found {
        match told.iter_mut().find(|(_, other)| other.key == node.key) {
            Some((paths, _)) => paths.push(path),
            None => told.push((vec![path], node)),
        }
    }
    let texts: Vec<String> = told
        .iter()
        .map(|(paths, node)| format!("{}\n{}", paths.join(", "), text(node)))
        .collect();
    texts.join("\n\n")
}

fn text(node: &Node) -> String {
    let Key {
        shape,
        what,
        default,
        example,
        required,
        name,
    } = node.key;
    let mut text = format!("  {}\n", in_words(&shape));
    if required {
        text += "  Required.\n";
    }
    if !default.is_empty() {
        text += &format!("  Default: {default}\n");
    }
    text += &format!("\n  {what}\n");
    if !example.is_empty() {
        text += &format!("\n  {name}: {example}\n");
    }
    if !node.below.is_empty() {
        text += &format!("\n{}", list(&node.below));
    }
    text.trim_end().to_owned()
}

/// A line for each key.
fn list(nodes: &[Node]) -> String {
    let width = nodes.iter().map(|n| n.key.name.len()).max().unwrap_or(0);
    let lines = nodes.iter().map(|node| {
        let Key { name, what, .. } = node.key;
        let first = what.find(". ").map_or(what, |at| &what[..=at]);
        format!("  {name:width$}  {first}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn depth(path: &str) -> usize {
    path.matches('.').count()
}

fn walk<'n>(nodes: &'n [Node], above: &str, all: &mut Vec<(String, &'n Node)>) {
    for node in nodes {
        let name = node.key.name;
        let path = match above {
            "" => name.to_owned(),
            above => format!("{above}.{name}"),
        };
        all.push((path.clone(), node));
        walk(&node.below, &path, all);
    }
}

/// `services[0].binds[]` is `services.binds`.
fn without_indices(field: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for c in field.trim().trim_matches('.').chars() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            c if !inside => text.push(c),
            _ => {}
        }
    }
    text
}

fn unknown(wanted: &str, all: &[(String, &Node)]) -> Unknown {
    let mut names: Vec<&str> = all.iter().map(|(_, node)| node.key.name).collect();
    names.sort_unstable();
    names.dedup();
    let last = wanted.rsplit('.').next().unwrap_or(wanted);
    let mut found: Vec<String> = Vec::new();
    for name in near(last, &names) {
        let places = all.iter().filter(|(_, node)| node.key.name == name);
        // Sections have the same keys: one of them stands for all.
        let shortest = places.map(|(path, _)| path).min_by_key(|path| depth(path));
        found.extend(shortest.cloned());
    }
    found.truncate(5);
    Unknown {
        wanted: wanted.to_owned(),
        near: found,
    }
}
