use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// The archives of an initrd that is not compressed: of each, paths and
/// contents.
type Archives = Vec<Vec<(String, Vec<u8>)>>;

/// Reads archives one behind another, as the kernel does.
fn read(mut cpio: &[u8]) -> Archives {
    let mut archives = vec![Vec::new()];
    while !cpio.is_empty() {
        assert_eq!(&cpio[..6], b"070701");
        let field = |i: usize| {
            let text = std::str::from_utf8(&cpio[6 + i * 8..14 + i * 8]).unwrap();
            usize::from_str_radix(text, 16).unwrap()
        };
        let (size, name) = (field(6), field(11));
        let path = String::from_utf8(cpio[110..110 + name - 1].to_vec()).unwrap();
        let data = (110 + name).next_multiple_of(4);
        let content = cpio[data..data + size].to_vec();
        cpio = &cpio[(data + size).next_multiple_of(4)..];
        if path != "TRAILER!!!" {
            archives.last_mut().unwrap().push((path, content));
            continue;
        }
        let zeros = cpio.iter().take_while(|b| **b == 0).count();
        cpio = &cpio[zeros..];
        archives.push(Vec::new());
    }
    archives.pop();
    archives
}

fn packed(tree: &Tree, compression: Compression, cache: Option<&Cache>) -> Vec<u8> {
    let options = Options {
        compression,
        mebibytes: 64,
        cache,
        spool: &std::env::temp_dir(),
    };
    let mut out = Vec::new();
    write(tree, &options, &mut out).unwrap();
    out
}

fn unpacked(tree: &Tree) -> Vec<u8> {
    zstd::decode_all(&packed(tree, Compression::Zstd, None)[..]).unwrap()
}

fn file(len: usize, byte: u8) -> Node {
    Node::file(Meta::root(0o644), vec![byte; len])
}

/// Something of every class.
fn system() -> Tree {
    let mut tree = Tree::new();
    for (path, len) in [
        ("containers/services/web/config.json", 100),
        ("containers/services/web/rootfs/bin/web", 300_000),
        ("containers/services/web/rootfs/etc/web.conf", 50),
        ("etc/motd", 10),
        ("init", 200_000),
        ("lib/modules/6/kernel/a.ko", 30),
        ("lib/modules/6/kernel/b.ko", 300_000),
        ("usr/bin/runc-shim", 200_000),
    ] {
        tree.add(path, file(len, b'x')).unwrap();
    }
    let again = "containers/services/web2/lower/bin/web";
    tree.link(again, "containers/services/web/rootfs/bin/web")
        .unwrap();
    tree
}

fn paths(archive: &[(String, Vec<u8>)]) -> Vec<&str> {
    archive.iter().map(|(path, _)| path.as_str()).collect()
}

#[test]
fn programs_modules_and_the_rest_are_archives_of_their_own() {
    let archives = read(&unpacked(&system()));
    let all: Vec<_> = archives.iter().map(|archive| paths(archive)).collect();
    let expected = [
        &[".", "begin.hullkit"][..],
        &[
            "init",
            "containers",
            "containers/services",
            "containers/services/web",
            "containers/services/web/rootfs",
            "containers/services/web/rootfs/bin",
            "containers/services/web/rootfs/bin/web",
            "containers/services/web2",
            "containers/services/web2/lower",
            "containers/services/web2/lower/bin",
            "containers/services/web2/lower/bin/web",
            "usr",
            "usr/bin",
            "usr/bin/runc-shim",
        ],
        &[
            "lib",
            "lib/modules",
            "lib/modules/6",
            "lib/modules/6/kernel",
            "lib/modules/6/kernel/a.ko",
            "lib/modules/6/kernel/b.ko",
        ],
        &[
            "containers/services/web/config.json",
            "containers/services/web/rootfs/etc",
            "containers/services/web/rootfs/etc/web.conf",
            "etc",
            "etc/motd",
            "end.hullkit",
        ],
    ];
    assert_eq!(all, expected);
    assert_eq!(archives[0][1].1, b"64\n");
    // Of two names of one file the last has the content.
    assert_eq!(archives[1][6].1.len(), 0);
    assert_eq!(archives[1][10].1.len(), 300_000);
}

#[test]
fn without_compression_it_is_one_archive() {
    let archives = read(&packed(&system(), Compression::None, None));
    assert_eq!(archives.len(), 1);
    let paths = paths(&archives[0]);
    assert_eq!(paths[..4], [".", "begin.hullkit", "init", "containers"]);
    assert_eq!(paths.last(), Some(&"end.hullkit"));
}

