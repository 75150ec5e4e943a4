//! The control protocol, version 1: JSON objects, one a line, over a unix
//! stream socket. `docs/control-protocol.md` describes it for other clients.
//!
//! A client sends one [`Request`] a line; PID 1 answers each with one
//! [`Reply`] line, in order; [`Op::Events`] by one after another. On
//! [`crate::layout::CONTROL_SOCKET`] only uid 0 (by `SO_PEERCRED`) is served;
//! on [`crate::layout::VIEW_SOCKET`] everybody, who may only look.

use serde::{Deserialize, Serialize};

/// The version that this crate speaks.
pub const VERSION: u32 = 1;

/// The longest line that PID 1 reads, in bytes.
pub const MAX_REQUEST: usize = 4096;

/// What a client asks of PID 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// [`VERSION`].
    pub version: u32,
    /// The question.
    #[serde(flatten)]
    pub op: Op,
}

/// The questions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Op {
    /// All entries, in brief.
    List,
    /// One entry, or with no name the machine and all entries, in full.
    Status {
        /// The entry.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// Starts a service that does not run. Answered when it is ready or failed to
    /// get so.
    Start {
        /// The service.
        name: String,
        /// False: answered at once.
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        wait: bool,
    },
    /// Stops a service and keeps it stopped. Answered when it is down.
    Stop {
        /// The service.
        name: String,
        /// False: answered at once.
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        wait: bool,
    },
    /// Stops and starts a service. Answered when it is ready again or failed to
    /// get so.
    Restart {
        /// The service.
        name: String,
        /// False: answered at once.
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        wait: bool,
    },
    /// Sends a signal to an entry's first process. Answered at once.
    Kill {
        /// The entry.
        name: String,
        /// The signal's number.
        signal: i32,
    },
    /// Runs a program in an entry's container. The client's standard input,
    /// output and error come with the request's first byte (`SCM_RIGHTS`).
    /// Answered by [`Reply::Exited`] when it has ended; it is ended when the
    /// client goes.
    Exec(Exec),
    /// Answered when the entry runs or has ended well, or failed to; with no
    /// name, when each service has been started once.
    Wait {
        /// The entry.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// Answered by a [`Reply::Event`] for each change of state from now on.
    Events,
    /// What the entries that run use of the machine.
    Top,
    /// PID 1's version.
    Version,
    /// Executes PID 1 again, with everything that runs left alone. Answered by
    /// the new one.
    Reexec {
        /// The program, in PID 1's view; none: the one that runs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
    },
    /// Powers the machine off. Answered when the way down begins.
    Poweroff,
    /// Reboots the machine. Answered when the way down begins.
    Reboot,
    /// Stops everything, and the processor. Answered when the way down begins.
    Halt,
    /// Reboots into the kernel that was loaded by `kexec_load(2)`. Answered when
    /// the way down begins.
    Kexec,
}

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_yes(value: &bool) -> bool {
    *value
}

impl Op {
    /// Whether it changes nothing, so that everybody may ask it.
    #[must_use]
    pub const fn only_looks(&self) -> bool {
        matches!(
            self,
            Self::List
                | Self::Status { .. }
                | Self::Wait { .. }
                | Self::Events
                | Self::Top
                | Self::Version
        )
    }
}

/// A program to run in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// The entry.
    pub name: String,
    /// The program and its arguments.
    pub args: Vec<String>,
    /// Whether it gets a terminal.
    #[serde(default)]
    pub tty: bool,
    /// Its working directory, in place of the container's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// `UID[:GID]`, in place of the container's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// `NAME=value`, more than the container's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "lowercase")]
pub enum Reply {
    /// It is done.
    Ok,
    /// Of [`Op::List`] and [`Op::Status`].
    Status(Box<Status>),
    /// Of [`Op::Events`], one after another.
    Event(Box<Change>),
    /// Of [`Op::Top`].
    Top {
        /// Those that run.
        entries: Vec<Usage>,
    },
    /// Of [`Op::Exec`].
    Exited {
        /// The program's exit code, or 128 and the signal; 255: it did not run.
        code: i32,
    },
    /// Of [`Op::Version`].
    Version {
        /// That of the program.
        version: String,
        /// [`VERSION`].
        protocol: u32,
    },
    /// It is not done.
    Error {
        /// For programs.
        code: ErrorCode,
        /// For people: one line.
        message: String,
    },
}

/// Why a request was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// Not a request of this protocol and version.
    BadRequest,
    /// No entry of that name.
    NotFound,
    /// The client may not ask that.
    Denied,
    /// It was tried and failed.
    Failed,
    /// The machine is on its way down, or the entry is not a service.
    NotNow,
}

