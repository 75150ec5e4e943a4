//! The messages, in the kernel's binary form: `netlink(7)`, `rtnetlink(7)`,
//! `linux/if_link.h`. Everything is in the byte order of the machine.

use nix::errno::Errno;
use nix::unistd::Pid;

/// A request that is answered with success or an error.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    bytes: Vec<u8>,
}

const NLMSG_HDRLEN: usize = 16;
const NLMSG_ERROR: u16 = 2;
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;

const NLM_F_REQUEST: u16 = 0x001;
const NLM_F_ACK: u16 = 0x004;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;

const IFF_UP: u32 = 1;

const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_PID: u16 = 19;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;

/// Sets the link `name` up.
#[must_use]
pub fn set_up(name: &str) -> Request {
    let mut request = Request::new(RTM_NEWLINK, 0, IFF_UP);
    request.text(IFLA_IFNAME, name);
    request.end()
}

/// Moves the link `name` into another network namespace.
#[must_use]
pub fn move_to(name: &str, pid: Pid) -> Request {
    let mut request = Request::new(RTM_NEWLINK, 0, 0);
    request.text(IFLA_IFNAME, name);
    request.pid(pid);
    request.end()
}

/// Deletes the link `name`.
#[must_use]
pub fn delete(name: &str) -> Request {
    let mut request = Request::new(RTM_DELLINK, 0, 0);
    request.text(IFLA_IFNAME, name);
    request.end()
}

/// Makes a link.
#[must_use]
pub fn add(name: &str, kind: &str, pid: Option<Pid>) -> Request {
    let mut request = Request::new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0);
    request.text(IFLA_IFNAME, name);
    if let Some(pid) = pid {
        request.pid(pid);
    }
    request.nest(IFLA_LINKINFO, |info| info.text(IFLA_INFO_KIND, kind));
    request.end()
}

/// Makes a veth link, whose other end stays here.
#[must_use]
pub fn add_veth(name: &str, peer: &str, pid: Pid) -> Request {
    let mut request = Request::new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0);
    request.text(IFLA_IFNAME, name);
    request.pid(pid);
    request.nest(IFLA_LINKINFO, |info| {
        info.text(IFLA_INFO_KIND, "veth");
        info.nest(IFLA_INFO_DATA, |data| {
            data.nest(VETH_INFO_PEER, |other| {
                other.link(0);
                other.text(IFLA_IFNAME, peer);
            });
        });
    });
    request.end()
}

impl Request {
    /// A message about a link: header and `struct ifinfomsg`. `flags` are those
    /// of `IFF_…` that are to be set; the others stay.
    fn new(what: u16, how: u16, flags: u32) -> Self {
        let mut request = Self {
            bytes: Vec::with_capacity(128),
        };
        // The length, known at the end.
        request.bytes.extend([0; 4]);
        request.u16(what);
        request.u16(NLM_F_REQUEST | NLM_F_ACK | how);
        // Sequence number and port: one question at a time needs neither.
        request.bytes.extend([0; 8]);
        request.link(flags);
        request
    }

    /// `struct ifinfomsg`: family, type and index 0, the link is known by name.
    fn link(&mut self, flags: u32) {
        self.bytes.extend([0; 8]);
        self.bytes.extend(flags.to_ne_bytes());
        self.bytes.extend(flags.to_ne_bytes());
    }

    fn u16(&mut self, value: u16) {
        self.bytes.extend(value.to_ne_bytes());
    }

    /// An attribute that `inside` fills, aligned to four bytes.
    fn nest(&mut self, kind: u16, inside: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.u16(0);
        self.u16(kind);
        inside(self);
        let length = u16::try_from(self.bytes.len() - start).unwrap_or(u16::MAX);
        if let Some(field) = self.bytes.get_mut(start..start + 2) {
            field.copy_from_slice(&length.to_ne_bytes());
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn text(&mut self, kind: u16, text: &str) {
        self.nest(kind, |request| {
            request.bytes.extend(text.as_bytes());
            request.bytes.push(0);
        });
    }

    fn pid(&mut self, pid: Pid) {
        self.nest(IFLA_NET_NS_PID, |request| {
            request.bytes.extend(pid.as_raw().to_ne_bytes());
        });
    }

    fn end(mut self) -> Self {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        if let Some(field) = self.bytes.get_mut(..4) {
            field.copy_from_slice(&length.to_ne_bytes());
        }
        self
    }

    /// As the socket takes it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// What the kernel's answer says.
///
/// # Errors
/// The kernel's word; `EPROTO`: it is no answer.
pub fn result(answer: &[u8]) -> Result<(), Errno> {
    let kind = answer.get(4..6).and_then(|b| b.try_into().ok());
    let code = answer
        .get(NLMSG_HDRLEN..NLMSG_HDRLEN + 4)
        .and_then(|b| b.try_into().ok());
    match (kind.map(u16::from_ne_bytes), code.map(i32::from_ne_bytes)) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(code)) => Err(Errno::from_raw(code.wrapping_neg())),
        _ => Err(Errno::EPROTO),
    }
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_a_request() {
        #[rustfmt::skip]
        let expected = [
            // nlmsghdr: length, RTM_NEWLINK, REQUEST|ACK, seq, port
            40, 0, 0, 0, 16, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            // ifinfomsg: family, type, index, flags, change
            0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0,
            // IFLA_IFNAME "lo"
            7, 0, 3, 0, b'l', b'o', 0, 0,
        ];
        assert_eq!(set_up("lo").bytes(), expected);
    }

    #[test]
    fn nested_attributes_count_themselves() {
        let request = add_veth("a", "b", Pid::from_raw(7));
        let bytes = request.bytes();
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(usize::from(bytes[0]), bytes.len());
        // LINKINFO follows 32 bytes of headers, the name and the pid.
        let info = &bytes[32 + 8 + 8..];
        assert_eq!(usize::from(info[0]), info.len());
        assert_eq!(info[2], 18);
        // KIND "veth" (12 bytes with padding), then DATA to the end.
        let data = &info[4 + 12..];
        assert_eq!(usize::from(data[0]), data.len());
        let peer = &data[4..];
        assert_eq!((usize::from(peer[0]), peer[2]), (peer.len(), 1));
        assert_eq!(peer[4 + 16..], [6, 0, 3, 0, b'b', 0, 0, 0]);
    }

    #[test]
    fn answers() {
        let answer = |code: i32| {
            let mut bytes = vec![0; 16];
            bytes[4] = 2;
            bytes.extend(code.to_ne_bytes());
            bytes
        };
        assert_eq!(result(&answer(0)), Ok(()));
        assert_eq!(result(&answer(-19)), Err(Errno::ENODEV));
        assert_eq!(result(&[]), Err(Errno::EPROTO));
        assert_eq!(result(&[0; 64]), Err(Errno::EPROTO));
    }
}
