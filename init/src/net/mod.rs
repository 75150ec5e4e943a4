//! Network links by rtnetlink (`rtnetlink(7)`): loopback, and the interfaces
//! that `runtime.json` asks for.
//!
//! Four kinds of request and one kind of answer: messages are made by hand
//! ([`message`]), because a netlink crate would be a tenth of `/init`.

pub mod message;

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    self, AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType,
};
use nix::unistd::Pid;

use message::Request;

/// A connection to the kernel's routing layer, in the network namespace of
/// its maker.
#[derive(Debug)]
pub struct Links {
    socket: OwnedFd,
}

impl Links {
    /// Connects.
    ///
    /// # Errors
    /// `EPROTONOSUPPORT`: a kernel without networking.
    pub fn open() -> Result<Self, Errno> {
        let socket = socket::socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )?;
        socket::connect(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        Ok(Self { socket })
    }

    /// Sets the link `name` up. Loopback gets its addresses by that.
    ///
    /// # Errors
    /// The kernel's word; `ENODEV`: no such link.
    pub fn set_up(&self, name: &str) -> Result<(), Errno> {
        self.ask(&message::set_up(name))
    }

    /// Moves the link `name` into the network namespace of the process `pid`.
    ///
    /// # Errors
    /// The kernel's word; `ENODEV`: no such link.
    pub fn move_to(&self, name: &str, pid: Pid) -> Result<(), Errno> {
        self.ask(&message::move_to(name, pid))
    }

    /// Deletes the link `name`; of a veth, both ends.
    ///
    /// # Errors
    /// The kernel's word; `ENODEV`: no such link.
    pub fn delete(&self, name: &str) -> Result<(), Errno> {
        self.ask(&message::delete(name))
    }

    /// Makes a link of `kind`, in the network namespace of the process `pid`
    /// where one is given. The kernel loads the kind's module.
    ///
    /// # Errors
    /// The kernel's word; `EOPNOTSUPP`: no such kind; `EEXIST`.
    pub fn add(&self, name: &str, kind: &str, pid: Option<Pid>) -> Result<(), Errno> {
        self.ask(&message::add(name, kind, pid))
    }

    /// Makes a pair of veth links: `name`, in the network namespace of the
    /// process `pid`, and `peer`, here.
    ///
    /// # Errors
    /// The kernel's word.
    pub fn add_veth(&self, name: &str, peer: &str, pid: Pid) -> Result<(), Errno> {
        self.ask(&message::add_veth(name, peer, pid))
    }

    fn ask(&self, request: &Request) -> Result<(), Errno> {
        let fd = self.socket.as_raw_fd();
        socket::send(fd, request.bytes(), MsgFlags::empty())?;
        let mut answer = [0; 4096];
        // The kernel does the work in `send` and has answered when that comes
        // back; PID 1 does not wait for what has not come.
        let length = socket::recv(fd, &mut answer, MsgFlags::MSG_DONTWAIT)?;
        message::result(answer.get(..length).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_there_at_once() {
        let links = Links::open().unwrap();
        for _ in 0..100 {
            let answer = links.set_up("hullkit-none");
            // `EPERM`: the tests' user may not set links.
            assert!(
                matches!(answer, Err(Errno::ENODEV | Errno::EPERM)),
                "{answer:?}"
            );
        }
    }
}
