use std::io::Write;

use proptest::prelude::*;
use tar::{Builder, EntryType, Header};

use super::*;
use crate::tree::{Content, Meta, Node, Tree};

/// One entry of a layer that is made by hand, by the letter.
#[derive(Clone, Debug)]
struct Entry {
    kind: EntryType,
    path: Vec<u8>,
    link: Vec<u8>,
    data: Vec<u8>,
}

fn entry(kind: EntryType, path: &str, link: &str, data: &str) -> Entry {
    Entry {
        kind,
        path: path.into(),
        link: link.into(),
        data: data.into(),
    }
}

fn file(path: &str, data: &str) -> Entry {
    entry(EntryType::Regular, path, "", data)
}

fn dir(path: &str) -> Entry {
    entry(EntryType::Directory, path, "", "")
}

fn symlink(path: &str, link: &str) -> Entry {
    entry(EntryType::Symlink, path, link, "")
}

fn hard_link(path: &str, link: &str) -> Entry {
    entry(EntryType::Link, path, link, "")
}

/// The entries as a tar, names and links as they stand.
fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for entry in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(entry.kind);
        header.set_mode(0o644);
        header.set_size(entry.data.len() as u64);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        let old = header.as_old_mut();
        old.name[..entry.path.len()].copy_from_slice(&entry.path);
        old.linkname[..entry.link.len()].copy_from_slice(&entry.link);
        header.set_cksum();
        tar.append(&header, entry.data.as_slice()).unwrap();
    }
    tar.into_inner().unwrap()
}

fn layer(bytes: &[u8]) -> Layer {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Layer::of_tar("test".to_owned(), Arc::new(file), 0, bytes.len() as u64)
}

fn apply(tree: &mut Tree, entries: &[Entry]) -> Result<(), Error> {
    layer(&tar(entries)).apply(tree, &std::env::temp_dir())
}

fn applied(layers: &[&[Entry]]) -> Tree {
    let mut tree = Tree::new();
    for entries in layers {
        apply(&mut tree, entries).unwrap();
    }
    tree
}

fn text(tree: &Tree, path: &str) -> Option<String> {
    let content = tree.get(path)?.as_file()?.read().unwrap();
    Some(String::from_utf8(content).unwrap())
}

fn names(tree: &Tree) -> Vec<String> {
    tree.walk()
        .map(|(path, _)| String::from_utf8(path).unwrap())
        .collect()
}

#[test]
fn a_whiteout_takes_away_what_is_below() {
    let lower = [file("a", "1"), file("d/b", "2"), file("d/c", "3")];
    let tree = applied(&[&lower, &[file(".wh.a", ""), file("d/.wh.b", "")]]);
    assert_eq!(names(&tree), ["d", "d/c"]);
}

#[test]
fn an_opaque_folder_hides_what_is_below_and_nothing_of_its_own_layer() {
    let lower = [file("d/old", "1"), file("d/sub/old", "2"), file("e", "3")];
    // The mark stands behind an entry of the same layer: order says nothing.
    let upper = [file("d/new", "4"), file("d/.wh..wh..opq", "")];
    let tree = applied(&[&lower, &upper]);
    assert_eq!(names(&tree), ["d", "d/new", "e"]);
}

#[test]
fn a_whiteout_and_a_new_file_of_one_name_leave_the_new_file() {
    let tree = applied(&[&[file("a/x", "1")], &[file("a", "2"), file(".wh.a", "")]]);
    assert_eq!(text(&tree, "a").unwrap(), "2");
}

#[test]
fn marks_of_aufs_and_whiteouts_of_nothing_below_are_passed_over() {
    let tree = applied(&[&[file(".wh..wh.plnk/1.2", ""), file("no/.wh.thing", "")]]);
    assert!(names(&tree).is_empty());
}

#[test]
fn a_whiteout_follows_links_of_the_layers_below() {
    let lower = [file("usr/lib/x", "1"), symlink("lib", "usr/lib")];
    let tree = applied(&[&lower, &[file("lib/.wh.x", "")]]);
    assert_eq!(names(&tree), ["lib", "usr", "usr/lib"]);
}

#[test]
fn hard_links_reach_into_the_layers_below() {
    let tree = applied(&[&[file("a", "1")], &[hard_link("d/b", "a")]]);
    assert_eq!(text(&tree, "d/b").unwrap(), "1");
}

