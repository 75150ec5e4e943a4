//! What the fuzz targets (`fuzz/`) have kept goes through the parsers again.

use std::fs;
use std::path::{Path, PathBuf};

use hullkit_bundle::control::{LogRequest, Request};
use hullkit_init::cmdline::Cmdline;
use hullkit_init::disks::{names, partition, superblock};
use hullkit_init::modules::alias::{self, Wanted};
use hullkit_init::modules::dep::Dep;
use hullkit_init::modules::softdep;
use hullkit_init::{notify, plan};

/// The inputs of a target: there is always one.
fn inputs(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{}", folder.display());
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn texts(target: &str) -> Vec<String> {
    let inputs = inputs(target).into_iter();
    let texts: Vec<String> = inputs.filter_map(|i| String::from_utf8(i).ok()).collect();
    assert!(!texts.is_empty(), "{target}: no input is text");
    texts
}

#[test]
fn cmdline() {
    for text in texts("cmdline") {
        let cmdline = Cmdline::parse(&text);
        assert!(cmdline.runtime.is_none_or(|path| path.starts_with('/')));
        assert!(cmdline.modules.iter().all(|name| !name.contains('-')));
    }
}

#[test]
fn control() {
    for line in inputs("control") {
        if let Ok(request) = serde_json::from_slice::<Request>(&line) {
            let again = serde_json::to_vec(&request).unwrap();
            assert_eq!(serde_json::from_slice::<Request>(&again).unwrap(), request);
        }
        if let Ok(request) = serde_json::from_slice::<LogRequest>(&line) {
            let again = serde_json::to_vec(&request).unwrap();
            let again = serde_json::from_slice::<LogRequest>(&again);
            assert_eq!(again.unwrap(), request);
        }
    }
}

#[test]
fn disks() {
    let names_one = |text: &String| !names::encode(text).contains('/');
    for disk in inputs("disks") {
        if let Some(found) = superblock::probe(disk.as_slice()) {
            assert!(found.uuid.iter().chain(&found.label).all(names_one));
        }
        for (block, number) in [(512, 1), (512, 128), (4096, 2)] {
            if let Some(found) = partition::look_up(disk.as_slice(), block, number) {
                assert!(found.uuid.iter().chain(&found.label).all(names_one));
            }
        }
    }
}

#[test]
fn modules() {
    for text in texts("modules") {
        let (name, file) = text.split_once('\n').unwrap_or((&text, ""));
        let _some = softdep::of(file, name);
        let _some = alias::modules(file, &Wanted::new([name]));
        let dep = Dep::new(file.to_owned());
        if let Some(module) = dep.find(name) {
            let order = dep.order(module, &mut |_| false);
            assert!(order.last().is_some_and(|last| last.path == module.path));
        }
    }
}

#[test]
fn notices() {
    for datagram in inputs("notify") {
        let datagram = datagram.get(..notify::MAX_MESSAGE).unwrap_or(&datagram);
        assert!(notify::parse(datagram).len() <= datagram.len());
    }
}

#[test]
fn bundles() {
    for text in inputs("plan") {
        let root = tempfile::tempdir().unwrap();
        let bundle = root.path().join("containers/services/web");
        fs::create_dir_all(&bundle).unwrap();
        let mut parts = text.splitn(2, |byte| *byte == 0);
        for name in ["config.json", "runtime.json"] {
            fs::write(bundle.join(name), parts.next().unwrap_or_default()).unwrap();
        }
        let plan = plan::load(root.path());
        assert_eq!((plan.entries.len(), plan.problems.len()), (1, 0));
        if let Ok(bundle) = &plan.entries[0].bundle {
            let above = Path::new("/sys/fs/cgroup");
            assert!(bundle.cgroup.starts_with(above) && bundle.cgroup != above);
        }
    }
}
