use std::io::Write;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::layer::write_tar;
use crate::store::Store;
use crate::tree::{Meta, Node, Tree};

/// A folder to make images in, and a finder over an empty store.
struct Scene {
    dir: TempDir,
    store: Store,
}

impl Scene {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let store = Store::new(dir.path().join("store"));
        Self { dir, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn find(&self, text: &str, arch: Arch) -> Result<Image, Error> {
        let spool = self.dir.path();
        Finder::local(&self.store, arch, spool)
            .find(&text.replace('@', &spool.display().to_string()))
    }

    /// The refusal, which is one line.
    fn refused(&self, text: &str) -> String {
        let refused = self
            .find(text, Arch::X86_64)
            .and_then(|i| i.tree(self.dir.path()).map(drop));
        let error = refused.unwrap_err().to_string();
        assert!(!error.contains('\n'), "{error}");
        error
    }

    /// An OCI layout `NAME` with an image that says `text`, for each of `arches`.
    fn layout(&self, name: &str, tag: &str, arches: &[(Arch, &str)]) {
        let layout = Store::new(self.path(name));
        for (arch, text) in arches {
            layout
                .put_image(
                    &tag.parse().unwrap(),
                    *arch,
                    Config::default(),
                    &[tree(text)],
                )
                .unwrap();
        }
    }

    /// What `docker save` writes, its parts changed by `change`.
    fn archive(&self, name: &str, change: impl FnOnce(&mut Vec<(String, Vec<u8>)>)) {
        let mut layer = Vec::new();
        write_tar(&tree("saved"), &mut layer).unwrap();
        let config = json!({
            "architecture": "amd64", "os": "linux",
            "config": {"Cmd": ["/bin/true"]},
            "rootfs": {"type": "layers", "diff_ids": [Digest::of(&layer).to_string()]},
        });
        let config = config.to_string().into_bytes();
        let config_name = format!("{}.json", Digest::of(&config).hex());
        let manifest =
            json!([{"Config": config_name, "RepoTags": ["a:1"], "Layers": ["l/layer.tar"]}]);
        let mut members = vec![
            ("l/layer.tar".to_owned(), layer),
            (config_name, config),
            (
                "manifest.json".to_owned(),
                manifest.to_string().into_bytes(),
            ),
        ];
        change(&mut members);
        let mut archive = Tree::new();
        for (path, bytes) in members {
            archive
                .add(path, Node::file(Meta::root(0o644), bytes))
                .unwrap();
        }
        let mut out = std::fs::File::create(self.path(name)).unwrap();
        write_tar(&archive, &mut out).unwrap();
    }
}

use oci_spec::image::Config;

fn tree(text: &str) -> Tree {
    let mut tree = Tree::new();
    tree.add("text", Node::file(Meta::root(0o644), text))
        .unwrap();
    tree
}

fn text(scene: &Scene, image: &Image) -> String {
    let tree = image.tree(scene.dir.path()).unwrap();
    let bytes = tree.get("text").unwrap().as_file().unwrap().read().unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn references_are_told_apart() {
    let source = |text: &str| text.parse::<Source>().unwrap();
    let oci = |dir: &str, tag: Option<&str>| Source::Oci {
        dir: dir.into(),
        tag: tag.map(ToOwned::to_owned),
    };
    assert_eq!(source("oci:a/b"), oci("a/b", None));
    assert_eq!(source("oci:a/b:c"), oci("a/b", Some("c")));
    assert_eq!(source("oci:/a:b/c"), oci("/a:b/c", None));
    assert_eq!(source("dir:x"), Source::Dir("x".into()));
    assert_eq!(
        source("docker-archive:x.tar"),
        Source::DockerArchive("x.tar".into())
    );
    assert!(matches!(source("redis:7"), Source::Name(_)));
    for bad in ["oci:", "dir:", "docker-archive:", "No/Name", ""] {
        assert!(bad.parse::<Source>().is_err(), "{bad}");
    }
}

#[test]
fn a_layout_has_an_image_for_each_architecture() {
    let scene = Scene::new();
    scene.layout("l", "a/b:1", &[(Arch::X86_64, "x"), (Arch::Aarch64, "arm")]);
    let x86 = scene.find("oci:@/l", Arch::X86_64).unwrap();
    assert_eq!(text(&scene, &x86), "x");
    let arm = scene.find("oci:@/l", Arch::Aarch64).unwrap();
    assert_eq!(text(&scene, &arm), "arm");
}

#[test]
fn a_tag_may_be_a_whole_reference() {
    // As in a store, which is a layout.
    let scene = Scene::new();
    scene.layout("l", "a/b:1", &[(Arch::X86_64, "b")]);
    scene.layout("l", "a/c:1", &[(Arch::X86_64, "c")]);
    for wanted in ["b", "c"] {
        let tagged = format!("oci:@/l:docker.io/a/{wanted}:1");
        let image = scene.find(&tagged, Arch::X86_64).unwrap();
        assert_eq!(text(&scene, &image), wanted);
    }
    let error = scene.refused("oci:@/l:docker.io/a/d:1");
    assert!(error.contains("no image of that tag"), "{error}");
}

#[test]
fn a_nested_index_is_descended_into() {
    let scene = Scene::new();
    scene.layout("l", "a:1", &[(Arch::X86_64, "x"), (Arch::Aarch64, "arm")]);
    let index = std::fs::read(scene.path("l/index.json")).unwrap();
    let digest = Digest::of(&index);
    std::fs::write(scene.path("l/blobs/sha256").join(digest.hex()), &index).unwrap();
    let outer = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "digest": digest.to_string(), "size": index.len(),
        "annotations": {layout::REF_NAME: "multi"},
    }]});
    std::fs::write(scene.path("l/index.json"), outer.to_string()).unwrap();
    let arm = scene.find("oci:@/l:multi", Arch::Aarch64).unwrap();
    assert_eq!(text(&scene, &arm), "arm");
    assert!(
        scene
            .refused("oci:@/l:other")
            .contains("no image of that tag")
    );
}

