//! Our own processes beside the log process: this program under another name.

use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;

use nix::unistd::Pid;

use crate::supervise::EntryId;
use crate::sys::spawn::{self, Streams};
use crate::{Error, console};

/// Such a process, or the place for one.
#[derive(Debug)]
pub(super) struct Helper {
    pub(super) entry: EntryId,
    /// The name that it is started by.
    pub(super) name: &'static str,
    pub(super) pid: Option<Pid>,
}

impl Helper {
    pub(super) fn new(entry: EntryId, name: &'static str) -> Self {
        let pid = None;
        Self { entry, name, pid }
    }

    /// Starts it.
    pub(super) fn start(&mut self) -> Result<Pid, Error> {
        let terminal = || match self.name {
            console::NAME => open_console().ok(),
            _ => None,
        };
        let streams = Streams {
            stdin: terminal(),
            stdout: terminal(),
            stderr: terminal(),
        };
        let pid = spawn::spawn::<&str>(super::OURSELVES, self.name, &[], streams)
            .map_err(Error::os("execute", self.name))?;
        self.pid = Some(pid);
        Ok(pid)
    }
}

fn open_console() -> std::io::Result<OwnedFd> {
    let console = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY)
        .open("/dev/console");
    console.map(OwnedFd::from)
}
