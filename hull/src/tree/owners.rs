//! Gives a tree to other ids: of a container with a user namespace of its own.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Dir, Leaf, Meta, Node};

/// Adds `first` to every owner and group below `dir`, and its own. Hard links
/// stay hard links.
pub fn shift(dir: &mut Dir, first: u32) {
    shift_in(dir, first, &mut HashMap::new());
}

/// By the address of each leaf: the one that takes its place.
type Shifted = HashMap<*const Leaf, Arc<Leaf>>;

fn shift_in(dir: &mut Dir, first: u32, shifted: &mut Shifted) {
    shift_meta(&mut dir.meta, first);
    for node in dir.entries.values_mut() {
        match node {
            Node::Dir(dir) => shift_in(dir, first, shifted),
            Node::Leaf(leaf) => {
                let new = shifted.entry(Arc::as_ptr(leaf)).or_insert_with(|| {
                    let mut new = Leaf::clone(leaf);
                    shift_meta(&mut new.meta, first);
                    Arc::new(new)
                });
                *leaf = Arc::clone(new);
            }
        }
    }
}

/// An id that has no place behind the range's first is nobody's anyway.
fn shift_meta(meta: &mut Meta, first: u32) {
    meta.uid = meta.uid.saturating_add(first);
    meta.gid = meta.gid.saturating_add(first);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;

    #[test]
    fn owners_move_and_links_stay() {
        let mut tree = Tree::new();
        let meta = Meta {
            uid: 5,
            gid: 7,
            ..Meta::root(0o644)
        };
        tree.add("d/a", Node::file(meta, "a")).unwrap();
        tree.link("b", "d/a").unwrap();
        let before = tree.clone();
        shift(&mut tree.root, 1000);
        let leaf = |tree: &Tree, path| match tree.get(path).unwrap() {
            Node::Leaf(leaf) => Arc::clone(leaf),
            Node::Dir(_) => panic!("{path}"),
        };
        assert_eq!(leaf(&tree, "b").meta.uid, 1005);
        assert_eq!(leaf(&tree, "b").meta.gid, 1007);
        assert!(Arc::ptr_eq(&leaf(&tree, "b"), &leaf(&tree, "d/a")));
        assert_eq!(tree.get_dir("d").unwrap().meta.uid, 1000);
        assert_eq!(tree.root.meta.uid, 1000);
        // Another container's files are untouched.
        assert_eq!(leaf(&before, "b").meta.uid, 5);
    }
}
