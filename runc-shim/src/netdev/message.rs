//! Messages of rtnetlink(7), written and read. Pure.

/// A kind of message.
pub(super) mod kind {
    pub(in super::super) const ERROR: u16 = 2;
    pub(in super::super) const DONE: u16 = 3;
    pub(in super::super) const NEW_LINK: u16 = 16;
    pub(in super::super) const GET_LINK: u16 = 18;
    pub(in super::super) const NEW_ADDRESS: u16 = 20;
    pub(in super::super) const GET_ADDRESS: u16 = 22;
}

const REQUEST: u16 = 1;
const ACKNOWLEDGE: u16 = 4;
const DUMP: u16 = 0x300;
const CREATE_NEW: u16 = 0x600;

const IFLA_IFNAME: u16 = 3;
const IFLA_NET_NS_FD: u16 = 28;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
const PERMANENT: u32 = 0x80;
/// Flags that were asked for, not found by the kernel: no duplicate detection,
/// no route of its own.
const ASKED_FOR: u32 = 0x02 | 0x200;

const HEADER: usize = 16;

/// A request in the making.
struct Request(Vec<u8>);

impl Request {
    fn new(kind: u16, flags: u16, body: &[u8]) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((flags | REQUEST).to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(body);
        Self(bytes)
    }

    /// Bodies and attributes begin at multiples of four.
    fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    fn finish(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        for (to, from) in self.0.iter_mut().zip(length.to_ne_bytes()) {
            *to = from;
        }
        self.0
    }
}

/// `struct ifinfomsg` of a device by its index, with flags to change.
fn link(index: i32, flags: u32, change: u32) -> [u8; 16] {
    let mut body = [0; 16];
    let words = [0, index.cast_unsigned(), flags, change];
    for (to, word) in body.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&word.to_ne_bytes());
    }
    body
}

fn name(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}

/// Whether one message, without an end of its own, answers a request: it asks
/// for no list and no acknowledgement.
pub(super) fn is_single(request: &[u8]) -> bool {
    let flags = request.get(6..8).and_then(|flags| flags.try_into().ok());
    flags.map(u16::from_ne_bytes) == Some(REQUEST)
}

/// Asks for a device by its name.
pub(super) fn find_link(device: &str) -> Vec<u8> {
    Request::new(kind::GET_LINK, 0, &link(0, 0, 0))
        .attribute(IFLA_IFNAME, &name(device))
        .finish()
}

/// Asks for all devices.
pub(super) fn list_links() -> Vec<u8> {
    Request::new(kind::GET_LINK, DUMP, &link(0, 0, 0)).finish()
}

/// Asks for all addresses of all devices.
pub(super) fn list_addresses() -> Vec<u8> {
    Request::new(kind::GET_ADDRESS, DUMP, &[0; 8]).finish()
}

/// Moves a device into the network namespace that is open as `namespace`,
/// where it gets this name.
pub(super) fn move_link(index: i32, namespace: i32, device: &str) -> Vec<u8> {
    Request::new(kind::NEW_LINK, ACKNOWLEDGE, &link(index, 0, 0))
        .attribute(IFLA_NET_NS_FD, &namespace.to_ne_bytes())
        .attribute(IFLA_IFNAME, &name(device))
        .finish()
}

/// Switches a device on.
pub(super) fn link_up(index: i32) -> Vec<u8> {
    const UP: u32 = 1;
    Request::new(kind::NEW_LINK, ACKNOWLEDGE, &link(index, UP, UP)).finish()
}

/// An address of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    family: u8,
    prefix: u8,
    flags: u32,
    scope: u8,
    index: i32,
    /// Those that say what it is, by kind.
    attributes: Vec<(u16, Vec<u8>)>,
}

impl Address {
    /// Whether somebody gave it to this device, for the whole world.
    pub(super) fn is_kept(&self, index: i32) -> bool {
        self.index == index && self.scope == 0 && self.flags & PERMANENT != 0
    }

    fn read(body: &[u8]) -> Option<Self> {
        let ([family, prefix, flags, scope, index @ ..], rest) = body.split_first_chunk::<8>()?;
        let mut address = Self {
            family: *family,
            prefix: *prefix,
            flags: u32::from(*flags),
            scope: *scope,
            index: i32::from_ne_bytes(*index),
            attributes: Vec::new(),
        };
        for (kind, value) in attributes(rest) {
            match kind {
                IFA_FLAGS => address.flags = u32::from_ne_bytes(value.try_into().ok()?),
                IFA_ADDRESS | IFA_LOCAL | IFA_BROADCAST => {
                    address.attributes.push((kind, value.to_vec()));
                }
                _ => {}
            }
        }
        Some(address)
    }

