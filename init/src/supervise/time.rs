//! The core's notion of time: it is told, it never looks.

use std::time::Duration;

/// A moment: milliseconds since the kernel started (`CLOCK_BOOTTIME`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);

impl Time {
    /// The moment `ms` milliseconds later.
    #[must_use]
    pub const fn after(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this moment; 0 if it is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// How long it is from `now` to this moment.
    #[must_use]
    pub const fn from(self, now: Self) -> Duration {
        Duration::from_millis(self.since(now))
    }
}
