//! Module lists and the patterns in them.
#![no_main]

use hullkit_kernel::graph::{Graph, Module};
use hullkit_kernel::{Selection, modinfo::ModInfo};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(selection) = Selection::parse("fuzz", text) else {
        return;
    };
    let modules = ["kernel/drivers/net/veth.ko", "kernel/fs/nls/nls_utf8.ko"].map(|path| Module {
        path: path.to_owned(),
        info: ModInfo::default(),
    });
    if let Ok(graph) = Graph::new(modules.to_vec(), ["kernel/fs/ext4/ext4.ko"].into_iter()) {
        let _ = selection.choose(&graph);
    }
});
