//! LinuxKit's own results, field for field, with `security: linuxkit`.
//!
//! `oracle/NN-name.json`: a build file, which entry of it, the image's config
//! and label, and what LinuxKit made of it (recorded by this project's team;
//! absent, null, empty and false count as equal; of errors only that there is
//! one). `rules.rs` has the neighbours that these cases leave out.

mod absent;

use std::path::Path;

use absent::bare;
use hull::arch::Arch;
use hull::compose::{self, Composed};
use hull::spec::{self, Problems, Security, label};
use serde_json::Value;

fn compose_case(case: &Value) -> Result<Composed, Problems> {
    let text = case["yaml"].as_str().unwrap();
    let source = spec::Source {
        name: "case.yml",
        text: text.as_bytes(),
    };
    let spec = spec::parse_as(&[source], Some(Security::LinuxKit))?;
    let entry = spec
        .entries()
        .find(|e| {
            e.section.as_str() == case["section"]
                && e.index as u64 == case["index"].as_u64().unwrap()
        })
        .unwrap();
    let mut image: oci_spec::image::Config =
        serde_json::from_value(case["image_config"].clone()).unwrap();
    if let Some(text) = case["label"].as_str() {
        let labels = [(label::MOBY.to_owned(), text.to_owned())];
        image.set_labels(Some(labels.into()));
    }
    compose::entry(&spec, Arch::X86_64, entry, &image.into())
}

#[test]
fn every_case_is_as_linuxkit_has_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle");
    let mut cases = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let case: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let expected = &case["expect"];
        match compose_case(&case) {
            Err(problems) => {
                assert!(!expected["error"].is_null(), "{name}: refused: {problems}");
                for problem in &problems.0 {
                    assert!(problem.to_string().starts_with("case.yml:"), "{problem}");
                    assert!(problem.place.line > 0, "{problem}");
                }
            }
            Ok(composed) => {
                assert!(expected["error"].is_null(), "{name}: not refused");
                let config = serde_json::to_value(&composed.config).unwrap();
                let runtime = serde_json::to_value(&composed.runtime).unwrap();
                assert_eq!(bare(config), bare(expected["config"].clone()), "{name}");
                assert_eq!(bare(runtime), bare(expected["runtime"].clone()), "{name}");
            }
        }
        cases += 1;
    }
    assert_eq!(cases, 22);
}