#[test]
fn hostile_entries_are_refused_by_name() {
    let escape = [symlink("x", "../../.."), file("x/etc/passwd", "evil")];
    let whiteout = [file("d/.wh...", "")];
    for (entries, culprit) in [
        (&[file("../evil", "")][..], "../evil"),
        (&[file("a/../../evil", "")], "a/../../evil"),
        (&[file("/etc/evil", "")], "/etc/evil"),
        (&[dir("d/..")], "d/.."),
        (&[hard_link("hard", "../../etc/passwd")], "hard"),
        (&[hard_link("hard", "/etc/passwd")], "hard"),
        (&[hard_link("hard", "nothing")], "hard"),
        (&[symlink("", "x")], ""),
        (&escape, "x/etc/passwd"),
        (&whiteout, "d/.wh..."),
        (&[file("f", ""), file("f/x", "")], "f/x"),
        (&[symlink("s", "")], "s"),
        (&[file(".wh.d/x", "")], ".wh.d/x"),
        (&[entry(EntryType::new(b'Z'), "odd", "", "")], "odd"),
    ] {
        let error = apply(&mut Tree::new(), entries).unwrap_err().to_string();
        assert!(
            error.contains(&format!("{culprit:?}")),
            "{entries:?}: {error}"
        );
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn a_root_of_its_own_is_taken() {
    let tree = applied(&[&[dir("./"), dir("/"), file("./a", "1")]]);
    assert_eq!(names(&tree), ["a"]);
    assert_eq!(tree.root.meta.mode, 0o644);
}

#[test]
fn compressed_layers_are_told_by_their_first_bytes() {
    let plain = tar(&[file("a", "text")]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(plain.as_slice(), 1).unwrap();
    for bytes in [&plain, &gzip, &zstd] {
        let mut tree = Tree::new();
        let layer = Layer {
            digest: Some(Digest::of(bytes)),
            diff_id: Some(Digest::of(&plain)),
            ..layer(bytes)
        };
        layer.apply(&mut tree, &std::env::temp_dir()).unwrap();
        assert_eq!(text(&tree, "a").unwrap(), "text");
    }
}

#[test]
fn a_layer_is_unpacked_once_and_what_is_kept_is_checked() {
    let dir = tempfile::tempdir().unwrap();
    let plain = tar(&[file("a", "text")]);
    let kept = dir
        .path()
        .join("cache/layers")
        .join(Digest::of(&plain).hex());
    let of = |bytes: &[u8]| Layer {
        diff_id: Some(Digest::of(&plain)),
        cache: Some(Cache::below(dir.path())),
        ..layer(bytes)
    };
    let zstd = zstd::encode_all(plain.as_slice(), 1).unwrap();
    let applied = |layer: &Layer| {
        let tree = Layer::apply_all(std::slice::from_ref(layer), dir.path())?;
        Ok::<_, Error>(text(&tree, "a").unwrap())
    };
    assert_eq!(applied(&of(&zstd)).unwrap(), "text");
    assert_eq!(std::fs::read(&kept).unwrap(), plain);

    // What cannot be unpacked any more is still had.
    let damaged = of(&zstd[..zstd.len() - 9]);
    assert_eq!(applied(&damaged).unwrap(), "text");
    // But not where somebody wants to know that it is as it was sent.
    let digest = Some(Digest::of(&zstd));
    let untrusted = Layer {
        digest,
        ..damaged.clone()
    };
    assert!(matches!(applied(&untrusted), Err(Error::Digest { .. })));

    // A broken entry is not used, and made again.
    let mut bytes = plain.clone();
    bytes[512] ^= 1;
    std::fs::write(&kept, &bytes).unwrap();
    assert!(applied(&damaged).is_err());
    assert!(!kept.exists());
    assert_eq!(applied(&of(&zstd)).unwrap(), "text");
    assert_eq!(std::fs::read(&kept).unwrap(), plain);

    // Another layer than it says is not kept.
    let other = Some(Digest::of(b"another"));
    let wrong = Layer {
        diff_id: other,
        ..of(&zstd)
    };
    assert!(matches!(applied(&wrong), Err(Error::Digest { .. })));
    assert_eq!(kept.parent().unwrap().read_dir().unwrap().count(), 1);
}

#[test]
fn wrong_digests_are_found_out() {
    let plain = tar(&[file("a", "text")]);
    let zstd = zstd::encode_all(plain.as_slice(), 1).unwrap();
    let wrong = Some(Digest::of(b"something else"));
    for bytes in [&plain, &zstd] {
        for (digest, diff_id) in [(wrong, None), (None, wrong)] {
            let layer = Layer {
                digest,
                diff_id,
                ..layer(bytes)
            };
            let error = layer.apply(&mut Tree::new(), &std::env::temp_dir());
            assert!(matches!(error, Err(Error::Digest { .. })), "{error:?}");
        }
    }
}

#[test]
fn a_layer_cut_short_is_an_error() {
    let plain = tar(&[file("a", &"x".repeat(2000))]);
    let zstd = zstd::encode_all(plain.as_slice(), 1).unwrap();
    for bytes in [&plain[..1000], &plain[..300], &zstd[..zstd.len() / 2]] {
        let error = layer(bytes).apply(&mut Tree::new(), &std::env::temp_dir());
        assert!(error.is_err(), "{} bytes", bytes.len());
    }
}

#[test]
fn what_is_written_is_read_back() {
    let mut tree = Tree::new();
    let long = format!("{}/{}", "d".repeat(200), "f".repeat(200));
    let meta = Meta {
        mode: 0o4711,
        uid: 3_000_000,
        gid: 7,
        mtime: 99,
        xattrs: [(
            b"security.capability"[..].into(),
            b"\x01\0\0\x02"[..].into(),
        )]
        .into(),
    };
    tree.add(&long, Node::file(meta, "x")).unwrap();
    tree.add(b"not-utf8-\xff", Node::symlink([0xfe; 150]))
        .unwrap();
    tree.link("z", &long).unwrap();
    let device = crate::tree::Device { major: 1, minor: 3 };
    let null = Node::leaf(Meta::root(0o666), crate::tree::Kind::Char(device));
    tree.add("dev/null", null).unwrap();
    let mut bytes = Vec::new();
    write_tar(&tree, &mut bytes).unwrap();
    let mut read = Tree::new();
    layer(&bytes)
        .apply(&mut read, &std::env::temp_dir())
        .unwrap();
    let mut again = Vec::new();
    write_tar(&read, &mut again).unwrap();
    assert_eq!(bytes, again);
    let (Some(Node::Leaf(one)), Some(Node::Leaf(two))) = (read.get(&long), read.get("z")) else {
        panic!("not there");
    };
    assert!(Arc::ptr_eq(one, two));
    assert_eq!(one.meta.uid, 3_000_000);
    assert_eq!(one.meta.xattrs.len(), 1);
    assert_eq!(
        read.get(b"not-utf8-\xff")
            .unwrap()
            .as_symlink()
            .unwrap()
            .len(),
        150
    );
}

#[test]
fn a_sparse_file_of_gnu_tar_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let sparse = std::fs::File::create(dir.path().join("sparse")).unwrap();
    sparse.set_len(1 << 20).unwrap();
    std::os::unix::fs::FileExt::write_at(&sparse, b"end", 1 << 19).unwrap();
    let tar = std::process::Command::new("tar")
        .args(["--format=gnu", "-S", "-cf", "-", "-C"])
        .arg(dir.path())
        .arg("sparse")
        .output()
        .unwrap();
    assert!(tar.status.success());
    let mut tree = Tree::new();
    layer(&tar.stdout)
        .apply(&mut tree, &std::env::temp_dir())
        .unwrap();
    let content = tree.get("sparse").unwrap().as_file().unwrap();
    let bytes = content.read().unwrap();
    assert_eq!(bytes.len(), 1 << 20);
    assert_eq!(&bytes[1 << 19..][..3], b"end");
    assert!(matches!(content, Content::Range { .. }));
}

/// A folder as GNU tar writes it.
fn by_gnu_tar(dir: &Path, options: &[&str]) -> Vec<u8> {
    let tar = std::process::Command::new("tar")
        .args(options)
        .args(["--sort=name", "-cf", "-", "-C"])
        .arg(dir)
        .arg(".")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&tar.stderr);
    assert!(tar.status.success(), "{errors}");
    tar.stdout
}

#[test]
fn every_form_of_gnu_tar_is_read() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let long = format!("{}/{}", "d".repeat(150), "f".repeat(200));
    std::fs::create_dir(dir.path().join(&long[..150])).unwrap();
    std::fs::write(dir.path().join(&long), "long").unwrap();
    let odd = std::ffi::OsStr::from_bytes(b"odd-\xff\xfe");
    std::fs::write(dir.path().join(odd), "odd").unwrap();
    std::os::unix::fs::symlink("t".repeat(200), dir.path().join("link")).unwrap();
    std::fs::hard_link(dir.path().join(odd), dir.path().join("z")).unwrap();
    for format in ["--format=gnu", "--format=posix", "--format=oldgnu"] {
        let options = [format, "--owner=u:3000000", "--group=g:4000000"];
        let tar = by_gnu_tar(dir.path(), &options);
        let mut tree = Tree::new();
        layer(&tar).apply(&mut tree, &std::env::temp_dir()).unwrap();
        assert_eq!(text(&tree, &long).unwrap(), "long", "{format}");
        let (Some(Node::Leaf(one)), Some(Node::Leaf(two))) =
            (tree.get(odd.as_bytes()), tree.get("z"))
        else {
            panic!("not there");
        };
        assert!(Arc::ptr_eq(one, two), "{format}");
        assert_eq!(
            (one.meta.uid, one.meta.gid),
            (3_000_000, 4_000_000),
            "{format}"
        );
        let link = tree.get("link").unwrap().as_symlink().unwrap();
        assert_eq!(link.len(), 200, "{format}");
    }
}