    /// Gives it to the device of this index.
    pub(super) fn add(&self, index: i32) -> Vec<u8> {
        let [a, b, c, d] = index.to_ne_bytes();
        let body = [self.family, self.prefix, 0, self.scope, a, b, c, d];
        let request = Request::new(kind::NEW_ADDRESS, ACKNOWLEDGE | CREATE_NEW, &body);
        let flags = self.flags & ASKED_FOR;
        self.attributes
            .iter()
            .fold(request, |request, (kind, value)| {
                request.attribute(*kind, value)
            })
            .attribute(IFA_FLAGS, &flags.to_ne_bytes())
            .finish()
    }
}

/// What the kernel answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// A device, by its index.
    Link(i32),
    /// An address.
    Address(Address),
    /// It is done, with the kernel's error number, or 0.
    Done(i32),
}

/// The replies in what was received; what is none of ours is left out.
pub(super) fn replies(mut bytes: &[u8]) -> Vec<Reply> {
    let mut list = Vec::new();
    while let Some(message) = next(&mut bytes) {
        list.extend(message);
    }
    list
}

/// The outer `None` is the end.
fn next(bytes: &mut &[u8]) -> Option<Option<Reply>> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (kind, _) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_ne_bytes(*length)).ok()?;
    let body = bytes.get(HEADER..length)?;
    let kind = u16::from_ne_bytes(*kind);
    *bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    let number = |at: usize| {
        let bytes = body.get(at..at + 4)?;
        Some(i32::from_ne_bytes(bytes.try_into().ok()?))
    };
    Some(match kind {
        // The error comes negated.
        kind::ERROR => number(0).map(|error| Reply::Done(error.saturating_neg())),
        // The end of a list, with what broke it off.
        kind::DONE => Some(Reply::Done(number(0).unwrap_or(0).saturating_neg())),
        kind::NEW_LINK => number(4).map(Reply::Link),
        kind::NEW_ADDRESS => Address::read(body).map(Reply::Address),
        _ => None,
    })
}

fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let ([a, b, c, d], _) = bytes.split_first_chunk()?;
        let length = usize::from(u16::from_ne_bytes([*a, *b]));
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([*c, *d]), value))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What strace(1) shows of `ip link set eth1 netns 5 name net0`.
    #[test]
    fn a_move_is_what_the_kernel_wants() {
        let request = move_link(7, 5, "net0");
        assert_eq!(request.len(), 16 + 16 + 8 + 12);
        assert_eq!(request[..8], [52, 0, 0, 0, 16, 0, 5, 0]);
        assert_eq!(request[20..24], [7, 0, 0, 0]);
        assert_eq!(request[32..40], [8, 0, 28, 0, 5, 0, 0, 0]);
        assert_eq!(&request[40..], b"\x09\0\x03\0net0\0\0\0\0");
    }

    #[test]
    fn an_address_is_read_and_given_to_another_device() {
        let body = [2, 24, 0x80, 0, 3, 0, 0, 0];
        let reply = Request::new(kind::NEW_ADDRESS, 0, &body)
            .attribute(IFA_LOCAL, &[10, 0, 0, 1])
            .attribute(3, b"eth0\0")
            .attribute(IFA_FLAGS, &0x280u32.to_ne_bytes())
            .finish();
        let [Reply::Address(address)] = &replies(&reply)[..] else {
            panic!("no address");
        };
        assert!(address.is_kept(3) && !address.is_kept(4));
        let again = address.add(9);
        let [Reply::Address(again)] = &replies(&again)[..] else {
            panic!("no address");
        };
        assert_eq!(
            (again.index, again.prefix, again.flags, &again.attributes),
            (9, 24, 0x200, &vec![(IFA_LOCAL, vec![10, 0, 0, 1])])
        );
    }

    #[test]
    fn an_address_of_the_link_or_from_a_router_stays_behind() {
        let scope = |flags: u8, scope: u8| {
            let reply = Request::new(kind::NEW_ADDRESS, 0, &[10, 64, flags, scope, 3, 0, 0, 0]);
            match &replies(&reply.finish())[..] {
                [Reply::Address(address)] => address.is_kept(3),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(
            (scope(0x80, 0), scope(0x80, 253), scope(0, 0)),
            (true, false, false)
        );
    }

    #[test]
    fn an_error_is_told_by_its_number() {
        let mut body = (-17i32).to_ne_bytes().to_vec();
        body.extend([0; 16]);
        let reply = Request::new(kind::ERROR, 0, &body).finish();
        assert_eq!(replies(&reply), [Reply::Done(17)]);
    }

    proptest! {
        #[test]
        fn any_bytes_come_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(replies(&bytes).len() <= bytes.len());
        }
    }
}
