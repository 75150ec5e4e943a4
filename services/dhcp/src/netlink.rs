//! What is said to the kernel's routing layer and heard from it, in its binary
//! form (`netlink(7)`, `rtnetlink(7)`), in the byte order of the machine.
//!
//! Made by hand, as in PID 1: six kinds of request and two of answer.

use std::net::Ipv4Addr;

use crate::lease::{Lease, Route};
use crate::message::Mac;

const ERROR: u16 = 2;
const DONE: u16 = 3;
const NEW_LINK: u16 = 16;
const DEL_LINK: u16 = 17;
const GET_LINK: u16 = 18;
const NEW_ADDRESS: u16 = 20;
const DEL_ADDRESS: u16 = 21;
const NEW_ROUTE: u16 = 24;
const DEL_ROUTE: u16 = 25;

const REQUEST: u16 = 1;
const ACK: u16 = 4;
const REPLACE: u16 = 0x100;
const DUMP: u16 = 0x300;
const CREATE: u16 = 0x400;

const IFF_UP: u32 = 1;
const IFF_LOWER_UP: u32 = 0x1_0000;
const ARPHRD_ETHER: u16 = 1;
const AF_INET: u8 = 2;
/// `struct nlmsghdr`.
const HEADER: usize = 16;
/// `struct ifinfomsg`.
const LINK_HEADER: usize = 16;

/// A network link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its address, where it is an Ethernet.
    pub mac: Option<Mac>,
    /// There is somebody at the other end.
    pub carrier: bool,
    /// No device of its own, but made by software: a bridge, a veth.
    pub is_virtual: bool,
}

/// What the kernel says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A link is there, or changed.
    Link(Link),
    /// The link of this number went away.
    Gone(u32),
    /// The end of a list.
    Done,
    /// How a request ended: 0, or an error number.
    Result(i32),
}

/// Asks for all links.
#[must_use]
pub fn list_links() -> Vec<u8> {
    let mut request = Request::new(GET_LINK, DUMP);
    request.link(0, 0);
    request.end()
}

/// Sets a link up.
#[must_use]
pub fn set_up(index: u32) -> Vec<u8> {
    let mut request = Request::new(NEW_LINK, ACK);
    request.link(index, IFF_UP);
    request.end()
}

/// Sets a link's MTU.
#[must_use]
pub fn set_mtu(index: u32, mtu: u16) -> Vec<u8> {
    const IFLA_MTU: u16 = 4;
    let mut request = Request::new(NEW_LINK, ACK);
    request.link(index, 0);
    request.attribute(IFLA_MTU, &u32::from(mtu).to_ne_bytes());
    request.end()
}

/// Gives a link the lease's address for `seconds`, after which the kernel
/// takes it away by itself: a client that died leaves no address behind that
/// another machine may have by then.
#[must_use]
pub fn add_address(index: u32, lease: &Lease, seconds: u32) -> Vec<u8> {
    const IFA_CACHEINFO: u16 = 6;
    let mut request = Request::new(NEW_ADDRESS, ACK | CREATE | REPLACE);
    request.address(index, lease);
    let mut cache = [0; 16];
    for half in cache.chunks_mut(4).take(2) {
        half.copy_from_slice(&seconds.to_ne_bytes());
    }
    request.attribute(IFA_CACHEINFO, &cache);
    request.end()
}

/// Takes the lease's address away, and with it the routes that use it.
#[must_use]
pub fn delete_address(index: u32, lease: &Lease) -> Vec<u8> {
    let mut request = Request::new(DEL_ADDRESS, ACK);
    request.address(index, lease);
    request.end()
}

/// Adds a route of the lease, or replaces it.
#[must_use]
pub fn add_route(index: u32, lease: &Lease, route: &Route) -> Vec<u8> {
    let mut request = Request::new(NEW_ROUTE, ACK | CREATE | REPLACE);
    request.route(index, lease, route);
    request.end()
}

/// Takes a route of the lease away.
#[must_use]
pub fn delete_route(index: u32, lease: &Lease, route: &Route) -> Vec<u8> {
    let mut request = Request::new(DEL_ROUTE, ACK);
    request.route(index, lease, route);
    request.end()
}

struct Request(Vec<u8>);