#[test]
fn a_sparse_file_in_any_pax_form_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let name = format!("{}/sparse", "d".repeat(120));
    std::fs::create_dir(dir.path().join(&name[..120])).unwrap();
    let sparse = std::fs::File::create(dir.path().join(&name)).unwrap();
    // Larger than a header's field has room for.
    let size = (9 << 30) + 7;
    sparse.set_len(size).unwrap();
    let places = [
        (0, &b"begin"[..]),
        (1 << 20, b"middle"),
        (9 << 30, b"the end"),
    ];
    for (offset, bytes) in places {
        std::os::unix::fs::FileExt::write_at(&sparse, bytes, offset).unwrap();
    }
    for version in ["0.0", "0.1", "1.0"] {
        let version = format!("--sparse-version={version}");
        let tar = by_gnu_tar(dir.path(), &["--format=posix", "-S", &version]);
        let mut tree = Tree::new();
        layer(&tar).apply(&mut tree, &std::env::temp_dir()).unwrap();
        let content = tree.get(&name).unwrap().as_file().unwrap();
        assert_eq!(content.len(), size, "{version}");
        let Content::Range { file, .. } = content else {
            panic!("not in a file");
        };
        for (offset, bytes) in places {
            let mut found = vec![0; bytes.len() + 1];
            let n = std::os::unix::fs::FileExt::read_at(&**file, &mut found, offset).unwrap();
            assert_eq!(&found[..bytes.len()], bytes, "{version}");
            assert!(n == bytes.len() || found[bytes.len()] == 0, "{version}");
        }
        let blocks = std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap());
        assert!(blocks * 512 < 2 << 20, "{version}: {blocks} blocks");
    }
}

