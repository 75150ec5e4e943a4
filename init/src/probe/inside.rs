//! The way into a service: its cgroup, its namespaces, its rights.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use nix::fcntl::{OFlag, open, openat};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::{Mode, stat};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use super::{rights, tell};
use crate::Error;
use crate::sys::clone;

/// What is held of a service, opened from outside.
#[derive(Debug)]
pub(super) struct Service {
    pidfd: OwnedFd,
    /// Its first process below `/proc`.
    process: OwnedFd,
    /// The folder that it works in.
    folder: OwnedFd,
    /// As it was started with.
    environment: Vec<(OsString, OsString)>,
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
    Child(Service),
}

impl Service {
    /// Opens what can be seen from here only.
    pub(super) fn open(cgroup: &str, pid: &str) -> Result<Self, Error> {
        let proc = Path::new("/proc").join(pid);
        let folder = OFlag::O_PATH | OFlag::O_DIRECTORY;
        let stdin = io::stdin();
        let pidfd = stdin.as_fd().try_clone_to_owned();
        let environment = proc.join("environ");
        let environment = std::fs::read(&environment).map_err(Error::path("read", &environment))?;
        let user = |whose: &Path| stat(&whose.join("ns/user")).map(|file| file.st_ino);
        let ours = user(Path::new("/proc/self")).map_err(Error::path("stat", &proc))?;
        Ok(Self {
            pidfd: pidfd.map_err(Error::os("dup", "standard input"))?,
            process: open_at(&proc, folder)?,
            folder: open_at(&proc.join("cwd"), folder)?,
            environment: pairs(&environment),
            cgroup: open_at(Path::new(cgroup), folder)?,
            foreign: user(&proc).map_err(Error::path("stat", &proc))? != ours,
        })
    }

    /// Makes a child in the cgroup, which joins the namespaces; the parent
    /// waits for it.
    pub(super) fn enter(self) -> Result<Inside, Error> {
        let name = "the service's cgroup";
        match clone::clone(Some(self.cgroup.as_fd())).map_err(Error::os("enter", name))? {
            Some(child) => wait_for(child).map(Inside::Parent),
            None => {
                self.join()?;
                Ok(Inside::Child(self))
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

    /// Runs a command as the service would, in a child that is born in its pid
    /// namespace. How it ended.
    pub(super) fn execute(&self, program: &str, arguments: &[&str]) -> Result<ExitCode, Error> {
        match clone::clone(None).map_err(Error::os("make a process for", program))? {
            Some(child) => wait_for(child),
            None => {
                rights::take(&self.process)?;
                Err(Error::os("execute", program)(
                    self.become_program(program, arguments),
                ))
            }
        }
    }

    /// Returns only what goes wrong.
    fn become_program(&self, program: &str, arguments: &[&str]) -> io::Error {
        // It may have no right to be there any more; the root is as good.
        let _in_the_root = nix::unistd::fchdir(&self.folder);
        Command::new(OsStr::new(program))
            .args(arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .exec()
    }
}

fn open_at(path: &Path, flags: OFlag) -> Result<OwnedFd, Error> {
    open(path, flags | OFlag::O_CLOEXEC, Mode::empty()).map_err(Error::path("open", path))
}

/// Reads a file of the process, whose folder was opened before.
pub(super) fn read_of(process: &OwnedFd, name: &str) -> Result<String, Error> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let file = openat(process, name, flags, Mode::empty()).map_err(Error::os("open", name))?;
    io::read_to_string(File::from(file)).map_err(Error::os("read", name))
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

/// `NAME=VALUE` strings, each with a NUL behind it.
fn pairs(environment: &[u8]) -> Vec<(OsString, OsString)> {
    let owned = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    environment
        .split(|byte| *byte == 0)
        .filter_map(|line| {
            let at = line.iter().position(|byte| *byte == b'=')?;
            let (name, value) = line.split_at_checked(at)?;
            Some((owned(name), owned(value.get(1..)?)))
        })
        .filter(|(name, _)| !name.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environments_are_pairs() {
        let pair = |name: &str, value: &str| (name.into(), value.into());
        let text = b"PATH=/bin\0EMPTY=\0A=b=c\0broken\0=x\0";
        let expected = [pair("PATH", "/bin"), pair("EMPTY", ""), pair("A", "b=c")];
        assert_eq!(pairs(text), expected);
        assert_eq!(pairs(b""), []);
    }
}
