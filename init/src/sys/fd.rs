//! Descriptors that the kernel hands over as numbers.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Takes a descriptor that has just come with a message (`SCM_RIGHTS`,
/// unix(7)); to be called once for each.
#[must_use]
pub fn received(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel has made this descriptor for us with the message, and
    // the caller passes it on here only.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Takes the descriptors among `numbers` that are open, and lets no child have
/// them. To be called once, at the beginning of a program that has them from
/// the one before, before it opens any.
#[must_use]
pub fn inherited(numbers: impl Iterator<Item = RawFd>) -> Vec<OwnedFd> {
    numbers
        .filter(|&fd| {
            // SAFETY: sets a flag; fails where there is no such descriptor.
            unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) != -1 }
        })
        // SAFETY: it is open, and the caller says that nobody else has it.
        .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
        .collect()
}

/// A copy of `fd` whose number is not below `least` (fcntl(2),
/// `F_DUPFD_CLOEXEC`).
///
/// # Errors
/// No such number is free.
pub fn lifted(fd: BorrowedFd<'_>, least: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: makes a descriptor, and touches no other.
    let copy = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, least) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Puts a copy of `fd` at `number`, for the program that this process becomes
/// (dup2(2)). To be called where nobody has anything there.
///
/// # Errors
/// The number is too high.
pub fn put(fd: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
    // SAFETY: the caller says that nobody uses `number`.
    if unsafe { libc::dup2(fd.as_raw_fd(), number) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Whether both are of one open file (kcmp(2), `KCMP_FILE`): found out without
/// a question to its filesystem, which may be a service that does not answer.
/// False where the kernel cannot tell.
#[must_use]
pub fn is_same(first: BorrowedFd<'_>, second: BorrowedFd<'_>) -> bool {
    const KCMP_FILE: libc::c_long = 0;
    let [first, second] = [first, second].map(|fd| libc::c_long::from(fd.as_raw_fd()));
    let ourselves = libc::c_long::from(std::process::id());
    // SAFETY: numbers only.
    unsafe {
        libc::syscall(
            libc::SYS_kcmp,
            ourselves,
            ourselves,
            KCMP_FILE,
            first,
            second,
        ) == 0
    }
}
