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