#[test]
fn a_layout_that_is_not_as_it_should_be_is_refused() {
    let scene = Scene::new();
    assert!(scene.refused("oci:@/none").contains("no index.json"));
    scene.layout("arm", "a:1", &[(Arch::Aarch64, "arm")]);
    assert!(scene.refused("oci:@/arm").contains("no image for amd64"));
    scene.layout("two", "a:1", &[(Arch::X86_64, "1")]);
    scene.layout("two", "b:1", &[(Arch::X86_64, "2")]);
    assert!(scene.refused("oci:@/two").contains("several images"));
    scene.layout("json", "a:1", &[(Arch::X86_64, "1")]);
    std::fs::write(scene.path("json/index.json"), "{").unwrap();
    assert!(scene.refused("oci:@/json").contains("index.json: "));
}

#[test]
fn a_manifest_of_another_size_is_refused() {
    let scene = Scene::new();
    scene.layout("layout", "v1", &[(Arch::X86_64, "amd")]);
    let index = scene.path("layout/index.json");
    let mut json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&index).unwrap()).unwrap();
    json["manifests"][0]["size"] = 1.into();
    std::fs::write(&index, json.to_string()).unwrap();
    let error = scene.refused("oci:@/layout");
    assert!(error.contains("bytes long, not 1"), "{error}");
}

#[test]
fn a_layout_of_devices_is_not_waited_for() {
    let scene = Scene::new();
    std::fs::create_dir(scene.path("layout")).unwrap();
    std::os::unix::fs::symlink("/dev/null", scene.path("layout/index.json")).unwrap();
    let error = scene.refused("oci:@/layout");
    assert!(error.contains("not a regular file"), "{error}");
}

