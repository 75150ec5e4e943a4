//! What the signals that PID 1 gets mean.
//!
//! | signal | meaning | who sends it |
//! | --- | --- | --- |
//! | `SIGCHLD` | a child has ended | the kernel |
//! | `SIGINT` | reboot | the kernel, for Ctrl-Alt-Del |
//! | `SIGTERM` | reboot | busybox `reboot` |
//! | `SIGUSR1` | halt | busybox `halt` |
//! | `SIGUSR2` | power off | busybox `poweroff` |
//! | `SIGPWR` | power off | power supplies' daemons |
//! | `SIGRTMIN+3`, `+4`, `+5` | halt, power off, reboot | those who know systemd |
//!
//! The kernel keeps all others from PID 1, as it has no handler for them.

use crate::supervise::End;
use crate::sys::signals::real_time;

/// What a signal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// There may be something to reap.
    Child,
    /// The machine is to end.
    Shutdown(End),
}

/// The signals that mean something.
fn table() -> [(i32, Meaning); 9] {
    [
        (libc::SIGCHLD, Meaning::Child),
        (libc::SIGINT, Meaning::Shutdown(End::Reboot)),
        (libc::SIGTERM, Meaning::Shutdown(End::Reboot)),
        (libc::SIGUSR1, Meaning::Shutdown(End::Halt)),
        (libc::SIGUSR2, Meaning::Shutdown(End::Poweroff)),
        (libc::SIGPWR, Meaning::Shutdown(End::Poweroff)),
        (real_time(3), Meaning::Shutdown(End::Halt)),
        (real_time(4), Meaning::Shutdown(End::Poweroff)),
        (real_time(5), Meaning::Shutdown(End::Reboot)),
    ]
}

/// Their numbers.
pub(crate) fn numbers() -> [i32; 9] {
    table().map(|(number, _)| number)
}

/// What `signal` means.
pub(crate) fn meaning(signal: i32) -> Option<Meaning> {
    table()
        .into_iter()
        .find(|(number, _)| *number == signal)
        .map(|(_, meaning)| meaning)
}
