//! Any bytes as a container's `state.json`: no crash, no hang; what is read is
//! written and read back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runc_shim::state::{Folder, State};

fuzz_target!(|text: &[u8]| {
    let root = std::env::temp_dir().join(format!("hullkit-fuzz-{}", std::process::id()));
    let folder = Folder::open(&root, "c").or_else(|_| Folder::create(&root, "c"));
    let folder = folder.expect("a folder can be made");
    std::fs::write(root.join("c/state.json"), text).expect("a file can be written");
    if let Ok(state) = folder.read() {
        let _status = folder.status(&state);
        folder.write(&state).expect("what was read can be written");
        let again: State = folder.read().expect("what was written can be read");
        assert_eq!(again, state);
    }
});
