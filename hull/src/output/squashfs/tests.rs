use std::io::Write;
use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::tree::{Content, Device, Kind, Meta, Node, Xattrs};

const ALL: [Compression; 4] = [
    Compression::None,
    Compression::Lz4,
    Compression::Zstd,
    Compression::Gzip,
];

fn written(tree: &Tree, compression: Compression) -> (tempfile::NamedTempFile, Written) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let options = Options {
        compression,
        data_at: 0,
        time: 7,
    };
    let written = write(tree, file.as_file(), &options).unwrap();
    (file, written)
}

fn run(program: &str, args: &[&std::ffi::OsStr]) -> Vec<u8> {
    let output = Command::new(program)
        .args(args)
        .env("TZ", "UTC")
        .output()
        .unwrap_or_else(|e| panic!("{program} (build/deps.sh test installs it): {e}"));
    assert!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

fn listed(file: &tempfile::NamedTempFile) -> String {
    let out = run("unsquashfs", &["-lln".as_ref(), file.path().as_os_str()]);
    String::from_utf8(out).unwrap()
}

fn meta(mode: u32) -> Meta {
    Meta {
        mode,
        uid: 70_000,
        gid: 5,
        mtime: 86_400,
        xattrs: Xattrs::new(),
    }
}

/// One of each kind, a file with two names, a deep and a full folder.
fn sample() -> Tree {
    let mut tree = Tree::new();
    let device = Device {
        major: 5,
        minor: 30,
    };
    tree.add("a", Node::dir(meta(0o1777))).unwrap();
    tree.add("a/f", Node::file(meta(0o4755), "text")).unwrap();
    tree.link("a/g", "a/f").unwrap();
    tree.add("a/empty", Node::file(meta(0o600), "")).unwrap();
    tree.add("b", Node::leaf(meta(0o600), Kind::Block(device)))
        .unwrap();
    tree.add("c", Node::leaf(meta(0o620), Kind::Char(device)))
        .unwrap();
    tree.add("p", Node::leaf(meta(0o640), Kind::Fifo)).unwrap();
    tree.add("s", Node::symlink("a/f")).unwrap();
    for n in 0..700 {
        tree.add(
            format!("many/{n}"),
            Node::file(meta(0o644), format!("{n}").as_str()),
        )
        .unwrap();
    }
    let capability: &[u8] =
        b"\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    let mut capable = meta(0o755);
    capable
        .xattrs
        .insert((*b"security.capability").into(), capability.into());
    capable
        .xattrs
        .insert((*b"user.note").into(), (*b"hello").into());
    tree.add("capable", Node::file(capable, "x")).unwrap();
    // Blocks that differ, a hole, and an end.
    let mut big: Vec<u8> = (0..=250_u8)
        .flat_map(|byte| [byte; 7])
        .cycle()
        .take(3 * BLOCK)
        .collect();
    big.extend(vec![0; 2 * BLOCK]);
    big.extend(b"the end");
    tree.add("big", Node::file(meta(0o444), big)).unwrap();
    tree
}

#[test]
fn every_kind_is_read_back_by_unsquashfs() {
    for compression in ALL {
        let (file, _) = written(&sample(), compression);
        let list = listed(&file);
        for line in [
            "drwxrwxrwt 70000/5                44 1970-01-02 00:00 squashfs-root/a",
            "-rwsr-xr-x 70000/5                 4 1970-01-02 00:00 squashfs-root/a/f",
            "-rwsr-xr-x 70000/5                 4 1970-01-02 00:00 squashfs-root/a/g",
            "brw------- 70000/5             5, 30 1970-01-02 00:00 squashfs-root/b",
            "crw--w---- 70000/5             5, 30 1970-01-02 00:00 squashfs-root/c",
            "prw-r----- 70000/5                 0 1970-01-02 00:00 squashfs-root/p",
            "-r--r--r-- 70000/5            655367 1970-01-02 00:00 squashfs-root/big",
        ] {
            let words = |line: &str| {
                line.split_whitespace()
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            };
            let wanted = words(line);
            // A folder's size depends on how it is listed.
            let found = list.lines().map(words).any(|line| {
                line.len() == wanted.len()
                    && (0..wanted.len())
                        .all(|i| (i == 2 && wanted[0].starts_with('d')) || line[i] == wanted[i])
            });
            assert!(found, "{compression}: {line}\n{list}");
        }
        assert!(list.contains("squashfs-root/s -> a/f"), "{list}");
        assert_eq!(list.matches("squashfs-root/many/").count(), 700);
    }
}

#[test]
fn contents_links_and_attributes_come_out_as_they_went_in() {
    for compression in ALL {
        let (file, _) = written(&sample(), compression);
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("r");
        let args = ["-q", "-n", "-user-xattrs", "-d"].map(std::ffi::OsStr::new);
        let names = ["a", "many", "big", "s", "capable"].map(std::ffi::OsStr::new);
        let all: Vec<_> = args
            .into_iter()
            .chain([root.as_os_str(), file.path().as_os_str()])
            .chain(names)
            .collect();
        run("unsquashfs", &all);
        let tree = sample();
        for (path, node) in tree.walk() {
            let Some(content) = node.as_file() else {
                continue;
            };
            let path = root.join(crate::tree::path::show(&path));
            assert!(
                std::fs::read(&path).unwrap() == content.read().unwrap(),
                "{compression}: {}",
                path.display()
            );
        }
        use std::os::unix::fs::MetadataExt;
        let inode = |name| std::fs::metadata(root.join(name)).unwrap().ino();
        assert_eq!(inode("a/f"), inode("a/g"));
        let note = xattr::get(root.join("capable"), "user.note").unwrap();
        assert_eq!(note.as_deref(), Some(&b"hello"[..]), "{compression}");
    }
}

#[test]
fn it_ends_at_a_block_and_has_its_mark() {
    let (file, first) = written(&sample(), Compression::Zstd);
    let bytes = std::fs::read(file.path()).unwrap();
    assert_eq!(first.end, bytes.len() as u64);
    assert_eq!(first.end % ALIGN, 0);
    let at = usize::try_from(hullkit_bundle::root::MARK_OFFSET).unwrap();
    assert!(bytes[at..].starts_with(&first.mark.record()));

    let (again, second) = written(&sample(), Compression::Zstd);
    assert_eq!(first, second);
    assert!(bytes == std::fs::read(again.path()).unwrap());
    // A file whose size does not change makes another mark.
    let mut other = sample();
    other.add("a/f", Node::file(meta(0o4755), "Text")).unwrap();
    assert_ne!(written(&other, Compression::Zstd).1.mark, first.mark);
}

#[test]
fn devices_have_the_kernels_numbers() {
    let number = |major, minor| inode::encode(Device { major, minor });
    assert_eq!(number(8, 1), 0x801);
    // `new_encode_dev` of linux/kdev_t.h.
    assert_eq!(number(5, 300), 0x0010_052c);
}

#[test]
fn the_place_before_the_data_stays_free() {
    let file = tempfile::tempfile().unwrap();
    let options = Options {
        compression: Compression::Zstd,
        data_at: 65536,
        time: 0,
    };
    write(&sample(), &file, &options).unwrap();
    let mut free = vec![1; 65536 - 4096];
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut free, 4096).unwrap();
    assert!(free.iter().all(|&byte| byte == 0));
}

