//! Everything that looks into a module: no input makes it panic, and what was
//! cut off once stays cut off.
#![no_main]

use hullkit_kernel::{btf, modinfo, signature};

libfuzzer_sys::fuzz_target!(|module: &[u8]| {
    let _ = signature::strip(module);
    let before = modinfo::parse(module);
    if let Ok(stripped) = btf::strip(module) {
        assert_eq!(btf::strip(&stripped).as_ref(), Ok(&stripped));
        if let Ok(info) = before {
            assert_eq!(modinfo::parse(&stripped).as_ref(), Ok(&info));
        }
    }
});
