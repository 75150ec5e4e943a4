//! What a service says of itself: datagrams from inside a container.
#![no_main]

use hullkit_init::notify::{MAX_MESSAGE, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagram: &[u8]| {
    let datagram = datagram.get(..MAX_MESSAGE).unwrap_or(datagram);
    // A notice takes a line of its own, of at least three bytes.
    assert!(parse(datagram).len() <= datagram.len());
});
