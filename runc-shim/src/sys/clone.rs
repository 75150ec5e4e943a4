//! clone3(2).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use super::check_int;
use super::file::owned;

/// On which side of [`clone`] we are.
#[derive(Debug)]
pub enum Side {
    /// The new process.
    Child,
    /// The old one.
    Parent {
        /// The child, in our pid namespace.
        pid: i32,
        /// The child, so that its number cannot come to mean another.
        pidfd: OwnedFd,
    },
}

/// What the child gets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// `CLONE_NEW…` bits.
    pub namespaces: u64,
    /// The cgroup to be born in.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// Make it a child of our parent.
    pub sibling: bool,
}

/// clone3(2): a copy of this process in new namespaces and its cgroup.
///
/// The crate runs on one thread, so the child may go on as any program does:
/// no lock can be held by a thread that it lacks.
///
/// # Errors
/// The kernel's.
pub fn clone(options: &Options<'_>) -> io::Result<Side> {
    let mut pidfd: i32 = -1;
    let mut flags = options.namespaces | u64::from(libc::CLONE_PIDFD.unsigned_abs());
    if options.sibling {
        flags |= u64::from(libc::CLONE_PARENT.unsigned_abs());
    }
    let mut cgroup = 0;
    if let Some(fd) = options.cgroup {
        flags |= 0x2_0000_0000; // CLONE_INTO_CGROUP does not fit libc's type.
        cgroup = u64::try_from(fd.as_raw_fd()).unwrap_or_default();
    }
    // A sibling must not name a signal; it takes our parent's word for it.
    let signal = if options.sibling {
        0
    } else {
        u64::from(libc::SIGCHLD.unsigned_abs())
    };
    let arguments: [u64; 11] = [
        flags,
        (&raw mut pidfd) as u64,
        0,
        0,
        signal,
        0,
        0,
        0,
        0,
        0,
        cgroup,
    ];
    // SAFETY: `arguments` has the layout of `struct clone_args` (eleven u64);
    // without `CLONE_VM` the child has its own copy of this stack.
    let pid = check_int(unsafe {
        libc::syscall(
            libc::SYS_clone3,
            arguments.as_ptr(),
            size_of_val(&arguments),
        )
    })?;
    if pid == 0 {
        return Ok(Side::Child);
    }
    Ok(Side::Parent {
        pid,
        pidfd: owned(pidfd),
    })
}
