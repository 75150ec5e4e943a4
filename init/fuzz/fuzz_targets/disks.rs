//! What stands on a disk: filesystems and partition tables, and the names made
//! of them.
#![no_main]

use hullkit_init::disks::{names, partition, superblock};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|disk: &[u8]| {
    if let Some(found) = superblock::probe(disk) {
        for text in found.uuid.iter().chain(&found.label) {
            assert!(!names::encode(text).contains('/'));
        }
    }
    for (block, number) in [(512, 1), (512, 128), (4096, 2)] {
        if let Some(found) = partition::look_up(disk, block, number) {
            for text in found.uuid.iter().chain(&found.label) {
                assert!(!names::encode(text).contains('/'));
            }
        }
    }
});
