//! DHCP messages on the wire (RFC 2131 section 2, options RFC 2132).
//!
//! What comes from the network may be hostile: every length is checked, an
//! option that is broken is as if it were not there.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Option codes (RFC 2132 unless said otherwise).
#[allow(missing_docs, reason = "the names are the RFC's")]
pub mod code {
    pub const SUBNET_MASK: u8 = 1;
    pub const ROUTER: u8 = 3;
    pub const DNS: u8 = 6;
    pub const HOST_NAME: u8 = 12;
    pub const DOMAIN: u8 = 15;
    pub const MTU: u8 = 26;
    pub const NTP: u8 = 42;
    pub const REQUESTED_ADDRESS: u8 = 50;
    pub const LEASE_TIME: u8 = 51;
    pub const OVERLOAD: u8 = 52;
    pub const TYPE: u8 = 53;
    pub const SERVER: u8 = 54;
    pub const PARAMETERS: u8 = 55;
    pub const MAX_SIZE: u8 = 57;
    pub const T1: u8 = 58;
    pub const T2: u8 = 59;
    pub const CLIENT: u8 = 61;
    /// RFC 3397.
    pub const SEARCH: u8 = 119;
    /// RFC 3442.
    pub const ROUTES: u8 = 121;
}

/// What the client asks a server for. Routes before the router, as RFC 3442
/// wants.
const WANTED: [u8; 12] = [
    code::SUBNET_MASK,
    code::ROUTES,
    code::ROUTER,
    code::DNS,
    code::HOST_NAME,
    code::DOMAIN,
    code::MTU,
    code::NTP,
    code::LEASE_TIME,
    code::T1,
    code::T2,
    code::SEARCH,
];

/// The type of a message (RFC 2132 section 9.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Who is there?
    Discover,
    /// A server offers.
    Offer,
    /// I take it, or keep it.
    Request,
    /// It is yours.
    Ack,
    /// It is not yours.
    Nak,
}

impl Type {
    const ALL: [(u8, Self); 5] = [
        (1, Self::Discover),
        (2, Self::Offer),
        (3, Self::Request),
        (5, Self::Ack),
        (6, Self::Nak),
    ];

    fn number(self) -> u8 {
        let found = Self::ALL.into_iter().find(|(_, kind)| *kind == self);
        found.map_or(0, |(number, _)| number)
    }
}

/// An Ethernet address.
pub type Mac = [u8; 6];

/// Which way a message goes (`op`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From a client: 1.
    Request,
    /// From a server: 2.
    Reply,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Which way it goes.
    pub direction: Direction,
    /// The transaction.
    pub xid: u32,
    /// Seconds since the client began.
    pub secs: u16,
    /// The client's address, if it has one.
    pub ciaddr: Ipv4Addr,
    /// Your address.
    pub yiaddr: Ipv4Addr,
    /// The client's Ethernet address.
    pub mac: Mac,
    /// By code; parts of one option are joined (RFC 3396).
    pub options: BTreeMap<u8, Vec<u8>>,
}

const FIXED: usize = 236;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Servers and relays may drop less (RFC 1542 section 2.1).
const SMALLEST: usize = 300;

impl Message {
    /// What a client sends.
    #[must_use]
    pub fn new(kind: Type, xid: u32, mac: Mac) -> Self {
        let mut client = vec![1];
        client.extend(mac);
        let options = BTreeMap::from([
            (code::TYPE, vec![kind.number()]),
            (code::CLIENT, client),
            (code::PARAMETERS, WANTED.to_vec()),
            (code::MAX_SIZE, 1472_u16.to_be_bytes().to_vec()),
        ]);
        Self {
            direction: Direction::Request,
            xid,
            secs: 0,
            ciaddr: Ipv4Addr::UNSPECIFIED,
            yiaddr: Ipv4Addr::UNSPECIFIED,
            mac,
            options,
        }
    }

    /// Its type, where it is one of those that a client cares for.
    #[must_use]
    pub fn kind(&self) -> Option<Type> {
        let [number] = self.options.get(&code::TYPE)?[..] else {
            return None;
        };
        let found = Type::ALL.into_iter().find(|(known, _)| *known == number);
        found.map(|(_, kind)| kind)
    }

    /// An option that is one address.
    #[must_use]
    pub fn address(&self, code: u8) -> Option<Ipv4Addr> {
        let bytes: [u8; 4] = self.options.get(&code)?.get(..4)?.try_into().ok()?;
        Some(bytes.into())
    }

    /// An option that is a list of addresses.
    #[must_use]
    pub fn addresses(&self, code: u8) -> Vec<Ipv4Addr> {
        let bytes = self.options.get(&code).map_or(&[][..], Vec::as_slice);
        let (addresses, _) = bytes.as_chunks::<4>();
        addresses.iter().map(|four| Ipv4Addr::from(*four)).collect()
    }

