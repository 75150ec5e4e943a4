//! Any text as a package's `build.yml`: a recipe whose image every writer
//! takes, or problems of one line each.
//! `cargo +nightly fuzz run build_yml seeds/build_yml`

#![no_main]

use hull::arch::Arch;
use hull::layer::write_tar;
use hull::pkg::{self, Origin};
use hull::reference::Reference;
use hull::spec::recipe;
use hull::spec::{Problems, Source};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let recipe = match recipe::parse(&Source { name: "f", text }) {
        Ok(recipe) => recipe,
        Err(Problems(problems)) => {
            assert!(!problems.is_empty());
            for problem in problems {
                let line = problem.to_string();
                assert!(line.starts_with("f:") && !line.chars().any(char::is_control));
            }
            return;
        }
    };
    recipe.name.parse::<Reference>().expect("an image's name");
    let dir = tempfile::tempdir().expect("a temporary folder");
    let origin = Origin {
        dir: dir.path(),
        debs: Some(dir.path()),
        guest: Some(dir.path()),
        arch: Arch::X86_64,
    };
    match pkg::build(&recipe, &origin) {
        // Only a name that is no text (of an extended attribute) may be refused.
        Ok((_, tree)) => drop(write_tar(&tree, &mut std::io::sink())),
        Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
    }
});
