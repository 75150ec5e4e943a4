//! Any text as a build file, changed and with templates: a spec, or problems of
//! one line each. `cargo +nightly fuzz run yaml seeds/yaml`

#![no_main]

use hull::spec::{self, Problems, Set};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let source = spec::Source { name: "f", text };
    let sets: [Set; 3] = ["services[0].env=[A=1]", "files.a.mode='1'", "init=[y]"]
        .map(|set| set.parse().expect("good"));
    let template = |_: usize, text: &str| match text.len() {
        4 => Err("four".to_owned()),
        _ => Ok(text.replace('@', "x")),
    };
    for sets in [&[][..], &sets] {
        let options = spec::Options {
            sets,
            template: Some(&template),
            ..spec::Options::default()
        };
        match spec::parse_with(&[source], &options) {
            Ok(spec) => {
                let merged = spec.metadata(spec::Metadata::Yaml, &str::to_owned);
                let name = "f";
                let text = merged.as_bytes();
                assert!(spec::parse(&[spec::Source { name, text }]).is_ok(), "{merged}");
            }
            Err(Problems(problems)) => {
                assert!(!problems.is_empty());
                for problem in problems {
                    let line = problem.to_string();
                    assert!(!line.chars().any(char::is_control));
                    assert!(line.starts_with("f:") || line.starts_with("--set:"));
                }
            }
        }
    }
});
