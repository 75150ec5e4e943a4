//! What two systems have not in common.

use std::collections::BTreeMap;
use std::io;

use serde_json::{Value, json};

use crate::digest::{Digest, Hashing};
use crate::parallel;
use crate::tree::path::show;
use crate::tree::{Content, Device, Kind, Meta, Node, Tree, Xattrs};

/// What was found, each by path.
#[derive(Debug, Default)]
pub struct Differences {
    /// Entries that only the second has.
    pub added: Vec<(Vec<u8>, Facts)>,
    /// Entries that only the first has.
    pub removed: Vec<(Vec<u8>, Facts)>,
    /// Entries that both have, in other forms.
    pub changed: Vec<Change>,
}

/// An entry that both have.
#[derive(Debug)]
pub struct Change {
    /// Its path; of the root, empty.
    pub path: Vec<u8>,
    /// In the first.
    pub before: Facts,
    /// In the second.
    pub after: Facts,
}

/// What is compared of an entry. The time of its last change is not: it tells
/// nothing of what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What it is: `folder`, `file`, `link`, `char`, `block` or `fifo`.
    pub kind: &'static str,
    /// Permissions.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Of a file, its size in bytes and the digest of its content.
    pub content: Option<(u64, Digest)>,
    /// Of a symbolic link, where it leads.
    pub target: Option<Box<[u8]>>,
    /// Of a device, its number.
    pub device: Option<Device>,
    /// Extended attributes.
    pub xattrs: Xattrs,
}

/// An entry of a tree; a folder has no kind of leaf.
#[derive(Clone, Copy)]
struct Side<'a> {
    meta: &'a Meta,
    kind: Option<&'a Kind>,
}

/// Both sides of a path.
type Pair<'a> = (Vec<u8>, [Option<Side<'a>>; 2]);

/// A path, and the facts of both sides.
type Judged = (Vec<u8>, [Option<Facts>; 2]);

/// Compares `first` with `second`. Which names are hard links of each other is
/// not compared: it is how a system is stored.
///
/// # Errors
/// A file cannot be read; the error names it.
pub fn compare(first: &Tree, second: &Tree) -> io::Result<Differences> {
    let mut differences = Differences::default();
    for judged in parallel::map(&pairs(first, second), judge) {
        match judged? {
            None => {}
            Some((path, [None, Some(facts)])) => differences.added.push((path, facts)),
            Some((path, [Some(facts), None])) => differences.removed.push((path, facts)),
            Some((path, [Some(before), Some(after)])) => differences.changed.push(Change {
                path,
                before,
                after,
            }),
            Some((_, [None, None])) => {}
        }
    }
    Ok(differences)
}

/// All paths of both, in their order.
fn pairs<'a>(first: &'a Tree, second: &'a Tree) -> Vec<Pair<'a>> {
    let mut pairs: BTreeMap<Vec<u8>, [Option<Side<'a>>; 2]> = BTreeMap::new();
    for (index, tree) in [first, second].into_iter().enumerate() {
        let root = Side {
            meta: &tree.root.meta,
            kind: None,
        };
        let below = tree.walk().map(|(path, node)| (path, Side::of(node)));
        for (path, side) in std::iter::once((Vec::new(), root)).chain(below) {
            if let Some(place) = pairs.entry(path).or_default().get_mut(index) {
                *place = Some(side);
            }
        }
    }
    pairs.into_iter().collect()
}

/// The facts of both sides, unless they are the same.
fn judge<'a>((path, sides): &Pair<'a>) -> io::Result<Option<Judged>> {
    if let [Some(first), Some(second)] = sides
        && first.is_surely(second)
    {
        return Ok(None);
    }
    let facts = |side: Option<Side<'a>>| side.map(Side::facts).transpose();
    let [first, second] = *sides;
    let both = facts(first).and_then(|first| Ok([first, facts(second)?]));
    let both = both.map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", show(path))))?;
    let [first, second] = &both;
    Ok((first != second).then(|| (path.clone(), both)))
}

impl<'a> Side<'a> {
    fn of(node: &'a Node) -> Self {
        let kind = match node {
            Node::Dir(_) => None,
            Node::Leaf(leaf) => Some(&leaf.kind),
        };
        let meta = node.meta();
        Self { meta, kind }
    }

    /// Whether nothing needs to be read to know that both are the same file.
    fn is_surely(&self, other: &Self) -> bool {
        let (Some(Kind::File(one)), Some(Kind::File(two))) = (self.kind, other.kind) else {
            return false;
        };
        self.meta == other.meta && is_same_place(one, two)
    }

    fn facts(self) -> io::Result<Facts> {
        let Meta { mode, uid, gid, .. } = *self.meta;
        let mut facts = Facts {
            kind: "folder",
            mode,
            uid,
            gid,
            content: None,
            target: None,
            device: None,
            xattrs: self.meta.xattrs.clone(),
        };
        match self.kind {
            None => {}
            Some(Kind::File(content)) => {
                facts.kind = "file";
                facts.content = Some((content.len(), digest(content)?));
            }
            Some(Kind::Symlink(target)) => {
                facts.kind = "link";
                facts.target = Some(target.clone());
            }
            Some(Kind::Char(device)) => {
                facts.kind = "char";
                facts.device = Some(*device);
            }
            Some(Kind::Block(device)) => {
                facts.kind = "block";
                facts.device = Some(*device);
            }
            Some(Kind::Fifo) => facts.kind = "fifo",
        }
        Ok(facts)
    }
}

