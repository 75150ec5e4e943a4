//! What the harness asks of the agent, and what the agent answers: JSON
//! objects, one a line, over a virtio-serial port or an abstract unix socket.
//!
//! Each [`Request`] has a number that its [`Response`] repeats; they are
//! carried out at the same time and answered in any order. When the agent has
//! opened the port it says hello with a response of number 0.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The virtio-serial port's name.
pub const PORT: &str = "hullkit.test";

/// The abstract unix socket of the probe `name` (without the leading NUL).
#[must_use]
pub fn probe_socket(name: &str) -> String {
    format!("hullkit.probe.{name}")
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// From 1; the response repeats it.
    pub id: u64,
    /// What to do.
    #[serde(flatten)]
    pub op: Op,
}

/// What the agent does for the harness. Paths and pids are the agent's own
/// view; times are milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the fields are the arguments of their names")]
pub enum Op {
    /// Runs a program to its end: [`Answer::Exec`]. It is killed after
    /// `timeout_ms`, or as soon as its output holds `until`.
    Exec {
        argv: Vec<String>,
        #[serde(default)]
        stdin: String,
        timeout_ms: u64,
        #[serde(default)]
        until: Option<String>,
    },
    /// A file's content: [`Answer::Text`].
    Read { path: String },
    /// Writes a file, which is made or cut: [`Answer::Done`].
    Write { path: String, text: String },
    /// The names in a folder, sorted: [`Answer::Names`].
    List { path: String },
    /// A file's properties, links not followed: [`Answer::Stat`].
    Stat { path: String },
    /// Where a link points: [`Answer::Text`].
    Readlink { path: String },
    /// Removes a file: [`Answer::Done`].
    Remove { path: String },
    /// The mounts that the process sees: [`Answer::Mounts`].
    Mounts { pid: i32 },
    /// All processes: [`Answer::Processes`].
    Processes,
    /// Sends a signal: [`Answer::Done`].
    Kill { pid: i32, signal: i32 },
    /// Waits until the file is there and holds `contains`: [`Answer::Text`].
    WaitFile {
        path: String,
        contains: String,
        timeout_ms: u64,
    },
    /// Waits until there is no process `pid`: [`Answer::Done`].
    WaitGone { pid: i32, timeout_ms: u64 },
    /// mount(2): [`Answer::Done`].
    Mount {
        source: String,
        target: String,
        fstype: String,
        /// `bind`, `ro`, `remount`, `rec`, `private`, `shared`.
        flags: Vec<String>,
    },
    /// umount2(2) with `MNT_DETACH`: [`Answer::Done`].
    Umount { target: String },
    /// mknod(2) of a character device: [`Answer::Done`].
    Mknod {
        path: String,
        major: u64,
        minor: u64,
    },
    /// unshare(2) of one namespace, in a thread: `user`, `mnt`, `net`, `pid`,
    /// `uts`, `ipc`, `cgroup`: [`Answer::Done`].
    Unshare { namespace: String },
    /// Enters a namespace by its file, in a thread: [`Answer::Done`].
    Setns { path: String },
    /// sethostname(2): [`Answer::Done`].
    Sethostname { name: String },
    /// chroot(2), in a thread that ends then: [`Answer::Done`].
    Chroot { path: String },
    /// reboot(2) with the command that only turns Ctrl-Alt-Del off.
    Reboot,
    /// A system call by number with zeros for arguments; for those that the
    /// seccomp profile refuses: [`Answer::Done`].
    Syscall { number: i64 },
    /// Takes so much memory and keeps it: [`Answer::Done`].
    Allocate { mebibytes: usize },
    /// Starts so many threads that only wait, as far as that goes:
    /// [`Answer::Count`] of those that could be started.
    Threads { count: usize },
    /// The agent's (or probe's) own open file descriptors and what they are:
    /// [`Answer::Fds`].
    Fds,
    /// Has the probe `name`, which runs in the network namespace of process
    /// `pid`, answer in place of the agent.
    In {
        pid: i32,
        name: String,
        ask: Box<Op>,
    },
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// The request's number; 0: hello.
    pub id: u64,
    /// The answer.
    #[serde(flatten)]
    pub answer: Answer,
}

/// What came of an [`Op`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "each variant carries what its name says")]
pub enum Answer {
    Hello {
        pid: u32,
    },
    Done,
    Text {
        text: String,
    },
    Names {
        names: Vec<String>,
    },
    Count {
        count: usize,
    },
    Exec(Exec),
    Stat(Stat),
    Mounts {
        mounts: Vec<Mount>,
    },
    Processes {
        processes: Vec<Process>,
    },
    Fds {
        fds: BTreeMap<i32, String>,
    },
    /// It did not work: the kernel's number, where there is one.
    Failed {
        errno: Option<i32>,
        message: String,
    },
}

/// The end of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// Its exit code, where it exited.
    pub code: Option<i32>,
    /// The signal that ended it, where one did.
    pub signal: Option<i32>,
    /// What it wrote; bytes that are not UTF-8 are replaced.
    pub stdout: String,
    /// What it wrote; bytes that are not UTF-8 are replaced.
    pub stderr: String,
    /// Whether the agent killed it because its time was up.
    pub timed_out: bool,
}

/// A file's properties.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    /// Type and permissions, as in stat(2).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// Device number, where it is a device.
    pub rdev: u64,
}

/// A line of mountinfo (proc(5)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Where.
    pub target: String,
    /// The mount's own options: `ro,nosuid`.
    pub options: Vec<String>,
    /// The optional fields: `shared:1`.
    pub propagation: Vec<String>,
    /// Filesystem type.
    pub fstype: String,
    /// What.
    pub source: String,
    /// The filesystem's options.
    pub super_options: Vec<String>,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// Its parent's.
    pub ppid: i32,
    /// `R`, `S`, `Z` …, as in proc(5).
    pub state: char,
    /// Its name.
    pub comm: String,
    /// Its arguments; none for a kernel thread or a zombie.
    pub args: Vec<String>,
    /// Its cgroup, as the agent's cgroup namespace sees it.
    pub cgroup: String,
}
