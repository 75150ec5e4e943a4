//! Debian packages: reading any bytes to their end does not panic, and takes
//! memory within the bounds.
#![no_main]

use std::io::Cursor;
use std::path::{Component, Path};

use hull::deb::{Kind, Package};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let file = Cursor::new(bytes.to_vec());
    let Ok(mut package) = Package::from_reader(Path::new("fuzz.deb"), file) else {
        return;
    };
    let Ok(entries) = package.entries() else {
        return;
    };
    for entry in entries.take(1000) {
        let Ok(mut entry) = entry else { return };
        assert!(entry.path.components().all(|part| matches!(part, Component::Normal(_))));
        if entry.kind == Kind::File {
            let _ = entry.contents(1 << 20);
        }
    }
});
