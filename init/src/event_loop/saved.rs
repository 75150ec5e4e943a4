//! The loop's state for the next life of PID 1 ([`crate::life`]): written as
//! it changes, so that it is there whenever this life ends.

use std::os::fd::AsRawFd;

use nix::unistd::Pid;

use super::container::{Container, Job, Process};
use super::kept::Kept;
use super::notify::Notify;
use super::output::Output;
use super::runtime::Call;
use super::written::Written;
use super::{Shell, probes, problem};
use crate::control::Door;
use crate::life::inherited::Inherited;
use crate::life::record::{Record, Writer};
use crate::life::snapshot::Snapshot;
use crate::life::state;
use crate::log::message::FileState;
use crate::supervise::{EntryId, How};
use crate::sys::pidfd;

/// The control sockets, by the keys of their descriptors.
pub(super) const DOORS: [(&str, Door); 2] = [("listener", Door::Control), ("view", Door::View)];

impl Shell {
    /// Writes down all that the next life needs.
    pub(super) fn save(&mut self) {
        let writer = self.written();
        self.kept(|snapshot| snapshot.take(writer));
    }

    /// Notes what has become of a container since.
    pub(super) fn note_container(&mut self, id: EntryId) {
        let Some(Some(container)) = self.containers.get(id.0) else {
            return;
        };
        let mut writer = Writer::default();
        container.save(&mut writer);
        self.kept(|snapshot| snapshot.note(writer));
    }

    /// Notes that a process was reaped, and nothing has come of that yet.
    pub(super) fn note_reaped(&mut self, pid: Pid, how: How) {
        let mut writer = Writer::default();
        writer
            .record("reaped")
            .field("pid", pid)
            .field("how", how.to_text());
        self.kept(|snapshot| snapshot.note(writer));
    }

    /// A state that cannot be written is said once: the one before stays.
    fn kept(&mut self, keep: impl FnOnce(&mut Snapshot) -> std::io::Result<()>) {
        let Some(snapshot) = &mut self.snapshot else {
            return;
        };
        let kept = keep(snapshot);
        if let Err(error) = &kept
            && !self.unsaved
        {
            problem(&format!("save state: {error}"));
        }
        self.unsaved = kept.is_err();
    }

    /// The whole state.
    pub(super) fn written(&self) -> Writer {
        let mut to = Writer::default();
        state::begin(&mut to);
        to.record("life")
            .field("began", self.system.init_ms)
            .some("failed", self.failed.map(|time| time.0))
            .flag("told", self.to_tell.is_none());
        for text in &self.system.problems {
            to.record("problem").text("text", text);
        }
        self.core.save(&mut to);
        for container in self.containers.iter().flatten() {
            container.memo.write(&mut to, |to| container.save(to));
        }
        self.log.save(&mut to);
        for helper in &self.helpers {
            to.record("helper")
                .field("name", helper.name)
                .some("pid", helper.pid);
        }
        for pid in self.probes.iter().map(probes::Running::pid) {
            to.record("probe").field("pid", pid);
        }
        self.watchdog.save(&mut to);
        if let Some(control) = &self.control {
            to.record("control");
            for (key, door) in DOORS {
                to.fd(key, &control.listener(door).as_raw_fd());
            }
        }
        for exec in &self.execs {
            exec.save(self.control.as_ref(), &mut to);
        }
        to
    }
}

impl Container {
    /// Writes what is being done with it.
    fn save(&self, to: &mut Writer) {
        to.record("container").text("id", &self.bundle.id);
        if let Some(job) = self.job {
            to.field("call", job.call.as_str())
                .field("runtime", job.runtime);
        }
        if let Some(process) = &self.process {
            to.field("pid", process.pid)
                .flag("announced", process.announced);
        }
        to.some("successor", self.successor);
        if self.file != FileState::default() {
            to.text("log_error", &self.file.error)
                .field("log_lost", self.file.lost);
        }
        if let Some(output) = &self.output {
            output.save(to);
        }
        if let Some(notify) = &self.notify {
            to.fd("notify", &notify.socket().as_raw_fd());
        }
        if let Some(written) = &self.written {
            written.save(to);
        }
        self.kept.save(to);
    }

    /// Takes what [`Self::save`] has written.
    pub(super) fn restore(&mut self, record: &Record<'_>, fds: &mut Inherited) {
        self.memo.forget();
        let pid = |key: &str| record.parsed(key).map(Pid::from_raw);
        let call = record.get("call").and_then(Call::from_word);
        self.job = call
            .zip(pid("runtime"))
            .map(|(call, runtime)| Job { call, runtime });
        self.process = pid("pid").map(|pid| Process {
            pid,
            // It is our child, and nobody has reaped it: the id is its own.
            pidfd: pidfd::open(pid).ok(),
            announced: record.flag("announced"),
        });
        self.successor = pid("successor");
        self.file = FileState {
            error: record.text("log_error").unwrap_or_default(),
            lost: record.parsed("log_lost").unwrap_or_default(),
        };
        let notify = record.parsed("notify").and_then(|fd| fds.take(fd));
        self.notify = notify.map(|fd| Notify::adopt(fd.into(), &self.bundle));
        self.output = Output::restore(record, fds).or(self.output.take());
        self.written = Written::restore(record, fds);
        let wanted = self.bundle.runtime.supervision.sockets.len();
        self.kept = Kept::restore(record, fds, wanted);
    }

    /// The processes that it has: the runtime's, and its first one.
    pub(super) fn processes(&self) -> impl Iterator<Item = Pid> + use<> {
        let job = self.job.map(|job| job.runtime);
        let process = self.process.as_ref().map(|process| process.pid);
        job.into_iter().chain(process)
    }

    /// Whether nothing is being done with it, and nothing runs.
    pub(super) fn is_idle(&self) -> bool {
        self.job.is_none() && self.process.is_none()
    }

    /// Whether the runtime clears away what it has left.
    pub(super) fn is_being_deleted(&self) -> bool {
        self.job.is_some_and(|job| job.call == Call::Delete)
    }
}
