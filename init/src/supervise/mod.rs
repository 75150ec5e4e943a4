//! The pure core of the supervision.

/// How the machine ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Power off.
    Poweroff,
    /// Reboot.
    Reboot,
    /// Stop, and stay so.
    Halt,
}
