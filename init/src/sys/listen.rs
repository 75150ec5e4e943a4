//! A socket that takes connections, [`listen(2)`].
//!
//! [`listen(2)`]: https://man7.org/linux/man-pages/man2/listen.2.html

use std::os::fd::{AsRawFd as _, BorrowedFd};

use nix::errno::Errno;

/// Lets `socket` take connections, `backlog` of which may wait; the kernel
/// takes no more than its own limit, whatever the C library's constant says.
///
/// # Errors
/// The address is in use.
pub fn listen(socket: BorrowedFd<'_>, backlog: i32) -> Result<(), Errno> {
    // SAFETY: numbers only.
    Errno::result(unsafe { libc::listen(socket.as_raw_fd(), backlog) }).map(drop)
}
