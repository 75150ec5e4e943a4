//! Any bytes as a layer: refused or a tree whose paths are clean, and which
//! every writer takes.
#![no_main]

use std::io::Write;
use std::sync::Arc;

use hull::layer::{Layer, write_tar};
use hull::output::cpio;
use hull::tree::{Tree, path};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(bytes).expect("written");
    let layer = Layer {
        name: "fuzz".to_owned(),
        file: Arc::new(file),
        offset: 0,
        len: bytes.len() as u64,
        digest: None,
        diff_id: None,
        cache: None,
    };
    let mut tree = Tree::new();
    if layer.apply(&mut tree, &std::env::temp_dir()).is_err() {
        return;
    }
    for (path, _) in tree.walk() {
        assert_eq!(path::relative(&path).as_deref(), Ok(path.as_slice()));
    }
    // Only a name that is no text (of an extended attribute) may be refused.
    let _ = write_tar(&tree, &mut std::io::sink());
    let _ = cpio::write_tree(&tree, &mut std::io::sink());
});
