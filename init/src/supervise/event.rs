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
    /// The entry could not be started, or not before it was killed.
    StartFailed {
        /// Which.
        entry: EntryId,
        /// Why: one line.
        error: String,
    },
    /// The entry's first process is gone.
    Ended {
        /// Which.
        entry: EntryId,
        /// How it ended.
        ending: Ending,
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
