//! Any bytes as `state.json`: no crash, and what is read is read again as it
//! was written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runc_shim::state::State;

fuzz_target!(|text: &[u8]| {
    if let Ok(state) = State::parse(text) {
        let again = State::parse(state.to_json().as_bytes()).expect("ours");
        assert_eq!(again, state);
    }
});
