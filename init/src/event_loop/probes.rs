//! The probes that are under way: each a process of its own, which is ended
//! when nobody wants its answer any more. A command is run by the OCI runtime, as
//! the service is, with its seccomp filter too, in a cgroup below the service's;
//! the others are our own program ([`crate::probe`]).

use std::fs;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use hullkit_bundle::supervision::ReadyBy;
use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, pipe2};

use super::container::Container;
use super::{OURSELVES, Shell, cgroup, runtime};
use crate::Error;
use crate::probe;
use crate::supervise::{EntryId, Event, How, Purpose};
use crate::sys::spawn::{self, Streams};

/// As much as is read of why one failed, in bytes.
const MAX_REASON: usize = 256;

/// A probe that is under way.
#[derive(Debug)]
pub(super) struct Running {
    entry: EntryId,
    /// Its first process, and its process group.
    pid: Pid,
    /// Where it says what goes wrong; a command says it in the service's log.
    reason: Option<OwnedFd>,
    /// The cgroup of a command.
    cgroup: Option<PathBuf>,
    /// What it tries, for people.
    what: String,
}

impl Shell {
    /// Begins a probe. Where that is not possible, its answer.
    pub(super) fn probe(&mut self, entry: EntryId, purpose: Purpose) -> Option<Event> {
        let started = self.start_probe(entry, purpose);
        let error = started.map(|running| self.probes.push(running)).err()?;
        Some(Event::Probed {
            entry,
            error: Some(error.to_string()),
        })
    }

    fn start_probe(&self, entry: EntryId, purpose: Purpose) -> Result<Running, Error> {
        let supervision = self
            .core
            .entry(entry)
            .map(|entry| &entry.spec().supervision);
        let probe = supervision.and_then(|s| match (purpose, &s.ready) {
            (Purpose::Ready, Some(ReadyBy::Probe(probe))) => Some(probe),
            (Purpose::Ready, _) => None,
            (Purpose::Health, _) => s.health.as_ref().map(|health| &health.probe),
        });
        let container = self.containers.get(entry.0).and_then(Option::as_ref);
        let (Some(probe), Some(container)) = (probe, container) else {
            return Err(nothing());
        };
        match probe.words() {
            [exec, command @ ..] if exec == "exec" => run(entry, container, command, &self.runtime),
            words => look(entry, container, words),
        }
    }

    /// Ends the entry's probe; its end is nobody's business.
    pub(super) fn stop_probe(&mut self, entry: EntryId) {
        self.probes.retain(|running| {
            if running.entry == entry {
                // It is not reaped as long as it is here, so the number is its
                // own; it fails where it has ended.
                let _already_ended = killpg(running.pid, Signal::SIGKILL);
                // A runtime that is killed makes no process any more.
                running.end_command();
            }
            running.entry != entry
        });
    }

    /// What came of the probe whose process `pid` was; none if it was none.
    pub(super) fn probe_ended(&mut self, pid: Pid, how: How) -> Option<Event> {
        let index = self.probes.iter().position(|running| running.pid == pid)?;
        let running = self.probes.swap_remove(index);
        running.end_command();
        let entry = running.entry;
        let error = (how != How::Exited(0)).then(|| running.why(how));
        Some(Event::Probed { entry, error })
    }
}

impl Running {
    /// Its process.
    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Ends what is left of a command, and its cgroup with it; where it takes a
    /// moment to die, the next one finds the cgroup there.
    fn end_command(&self) {
        if let Some(path) = &self.cgroup {
            if let Err(error) = cgroup::kill(path) {
                super::problem(&error.to_string());
            }
            let _not_empty_yet = fs::remove_dir(path);
        }
    }

    /// One line on why it failed.
    fn why(self, how: How) -> String {
        let mut reason = vec![0; MAX_REASON];
        let pipe = self.reason.map(fs::File::from);
        let count = pipe.map_or(0, |mut pipe| pipe.read(&mut reason).unwrap_or(0));
        reason.truncate(count);
        let reason = String::from_utf8_lossy(&reason);
        let said = reason.lines().next().unwrap_or_default().trim();
        match how {
            _ if !said.is_empty() => format!("{}: {said}", self.what),
            How::Exited(code) => format!("{}: exit code {code}", self.what),
            How::Signaled(signal) => format!("{}: signal {signal}", self.what),
        }
    }
}

/// Runs a command of the service.
fn run(
    entry: EntryId,
    container: &Container,
    command: &[String],
    options: &runtime::Options,
) -> Result<Running, Error> {
    let path = container.bundle.cgroup.join(runtime::PROBES);
    match fs::create_dir(&path) {
        // One that was ended may not have left it yet.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => cgroup::kill(&path)?,
        made => made.map_err(Error::path("make", &path))?,
    }
    let stderr = container.stderr().map_err(Error::os("start", "probe"))?;
    let streams = Streams {
        stdin: None,
        stdout: None,
        stderr,
    };
    Ok(Running {
        entry,
        pid: runtime::probe(&container.bundle, command, streams, options)?,
        reason: None,
        cgroup: Some(path),
        what: command.first().cloned().unwrap_or_default(),
    })
}

/// Tries what our own program can.
fn look(entry: EntryId, container: &Container, words: &[String]) -> Result<Running, Error> {
    let (pid, pidfd) = container.process().ok_or_else(nothing)?;
    let failed = |error| Error::os("start", "probe")(error);
    let (reason, theirs) =
        pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).map_err(|errno| failed(errno.into()))?;
    let streams = Streams {
        stdin: Some(pidfd.as_fd().try_clone_to_owned().map_err(failed)?),
        stdout: Some(theirs),
        stderr: container.stderr().map_err(failed)?,
    };
    let cgroup = container.bundle.cgroup.display().to_string();
    let mut args = vec![cgroup, pid.to_string()];
    args.extend_from_slice(words);
    Ok(Running {
        entry,
        pid: spawn::spawn(OURSELVES, probe::NAME, &args, streams).map_err(failed)?,
        reason: Some(reason),
        cgroup: None,
        what: words.first().cloned().unwrap_or_default(),
    })
}

fn nothing() -> Error {
    Error::Bundle {
        object: "probe".to_owned(),
        reason: "there is nothing to try it on".to_owned(),
    }
}
