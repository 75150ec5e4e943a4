//! openat2(2): paths that cannot leave the root they are resolved in.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use super::check_int;
use super::file::owned;

/// How often a lookup is tried again that the kernel could not make safe
/// because something was renamed meanwhile (`EAGAIN`).
const TRIES: usize = 64;

/// Opens `path` as if `root` were `/`: symbolic links and `..` stay below it,
/// magic links (`/proc/PID/fd/N`) are refused.
///
/// # Errors
/// The kernel's.
pub fn open_in_root(
    root: BorrowedFd<'_>,
    path: &CStr,
    flags: i32,
    mode: u32,
) -> io::Result<OwnedFd> {
    #[allow(clippy::cast_sign_loss, reason = "open flags are bits")]
    let how: [u64; 3] = [
        (flags | libc::O_CLOEXEC) as u64,
        u64::from(mode),
        libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS,
    ];
    let mut tries = TRIES;
    loop {
        // SAFETY: `how` has the layout of `struct open_how` (three u64), and
        // `path` is a C string; both outlive the call.
        let fd = check_int(unsafe {
            libc::syscall(
                libc::SYS_openat2,
                root.as_raw_fd(),
                path.as_ptr(),
                how.as_ptr(),
                size_of_val(&how),
            )
        });
        tries = tries.saturating_sub(1);
        match fd {
            Err(e) if e.raw_os_error() == Some(libc::EAGAIN) && tries > 0 => {}
            other => return other.map(owned),
        }
    }
}