/// An entry with pax records before it.
fn with_records(records: &[(&str, &[u8])], entry: &Entry) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    tar.append_pax_extensions(records.iter().copied()).unwrap();
    let mut bytes = tar.into_inner().unwrap();
    bytes.truncate(bytes.len() - 1024);
    bytes.extend(self::tar(std::slice::from_ref(entry)));
    bytes
}

#[test]
fn sparse_files_that_lie_are_refused() {
    let file = file("lies", "0123456789");
    for records in [
        &[("GNU.sparse.map", &b"0,11"[..]), ("GNU.sparse.size", b"20")][..],
        &[("GNU.sparse.map", b"0,5,3,5"), ("GNU.sparse.size", b"20")],
        &[("GNU.sparse.map", b"15,10"), ("GNU.sparse.size", b"20")],
        &[
            ("GNU.sparse.map", b"18446744073709551615,10"),
            ("GNU.sparse.size", b"20"),
        ],
        &[("GNU.sparse.map", b"0"), ("GNU.sparse.size", b"20")],
        &[("GNU.sparse.map", b"0,x"), ("GNU.sparse.size", b"20")],
        &[("GNU.sparse.major", b"1"), ("GNU.sparse.realsize", b"20")],
        &[("GNU.sparse.new", b"1")],
        &[
            ("GNU.sparse.map", b"0,10"),
            ("GNU.sparse.size", b"1152921504606846976"),
        ],
    ] {
        let bytes = with_records(records, &file);
        let error = layer(&bytes).apply(&mut Tree::new(), &std::env::temp_dir());
        let error = error.unwrap_err().to_string();
        assert!(error.contains("sparse") && !error.contains('\n'), "{error}");
    }
    let records: &[(&str, &[u8])] = &[
        ("GNU.sparse.map", b"2,10"),
        ("GNU.sparse.size", b"20"),
        ("GNU.sparse.name", b"../evil"),
    ];
    let bytes = with_records(records, &file);
    let error = layer(&bytes).apply(&mut Tree::new(), &std::env::temp_dir());
    assert!(error.unwrap_err().to_string().contains("\"../evil\""));
    let mut tree = Tree::new();
    layer(&with_records(&records[..2], &file))
        .apply(&mut tree, &std::env::temp_dir())
        .unwrap();
    let expected = format!("\0\0{}\0\0\0\0\0\0\0\0", "0123456789");
    assert_eq!(text(&tree, "lies").unwrap(), expected);
}

