//! What arrives at the packet socket, up to the lease that comes of it.
#![no_main]

use std::time::Duration;

use hullkit_dhcp::{frame, lease::Lease, message::Message};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|packet: &[u8]| {
    let payload = frame::payload(packet).unwrap_or(packet);
    let Some(message) = Message::parse(payload) else {
        return;
    };
    assert_eq!(Message::parse(&message.to_bytes()).map(|m| m.xid), Some(message.xid));
    if let Some(lease) = Lease::from_message(&message, Duration::ZERO) {
        assert!(lease.prefix <= 32 && lease.t1 < lease.t2);
    }
});