/// The machine and its entries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The machine; absent in a list or where one entry was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<System>,
    /// The entries, in the order onboot, services, onshutdown.
    pub entries: Vec<Entry>,
}

/// The machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct System {
    /// `booting`, `running`, `stopped` (an onboot entry's failure said so) or
    /// `stopping`.
    pub state: String,
    /// Kernel release.
    pub kernel: String,
    /// Milliseconds since the kernel started (`CLOCK_BOOTTIME`).
    pub uptime_ms: u64,
    /// When PID 1 started, in milliseconds since the kernel did.
    pub init_ms: u64,
    /// When the last onboot entry had ended; absent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onboot_done_ms: Option<u64>,
    /// When each service had been started once or failed, or waited for one
    /// that was not ready; absent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services_up_ms: Option<u64>,
    /// When all services were ready for the first time; absent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_ms: Option<u64>,
    /// What went wrong at boot and did not stop it, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// One entry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// `onboot`, `services` or `onshutdown`.
    pub section: String,
    /// The bundle's name: `000-dhcp`, `web`.
    pub name: String,
    /// `waiting`, `starting`, `running`, `stopping`, `backoff`, `exited`
    /// (ended well, or stopped on request), `failed`, `skipped`.
    pub state: String,
    /// The first process, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// When it entered its state, in milliseconds since the kernel started.
    pub since_ms: u64,
    /// Times it was started again by itself.
    #[serde(default)]
    pub restarts: u32,
    /// Exit code of the last end, where it exited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// Signal of the last end, where a signal ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Until the next start, while in `backoff`, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_in_ms: Option<u64>,
    /// Whether it fails again and again: it has used up its backoff.
    #[serde(default)]
    pub crash_loop: bool,
    /// Why it failed, where that is not in the code or the signal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether it is ready; absent unless it is a service that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// Whether its health checks go well; absent where none has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy: Option<bool>,
    /// What it said of itself (`STATUS`, sd_notify(3)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The file that its log is kept in; absent: it is kept in memory only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<FileStatus>,
}

/// The file of an entry's log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStatus {
    /// Where it is, in PID 1's view.
    pub path: String,
    /// Why nothing comes into it; absent: all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Lines that it does not have, and will not.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: u64,
}

/// Something changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// When, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// What, in the word of the kernel log: `running`, `failed`.
    pub state: String,
    /// Of which entry, as it is now; absent: of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<Entry>,
    /// Changes before this one that the client was too slow for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: u64,
}

/// What an entry uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// `onboot`, `services` or `onshutdown`.
    pub section: String,
    /// The bundle's name.
    pub name: String,
    /// Processor time, in microseconds; it only grows.
    pub cpu_us: u64,
    /// Memory, in bytes, with its part of the page cache.
    pub memory: u64,
    /// Processes and threads.
    pub pids: u64,
}

/// What a client asks of the log process, on its own socket
/// ([`crate::layout::LOG_SOCKET`]): one line; the answer is a [`LogLine`] a
/// line, then the end of the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRequest {
    /// [`VERSION`].
    pub version: u32,
    /// Bundle names; none: all.
    #[serde(default)]
    pub names: Vec<String>,
    /// Only the last so many lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<usize>,
    /// Go on with what comes.
    #[serde(default)]
    pub follow: bool,
    /// Only lines from this moment on, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub since_ms: u64,
}

/// A line that a container wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was read, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Who: `onboot.000-dhcp`, `services.web`.
    pub id: String,
    /// Where it was written.
    pub stream: Stream,
    /// The text, without its newline; bytes that are not UTF-8 are replaced.
    pub text: String,
    /// Its number: it counts the lines of its container, from 0, until the
    /// machine restarts.
    #[serde(default)]
    pub n: u64,
    /// Lines that were dropped just before this one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// The stream of a [`LogLine`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}
