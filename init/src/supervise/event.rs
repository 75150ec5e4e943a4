//! What the core is told.

use super::{End, EntryId};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The machine is ready for its first entry.
    Begin,
    /// The machine is ready, and no entry is to be started by itself.
    Hold,
    /// Nothing but that time went by.
    Tick,
    /// The runtime has started the entry: its first process is `pid`.
    Started {
        /// Which.
        entry: EntryId,
        /// Its first process.
        pid: i32,
    },
    /// The entry could not be started, or not before it was killed; or it was to
    /// be woken, and its sockets could not be opened.
    StartFailed {
        /// Which.
        entry: EntryId,
        /// Why: one line.
        error: String,
    },
    /// Somebody has come to a socket of the entry, which
    /// [`super::Action::Listen`] has asked to be told.
    Called {
        /// Which.
        entry: EntryId,
    },
    /// The entry's first process is gone.
    Ended {
        /// Which.
        entry: EntryId,
        /// How it ended.
        ending: Ending,
    },
    /// A service says something of itself.
    Notice {
        /// Which.
        entry: EntryId,
        /// What.
        notice: Notice,
    },
    /// What [`super::Action::Probe`] asked for has been tried.
    Probed {
        /// Of which entry.
        entry: EntryId,
        /// Why it did not go well: one line.
        error: Option<String>,
    },
    /// What [`super::Action::Clean`] asked for is done.
    Cleaned {
        /// Which.
        entry: EntryId,
        /// What of it could not be done: one line.
        error: Option<String>,
    },
    /// A client asks for something; it is answered by one
    /// [`super::Action::Reply`].
    Request {
        /// The client.
        id: RequestId,
        /// What it asks.
        ask: Ask,
        /// Of which entry.
        entry: EntryId,
    },
    /// The machine is to end. A second one forces, a third one ends at once.
    Shutdown(End),
}

/// What a service may say of itself (`sd_notify(3)`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// `READY=1`: it is ready, or has reloaded its configuration.
    Ready,
    /// A newline on the descriptor for that: it is ready.
    Written,
    /// `RELOADING=1`.
    Reloading,
    /// `STOPPING=1`: it ends by itself.
    Stopping,
    /// `STATUS=…`, for people.
    Status(String),
    /// `ERRNO=…`, in words: why it will have failed.
    Error(String),
    /// `WATCHDOG=1`: it is alive.
    Alive,
    /// `WATCHDOG=trigger`: it is not.
    Trigger,
    /// `WATCHDOG_USEC=…`, in milliseconds: how often it will say so.
    WatchdogInterval(u64),
    /// `EXTEND_TIMEOUT_USEC=…`, in milliseconds: from now, it needs so long to
    /// get ready, or to end.
    ExtendTimeout(u64),
    /// `MAINPID=…`: the process that stands for it from now on.
    MainPid(i32),
}

/// What a client may ask of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Run it.
    Start,
    /// End it, and leave it so.
    Stop,
    /// End it if it runs, and run it.
    Restart,
}

/// A client's pending request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(pub u64);

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// By itself, or by a signal.
    pub how: How,
    /// Whether the kernel killed something in its cgroup for want of memory.
    pub oom: bool,
}

impl Ending {
    /// Whether it ended as a program should.
    #[must_use]
    pub fn is_success(self) -> bool {
        self.how == How::Exited(0)
    }
}

/// By itself, or by a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// `exit(2)` with this code.
    Exited(i32),
    /// A signal, by its number.
    Signaled(i32),
}
