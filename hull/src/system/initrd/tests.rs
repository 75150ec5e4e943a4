use std::io::Write;

use proptest::prelude::*;

use super::*;
use crate::output::{Compression, cpio, initrd};

fn read_bytes(bytes: &[u8]) -> Result<Tree, Error> {
    let mut file = tempfile::tempfile().unwrap();
    // What is read need not stand at the begin of its file.
    file.write_all(b"before").unwrap();
    file.write_all(bytes).unwrap();
    file.write_all(b"behind").unwrap();
    read(
        &Arc::new(file),
        6,
        bytes.len() as u64,
        &std::env::temp_dir(),
    )
}

fn archive(tree: &Tree) -> Vec<u8> {
    let mut out = Vec::new();
    cpio::write_tree(tree, &mut out).unwrap();
    out
}

/// Everything of a tree that an initrd keeps: of each path kind, owner, time,
/// content, and the first of its file's names.
fn told(tree: &Tree) -> Vec<String> {
    let mut names = HashMap::new();
    let tell = |(path, node): (Vec<u8>, &Node)| {
        let (what, first) = match node {
            Node::Dir(_) => ("folder".to_owned(), show(&path)),
            Node::Leaf(leaf) => {
                let what = match &leaf.kind {
                    Kind::File(content) => format!("{:?}", content.read().unwrap()),
                    other => format!("{other:?}"),
                };
                let first = match &leaf.kind {
                    Kind::File(_) => names
                        .entry(Arc::as_ptr(leaf))
                        .or_insert_with(|| show(&path))
                        .clone(),
                    _ => show(&path),
                };
                (what, first)
            }
        };
        format!("{} {:?} {what} {first}", show(&path), node.meta())
    };
    tree.walk().map(tell).collect()
}

/// A tree with everything that the format has.
fn system() -> Tree {
    let mut tree = Tree::new();
    let meta = |mode, uid| Meta {
        mode,
        uid,
        gid: 7,
        mtime: 99,
        xattrs: Xattrs::new(),
    };
    let device = Device { major: 5, minor: 1 };
    let nodes = [
        ("dev", Node::dir(meta(0o755, 0))),
        (
            "dev/console",
            Node::leaf(meta(0o600, 0), Kind::Char(device)),
        ),
        ("dev/sda", Node::leaf(meta(0o660, 0), Kind::Block(device))),
        ("dev/pipe", Node::leaf(meta(0o600, 1), Kind::Fifo)),
        ("bin/big", Node::file(meta(0o4755, 0), vec![7; 200_000])),
        ("bin/none", Node::file(meta(0o644, 70_000), "")),
        ("bin/odd\u{fc}", Node::file(meta(0o644, 0), "abcde")),
        ("init", Node::symlink("bin/big")),
    ];
    for (path, node) in nodes {
        tree.add(path, node).unwrap();
    }
    tree.link("z/again", "bin/odd\u{fc}").unwrap();
    tree
}

#[test]
fn what_is_written_is_read() {
    let tree = system();
    assert_eq!(told(&read_bytes(&archive(&tree)).unwrap()), told(&tree));
}

#[test]
fn every_compression_and_several_archives_are_read() {
    let tree = system();
    for compression in ["none", "lz4", "zstd", "gzip"] {
        let compression: Compression = compression.parse().unwrap();
        let options = initrd::Options {
            compression,
            mebibytes: 64,
            cache: None,
            spool: &std::env::temp_dir(),
        };
        // Microcode in front, not compressed, and zeros.
        let mut early = Tree::new();
        early
            .add(
                "kernel/x86/microcode/a.bin",
                Node::file(Meta::root(0o644), "microcode"),
            )
            .unwrap();
        let mut bytes = archive(&early);
        bytes.extend([0; 512]);
        initrd::write(&tree, &options, &mut bytes).unwrap();
        bytes.extend([0; 3]);
        let read = read_bytes(&bytes).unwrap();
        let (read, wanted) = (told(&read), told(&tree));
        for line in &wanted {
            assert!(read.contains(line), "{compression}: {line} in {read:?}");
        }
        // The microcode and its folders, and the initrd's own first and last file.
        assert_eq!(read.len(), wanted.len() + 4 + 2, "{compression}: {read:?}");
    }
}

