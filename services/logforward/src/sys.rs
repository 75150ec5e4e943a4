//! The system calls that nothing safe wraps.
#![allow(unsafe_code)]

use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd;

/// How many bytes of what was written the other end's kernel has not confirmed
/// (`SIOCOUTQ`, tcp(7)).
pub(crate) fn unconfirmed(stream: &TcpStream) -> io::Result<usize> {
    let mut count: libc::c_int = 0;
    // SAFETY: the request writes one int to where the pointer leads.
    let done = unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ as _, &raw mut count) };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(usize::try_from(count).unwrap_or(0))
}

/// SIGTERM ends the process, also where it is the first one of a pid namespace,
/// which the kernel keeps from signals that have no handler.
pub fn end_when_asked() {
    extern "C" fn end(_signal: libc::c_int) {
        // SAFETY: it takes a number, and is meant for signal handlers.
        unsafe { libc::_exit(0) }
    }
    let end: extern "C" fn(libc::c_int) = end;
    // SAFETY: the handler calls nothing but `_exit`.
    unsafe { libc::signal(libc::SIGTERM, end as libc::sighandler_t) };
}
