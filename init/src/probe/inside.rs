//! The way into a service: its cgroup, its namespaces.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;

use nix::fcntl::{OFlag, open};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::{Mode, stat};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use super::tell;
use crate::Error;
use crate::sys::clone;

/// What is held of a service, opened from outside.
#[derive(Debug)]
pub(super) struct Service {
    pidfd: OwnedFd,
    cgroup: OwnedFd,
    /// Whether it has a user namespace of its own.
    foreign: bool,
}

/// On which side of the way in we are.
#[derive(Debug)]
pub(super) enum Inside {
    /// The child has ended; how.
    Parent(ExitCode),
    /// We are inside.
    Child,
}

impl Service {
    /// Opens what can be seen from here only.
    pub(super) fn open(cgroup: &str, pid: &str) -> Result<Self, Error> {
        let proc = Path::new("/proc").join(pid);
        let folder = OFlag::O_PATH | OFlag::O_DIRECTORY;
        let stdin = io::stdin();
        let pidfd = stdin.as_fd().try_clone_to_owned();
        let user = |whose: &Path| stat(&whose.join("ns/user")).map(|file| file.st_ino);
        let ours = user(Path::new("/proc/self")).map_err(Error::path("stat", &proc))?;
        Ok(Self {
            pidfd: pidfd.map_err(Error::os("dup", "standard input"))?,
            cgroup: open_at(Path::new(cgroup), folder)?,
            foreign: user(&proc).map_err(Error::path("stat", &proc))? != ours,
        })
    }

    /// Makes a child in the cgroup, which joins the namespaces; the parent
    /// waits for it.
    pub(super) fn enter(self) -> Result<Inside, Error> {
        let name = "the service's cgroup";
        match clone::clone(self.cgroup.as_fd()).map_err(Error::os("enter", name))? {
            Some(child) => wait_for(child).map(Inside::Parent),
            None => {
                self.join()?;
                Ok(Inside::Child)
            }
        }
    }

    fn join(&self) -> Result<(), Error> {
        let mut namespaces = CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWCGROUP;
        // One's own user namespace cannot be joined.
        namespaces.set(CloneFlags::CLONE_NEWUSER, self.foreign);
        setns(&self.pidfd, namespaces).map_err(Error::os("join", "the service's namespaces"))
    }
}

fn open_at(path: &Path, flags: OFlag) -> Result<OwnedFd, Error> {
    open(path, flags | OFlag::O_CLOEXEC, Mode::empty()).map_err(Error::path("open", path))
}

/// Waits for our child, and says how it ended.
fn wait_for(child: Pid) -> Result<ExitCode, Error> {
    loop {
        match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, 0)) => return Ok(ExitCode::SUCCESS),
            Ok(WaitStatus::Exited(_, code)) => {
                return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)));
            }
            Ok(WaitStatus::Signaled(_, signal, _)) => {
                tell(&format!("ended by {}", signal.as_str()));
                return Ok(ExitCode::FAILURE);
            }
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(Error::os("wait for", "a probe")(errno)),
        }
    }
}
