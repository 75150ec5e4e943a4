//! IPv4 and UDP around a message (RFC 791, RFC 768), for as long as the
//! interface has no address and the kernel cannot do it.

use std::net::Ipv4Addr;

/// The server's UDP port.
pub const SERVER_PORT: u16 = 67;
/// The client's UDP port.
pub const CLIENT_PORT: u16 = 68;

const IP: usize = 20;
const UDP: usize = 8;
const PROTOCOL_UDP: u8 = 17;

/// The IP packet, from nobody to everybody, that carries `payload` to servers.
#[must_use]
pub fn broadcast(payload: &[u8]) -> Vec<u8> {
    let length = |more: usize| u16::try_from(payload.len() + more).unwrap_or(u16::MAX);
    let mut packet = vec![0x45, 0];
    packet.extend(length(IP + UDP).to_be_bytes());
    // No id, no fragments; 64 hops; the checksum comes last.
    packet.extend([0, 0, 0, 0, 64, PROTOCOL_UDP, 0, 0]);
    packet.extend(Ipv4Addr::UNSPECIFIED.octets());
    packet.extend(Ipv4Addr::BROADCAST.octets());
    let checksum = checksum(&packet).to_be_bytes();
    packet.splice(10..12, checksum);
    packet.extend(CLIENT_PORT.to_be_bytes());
    packet.extend(SERVER_PORT.to_be_bytes());
    packet.extend(length(UDP).to_be_bytes());
    // 0: no UDP checksum, which IPv4 allows; Ethernet has its own.
    packet.extend([0, 0]);
    packet.extend(payload);
    packet
}

/// The UDP payload of an IP packet from a server to a client. UDP's checksum
/// is not looked at: between virtual machines of one host it is left for the
/// hardware to fill in, and there is none.
#[must_use]
pub fn payload(packet: &[u8]) -> Option<&[u8]> {
    let two = |at: usize| {
        let bytes = packet.get(at..at + 2)?.try_into().ok()?;
        Some(u16::from_be_bytes(bytes))
    };
    let first = *packet.first()?;
    let header = usize::from(first & 0xf) * 4;
    let fragment = two(6)? & 0x3fff;
    if first >> 4 != 4
        || header < IP
        || fragment != 0
        || *packet.get(9)? != PROTOCOL_UDP
        || checksum(packet.get(..header)?) != 0
        || two(header)? != SERVER_PORT
        || two(header + 2)? != CLIENT_PORT
    {
        return None;
    }
    let end = header.checked_add(two(header + 4)?.into())?;
    if end > usize::from(two(2)?) {
        return None;
    }
    packet.get(header + UDP..end)
}

/// The internet checksum (RFC 1071); 0 over what holds a right one.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        let high = pair.first().copied().unwrap_or(0);
        let low = pair.get(1).copied().unwrap_or(0);
        sum += u32::from(u16::from_be_bytes([high, low]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As a server would send it.
    fn reply(payload: &[u8]) -> Vec<u8> {
        let mut packet = broadcast(payload);
        packet.splice(IP..IP + 4, [0, 67, 0, 68]);
        packet
    }

    #[test]
    fn a_replys_payload_comes_out() {
        assert_eq!(payload(&reply(b"abc")), Some(&b"abc"[..]));
        assert_eq!(payload(&broadcast(b"abc")), None, "to a server");
        let mut broken = reply(b"abc");
        broken[8] = 1;
        assert_eq!(payload(&broken), None, "its checksum");
        let mut long = reply(b"abc");
        long[IP + 5] = 200;
        assert_eq!(payload(&long), None, "its length");
    }

    proptest! {
        #[test]
        fn nothing_that_arrives_breaks_it(bytes in proptest::collection::vec(any::<u8>(), 0..64), at in 0_usize..28, byte: u8) {
            let _ = payload(&bytes);
            let mut packet = reply(&bytes);
            packet[at] = byte;
            let _ = payload(&packet);
        }
    }
}
