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
//! `SIGSEGV` and the other faults begin a new life of PID 1
//! ([`crate::sys::rebirth`]). The kernel keeps all others from PID 1, as it has
//! no handler for them.
//!
//! `SIGRTMIN+10` comes from `hullkit-uevent`: there is a hardware watchdog. With
//! `hullkit.crash-test` on the command line, `SIGRTMIN+20` is a panic,
//! `SIGRTMIN+21` a fault and `SIGRTMIN+22` an endless loop of PID 1.

use crate::supervise::End;
use crate::sys::signals::real_time;

/// What a signal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// There may be something to reap.
    Child,
    /// The machine is to end.
    Shutdown(End),
    /// There is a hardware watchdog.
    Watchdog,
    /// A test wants to see what comes after a mistake.
    Crash(Crash),
}

/// A mistake of PID 1, made on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// A panic.
    Panic,
    /// A write to where there is no memory.
    Fault,
    /// A loop without an end.
    Hang,
}

impl Crash {
    /// Makes it.
    pub(super) fn happen(self) {
        match self {
            #[allow(clippy::panic, reason = "that is what is asked for")]
            Self::Panic => panic!("asked for by hullkit.crash-test"),
            Self::Fault => crate::sys::rebirth::fault(),
            Self::Hang => loop {
                std::hint::spin_loop();
            },
        }
    }
}

/// Says that there is a hardware watchdog.
pub(crate) const WATCHDOG: i32 = real_time(10);

/// The signals that mean something.
fn table() -> [(i32, Meaning); 13] {
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
        (real_time(20), Meaning::Crash(Crash::Panic)),
        (real_time(21), Meaning::Crash(Crash::Fault)),
        (real_time(22), Meaning::Crash(Crash::Hang)),
        (WATCHDOG, Meaning::Watchdog),
    ]
}

/// Their numbers.
pub(crate) fn numbers() -> [i32; 13] {
    table().map(|(number, _)| number)
}

/// What `signal` means.
pub(crate) fn meaning(signal: i32) -> Option<Meaning> {
    table()
        .into_iter()
        .find(|(number, _)| *number == signal)
        .map(|(_, meaning)| meaning)
}
