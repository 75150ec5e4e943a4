//! The probes that are under way: each a process of its own
//! ([`crate::probe`]), which is ended when nobody wants its answer any more.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, OwnedFd};

use hullkit_bundle::supervision::{Probe, ReadyBy};
use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, pipe2};

use super::{OURSELVES, Shell};
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
    /// Where it says what goes wrong.
    reason: OwnedFd,
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
        let process = container.and_then(|c| Some((c, c.process()?)));
        let (Some(probe), Some((container, (pid, pidfd)))) = (probe, process) else {
            return Err(Error::Bundle {
                object: "probe".to_owned(),
                reason: "there is nothing to try it on".to_owned(),
            });
        };
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
        args.extend_from_slice(probe.words());
        let pid = spawn::spawn(OURSELVES, probe::NAME, &args, streams).map_err(failed)?;
        Ok(Running {
            entry,
            pid,
            reason,
            what: told(probe),
        })
    }

    /// Ends the entry's probe; its end is nobody's business.
    pub(super) fn stop_probe(&mut self, entry: EntryId) {
        self.probes.retain(|running| {
            if running.entry == entry {
                // It is not reaped as long as it is here, so the number is its
                // own; it fails where it has ended.
                let _already_ended = killpg(running.pid, Signal::SIGKILL);
            }
            running.entry != entry
        });
    }

    /// What came of the probe whose process `pid` was; none if it was none.
    pub(super) fn probe_ended(&mut self, pid: Pid, how: How) -> Option<Event> {
        let index = self.probes.iter().position(|running| running.pid == pid)?;
        let running = self.probes.swap_remove(index);
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

    /// One line on why it failed.
    fn why(self, how: How) -> String {
        let mut reason = vec![0; MAX_REASON];
        let count = File::from(self.reason).read(&mut reason).unwrap_or(0);
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

/// A probe, for people.
fn told(probe: &Probe) -> String {
    let words = probe.words();
    match words.first().map(String::as_str) {
        Some("exec") => words.get(1).cloned().unwrap_or_default(),
        _ => words.first().cloned().unwrap_or_default(),
    }
}