/// One entry, by the letter of the format.
fn entry(name: &str, mode: u32, links: u32, data: &str) -> Vec<u8> {
    let mut bytes = b"070701".to_vec();
    let len = u32::try_from(data.len()).unwrap();
    let name_len = u32::try_from(name.len() + 1).unwrap();
    for field in [9, mode, 0, 0, links, 0, len, 0, 0, 0, 0, name_len, 0] {
        bytes.extend(format!("{field:08X}").bytes());
    }
    bytes.extend(name.bytes());
    bytes.push(0);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend(data.bytes());
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

const FILE: u32 = 0o100_644;

#[test]
fn the_content_of_a_linked_file_comes_with_any_of_its_names() {
    for with_content in 0..3 {
        let data = |n| if n == with_content { "data" } else { "" };
        let bytes: Vec<u8> = (0..3)
            .flat_map(|n| entry(&format!("f{n}"), FILE, 3, data(n)))
            .chain(entry("TRAILER!!!", 0, 1, ""))
            // Behind the end of an archive the same number is another file.
            .chain(entry("other", FILE, 2, "else"))
            .collect();
        let tree = read_bytes(&bytes).unwrap();
        for n in 0..3 {
            let file = tree.get(format!("f{n}")).and_then(Node::as_file).unwrap();
            assert_eq!(file.read().unwrap(), b"data", "f{n}, {with_content}");
        }
        let other = tree.get("other").and_then(Node::as_file).unwrap();
        assert_eq!(other.read().unwrap(), b"else");
    }
}

#[test]
fn what_is_hostile_or_broken_is_refused_by_name() {
    let good = entry("a", FILE, 1, "text");
    let digit = [&good[..20], b"x", &good[21..]].concat();
    let twice = [entry("a", FILE, 2, "1"), entry("b", FILE, 2, "2")].concat();
    let out = [entry("l", 0o120_777, 1, "../.."), entry("l/x", FILE, 1, "")].concat();
    let garbage = [&good[..], b"garbage!"].concat();
    let packed = zstd::encode_all(&garbage[..], 1).unwrap();
    let mut lz4 = LZ4_MAGIC.to_vec();
    lz4.extend(u32::MAX.to_le_bytes());
    for (bytes, word) in [
        (
            entry("../x", FILE, 1, ""),
            "\"../x\": a path with \"..\" is refused",
        ),
        (entry("", FILE, 1, ""), "empty or too long"),
        (entry(".", FILE, 1, ""), "the root cannot be replaced"),
        (entry("s", 0o140_644, 1, ""), "\"s\": unknown kind 0o140000"),
        (entry("l", 0o120_777, 1, ""), "impossible target"),
        (good[..50].to_vec(), "the archive ends in the middle"),
        (
            good[..good.len() - 2].to_vec(),
            "\"a\": the archive ends in the middle",
        ),
        (digit, "no hexadecimal number"),
        (twice, "a second content"),
        (out, "leads out of the root"),
        (garbage.clone(), "at byte 116: neither an archive"),
        (packed, "neither an archive"),
        (b"\x1f\x8bxx".to_vec(), ""),
        (lz4, "4294967295 bytes"),
        (b"ELF".to_vec(), "at byte 0: neither an archive"),
    ] {
        let error = read_bytes(&bytes).unwrap_err().to_string();
        assert!(error.contains(word), "{word}: {error}");
    }
    assert!(read_bytes(&good).is_ok());
    assert!(read_bytes(b"").unwrap().root.entries.is_empty());
}

#[test]
fn what_is_made_to_fill_the_disk_is_refused() {
    let mut file = tempfile::tempfile().unwrap();
    let mut zstd = zstd::Encoder::new(&mut file, 1).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..1025 {
        zstd.write_all(&zeros).unwrap();
    }
    zstd.finish().unwrap();
    let len = file.metadata().unwrap().len();
    let error = read(&Arc::new(file), 0, len, &std::env::temp_dir()).unwrap_err();
    assert!(
        error.to_string().contains("unpacks to more than"),
        "{error}"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>, at: u16, value: u8) {
        let _ = read_bytes(&bytes);
        // One byte of a good one, changed.
        let mut archive = archive(&system());
        let at = usize::from(at) % archive.len();
        archive[at] = value;
        if let Ok(tree) = read_bytes(&archive) {
            for (path, _) in tree.walk() {
                prop_assert_eq!(path::relative(&path).unwrap(), path);
            }
        }
    }
}
