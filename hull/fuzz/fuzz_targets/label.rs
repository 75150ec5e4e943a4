//! Any text as both labels of an image: an entry composes or is refused.
//! `cargo +nightly fuzz run label seeds/label`

#![no_main]

use hull::arch::Arch;
use hull::compose;
use hull::spec::{self, Problems, label};
use libfuzzer_sys::fuzz_target;
use oci_spec::image::Config;

const YAML: &[u8] = b"volumes: [{name: v}]\nservices: [{name: c, image: x, binds.add: ['v:/v']}]";

fuzz_target!(|text: &str| {
    let source = spec::Source {
        name: "f",
        text: YAML,
    };
    let Ok(spec) = spec::parse(&[source]) else {
        panic!("the file is good");
    };
    for name in [label::MOBY, label::HULLKIT] {
        let mut image = Config::default();
        image.set_cmd(Some(vec!["x".to_owned()]));
        image.set_labels(Some([(name.to_owned(), text.to_owned())].into()));
        let composed = compose::all(&spec, Arch::X86_64, |_| Ok::<_, Problems>(image.clone()));
        if let Err(Problems(problems)) = composed {
            assert!(!problems.is_empty());
        }
    }
});
