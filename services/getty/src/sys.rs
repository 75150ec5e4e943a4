//! The one system call that nothing safe wraps.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Makes `terminal` the controlling terminal of this process's session, taking
/// it from another session that holds it (`ioctl_tty(2)`, `TIOCSCTTY`).
///
/// # Errors
/// The kernel's: this process leads no session, or may not take it.
pub(crate) fn set_controlling_terminal(terminal: &File) -> io::Result<()> {
    const STEAL: libc::c_int = 1;
    // SAFETY: the descriptor is open as long as `terminal` is borrowed, and
    // TIOCSCTTY takes a plain integer.
    let result = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, STEAL) };
    nix::errno::Errno::result(result)?;
    Ok(())
}