#[test]
fn a_hundred_gigabytes_of_zeros_are_refused_by_name() {
    let zeros = vec![0; 64 << 20];
    let mut one = zstd::Encoder::new(Vec::new(), 1).unwrap();
    for _ in 0..16 {
        one.write_all(&zeros).unwrap();
    }
    let gigabyte = one.finish().unwrap();
    let hundred: Vec<u8> = gigabyte.repeat(100);
    let error = layer(&hundred).apply(&mut Tree::new(), &std::env::temp_dir());
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("layer test: it unpacks to more than 1073741824 bytes"),
        "{error}"
    );
}

#[test]
fn what_would_fill_the_memory_is_refused() {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(1 << 30);
    header.set_cksum();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.set_len(2 << 30).unwrap();
    let layer = Layer {
        file: Arc::new(file),
        len: 2 << 30,
        ..layer(b"")
    };
    let error = layer.apply(&mut Tree::new(), &std::env::temp_dir());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("headers of an entry are longer"), "{error}");
}

#[test]
fn a_huge_file_is_a_part_of_its_layer() {
    let size = 9u64 << 30;
    let mut header = Header::new_gnu();
    header.set_path("huge").unwrap();
    header.set_mode(0o644);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.set_len(size + 2048).unwrap();
    let layer = Layer {
        file: Arc::new(file),
        len: size + 2048,
        ..layer(b"")
    };
    let mut tree = Tree::new();
    layer.apply(&mut tree, &std::env::temp_dir()).unwrap();
    assert_eq!(tree.get("huge").unwrap().as_file().unwrap().len(), size);
}

#[test]
fn links_that_change_on_the_way_do_not_lead_out() {
    for entries in [
        // A folder that becomes a link between two of its files.
        &[
            dir("d"),
            file("d/a", "1"),
            symlink("d", "/etc"),
            file("d/passwd", "2"),
        ][..],
        &[
            symlink("d", "e"),
            symlink("e", "/etc"),
            file("d/passwd", "2"),
        ],
        &[
            dir("etc"),
            symlink("d", "/etc"),
            hard_link("h", "d"),
            file("h/passwd", "2"),
        ],
        &[symlink("d", "/etc/passwd"), file("d", "2")],
    ] {
        let mut tree = Tree::new();
        // Taken or refused, all of it is inside.
        if apply(&mut tree, entries).is_ok() {
            let all = names(&tree);
            assert!(
                all.iter()
                    .all(|n| n == "d" || n == "e" || n == "h" || n.starts_with("etc"))
            );
        }
    }
    for entries in [
        &[
            symlink("d", "../.."),
            dir("d"),
            symlink("d", "../.."),
            file("d/x", ""),
        ][..],
        &[symlink("a", "b"), symlink("b", "a"), file("a/x", "")],
        &[symlink("up", "a/../../.."), dir("a"), file("up/x", "")],
    ] {
        let error = apply(&mut Tree::new(), entries).unwrap_err().to_string();
        assert!(error.contains("/x"), "{error}");
    }
}

/// Entries over few names, so that layers meet.
fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let path = "(\\.wh\\.)?[ab](/(\\.wh\\.)?[ab]){0,2}";
    let one = (path, "(\\.\\./)?[ab]", 0..4usize).prop_map(|(path, link, kind)| match kind {
        0 => file(&path, &link),
        1 => dir(&path),
        2 => symlink(&path, &link),
        _ => file(&format!("{path}/.wh..wh..opq"), ""),
    });
    prop::collection::vec(one, 0..8)
}

proptest! {
    #[test]
    fn no_mark_survives_and_layers_are_deterministic(layers in prop::collection::vec(entries(), 1..4)) {
        let build = || {
            let mut tree = Tree::new();
            let whole = layers.iter().try_for_each(|entries| apply(&mut tree, entries));
            whole.map(|()| tree).map_err(|e| e.to_string())
        };
        match (build(), build()) {
            (Ok(one), Ok(two)) => {
                prop_assert_eq!(names(&one), names(&two));
                prop_assert!(names(&one).iter().all(|name| !name.contains(".wh.")));
            }
            (Err(one), Err(two)) => prop_assert_eq!(one, two),
            _ => prop_assert!(false, "once it works and once it does not"),
        }
    }

    #[test]
    fn bytes_of_any_kind_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let _ = layer(&bytes).apply(&mut Tree::new(), &std::env::temp_dir());
    }
}
