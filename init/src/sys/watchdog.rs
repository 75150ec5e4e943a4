//! The hardware watchdog, `Documentation/watchdog/watchdog-api.rst`.

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::errno::Errno;

/// `WDIOC_SETTIMEOUT` of `linux/watchdog.h`.
const SET_TIMEOUT: libc::Ioctl = nix::request_code_readwrite!(b'W', 6, size_of::<i32>());

/// Sets after how many seconds without a sign of life the open device resets
/// the machine. What it really is: the hardware may not be able to do that.
///
/// # Errors
/// The device cannot be told.
pub fn set_timeout(device: &File, seconds: i32) -> Result<i32, Errno> {
    let mut seconds = seconds;
    // SAFETY: the request reads and writes an int.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), SET_TIMEOUT, &raw mut seconds) };
    Errno::result(result).map(|_| seconds)
}