    /// An option that is a number of 32 bits.
    #[must_use]
    pub fn number(&self, code: u8) -> Option<u32> {
        self.address(code).map(u32::from)
    }

    /// As it goes into a UDP packet.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let op = match self.direction {
            Direction::Request => 1,
            Direction::Reply => 2,
        };
        let mut bytes = vec![op, 1, 6, 0];
        bytes.extend(self.xid.to_be_bytes());
        bytes.extend(self.secs.to_be_bytes());
        bytes.extend([0; 2]);
        bytes.extend(self.ciaddr.octets());
        bytes.extend(self.yiaddr.octets());
        bytes.extend([0; 8]);
        bytes.extend(self.mac);
        bytes.resize(FIXED, 0);
        bytes.extend(COOKIE);
        for (code, value) in &self.options {
            // An empty option is one part too.
            let parts = value.chunks(255).chain(value.is_empty().then_some(&[][..]));
            for part in parts {
                bytes.push(*code);
                bytes.push(u8::try_from(part.len()).unwrap_or(u8::MAX));
                bytes.extend(part);
            }
        }
        bytes.push(255);
        bytes.resize(bytes.len().max(SMALLEST), 0);
        bytes
    }

    /// Reads what came in a UDP packet; `None` where it is no DHCP message
    /// over Ethernet.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let [op, 1, 6, ..] = *bytes else { return None };
        let direction = match op {
            1 => Direction::Request,
            2 => Direction::Reply,
            _ => return None,
        };
        if bytes.get(FIXED..FIXED + 4)? != COOKIE {
            return None;
        }
        let four = |at: usize| bytes.get(at..at + 4)?.try_into().ok();
        let mut options = BTreeMap::new();
        read_options(bytes.get(FIXED + 4..)?, &mut options);
        // `file`, then `sname` may hold more (RFC 2132 section 9.3).
        let overload = match options.get(&code::OVERLOAD).map(Vec::as_slice) {
            Some([which]) => *which,
            _ => 0,
        };
        if overload & 1 != 0 {
            read_options(bytes.get(108..FIXED)?, &mut options);
        }
        if overload & 2 != 0 {
            read_options(bytes.get(44..108)?, &mut options);
        }
        Some(Self {
            direction,
            xid: u32::from_be_bytes(four(4)?),
            secs: u16::from_be_bytes(bytes.get(8..10)?.try_into().ok()?),
            ciaddr: Ipv4Addr::from(four(12)?),
            yiaddr: Ipv4Addr::from(four(16)?),
            mac: bytes.get(28..34)?.try_into().ok()?,
            options,
        })
    }
}

/// Reads options up to their end, or to the first that is cut short.
fn read_options(mut bytes: &[u8], into: &mut BTreeMap<u8, Vec<u8>>) {
    loop {
        bytes = match *bytes {
            [0, ref rest @ ..] => rest,
            [255, ..] => return,
            [code, length, ref rest @ ..] => {
                let Some((value, rest)) = rest.split_at_checked(length.into()) else {
                    return;
                };
                into.entry(code).or_default().extend(value);
                rest
            }
            _ => return,
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_overloaded_message_is_read_whole() {
        let mut message = Message::new(Type::Ack, 7, [2; 6]);
        message.options.insert(code::OVERLOAD, vec![3]);
        let mut bytes = message.to_bytes();
        bytes[108..115].copy_from_slice(&[3, 4, 10, 0, 0, 1, 255]);
        bytes[44..51].copy_from_slice(&[6, 4, 10, 0, 0, 2, 255]);
        let read = Message::parse(&bytes).unwrap();
        assert_eq!(read.addresses(code::ROUTER), [Ipv4Addr::new(10, 0, 0, 1)]);
        assert_eq!(read.address(code::DNS), Some(Ipv4Addr::new(10, 0, 0, 2)));
    }

    #[test]
    fn an_option_cut_short_ends_the_options() {
        let mut options = BTreeMap::new();
        read_options(&[0, 3, 1, 9, 6, 200, 1], &mut options);
        assert_eq!(options, BTreeMap::from([(3, vec![9])]));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            xid: u32,
            secs: u16,
            mac: Mac,
            options in proptest::collection::btree_map(1_u8..255, proptest::collection::vec(any::<u8>(), 0..600), 0..4),
        ) {
            let mut message = Message::new(Type::Request, xid, mac);
            message.secs = secs;
            message.options.extend(options);
            message.options.remove(&code::OVERLOAD);
            prop_assert_eq!(Message::parse(&message.to_bytes()), Some(message));
        }

        #[test]
        fn nothing_that_arrives_breaks_it(
            head in proptest::collection::vec(any::<u8>(), 0..20),
            tail in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let _ = Message::parse(&head);
            let mut bytes = Message::new(Type::Offer, 1, [0; 6]).to_bytes();
            bytes.truncate(FIXED + 4);
            bytes.extend(tail);
            prop_assert!(Message::parse(&bytes).is_some());
        }
    }
}