fn is_same_place(one: &Content, two: &Content) -> bool {
    match (one, two) {
        (
            Content::Range { file, offset, len },
            Content::Range {
                file: file2,
                offset: offset2,
                len: len2,
            },
        ) => std::sync::Arc::ptr_eq(file, file2) && offset == offset2 && len == len2,
        _ => false,
    }
}

fn digest(content: &Content) -> io::Result<Digest> {
    let mut all = Hashing::new(io::sink());
    content.copy_to(&mut all)?;
    Ok(all.finish().0)
}

impl Differences {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    /// For people: a heading for each group, and a line for each entry.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (word, entries) in [("added", &self.added), ("removed", &self.removed)] {
            if !entries.is_empty() {
                lines.push(heading(word, entries.len()));
            }
            for (path, facts) in entries {
                lines.push(format!("  {}  {}", named(path, facts), facts.short()));
            }
        }
        if !self.changed.is_empty() {
            lines.push(heading("changed", self.changed.len()));
        }
        for change in &self.changed {
            let named = named(&change.path, &change.after);
            lines.push(format!("  {named}  {}", change.told().join("; ")));
        }
        lines
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let one_sided = |entries: &[(Vec<u8>, Facts)]| -> Vec<Value> {
            let with_path = |(path, facts): &(Vec<u8>, Facts)| {
                let mut value = facts.json();
                value["path"] = show(path).into();
                value
            };
            entries.iter().map(with_path).collect()
        };
        let changed = self.changed.iter().map(|change| {
            json!({
                "path": show(&change.path),
                "before": change.before.json(),
                "after": change.after.json(),
            })
        });
        json!({
            "added": one_sided(&self.added),
            "removed": one_sided(&self.removed),
            "changed": changed.collect::<Vec<_>>(),
        })
    }
}

fn heading(word: &str, count: usize) -> String {
    format!("{word}: {count}")
}

/// The path, with a slash behind a folder.
fn named(path: &[u8], facts: &Facts) -> String {
    let slash = if facts.kind == "folder" { "/" } else { "" };
    format!("{}{slash}", show(path))
}

impl Change {
    /// Each fact that changed.
    fn told(&self) -> Vec<String> {
        let (one, two) = (&self.before, &self.after);
        if one.kind != two.kind {
            return vec![format!("{} → {}", one.short(), two.short())];
        }
        let mut told = Vec::new();
        if let (Some((size, digest)), Some((size2, digest2))) = (one.content, two.content)
            && digest != digest2
        {
            told.push(match size == size2 {
                true => "content".to_owned(),
                false => format!("content, {size} → {size2} bytes"),
            });
        }
        if one.target != two.target || one.device != two.device {
            told.push(format!("{} → {}", one.short(), two.short()));
        }
        if one.mode != two.mode {
            told.push(format!("mode {:04o} → {:04o}", one.mode, two.mode));
        }
        if (one.uid, one.gid) != (two.uid, two.gid) {
            let (
                Facts { uid, gid, .. },
                Facts {
                    uid: uid2,
                    gid: gid2,
                    ..
                },
            ) = (one, two);
            told.push(format!("owner {uid}:{gid} → {uid2}:{gid2}"));
        }
        let names = one.xattrs.keys().chain(two.xattrs.keys());
        let mut names: Vec<_> = names
            .filter(|name| one.xattrs.get(*name) != two.xattrs.get(*name))
            .collect();
        names.sort();
        names.dedup();
        told.extend(
            names
                .into_iter()
                .map(|name| format!("attribute {}", show(name))),
        );
        told
    }
}

impl Facts {
    /// What it is, in a few words.
    fn short(&self) -> String {
        let kind = self.kind;
        match (&self.content, &self.target, self.device) {
            (Some((size, _)), ..) => format!("file, {size} bytes"),
            (_, Some(target), _) => format!("link to {}", show(target)),
            (_, _, Some(Device { major, minor })) => format!("{kind} device {major}:{minor}"),
            _ => kind.to_owned(),
        }
    }

    fn json(&self) -> Value {
        let mut value = json!({
            "kind": self.kind,
            "mode": format!("{:04o}", self.mode),
            "uid": self.uid,
            "gid": self.gid,
        });
        if let Some((size, digest)) = self.content {
            value["size"] = size.into();
            value["digest"] = digest.to_string().into();
        }
        if let Some(target) = &self.target {
            value["target"] = show(target).into();
        }
        if let Some(Device { major, minor }) = self.device {
            value["device"] = format!("{major}:{minor}").into();
        }
        if !self.xattrs.is_empty() {
            let attributes = self.xattrs.iter();
            let attributes = attributes.map(|(name, value)| {
                let value = Value::from(hex::encode(value));
                (show(name), value)
            });
            value["xattrs"] = Value::Object(attributes.collect());
        }
        value
    }
}

#[cfg(test)]
mod tests;
