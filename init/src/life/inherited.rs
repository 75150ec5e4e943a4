//! The descriptors that a life of PID 1 has from the one before.

use std::os::fd::{OwnedFd, RawFd};

use crate::sys::fd;

/// Open descriptors that nobody has taken yet. Those that nobody takes are
/// closed with it.
#[derive(Debug)]
pub struct Inherited(Vec<OwnedFd>);

impl Inherited {
    /// Those that are open now, from 3 to `highest`. To be called before
    /// anything is opened, and once.
    #[must_use]
    pub fn find(highest: RawFd) -> Self {
        Self(fd::inherited(3..=highest))
    }

    /// The descriptor `number`, if it was there and has not been taken.
    pub fn take(&mut self, number: RawFd) -> Option<OwnedFd> {
        use std::os::fd::AsRawFd;
        let place = self.0.iter().position(|fd| fd.as_raw_fd() == number)?;
        Some(self.0.swap_remove(place))
    }

    /// Keeps them all open, for ever.
    pub fn leave_open(self) {
        std::mem::forget(self);
    }
}
