//! What a client of the control socket or of the log socket sends.
#![no_main]

use hullkit_bundle::control::{LogRequest, Request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &[u8]| {
    if let Ok(request) = serde_json::from_slice::<Request>(line) {
        let again = serde_json::to_vec(&request).expect("a request is JSON");
        assert_eq!(serde_json::from_slice::<Request>(&again).ok(), Some(request));
    }
    if let Ok(request) = serde_json::from_slice::<LogRequest>(line) {
        let again = serde_json::to_vec(&request).expect("a request is JSON");
        assert_eq!(serde_json::from_slice::<LogRequest>(&again).ok(), Some(request));
    }
});
