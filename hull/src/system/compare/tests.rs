use super::*;

fn tree(nodes: Vec<(&str, Node)>) -> Tree {
    let mut tree = Tree::new();
    for (path, node) in nodes {
        tree.add(path, node).unwrap();
    }
    tree
}

fn file(mode: u32, text: &str) -> Node {
    Node::file(Meta::root(mode), text)
}

fn lines(first: &Tree, second: &Tree) -> Vec<String> {
    compare(first, second).unwrap().lines()
}

#[test]
fn every_fact_of_an_entry_is_told() {
    let device = |minor| Kind::Char(Device { major: 5, minor });
    let with = |uid, attribute: &[u8]| Meta {
        uid,
        xattrs: Xattrs::from([(b"user.a"[..].into(), attribute.into())]),
        ..Meta::root(0o644)
    };
    let first = tree(vec![
        ("attributes", Node::file(with(1, b"1"), "")),
        ("content", file(0o644, "abc")),
        ("device", Node::leaf(Meta::root(0o600), device(1))),
        ("gone/file", file(0o644, "12345")),
        ("kind", file(0o644, "abc")),
        ("link", Node::symlink("a")),
        ("mode", file(0o644, "")),
        ("same", file(0o644, "same")),
        ("size", file(0o644, "abc")),
    ]);
    let second = tree(vec![
        ("attributes", Node::file(with(2, b"2"), "")),
        ("content", file(0o644, "abd")),
        ("device", Node::leaf(Meta::root(0o600), device(2))),
        ("kind", Node::symlink("same")),
        ("link", Node::symlink("b")),
        ("mode", file(0o4755, "")),
        ("new", file(0o644, "1")),
        ("same", file(0o644, "same")),
        ("size", file(0o644, "abcd")),
    ]);
    let found = lines(&first, &second);
    let wanted = [
        "added: 1",
        "  new  file, 1 bytes",
        "removed: 2",
        "  gone/  folder",
        "  gone/file  file, 5 bytes",
        "changed: 7",
        "  attributes  owner 1:0 → 2:0; attribute user.a",
        "  content  content",
        "  device  char device 5:1 → char device 5:2",
        "  kind  file, 3 bytes → link to same",
        "  link  link to a → link to b",
        "  mode  mode 0644 → 4755",
        "  size  content, 3 → 4 bytes",
    ];
    assert_eq!(found, wanted);
    assert!(compare(&first, &first.clone()).unwrap().is_empty());
    // The other way round, what was added is removed.
    let back = compare(&second, &first).unwrap();
    assert_eq!(
        (back.added.len(), back.removed.len(), back.changed.len()),
        (2, 1, 7)
    );
}

#[test]
fn time_and_the_sharing_of_files_are_no_difference() {
    let later = Meta {
        mtime: 5,
        ..Meta::root(0o644)
    };
    let mut first = tree(vec![("a", file(0o644, "x"))]);
    first.link("b", "a").unwrap();
    let second = tree(vec![("a", Node::file(later, "x")), ("b", file(0o644, "x"))]);
    assert!(compare(&first, &second).unwrap().is_empty());
}

#[test]
fn the_root_is_compared_too() {
    let mut second = Tree::new();
    second.root.meta.mode = 0o700;
    let found = lines(&Tree::new(), &second);
    assert_eq!(found, ["changed: 1", "  /  mode 0755 → 0700"]);
}