#[test]
fn a_cache_changes_nothing_but_time() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::below(dir.path());
    for compression in [Compression::Zstd, Compression::Lz4, Compression::Gzip] {
        let expected = packed(&system(), compression, None);
        for _ in 0..2 {
            let bytes = packed(&system(), compression, Some(&cache));
            assert!(bytes == expected, "{compression}");
        }
    }
    // Two of the archives are worth keeping.
    let kept = || std::fs::read_dir(dir.path().join("cache/segments")).unwrap();
    assert_eq!(kept().count(), 3 * 2);

    // A broken entry is not used: one that is cut off, and one that changed.
    let expected = packed(&system(), Compression::Zstd, None);
    for (n, entry) in kept().enumerate() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        match n % 2 {
            0 => bytes.truncate(bytes.len() / 2),
            _ => bytes[40] ^= 1,
        }
        std::fs::write(path, bytes).unwrap();
    }
    assert_eq!(cache.broken().len(), 6);
    assert!(packed(&system(), Compression::Zstd, Some(&cache)) == expected);
    // It has taken the place of what was broken.
    assert_eq!(cache.broken().len(), 4);
    assert!(packed(&system(), Compression::Zstd, Some(&cache)) == expected);
}

#[test]
fn what_changes_shifts_few_archives() {
    let system = |changed: usize| {
        let mut tree = Tree::new();
        for n in 0..400_usize {
            let len = 100_000 + n * 137 + if n == 7 { changed } else { 0 };
            let node = file(len, b'a' + u8::try_from(n % 26).unwrap());
            tree.add(format!("data/{n:03}"), node).unwrap();
        }
        tree
    };
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::below(dir.path());
    let kept = || std::fs::read_dir(dir.path().join("cache/segments")).map_or(0, Iterator::count);
    packed(&system(0), Compression::Lz4, Some(&cache));
    let before = kept();
    assert!(before >= 3, "{before}");
    packed(&system(5_000_000), Compression::Lz4, Some(&cache));
    assert!(kept() <= before + 2, "{before} to {}", kept());
}

#[test]
fn a_large_file_is_an_archive_and_read_from_where_it_lies() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::below(dir.path());
    let path = dir.path().join("large");
    std::fs::write(&path, vec![7; 17 << 20]).unwrap();
    let mut tree = system();
    let node = Node::file(Meta::root(0o644), Content::of_file(&path).unwrap());
    tree.add("data/large", node).unwrap();
    let first = packed(&tree, Compression::Zstd, Some(&cache));
    assert!(first == packed(&tree, Compression::Zstd, None));
    assert!(first == packed(&tree, Compression::Zstd, Some(&cache)));
    let archives = read(&zstd::decode_all(&first[..]).unwrap());
    let with = archives.iter().find(|a| paths(a).contains(&"data/large"));
    assert_eq!(paths(with.unwrap()), ["data", "data/large"]);
}

#[test]
fn a_store_that_cannot_be_written_is_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    // A file where the folder should be.
    std::fs::write(dir.path().join("cache"), "").unwrap();
    let cache = Cache::below(dir.path());
    let bytes = packed(&system(), Compression::Zstd, Some(&cache));
    assert!(bytes == packed(&system(), Compression::Zstd, None));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn all_is_there_once_and_behind_its_folder(
        files in prop::collection::btree_map("(lib/modules/)?[a-c](/[a-c]){0,2}", prop_oneof![Just(9_usize), Just(70_000)], 0..9),
        links in prop::collection::vec(("[d-f](/[a-c]){0,2}", any::<prop::sample::Index>()), 0..4),
    ) {
        let mut tree = Tree::new();
        for (path, len) in &files {
            // A file and a folder of the same name: the first stays.
            let _ = tree.add(path, file(*len, b'.'));
        }
        for (path, target) in links {
            let names: Vec<_> = tree.walk().filter(|(_, n)| n.as_file().is_some()).collect();
            if !names.is_empty() {
                let target = target.get(&names).0.clone();
                let _ = tree.link(&path, &target);
            }
        }
        let archives = read(&unpacked(&tree));
        let mut seen = BTreeMap::new();
        for (path, content) in archives.concat() {
            if let Some((folder, _)) = path.rsplit_once('/') {
                prop_assert!(seen.contains_key(folder), "{path} comes before its folder");
            }
            prop_assert!(seen.insert(path, content).is_none());
        }
        prop_assert!(seen.remove(".").is_some());
        prop_assert!(seen.remove("begin.hullkit").is_some());
        prop_assert!(seen.remove("end.hullkit").is_some());
        let walked: BTreeMap<_, _> = tree.walk().collect();
        let paths: Vec<_> = seen.keys().map(|path| path.as_bytes().to_vec()).collect();
        prop_assert_eq!(paths, walked.keys().cloned().collect::<Vec<_>>());
    }
}