#[test]
fn a_layer_that_was_tampered_with_is_refused() {
    let scene = Scene::new();
    scene.layout("l", "a:1", &[(Arch::X86_64, "good")]);
    for entry in std::fs::read_dir(scene.path("l/blobs/sha256")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        if !bytes.starts_with(b"{") {
            let evil = bytes.iter().map(|&b| if b == b'g' { b'f' } else { b });
            std::fs::write(&path, evil.collect::<Vec<_>>()).unwrap();
        }
    }
    assert!(scene.refused("oci:@/l").contains("has the digest"));
}

#[test]
fn a_missing_image_says_where_it_was_looked_for_and_what_to_do() {
    let scene = Scene::new();
    let error = scene.refused("redis:7");
    let store = scene.path("store").display().to_string();
    for part in [
        "\"redis:7\"",
        "x86_64",
        &store,
        "hull image import redis:7 FROM",
        "hull image pull redis:7",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn an_archive_of_docker_is_read() {
    let scene = Scene::new();
    scene.archive("a.tar", |_| {});
    let image = scene.find("docker-archive:@/a.tar", Arch::X86_64).unwrap();
    assert_eq!(text(&scene, &image), "saved");
    assert_eq!(
        image.runtime_config().cmd(),
        &Some(vec!["/bin/true".to_owned()])
    );
    let error = scene
        .find("docker-archive:@/a.tar", Arch::Aarch64)
        .unwrap_err();
    assert!(matches!(error, Error::Arch { .. }), "{error}");
}

#[test]
fn an_archive_may_be_compressed() {
    let scene = Scene::new();
    scene.archive("a.tar", |_| {});
    let plain = std::fs::read(scene.path("a.tar")).unwrap();
    let file = std::fs::File::create(scene.path("a.tar.gz")).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    gzip.finish().unwrap();
    let image = scene
        .find("docker-archive:@/a.tar.gz", Arch::X86_64)
        .unwrap();
    assert_eq!(text(&scene, &image), "saved");
}

#[test]
fn an_archive_that_is_not_as_it_should_be_is_refused() {
    let scene = Scene::new();
    scene.archive("layer.tar", |members| members[0].1[600] ^= 1);
    assert!(
        scene
            .refused("docker-archive:@/layer.tar")
            .contains("has the digest")
    );
    scene.archive("config.tar", |members| members[1].1.push(b' '));
    assert!(
        scene
            .refused("docker-archive:@/config.tar")
            .contains("has the digest")
    );
    scene.archive("no-layer.tar", |members| drop(members.remove(0)));
    assert!(
        scene
            .refused("docker-archive:@/no-layer.tar")
            .contains("l/layer.tar")
    );
    scene.archive("empty.tar", |members| members[2].1 = b"[]".to_vec());
    assert!(
        scene
            .refused("docker-archive:@/empty.tar")
            .contains("0 images")
    );
    scene.archive("odd.tar", |members| members[2].1 = b"{}".to_vec());
    scene.refused("docker-archive:@/odd.tar");
    scene.archive("up.tar", |members| {
        members[2].1 = json!([{"Config": "../../x", "Layers": []}])
            .to_string()
            .into();
    });
    assert!(
        scene
            .refused("docker-archive:@/up.tar")
            .contains("not in the archive")
    );
    std::fs::write(scene.path("text"), "no tar").unwrap();
    let error = scene.refused("docker-archive:@/text");
    assert!(error.contains("not a tar archive"), "{error}");
    // The reader quotes what it read, in several lines here.
    std::fs::write(scene.path("lines"), "a\n\x1b[31m".repeat(200)).unwrap();
    let error = scene.refused("docker-archive:@/lines");
    assert!(error.ends_with("not a tar archive"), "{error}");
    std::fs::write(scene.path("zeros"), [0; 1024]).unwrap();
    let error = scene.refused("docker-archive:@/zeros");
    assert!(error.contains("manifest.json"), "{error}");
}
