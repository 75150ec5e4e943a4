//! Any bytes as an initrd: refused or a tree whose paths are clean, and which
//! can be compared, added up and written again.
#![no_main]

use std::io::Write;
use std::sync::Arc;

use hull::output::cpio;
use hull::system::{compare, initrd, sizes};
use hull::tree::path;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(bytes).expect("written");
    let len = bytes.len() as u64;
    let Ok(tree) = initrd::read(&Arc::new(file), 0, len, &std::env::temp_dir()) else {
        return;
    };
    for (path, _) in tree.walk() {
        assert_eq!(path::relative(&path).as_deref(), Ok(path.as_slice()));
    }
    let same = compare::compare(&tree, &tree).expect("contents are readable");
    assert!(same.is_empty());
    let _ = sizes::sizes(&tree).lines(3);
    cpio::write_tree(&tree, &mut std::io::sink()).expect("written");
});
