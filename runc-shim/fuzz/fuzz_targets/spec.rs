//! Any bytes, by `checks::spec`.
#![no_main]

#[path = "../checks.rs"]
#[allow(dead_code, reason = "each target uses one of them")]
mod checks;

libfuzzer_sys::fuzz_target!(|text: &[u8]| checks::spec(text));
