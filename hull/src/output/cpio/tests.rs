use proptest::prelude::*;

use super::*;

/// An entry as a reader sees it.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    path: Vec<u8>,
    inode: u32,
    mode: u32,
    ids: (u32, u32),
    links: u32,
    mtime: u32,
    device: (u32, u32),
    data: Vec<u8>,
}

/// Reads `newc` by the letter of the format, and checks its padding.
fn read(cpio: &[u8]) -> Vec<Read> {
    let mut at = 0;
    let mut entries = Vec::new();
    loop {
        assert_eq!(&cpio[at..at + 6], b"070701");
        let field = |i: usize| {
            let text = &cpio[at + 6 + i * 8..at + 14 + i * 8];
            u32::from_str_radix(std::str::from_utf8(text).unwrap(), 16).unwrap()
        };
        let (size, name) = (field(6) as usize, field(11) as usize);
        let begin = at + 110;
        let data = (begin + name).next_multiple_of(4);
        assert_eq!(cpio[begin + name - 1], 0);
        let entry = Read {
            path: cpio[begin..begin + name - 1].to_vec(),
            inode: field(0),
            mode: field(1),
            ids: (field(2), field(3)),
            links: field(4),
            mtime: field(5),
            device: (field(9), field(10)),
            data: cpio[data..data + size].to_vec(),
        };
        at = (data + size).next_multiple_of(4);
        if entry.path == TRAILER {
            assert!(cpio[at..].iter().all(|&b| b == 0));
            assert_eq!(cpio.len() % 512, 0);
            return entries;
        }
        entries.push(entry);
    }
}

fn written(tree: &Tree) -> Vec<u8> {
    let mut out = Vec::new();
    write_tree(tree, &mut out).unwrap();
    out
}

#[test]
fn every_kind_is_written_with_its_metadata() {
    let mut tree = Tree::new();
    let meta = |mode| Meta {
        mode,
        uid: 70_000,
        gid: 5,
        mtime: 12,
        xattrs: crate::tree::Xattrs::new(),
    };
    let device = Device {
        major: 5,
        minor: 300,
    };
    tree.add("a", Node::dir(meta(0o1777))).unwrap();
    tree.add("a/f", Node::file(meta(0o4755), "text")).unwrap();
    tree.add("b", Node::leaf(meta(0o600), Kind::Block(device)))
        .unwrap();
    tree.add("c", Node::leaf(meta(0o600), Kind::Char(device)))
        .unwrap();
    tree.add("p", Node::leaf(meta(0o600), Kind::Fifo)).unwrap();
    tree.add("s", Node::symlink("a/f")).unwrap();
    let entries = read(&written(&tree));
    let seen: Vec<_> = entries
        .iter()
        .map(|e| {
            (
                String::from_utf8_lossy(&e.path).into_owned(),
                e.mode,
                e.device,
                e.data.len(),
            )
        })
        .collect();
    let expected = [
        ("a", 0o041_777, (0, 0), 0),
        ("a/f", 0o104_755, (0, 0), 4),
        ("b", 0o060_600, (5, 300), 0),
        ("c", 0o020_600, (5, 300), 0),
        ("p", 0o010_600, (0, 0), 0),
        ("s", 0o120_777, (0, 0), 3),
    ];
    let expected: Vec<_> = expected.map(|(p, m, d, l)| (p.to_owned(), m, d, l)).into();
    assert_eq!(seen, expected);
    assert_eq!(entries[1].ids, (70_000, 5));
    assert_eq!(entries[1].mtime, 12);
    let inodes: Vec<_> = entries.iter().map(|e| e.inode).collect();
    assert_eq!(inodes, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn hard_links_share_an_inode_and_the_last_has_the_data() {
    let mut tree = Tree::new();
    tree.add("a", Node::file(Meta::root(0o644), "once"))
        .unwrap();
    tree.add("b", Node::file(Meta::root(0o644), "other"))
        .unwrap();
    tree.link("c", "a").unwrap();
    let entries = read(&written(&tree));
    let files: Vec<_> = entries
        .iter()
        .map(|e| (e.inode, e.links, e.data.as_slice()))
        .collect();
    assert_eq!(files, [(1, 2, &b""[..]), (2, 1, b"other"), (1, 2, b"once")]);
}

#[test]
fn a_leaf_shared_with_another_tree_is_no_hard_link() {
    let mut tree = Tree::new();
    tree.add("a", Node::file(Meta::root(0o644), "x")).unwrap();
    let other = tree.clone();
    assert_eq!(read(&written(&tree))[0].links, 1);
    drop(other);
}

#[test]
fn a_file_that_the_format_cannot_hold_is_named() {
    let mut tree = Tree::new();
    let huge = crate::tree::Content::Range {
        file: Arc::new(tempfile::tempfile().unwrap()),
        offset: 0,
        len: 1 << 32,
    };
    tree.add("d/huge", Node::file(Meta::root(0o644), huge))
        .unwrap();
    let error = write_tree(&tree, &mut io::sink()).unwrap_err();
    assert!(error.to_string().starts_with("d/huge: 4 GiB"), "{error}");
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        files in prop::collection::btree_map("[a-c](/[a-c]){0,2}", prop::collection::vec(any::<u8>(), 0..9), 0..12)
    ) {
        let mut tree = Tree::new();
        for (path, data) in &files {
            // A file and a folder of the same name: the first stays.
            let _ = tree.add(path, Node::file(Meta::root(0o644), data.clone()));
        }
        let bytes = written(&tree);
        let mut walked = tree.walk();
        for entry in &read(&bytes) {
            let (path, node) = walked.next().unwrap();
            prop_assert_eq!(&entry.path, &path);
            let data = node.as_file().map(|c| c.read().unwrap()).unwrap_or_default();
            prop_assert_eq!(&entry.data, &data);
        }
        prop_assert!(walked.next().is_none());
        prop_assert_eq!(bytes, written(&tree.clone()));
    }
}
