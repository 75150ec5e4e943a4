//! What a service says of itself: datagrams from inside a container.
#![no_main]

use hullkit_bundle::socket::Socket;
use hullkit_init::notify::{MAX_MESSAGE, Store, parse, store};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagram: &[u8]| {
    let datagram = datagram.get(..MAX_MESSAGE).unwrap_or(datagram);
    if let Some(Store::Add(name) | Store::Remove(name)) = store(datagram) {
        assert!(Socket::is_name(&name));
    }
    // A notice takes a line of its own, of at least three bytes.
    assert!(parse(datagram).len() <= datagram.len());
});
