//! The fuzz targets' kept corpora, through the parsers that they are for.

#[path = "../fuzz/checks.rs"]
mod checks;

use std::fs;
use std::path::Path;

/// What must hold for any bytes.
type Check = fn(&[u8]);

#[test]
fn what_was_kept_is_read_or_refused() {
    let corpora: [(&str, Check); 4] = [
        ("spec", checks::spec),
        ("seccomp", checks::seccomp),
        ("state", checks::state),
        ("arguments", checks::arguments),
    ];
    for (name, check) in corpora {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/corpus")
            .join(name);
        let mut seen = 0;
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            // The name of the one that fails is on standard error then.
            println!("{}", path.display());
            check(&fs::read(&path).unwrap());
            seen += 1;
        }
        assert!(seen >= 3, "{name}: only {seen}");
    }
}