#[test]
fn two_gigabytes_of_zeros_take_no_room() {
    let mut zeros = tempfile::NamedTempFile::new().unwrap();
    zeros.write_all(b"begin").unwrap();
    zeros.as_file().set_len(1 << 31).unwrap();
    let mut tree = Tree::new();
    let content = Content::of_file(zeros.path()).unwrap();
    tree.add("zeros", Node::file(Meta::root(0o644), content))
        .unwrap();
    let (file, written) = written(&tree, Compression::None);
    // A block of data, a list of four bytes for each block of zeros.
    assert!(written.end < 256 * 1024, "{}", written.end);
    assert!(listed(&file).contains("2147483648"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any tree is a squashfs that unsquashfs lists without a complaint.
    #[test]
    fn any_tree_is_listed(
        files in prop::collection::btree_map(
            prop::collection::vec("[a-z]{1,3}", 1..4),
            prop::collection::vec(any::<u8>(), 0..4096),
            0..40,
        ),
        how in 0..4_usize,
    ) {
        let mut tree = Tree::new();
        for (path, content) in &files {
            // A file where another wants a folder is left out.
            let _ = tree.add(path.join("/"), Node::file(Meta::root(0o644), content.clone()));
        }
        let (file, _) = written(&tree, ALL[how]);
        let list = listed(&file);
        // The root has no line of its own name below it.
        prop_assert_eq!(list.matches("squashfs-root/").count(), tree.walk().count());
    }
}
