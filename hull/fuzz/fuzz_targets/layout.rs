//! Any bytes as the index of an OCI layout, and as the blob that it names.
#![no_main]

use hull::arch::Arch;
use hull::digest::Digest;
use hull::source::Finder;
use hull::store::Store;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let blobs = dir.path().join("blobs/sha256");
    std::fs::create_dir_all(&blobs).expect("made");
    let digest = Digest::of(bytes);
    std::fs::write(blobs.join(digest.hex()), bytes).expect("written");
    let store = Store::new(dir.path().join("store"));
    let finder = Finder::local(&store, Arch::X86_64, dir.path());
    let name = format!("oci:{}", dir.path().display());
    let kinds = ["index", "manifest"].map(|kind| {
        format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.{kind}.v1+json","digest":"{digest}","size":{}}}]}}"#,
            bytes.len()
        )
        .into_bytes()
    });
    for index in [bytes, &kinds[0], &kinds[1]] {
        std::fs::write(dir.path().join("index.json"), index).expect("written");
        if let Ok(image) = finder.find(&name) {
            let _ = image.tree(dir.path());
        }
    }
});
