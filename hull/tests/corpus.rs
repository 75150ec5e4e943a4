//! The seeds of the fuzz targets, read by every test run: what once was a
//! finding, or leads to a rare place, stays harmless.

#![allow(missing_docs, reason = "a test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hull::arch::Arch;
use hull::layer::{Layer, write_tar};
use hull::source::Finder;
use hull::spec::{self, Problems, label};
use hull::store::Store;
use hull::system::initrd;
use hull::tree::Tree;

/// The files of a target's corpus; there are some.
fn seeds(target: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target);
    let entries = std::fs::read_dir(&dir).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{}", dir.display());
    files
}

#[test]
fn layers() {
    for path in seeds("layer") {
        let file = std::fs::File::open(&path).unwrap();
        let layer = Layer {
            name: path.display().to_string(),
            len: file.metadata().unwrap().len(),
            file: Arc::new(file),
            offset: 0,
            digest: None,
            diff_id: None,
            cache: None,
        };
        let mut tree = Tree::new();
        let done = layer.apply(&mut tree, &std::env::temp_dir());
        let is_hostile = path.file_name().unwrap() == "hostile.tar";
        assert_eq!(done.is_err(), is_hostile, "{}: {done:?}", path.display());
        write_tar(&tree, &mut std::io::sink()).unwrap();
    }
}

#[test]
fn initrds() {
    for path in seeds("initrd") {
        let file = std::fs::File::open(&path).unwrap();
        let len = file.metadata().unwrap().len();
        let read = initrd::read(&Arc::new(file), 0, len, &std::env::temp_dir());
        let is_hostile = path.file_name().unwrap() == "hostile";
        assert_eq!(read.is_err(), is_hostile, "{}: {read:?}", path.display());
    }
}

/// Of what is wrong with a text, each is one line that begins with its file.
fn one_line_each(problems: &Problems) {
    for problem in &problems.0 {
        let line = problem.to_string();
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}

#[test]
fn build_files() {
    for path in seeds("yaml") {
        let text = std::fs::read(&path).unwrap();
        let source = spec::Source {
            name: "f",
            text: &text,
        };
        let sets: Vec<spec::Set> = ["kernel.cmdline=x", "services[0].env=[A=1]"]
            .map(|set| set.parse().unwrap())
            .into();
        let template = |_: usize, text: &str| Ok(text.replace('@', ""));
        for sets in [&[][..], &sets] {
            let options = spec::Options {
                sets,
                template: Some(&template),
                ..spec::Options::default()
            };
            match spec::parse_with(&[source], &options) {
                Ok(spec) => {
                    // What is printed is a build file again.
                    let merged = spec.metadata(spec::Metadata::Yaml, &str::to_owned);
                    let again = spec::Source {
                        name: "f",
                        text: merged.as_bytes(),
                    };
                    spec::parse(&[again]).unwrap();
                }
                Err(problems) => one_line_each(&problems),
            }
        }
    }
}

#[test]
fn labels() {
    let mut good = 0;
    for path in seeds("label") {
        let text = std::fs::read_to_string(&path).unwrap();
        let moby = label::moby("l", &text);
        let ours = label::hullkit("l", &text);
        good += usize::from(moby.is_ok()) + usize::from(ours.is_ok());
        for problems in [moby.err(), ours.err()].iter().flatten() {
            one_line_each(problems);
        }
    }
    assert!(good > 1);
}

#[test]
fn archives_and_layouts() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path().join("store"));
    let finder = Finder::local(&store, Arch::X86_64, dir.path());
    for path in seeds("docker_archive") {
        let image = finder
            .find(&format!("docker-archive:{}", path.display()))
            .unwrap();
        image.tree(dir.path()).unwrap();
    }
    for path in seeds("layout") {
        std::fs::copy(&path, dir.path().join("index.json")).unwrap();
        let error = finder
            .find(&format!("oci:{}", dir.path().display()))
            .unwrap_err();
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}

#[test]
fn recipes() {
    let dir = tempfile::tempdir().unwrap();
    for path in seeds("build_yml") {
        let text = std::fs::read(&path).unwrap();
        let source = hull::spec::Source {
            name: "build.yml",
            text: &text,
        };
        let is_whole = path.file_name().unwrap() == "all.yml";
        let recipe = match hull::spec::recipe::parse(&source) {
            Ok(recipe) => recipe,
            Err(problems) => {
                assert!(!is_whole, "{problems}");
                continue;
            }
        };
        let origin = hull::pkg::Origin {
            dir: dir.path(),
            debs: Some(dir.path()),
            guest: Some(dir.path()),
            arch: Arch::X86_64,
        };
        let built = hull::pkg::build(&recipe, &origin);
        // What it names is not there: an error, in one line.
        if let Err(error) = &built {
            assert!(!error.to_string().contains('\n'), "{error}");
        }
        assert!(built.is_ok() || !is_whole, "{:?}", built.err());
    }
}
