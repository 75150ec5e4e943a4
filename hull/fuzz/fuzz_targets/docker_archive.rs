//! Any bytes as a `docker save` archive.
#![no_main]

use hull::arch::Arch;
use hull::source::Finder;
use hull::store::Store;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("a.tar");
    std::fs::write(&path, bytes).expect("written");
    let store = Store::new(dir.path().join("store"));
    let finder = Finder::local(&store, Arch::X86_64, dir.path());
    if let Ok(image) = finder.find(&format!("docker-archive:{}", path.display())) {
        let _ = image.tree(dir.path());
    }
});
