//! netlink(7): the kernel's side of the network.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use super::check_int;
use super::file::owned;
use super::namespace;

/// A socket that speaks of this process's network namespace (rtnetlink(7)).
///
/// # Errors
/// The kernel's.
pub fn open() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers.
    check_int(unsafe {
        libc::syscall(
            libc::SYS_socket,
            libc::AF_NETLINK,
            kind,
            libc::NETLINK_ROUTE,
        )
    })
    .map(owned)
}

/// [`open`] for another network namespace: goes there and comes back.
///
/// # Errors
/// The kernel's.
pub fn open_in(there: BorrowedFd<'_>, own: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let network = u64::from(libc::CLONE_NEWNET.unsigned_abs());
    namespace::join(there, network)?;
    let socket = open();
    namespace::join(own, network)?;
    socket
}
