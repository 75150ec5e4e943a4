//! Any text as a build file: a spec, or problems of one line each.
//! `cargo +nightly fuzz run yaml seeds/yaml`

#![no_main]

use hull::spec::{self, Problems};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let source = spec::Source { name: "f", text };
    match spec::parse(&[source]) {
        Ok(spec) => drop(spec.metadata(spec::Metadata::Yaml, &str::to_owned)),
        Err(Problems(problems)) => {
            assert!(!problems.is_empty());
            for problem in problems {
                let line = problem.to_string();
                assert!(line.starts_with("f:") && !line.chars().any(char::is_control));
            }
        }
    }
});
