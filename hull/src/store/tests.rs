use oci_spec::image::ConfigBuilder;

use super::*;
use crate::tree::{Meta, Node, Tree};

fn name(text: &str) -> Reference {
    text.parse().unwrap()
}

fn tree(text: &str) -> Tree {
    let mut tree = Tree::new();
    tree.add("etc/motd", Node::file(Meta::root(0o644), text))
        .unwrap();
    tree
}

fn config() -> oci_spec::image::Config {
    ConfigBuilder::default()
        .cmd(["/bin/sh".to_owned()])
        .labels(
            (0..9)
                .map(|i| (format!("l{i}"), i.to_string()))
                .collect::<std::collections::HashMap<_, _>>(),
        )
        .build()
        .unwrap()
}

fn motd(store: &Store, image: &str, arch: Arch) -> String {
    let image = store
        .find(image, &name(image), arch)
        .unwrap()
        .expect("in the store");
    let tree = image.tree(store.dir()).unwrap();
    let content = tree.get("etc/motd").and_then(Node::as_file).unwrap();
    String::from_utf8(content.read().unwrap()).unwrap()
}

fn blobs(store: &Store) -> usize {
    std::fs::read_dir(store.dir().join("blobs/sha256"))
        .unwrap()
        .count()
}

#[test]
fn an_image_is_found_by_each_of_its_names_and_by_its_digest() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    let digest = store
        .put_image(&name("redis"), Arch::X86_64, config(), &[tree("hi")])
        .unwrap();
    for asked in [
        "redis".to_owned(),
        "redis:latest".to_owned(),
        "docker.io/library/redis".to_owned(),
        format!("redis@{digest}"),
    ] {
        assert_eq!(motd(&store, &asked, Arch::X86_64), "hi", "{asked}");
    }
    let arm = store.find("redis", &name("redis"), Arch::Aarch64).unwrap();
    assert!(arm.is_none());
    assert_eq!(store.arches(&name("redis")).unwrap(), ["amd64"]);
}

#[test]
fn architectures_of_a_name_live_side_by_side_and_are_replaced_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    let put = |arch, text| {
        store
            .put_image(&name("a/b:1"), arch, config(), &[tree(text)])
            .unwrap()
    };
    put(Arch::X86_64, "x");
    put(Arch::Aarch64, "arm");
    put(Arch::X86_64, "x2");
    assert_eq!(motd(&store, "a/b:1", Arch::X86_64), "x2");
    assert_eq!(motd(&store, "a/b:1", Arch::Aarch64), "arm");
    assert_eq!(store.list().unwrap().len(), 2);
}

#[test]
fn the_same_image_has_the_same_digest_in_every_store() {
    let digests: Vec<_> = (0..8)
        .map(|_| {
            let dir = tempfile::tempdir().unwrap();
            Store::new(dir.path())
                .put_image(&name("a"), Arch::X86_64, config(), &[tree("1"), tree("2")])
                .unwrap()
        })
        .collect();
    assert!(digests.iter().all(|digest| *digest == digests[0]));
}

#[test]
fn removing_keeps_what_others_need() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    let shared = tree("shared");
    for (image, own) in [("a", "of a"), ("b", "of b")] {
        let layers = [shared.clone(), tree(own)];
        store
            .put_image(&name(image), Arch::X86_64, config(), &layers)
            .unwrap();
    }
    let junk = dir.path().join("blobs/sha256/.hull-tmp-1");
    std::fs::write(&junk, "of a killed program").unwrap();
    assert_eq!(store.remove(&name("a"), None).unwrap().len(), 1);
    assert_eq!(blobs(&store), 4, "manifest, config, two layers");
    assert_eq!(motd(&store, "b", Arch::X86_64), "of b");
    assert!(matches!(
        store.remove(&name("a"), None),
        Err(Error::NotFound { .. })
    ));
    store.remove(&name("b"), Some(Arch::X86_64)).unwrap();
    assert_eq!(blobs(&store), 0);
}

#[test]
fn a_store_that_is_not_there_is_empty_and_is_not_made_by_reading() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path().join("none"));
    assert!(store.list().unwrap().is_empty());
    assert!(store.find("a", &name("a"), Arch::X86_64).unwrap().is_none());
    assert!(store.remove(&name("a"), None).is_err());
    assert!(!store.dir().exists());
}

#[test]
fn many_at_once_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    std::thread::scope(|scope| {
        for i in 0..8 {
            let store = &store;
            scope.spawn(move || {
                let image = name(&format!("i{i}"));
                store
                    .put_image(&image, Arch::X86_64, config(), &[tree(&format!("{i}"))])
                    .unwrap();
                if i % 2 == 0 {
                    store.remove(&image, None).unwrap();
                }
            });
        }
    });
    let names: Vec<_> = store.list().unwrap().into_iter().map(|i| i.name).collect();
    assert_eq!(names, ["i1:latest", "i3:latest", "i5:latest", "i7:latest"]);
    for i in [1, 3, 5, 7] {
        assert_eq!(motd(&store, &format!("i{i}"), Arch::X86_64), i.to_string());
    }
}

#[test]
fn an_import_keeps_the_manifest_and_its_digest() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = Store::new(one.path());
    let digest = first
        .put_image(&name("a"), Arch::X86_64, config(), &[tree("x")])
        .unwrap();
    let image = first.find("a", &name("a"), Arch::X86_64).unwrap().unwrap();
    let second = Store::new(two.path());
    assert_eq!(
        second.import(&name("b"), Arch::X86_64, &image).unwrap(),
        digest
    );
    assert_eq!(motd(&second, "b", Arch::X86_64), "x");
}

#[test]
fn a_config_that_was_tampered_with_is_found_out() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    store
        .put_image(&name("a"), Arch::X86_64, config(), &[tree("x")])
        .unwrap();
    for entry in std::fs::read_dir(dir.path().join("blobs/sha256")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read(&path).unwrap();
        if text.starts_with(b"{\"architecture\"") {
            std::fs::write(&path, [&text[..], b" "].concat()).unwrap();
        }
    }
    let error = store.find("a", &name("a"), Arch::X86_64).unwrap_err();
    assert!(matches!(error, source::Error::Digest { .. }), "{error}");
}
