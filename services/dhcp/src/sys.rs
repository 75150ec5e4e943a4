//! Packet sockets (`packet(7)`), which nothing safe wraps.
#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

/// IPv4's number among Ethernet's protocols, in network order.
#[allow(clippy::cast_possible_truncation, reason = "it has 16 bits")]
const IPV4: u16 = (libc::ETH_P_IP as u16).to_be();

/// The family, as wide as the address has it.
#[allow(clippy::cast_possible_truncation, reason = "it is 17")]
const PACKET: libc::c_ushort = libc::AF_PACKET as libc::c_ushort;

/// A socket for whole IP packets on one interface, which does not block.
#[derive(Debug)]
pub(crate) struct PacketSocket {
    fd: OwnedFd,
    index: libc::c_int,
}

impl PacketSocket {
    /// Opens one on the interface `index`.
    pub(crate) fn open(index: u32) -> io::Result<Self> {
        let index = libc::c_int::try_from(index).map_err(io::Error::other)?;
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: takes plain integers. Protocol 0 hears nothing until bound.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        Errno::result(fd)?;
        // SAFETY: the kernel has just given the descriptor to us alone.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let socket = Self { fd, index };
        let address = socket.address();
        // SAFETY: `address` is a sockaddr_ll of the length that is given.
        let bound =
            unsafe { libc::bind(socket.fd.as_raw_fd(), (&raw const address).cast(), LENGTH) };
        Errno::result(bound)?;
        Ok(socket)
    }

    /// Sends an IP packet to everybody on the link.
    pub(crate) fn broadcast(&self, packet: &[u8]) -> io::Result<()> {
        let mut address = self.address();
        address.sll_halen = 6;
        address.sll_addr = [255, 255, 255, 255, 255, 255, 0, 0];
        let to = (&raw const address).cast();
        let fd = self.fd.as_raw_fd();
        // SAFETY: `packet` is valid for its length, `address` for LENGTH.
        let sent = unsafe { libc::sendto(fd, packet.as_ptr().cast(), packet.len(), 0, to, LENGTH) };
        Errno::result(sent)?;
        Ok(())
    }

    /// For polling and reading.
    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    fn address(&self) -> libc::sockaddr_ll {
        libc::sockaddr_ll {
            sll_family: PACKET,
            sll_protocol: IPV4,
            sll_ifindex: self.index,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "20 bytes")]
const LENGTH: libc::socklen_t = mem::size_of::<libc::sockaddr_ll>() as libc::socklen_t;