impl Request {
    fn new(kind: u16, flags: u16) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((REQUEST | flags).to_ne_bytes());
        bytes.extend([0; 8]);
        Self(bytes)
    }

    /// `struct ifinfomsg`; `flags` are those to set, the others stay.
    fn link(&mut self, index: u32, flags: u32) {
        self.0.extend([0; 4]);
        self.0.extend(index.to_ne_bytes());
        self.0.extend(flags.to_ne_bytes());
        self.0.extend(flags.to_ne_bytes());
    }

    /// `struct ifaddrmsg`, and the address.
    fn address(&mut self, index: u32, lease: &Lease) {
        const IFA_ADDRESS: u16 = 1;
        const IFA_LOCAL: u16 = 2;
        const IFA_BROADCAST: u16 = 4;
        self.0.extend([AF_INET, lease.prefix, 0, 0]);
        self.0.extend(index.to_ne_bytes());
        self.attribute(IFA_LOCAL, &lease.address.octets());
        self.attribute(IFA_ADDRESS, &lease.address.octets());
        // The smallest networks have no broadcast address (RFC 3021).
        if lease.prefix < 31 {
            let hosts = u32::MAX >> lease.prefix;
            let broadcast = u32::from(lease.address) | hosts;
            self.attribute(IFA_BROADCAST, &Ipv4Addr::from(broadcast).octets());
        }
    }

    /// `struct rtmsg`, and the route.
    fn route(&mut self, index: u32, lease: &Lease, route: &Route) {
        const TABLE_MAIN: u8 = 254;
        const PROTOCOL_DHCP: u8 = 16;
        const SCOPE_UNIVERSE: u8 = 0;
        const SCOPE_LINK: u8 = 253;
        const UNICAST: u8 = 1;
        /// The gateway need not be in the address's network.
        const ONLINK: u32 = 4;
        const RTA_DST: u16 = 1;
        const RTA_OIF: u16 = 4;
        const RTA_GATEWAY: u16 = 5;
        const RTA_PRIORITY: u16 = 6;
        const RTA_PREFSRC: u16 = 7;
        let direct = route.gateway.is_unspecified();
        let (scope, flags) = if direct {
            (SCOPE_LINK, 0)
        } else {
            (SCOPE_UNIVERSE, ONLINK)
        };
        self.0.extend([AF_INET, route.prefix, 0, 0]);
        self.0.extend([TABLE_MAIN, PROTOCOL_DHCP, scope, UNICAST]);
        self.0.extend(flags.to_ne_bytes());
        if route.prefix > 0 {
            self.attribute(RTA_DST, &route.network.octets());
        }
        if !direct {
            self.attribute(RTA_GATEWAY, &route.gateway.octets());
        }
        self.attribute(RTA_OIF, &index.to_ne_bytes());
        self.attribute(RTA_PREFSRC, &lease.address.octets());
        // Two cards, two default routes: the first card's counts.
        self.attribute(RTA_PRIORITY, &1024_u32.saturating_add(index).to_ne_bytes());
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn end(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0.splice(..4, length.to_ne_bytes());
        self.0
    }
}

/// The answers in what one read gave; what is none of these is left out.
#[must_use]
pub fn answers(mut bytes: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while let Some(length) = u32_at(bytes, 0).and_then(|n| usize::try_from(n).ok()) {
        let Some(message) = bytes.get(..length).filter(|_| length >= HEADER) else {
            break;
        };
        answers.extend(answer(message));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    answers
}

fn answer(message: &[u8]) -> Option<Answer> {
    let body = message.get(HEADER..)?;
    match u16_at(message, 4)? {
        ERROR => Some(Answer::Result(
            u32_at(body, 0)?.cast_signed().saturating_neg(),
        )),
        DONE => Some(Answer::Done),
        NEW_LINK => link(body).map(Answer::Link),
        DEL_LINK => u32_at(body, 4).map(Answer::Gone),
        _ => None,
    }
}

fn link(body: &[u8]) -> Option<Link> {
    const IFLA_ADDRESS: u16 = 1;
    const IFLA_IFNAME: u16 = 3;
    const IFLA_LINKINFO: u16 = 18;
    let ethernet = u16_at(body, 2)? == ARPHRD_ETHER;
    let flags = u32_at(body, 8)?;
    let mut link = Link {
        index: u32_at(body, 4)?,
        name: String::new(),
        mac: None,
        carrier: flags & IFF_UP != 0 && flags & IFF_LOWER_UP != 0,
        is_virtual: false,
    };
    let mut rest = body.get(LINK_HEADER..)?;
    while let (Some(length), Some(kind)) = (u16_at(rest, 0), u16_at(rest, 2)) {
        let Some(value) = rest.get(4..length.into()) else {
            break;
        };
        match kind {
            IFLA_ADDRESS if ethernet => link.mac = value.try_into().ok(),
            IFLA_IFNAME => {
                let name = value.strip_suffix(b"\0").unwrap_or(value);
                link.name = String::from_utf8(name.to_vec()).ok()?;
            }
            IFLA_LINKINFO => link.is_virtual = true,
            _ => {}
        }
        let next = usize::from(length).next_multiple_of(4);
        rest = rest.get(next..).unwrap_or_default();
    }
    Some(link)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_error_is_heard() {
        let mut bytes = vec![20, 0, 0, 0];
        bytes.extend(ERROR.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend((-19_i32).to_ne_bytes());
        assert_eq!(answers(&bytes), [Answer::Result(19)]);
    }

    #[test]
    fn a_link_is_read() {
        let mut request = Request::new(NEW_LINK, 0);
        request.link(3, IFF_UP | IFF_LOWER_UP);
        request
            .0
            .splice(HEADER + 2..HEADER + 4, ARPHRD_ETHER.to_ne_bytes());
        request.attribute(3, b"eth0\0");
        request.attribute(1, &[1, 2, 3, 4, 5, 6]);
        let expected = Link {
            index: 3,
            name: "eth0".to_owned(),
            mac: Some([1, 2, 3, 4, 5, 6]),
            carrier: true,
            is_virtual: false,
        };
        assert_eq!(answers(&request.end()), [Answer::Link(expected)]);
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(bytes in proptest::collection::vec(any::<u8>(), 0..80), length in 0_u8..90) {
            let _ = answers(&bytes);
            let mut message = vec![length, 0, 0, 0];
            message.extend(NEW_LINK.to_ne_bytes());
            message.extend(&bytes);
            let _ = answers(&message);
        }
    }
}
