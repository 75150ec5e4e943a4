//! Descriptors that the kernel hands over as numbers.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

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
