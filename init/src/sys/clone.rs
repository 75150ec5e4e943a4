//! A copy of this process, [`clone3(2)`].
//!
//! [`clone3(2)`]: https://man7.org/linux/man-pages/man2/clone3.2.html

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use nix::unistd::Pid;

/// `CLONE_INTO_CGROUP` (Linux 5.7) does not fit libc's type.
const INTO_CGROUP: u64 = 0x2_0000_0000;

/// Makes a child that goes on here, in `cgroup`. The child, or none in the child
/// itself.
///
/// For programs of one thread: no lock can be held that the child would wait
/// for.
///
/// # Errors
/// The kernel's: the cgroup is full, or gone.
pub fn clone(cgroup: BorrowedFd<'_>) -> io::Result<Option<Pid>> {
    let signal = u64::from(libc::SIGCHLD.unsigned_abs());
    let fd = u64::try_from(cgroup.as_raw_fd()).map_err(io::Error::other)?;
    let arguments: [u64; 11] = [INTO_CGROUP, 0, 0, 0, signal, 0, 0, 0, 0, 0, fd];
    // SAFETY: `arguments` has the layout of `struct clone_args` (eleven u64);
    // without `CLONE_VM` the child has its own copy of this stack.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            arguments.as_ptr(),
            size_of_val(&arguments),
        )
    };
    match i32::try_from(pid).map_err(io::Error::other)? {
        0 => Ok(None),
        pid if pid > 0 => Ok(Some(Pid::from_raw(pid))),
        _ => Err(io::Error::last_os_error()),
    }
}
