//! What the core wants done.

use super::{Ending, EntryId, RequestId};

/// Something to do. The shell does them in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Prepare, create and start the container. Answered by one
    /// [`super::Event::Started`] or [`super::Event::StartFailed`].
    Start(EntryId),
    /// Open the sockets of the entry, if they are not. With `wake`,
    /// [`super::Event::Called`] tells when somebody comes, and
    /// [`super::Event::StartFailed`] that they cannot be opened; without, the
    /// start will tell.
    Listen {
        /// Which.
        entry: EntryId,
        /// Whether to tell.
        wake: bool,
    },
    /// Close the sockets of the entry, and what it has left with us.
    Close(EntryId),
    /// Send the signal to the container's first process.
    Signal(EntryId, i32),
    /// Kill the container's cgroup, and the runtime that is starting it.
    Kill(EntryId),
    /// Kill what is left in the cgroup of an entry whose first process has
    /// ended.
    KillRest(EntryId),
    /// Kill what is left in the cgroup, delete the container, undo what
    /// [`Action::Start`] prepared. Answered by one [`super::Event::Cleaned`].
    Clean(EntryId),
    /// Try what the entry's `ready` (`health`: its health check) asks for.
    /// Answered by one [`super::Event::Probed`], unless [`Action::StopProbe`]
    /// comes before.
    Probe {
        /// Which.
        entry: EntryId,
        /// What for.
        purpose: Purpose,
    },
    /// End the probe that is under way: nobody wants its answer.
    StopProbe(EntryId),
    /// Say that the entry changed its state.
    Report(EntryId, Report),
    /// Say that the machine changed its state.
    System(SystemState),
    /// Say that all services are ready. Once.
    AllReady,
    /// Answer a request.
    Reply(RequestId, Result<(), Refusal>),
    /// End the machine. The last action.
    Finish(End),
}

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To find out whether the service is ready.
    Ready,
    /// To find out whether it still does what it is for.
    Health,
}

/// How the machine ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Power off.
    Poweroff,
    /// Reboot.
    Reboot,
    /// Stop, and stay so.
    Halt,
    /// Go on with another kernel, which has been loaded.
    Kexec,
}

impl End {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Poweroff => "poweroff",
            Self::Reboot => "reboot",
            Self::Halt => "halt",
            Self::Kexec => "kexec",
        }
    }
}

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It was tried and failed: why.
    Failed(String),
    /// It cannot be asked now, or not of this entry: why.
    NotNow(String),
}

/// An entry's new state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// It waits for another service.
    Waiting {
        /// The other one's name.
        requires: String,
    },
    /// Its sockets are open; it is started when somebody comes.
    Listening,
    /// The runtime has been called.
    Starting,
    /// Its first process runs.
    Running {
        /// That process.
        pid: i32,
    },
    /// It said, or a probe showed, that it is ready.
    Ready {
        /// How long it ran until then, in milliseconds.
        ms: u64,
    },
    /// Its health checks fail.
    Unhealthy {
        /// How often in a row.
        failures: u32,
        /// Why, the last time.
        error: String,
    },
    /// They no longer do.
    Healthy,
    /// It was asked to stop, or is being killed.
    Stopping {
        /// The signal it got; `SIGKILL` goes to all of its cgroup. None: it
        /// said that it ends by itself.
        signal: Option<i32>,
        /// When it is killed, if that is still to come.
        kill_in_ms: Option<u64>,
    },
    /// It was killed and is still there. Nobody waits for it any longer.
    Stuck,
    /// It is over, for now or for good.
    Ended(Ended),
    /// It is not started: why.
    Skipped(String),
    /// Something about it went wrong and changes nothing: what.
    Problem(String),
}

/// How an entry's run was over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Whether that counts as a failure.
    pub failed: bool,
    /// The end of its first process, if it had one.
    pub ending: Option<Ending>,
    /// Why it failed, where the ending does not say it.
    pub error: Option<String>,
    /// How long its first process ran, in milliseconds.
    pub ran_ms: Option<u64>,
    /// When it is started again, if it is.
    pub restart_in_ms: Option<u64>,
    /// Whether it has used up its backoff.
    pub crash_loop: bool,
}

/// The state of the machine as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemState {
    /// The onboot entries run.
    Booting,
    /// The services are being started, or run.
    Running,
    /// An onboot entry failed, and its `onFailure` is `stop`.
    Stopped,
    /// On the way down.
    Stopping(End),
}

impl SystemState {
    /// The word for it, in the kernel log and in the control protocol.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Booting => "booting",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Stopping(_) => "stopping",
        }
    }
}
