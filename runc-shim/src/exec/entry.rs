//! Another process in a container that runs (`exec`).

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::child::{Child, Done, Failure, Inside};
use super::idmap::Mapped;
use super::{Process, go_between};
use crate::error::Error;
use crate::plan::{Plan, Stage};
use crate::state::{Status, start_time};
use crate::sys::clone::{self, Side, clone};
use crate::sys::{file, identity, namespace, process, socket};

/// The kinds of namespace, by their files below `/proc/PID/ns`.
const KINDS: [(&str, i32); 8] = [
    ("user", libc::CLONE_NEWUSER),
    ("pid", libc::CLONE_NEWPID),
    ("net", libc::CLONE_NEWNET),
    ("mnt", libc::CLONE_NEWNS),
    ("ipc", libc::CLONE_NEWIPC),
    ("uts", libc::CLONE_NEWUTS),
    ("cgroup", libc::CLONE_NEWCGROUP),
    ("time", 0x80), // CLONE_NEWTIME, which libc lacks on some targets.
];

/// A container that runs, by its first process.
#[derive(Debug)]
pub struct Target {
    init: OwnedFd,
    /// `CLONE_NEW…` bits of the namespaces that are not the runtime's.
    namespaces: u64,
    /// Its root, of a container that has the runtime's mount namespace: one
    /// that has its own brings its root along.
    root: Option<OwnedFd>,
}

impl Target {
    /// Takes hold of the first process, which is known by its number and start.
    ///
    /// # Errors
    /// It has ended; the kernel's.
    pub fn open(pid: i32, started: u64) -> Result<Self, Error> {
        let init = process::open_pid(pid).map_err(Error::io("open process", pid))?;
        let mut namespaces = 0;
        for (name, flag) in KINDS {
            let differs = differs(pid, name).map_err(Error::io("look at the namespace", name))?;
            if differs {
                namespaces |= u64::from(flag.unsigned_abs());
            }
        }
        let mounts = u64::from(libc::CLONE_NEWNS.unsigned_abs());
        let root = (namespaces & mounts == 0).then(|| open_root(pid));
        let root = root
            .transpose()
            .map_err(Error::io("open the root of process", pid))?;
        // Now, because the number may have come to mean another meanwhile.
        if start_time(pid) != Some(started) {
            return Err(Error::NotRunning(Status::Stopped));
        }
        Ok(Self {
            init,
            namespaces,
            root,
        })
    }

    /// Whether it has a user namespace that is not the runtime's.
    #[must_use]
    pub fn has_user_namespace(&self) -> bool {
        self.namespaces & u64::from(libc::CLONE_NEWUSER.unsigned_abs()) != 0
    }
}

fn open_root(pid: i32) -> io::Result<OwnedFd> {
    let path = CString::new(format!("/proc/{pid}/root"))?;
    file::openat(None, &path, libc::O_PATH | libc::O_DIRECTORY, 0)
}

/// Whether a process has another namespace of this kind than we. A kind that
/// the kernel lacks differs nowhere.
fn differs(pid: i32, name: &str) -> io::Result<bool> {
    let identity = |path: String| -> io::Result<Option<(u64, u64)>> {
        let path = CString::new(path)?;
        match file::openat(None, &path, libc::O_PATH, 0) {
            Ok(fd) => file::stat(fd.as_fd()).map(|stat| Some(stat.identity)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    };
    let ours = identity(format!("/proc/self/ns/{name}"))?;
    Ok(ours.is_some() && ours != identity(format!("/proc/{pid}/ns/{name}"))?)
}

/// What the process that joins holds on its way.
pub(super) struct Entrance {
    init: OwnedFd,
    namespaces: u64,
    root: Option<OwnedFd>,
    /// Until the join, the parent listens here.
    pub(super) news: OwnedFd,
}

impl Entrance {
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let root = self.root.as_ref().map(AsFd::as_fd);
        [self.init.as_fd(), self.news.as_fd()]
            .into_iter()
            .chain(root)
    }

    /// Joins, and goes on in a child of the runtime's: a pid namespace holds
    /// only the children of who joins it.
    ///
    /// From here on the container may see this process, and what it holds of
    /// the host's is its own program and its sockets; nobody inside may trace
    /// it or look into it until it is the program (CVE-2016-9962).
    pub(super) fn join(&self) -> Done {
        identity::forbid_tracing()?;
        if self.namespaces != 0 {
            namespace::join(self.init.as_fd(), self.namespaces)
                .map_err(Failure::in_part("setns"))?;
        }
        if let Some(root) = &self.root {
            file::fchdir(root.as_fd())?;
            process::change_root_to_cwd().map_err(Failure::in_part("chroot"))?;
        }
        go_between(0, self.news.as_fd());
        Ok(())
    }
}

/// A process that is added is of no stage that has hooks.
struct NoHooks;

impl Inside for NoHooks {
    fn run(&self, _stage: Stage, _pid: i32) -> Result<(), String> {
        Ok(())
    }
}

/// Makes a process that enters the container and becomes the plan's program.
/// `cgroup` is where it is born; none: in the caller's.
///
/// # Errors
/// The process cannot be made, or cannot enter.
pub fn enter(
    target: Target,
    plan: &Plan,
    cgroup: Option<BorrowedFd<'_>>,
) -> Result<Process, Error> {
    let pair = || socket::pair().map_err(Error::io("make", "a socket pair"));
    let (ours, theirs) = pair()?;
    let (heard, news) = pair()?;
    let options = clone::Options {
        namespaces: 0,
        cgroup,
        sibling: false,
    };
    match clone(&options).map_err(Error::io("make", "a process in the container's cgroup"))? {
        Side::Child => {
            let entrance = Entrance {
                init: target.init,
                namespaces: target.namespaces,
                root: target.root,
                news,
            };
            Child::new(plan, theirs, None, Mapped::default(), &NoHooks)
                .entering(entrance)
                .run()
        }
        Side::Parent { pid, pidfd } => {
            drop((theirs, news));
            let process = Process {
                pid,
                pidfd,
                channel: ours,
            };
            process.follow(heard.as_fd())
        }
    }
}
