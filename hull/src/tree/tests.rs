use proptest::prelude::*;

use super::*;

fn file(text: &str) -> Node {
    Node::file(Meta::root(0o644), text)
}

fn text(tree: &Tree, path: &str) -> String {
    let content = tree.get(path).and_then(Node::as_file).expect(path);
    String::from_utf8(content.read().unwrap()).unwrap()
}

#[test]
fn folders_on_the_way_are_made() {
    let mut tree = Tree::new();
    tree.add("/a/b/c", file("1")).unwrap();
    assert_eq!(tree.get("a/b").unwrap().meta(), &Meta::root(0o755));
    assert_eq!(text(&tree, "a/b/c"), "1");
}

#[test]
fn links_on_the_way_are_followed_inside_the_root() {
    let mut tree = Tree::new();
    tree.add("usr/lib", Node::dir(Meta::root(0o755))).unwrap();
    tree.add("lib", Node::symlink("usr/lib")).unwrap();
    tree.add("abs", Node::symlink("/usr/../usr/lib")).unwrap();
    tree.add("lib/x", file("x")).unwrap();
    tree.add("abs/y", file("y")).unwrap();
    assert_eq!(text(&tree, "usr/lib/x"), "x");
    assert_eq!(text(&tree, "usr/lib/y"), "y");
    assert!(tree.get("lib/x").is_none());
    assert!(tree.resolve("lib/x").is_some());
}

#[test]
fn a_link_out_of_the_root_is_refused_by_name() {
    let mut tree = Tree::new();
    tree.add("a/up", Node::symlink("../../..")).unwrap();
    let error = tree.add("a/up/etc/passwd", file("x")).unwrap_err();
    assert!(matches!(&error, Error::Escape { path, .. } if path == "a/up/etc/passwd"));
    assert!(error.to_string().contains("a/up/etc/passwd"));
}

#[test]
fn links_in_a_circle_end() {
    let mut tree = Tree::new();
    tree.add("a", Node::symlink("b")).unwrap();
    tree.add("b", Node::symlink("a")).unwrap();
    assert_eq!(
        tree.add("a/x", file("")),
        Err(Error::Loop { path: "a/x".into() })
    );
    assert!(tree.resolve("a/x").is_none());
}

#[test]
fn a_file_is_no_folder() {
    let mut tree = Tree::new();
    tree.add("f", file("")).unwrap();
    assert_eq!(
        tree.add("f/x", file("")),
        Err(Error::NotDir {
            path: "f/x".into(),
            at: "f".into()
        })
    );
}

#[test]
fn hard_links_share_their_leaf() {
    let mut tree = Tree::new();
    tree.add("d/f", file("1")).unwrap();
    tree.add("e", Node::symlink("d")).unwrap();
    tree.link("g", "e/f").unwrap();
    assert_eq!(text(&tree, "g"), "1");
    assert!(matches!(
        tree.link("h", "d"),
        Err(Error::LinkTarget { target, .. }) if target == "d"
    ));
    assert!(tree.link("h", "../x").is_err());
}

#[test]
fn a_folder_on_a_folder_merges_and_on_a_file_replaces() {
    let mut tree = Tree::new();
    tree.add("d/old", file("old")).unwrap();
    let mut new = Tree::new();
    new.add("new", file("new")).unwrap();
    new.root.meta.mode = 0o700;
    tree.add("d", Node::Dir(new.root.clone())).unwrap();
    assert_eq!(text(&tree, "d/old"), "old");
    assert_eq!(text(&tree, "d/new"), "new");
    assert_eq!(tree.get("d").unwrap().meta().mode, 0o700);
    tree.add("d", file("f")).unwrap();
    tree.add("d", Node::Dir(new.root)).unwrap();
    assert_eq!(tree.walk().count(), 2);
}

#[test]
fn links_cannot_build_a_path_without_end() {
    let mut tree = Tree::new();
    let long = "d/".repeat(1500);
    tree.add(&long, Node::dir(Meta::root(0o755))).unwrap();
    tree.add("deep", Node::symlink(&long)).unwrap();
    let error = tree.add(format!("deep/{}x", "e/".repeat(1500)), file(""));
    assert!(matches!(
        error,
        Err(Error::Path {
            source: PathError::TooLong,
            ..
        })
    ));
}

/// Short names over a small alphabet, so that paths collide often.
fn paths() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[abc](/[abc]){0,3}", 0..24)
}

proptest! {
    #[test]
    fn walking_is_sorted_and_complete(names in paths()) {
        let mut tree = Tree::new();
        let mut files = std::collections::BTreeSet::new();
        for name in &names {
            if tree.add(name, file(name)).is_ok() {
                // A file may have taken the place of a folder and all in it.
                files.retain(|f: &String| !f.starts_with(&format!("{name}/")));
                files.insert(name.clone());
            }
        }
        let walked: Vec<_> = tree
            .walk()
            .filter(|(_, node)| node.as_file().is_some())
            .map(|(path, _)| String::from_utf8(path).unwrap())
            .collect();
        let mut expected: Vec<_> = files.into_iter().collect();
        // Component-wise order, which is not the order of the joined strings.
        expected.sort_by(|a, b| a.split('/').cmp(b.split('/')));
        prop_assert_eq!(walked, expected);
    }

    #[test]
    fn no_path_reaches_outside(raw in prop::collection::vec(
        prop_oneof!["\\.\\.", "a", "l", "\\."], 1..8), target in "(\\.\\./){0,3}a?") {
        let mut tree = Tree::new();
        tree.add("l", Node::symlink(&target)).unwrap();
        let raw = raw.join("/");
        // Whatever the outcome, each entry has a clean path.
        let _ = tree.add(&raw, file("x"));
        for (path, _) in tree.walk() {
            prop_assert_eq!(path::relative(&path).unwrap(), path);
        }
    }
}
