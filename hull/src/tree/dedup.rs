//! Equal files are stored once: they become hard links of each other.
//!
//! Only for what nobody writes to through its name, such as read-only roots
//! and overlay lowers.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{Dir, Leaf, Meta, Node, path};

/// Files that may be equal: same metadata, same length.
type Rough<'a> = (&'a Meta, u64);
/// Their leaves, each with its path.
type Group<'a> = Vec<(Vec<u8>, &'a Arc<Leaf>)>;

/// Makes regular files below `dir` with the same content and metadata one.
///
/// # Errors
/// The content of a file could not be read; the error names it.
pub fn share_equal_files(dir: &mut Dir) -> io::Result<()> {
    let same = find_equal(dir)?;
    if !same.is_empty() {
        replace(dir, &same);
    }
    Ok(())
}

/// By the address of each leaf that has an equal: the one to use for it.
fn find_equal(dir: &Dir) -> io::Result<HashMap<*const Leaf, Arc<Leaf>>> {
    let mut groups: HashMap<Rough<'_>, Group<'_>> = HashMap::new();
    for (name, node) in super::Walk::new(dir) {
        let Node::Leaf(leaf) = node else { continue };
        let Some(content) = leaf.as_file() else {
            continue;
        };
        let group = groups.entry((&leaf.meta, content.len())).or_default();
        if !group.iter().any(|(_, other)| Arc::ptr_eq(other, leaf)) {
            group.push((name, leaf));
        }
    }
    let mut same = HashMap::new();
    for group in groups.into_values().filter(|group| group.len() > 1) {
        let mut first: HashMap<[u8; 32], &Arc<Leaf>> = HashMap::new();
        for (name, leaf) in group {
            let digest = digest(leaf)
                .map_err(|e| io::Error::other(format!("{}: {e}", path::show(&name))))?;
            let chosen = *first.entry(digest).or_insert(leaf);
            if !Arc::ptr_eq(chosen, leaf) {
                same.insert(Arc::as_ptr(leaf), Arc::clone(chosen));
            }
        }
    }
    Ok(same)
}

fn digest(leaf: &Leaf) -> io::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    if let Some(content) = leaf.as_file() {
        content.copy_to(&mut hash)?;
    }
    Ok(hash.finalize().into())
}

fn replace(dir: &mut Dir, same: &HashMap<*const Leaf, Arc<Leaf>>) {
    for node in dir.entries.values_mut() {
        match node {
            Node::Dir(dir) => replace(dir, same),
            Node::Leaf(leaf) => {
                if let Some(chosen) = same.get(&Arc::as_ptr(leaf)) {
                    *leaf = Arc::clone(chosen);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;

    fn same(tree: &Tree, a: &str, b: &str) -> bool {
        let (Some(Node::Leaf(a)), Some(Node::Leaf(b))) = (tree.get(a), tree.get(b)) else {
            panic!("not leaves");
        };
        Arc::ptr_eq(a, b)
    }

    #[test]
    fn equal_content_and_metadata_become_one_leaf() {
        let mut tree = Tree::new();
        for (name, mode, text) in [
            ("x/a", 0o644, "one"),
            ("y/a", 0o644, "one"),
            ("y/b", 0o755, "one"),
            ("y/c", 0o644, "two"),
        ] {
            tree.add(name, Node::file(Meta::root(mode), text)).unwrap();
        }
        share_equal_files(&mut tree.root).unwrap();
        assert!(same(&tree, "x/a", "y/a"));
        assert!(!same(&tree, "x/a", "y/b"), "another mode");
        assert!(!same(&tree, "x/a", "y/c"), "another content");
    }
}
