//! A container, as the loop sees it: what is being done with it, and the first
//! process while it runs.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use hullkit_bundle::supervision::ReadyBy;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::cgroup;
use super::kept::Kept;
use super::notify::{self, Notify};
use super::output::Output;
use super::runtime::{self, Call, Options};
use super::written::Written;
use crate::hand_over::Gift;
use crate::life::record::Memo;
use crate::log::message::FileState;
use crate::supervise::{Ending, EntryId, Event, How, Notice};
use crate::sys::pidfd;
use crate::sys::spawn::Streams;
use crate::{Error, bundle_setup, plan::Bundle};

/// An entry's container.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) bundle: Bundle,
    /// Its standard streams, from the first start on.
    pub(super) output: Option<Output>,
    /// Where it says how it is, if it may, from the first start on.
    pub(super) notify: Option<Notify>,
    /// Where it writes that it is ready, in a run of which that is expected.
    pub(super) written: Option<Written>,
    /// What is kept for it from one run to the next.
    pub(super) kept: Kept,
    /// The runtime, while it works for this container.
    pub(super) job: Option<Job>,
    pub(super) process: Option<Process>,
    /// The process that stands for it when the first one has ended, by its own
    /// word.
    pub(super) successor: Option<Pid>,
    /// Its record; whoever takes the container to change it forgets it.
    pub(super) memo: Memo,
    /// How the file of its log is, by the log process's word.
    pub(super) file: FileState,
}

/// The runtime at work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    pub(super) call: Call,
    pub(super) runtime: Pid,
}

/// A container's first process.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) pid: Pid,
    /// Signals go through this; none if it had ended by then.
    pub(super) pidfd: Option<OwnedFd>,
    /// Whether the core knows it.
    pub(super) announced: bool,
}

/// What came of the end of a process.
#[derive(Debug)]
pub(super) enum Progress {
    /// Nothing that the core need know.
    None,
    /// It runs.
    Started(Pid),
    /// It could not be started.
    StartFailed(String),
    /// What there was of it is gone, up to this.
    Cleaned(Option<String>),
}

impl Container {
    pub(super) fn new(bundle: Bundle) -> Self {
        Self {
            bundle,
            output: None,
            notify: None,
            written: None,
            kept: Kept::default(),
            job: None,
            process: None,
            successor: None,
            memo: Memo::default(),
            file: FileState::default(),
        }
    }

    /// Begins a start. Its end is that of the runtime.
    pub(super) fn start(&mut self, options: &Options) -> Result<(), Error> {
        bundle_setup::prepare(&self.bundle)?;
        self.prepare_notify()?;
        let call = if bundle_setup::needs_pid(&self.bundle) {
            Call::Create
        } else {
            Call::Run
        };
        let output = match &mut self.output {
            Some(output) => output,
            empty => empty.insert(Output::new().map_err(Error::os("pipe", &self.bundle.id))?),
        };
        let (stdout, stderr) = output
            .writers()
            .map_err(Error::os("dup", &self.bundle.id))?;
        let streams = Streams {
            stdin: None,
            stdout: Some(stdout),
            stderr: Some(stderr),
        };
        self.open_sockets()?;
        let ready = self.prepare_written()?;
        let gift = Gift {
            listening: self.kept.all(&self.bundle.runtime.supervision),
            ready: ready.as_ref().map(|(number, fd)| (*number, fd.as_fd())),
        };
        self.kill_runtime();
        let runtime = match gift.is_empty() {
            true => runtime::call(call, &self.bundle, streams, options)?,
            false => runtime::call_with(call, &self.bundle, &gift, streams, options)?,
        };
        self.job = Some(Job { call, runtime });
        Ok(())
    }

    /// Opens the sockets that it is given, if they are not open.
    pub(super) fn open_sockets(&mut self) -> Result<(), Error> {
        self.kept.open(&self.bundle.runtime.supervision)
    }

    /// The pipe of this run, where it is ready by a descriptor: its writing end,
    /// and the number that it has for the service.
    fn prepare_written(&mut self) -> Result<Option<(u32, OwnedFd)>, Error> {
        self.written = None;
        let Some(ReadyBy::Fd(number)) = self.bundle.runtime.supervision.ready else {
            return Ok(None);
        };
        let (written, writer) = Written::new().map_err(Error::os("pipe", &self.bundle.id))?;
        self.written = Some(written);
        Ok(Some((number, writer)))
    }

    /// Makes its socket, or empties it of what the last run has said.
    fn prepare_notify(&mut self) -> Result<(), Error> {
        match &self.notify {
            Some(notify) => notify.forget(),
            None if self.bundle.runtime.supervision.notify => {
                self.notify = Some(Notify::open(&self.bundle)?);
            }
            None => {}
        }
        Ok(())
    }

    fn call(&mut self, call: Call, streams: Streams, options: &Options) -> Result<(), Error> {
        // One that is left over has had its time.
        self.kill_runtime();
        let runtime = runtime::call(call, &self.bundle, streams, options)?;
        self.job = Some(Job { call, runtime });
        Ok(())
    }

    fn call_quietly(&mut self, call: Call, options: &Options) -> Result<(), Error> {
        let streams = Streams {
            stdin: None,
            stdout: None,
            stderr: None,
        };
        self.call(call, streams, options)
    }

    /// The runtime that is starting it, if there is one.
    pub(super) fn launching(&self) -> Option<Pid> {
        self.job
            .filter(|job| job.call != Call::Delete)
            .map(|job| job.runtime)
    }

    /// Whether `pid` is the runtime at work for it.
    pub(super) fn is_runtime(&self, pid: Pid) -> bool {
        self.job.is_some_and(|job| job.runtime == pid)
    }

    /// Whether `pid` is its first process.
    pub(super) fn is_process(&self, pid: Pid) -> bool {
        self.process
            .as_ref()
            .is_some_and(|process| process.pid == pid)
    }

    /// Its first process, while it can be told from others.
    pub(super) fn process(&self) -> Option<(Pid, &OwnedFd)> {
        let process = self.process.as_ref()?;
        Some((process.pid, process.pidfd.as_ref()?))
    }

    /// Whether the core knows that it runs.
    pub(super) fn is_announced(&self) -> bool {
        self.process
            .as_ref()
            .is_some_and(|process| process.announced)
    }

    /// A descriptor of its standard error, once there is one.
    pub(super) fn stderr(&self) -> io::Result<Option<OwnedFd>> {
        let writers = self.output.as_ref().map(Output::writers).transpose()?;
        Ok(writers.map(|(_, stderr)| stderr))
    }

    /// Another process is to stand for it, now or, where the kernel would not
    /// tell us of its end yet, when the first one has ended. Whether it does now.
    pub(super) fn follow(&mut self, pid: Pid) -> bool {
        self.successor = Some(pid);
        notify::may_be_main(pid, &self.bundle) && self.change_process(pid)
    }

    fn change_process(&mut self, pid: Pid) -> bool {
        let running = self
            .process
            .as_ref()
            .is_some_and(|p| p.announced && p.pid != pid);
        let pidfd = running.then(|| pidfd::open(pid).ok()).flatten();
        if let Some(pidfd) = pidfd {
            self.process = Some(Process {
                pid,
                pidfd: Some(pidfd),
                announced: true,
            });
            return true;
        }
        false
    }

    /// The runtime has ended.
    pub(super) fn runtime_ended(&mut self, how: How, options: &Options) -> Progress {
        let Some(job) = self.job.take() else {
            return Progress::None;
        };
        if how != How::Exited(0) {
            let error = runtime::failure(job.call, &self.bundle, how);
            return match job.call {
                Call::Delete => self.release(Some(error)),
                Call::Run | Call::Create | Call::Start => Progress::StartFailed(error),
            };
        }
        let done = match job.call {
            Call::Run => self.adopt().map(|pid| self.announce(pid)),
            Call::Create => self.adopt().and_then(|pid| self.go_on(pid, options)),
            Call::Start => Ok(match self.process.as_ref().map(|process| process.pid) {
                Some(pid) => self.announce(pid),
                None => Progress::StartFailed("ended before it was started".to_owned()),
            }),
            Call::Delete => Ok(self.release(None)),
        };
        done.unwrap_or_else(|error| Progress::StartFailed(error.to_string()))
    }

    /// Takes the process that the runtime has left to us.
    fn adopt(&mut self) -> Result<Pid, Error> {
        let pid = runtime::read_pid(&self.bundle)?;
        self.process = Some(Process {
            pid,
            pidfd: pidfd::open(pid).ok(),
            announced: false,
        });
        Ok(pid)
    }

    /// Between create and start.
    fn go_on(&mut self, pid: Pid, options: &Options) -> Result<Progress, Error> {
        bundle_setup::after_create(&self.bundle, pid)?;
        self.call_quietly(Call::Start, options)?;
        Ok(Progress::None)
    }

    fn announce(&mut self, pid: Pid) -> Progress {
        if let Some(process) = &mut self.process {
            process.announced = true;
        }
        Progress::Started(pid)
    }

    /// The first process has been reaped. None if the core never knew it.
    pub(super) fn process_ended(&mut self, entry: EntryId, how: How) -> Option<Event> {
        if let Some(pid) = self.successor.take()
            && notify::may_be_main(pid, &self.bundle)
            && self.change_process(pid)
        {
            let notice = Notice::MainPid(pid.as_raw());
            return Some(Event::Notice { entry, notice });
        }
        let process = self.process.take()?;
        if let Some(output) = &mut self.output {
            output.ended = true;
        }
        let oom = how != How::Exited(0) && cgroup::oom_kills(&self.bundle.cgroup) > 0;
        let ending = Ending { how, oom };
        process.announced.then_some(Event::Ended { entry, ending })
    }

    /// Sends a signal to the first process.
    pub(super) fn signal(&self, signal: i32) -> Result<(), Error> {
        match self
            .process
            .as_ref()
            .and_then(|process| process.pidfd.as_ref())
        {
            Some(pidfd) => match pidfd::send_signal(pidfd, signal) {
                // It has ended by itself; its end is on the way to us.
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
                sent => sent.map_err(Error::os("signal", &self.bundle.id)),
            },
            None => Ok(()),
        }
    }

    /// Kills all of it, and the runtime that is starting it.
    pub(super) fn kill(&mut self) -> Result<(), Error> {
        self.kill_runtime();
        cgroup::kill(&self.bundle.cgroup)?;
        // Its cgroup may not be the one that we think it is.
        self.signal(libc::SIGKILL)
    }

    fn kill_runtime(&self) {
        if let Some(job) = self.job {
            // It is our child and not reaped, so the id is still its own; it
            // fails only where it has ended already.
            let _already_ended = kill(job.runtime, Signal::SIGKILL);
        }
    }

    /// Kills what its first process has left behind.
    pub(super) fn kill_rest(&self) -> Result<(), Error> {
        cgroup::kill(&self.bundle.cgroup)
    }

    /// Begins to clear away what a start has left. Its end is that of the
    /// runtime; where that cannot be called, the rest is done at once.
    pub(super) fn clean(&mut self, options: &Options) -> Progress {
        // First, so that nothing outlives its first process, however long the
        // runtime takes.
        if let Err(error) = self.kill_rest() {
            super::problem(&error.to_string());
        }
        match self.call_quietly(Call::Delete, options) {
            Ok(()) => Progress::None,
            // What is mounted would be stacked upon by the next start.
            Err(error) => {
                self.job = None;
                self.release(Some(error.to_string()))
            }
        }
    }

    fn release(&mut self, error: Option<String>) -> Progress {
        self.process = None;
        self.successor = None;
        self.written = None;
        runtime::forget_log(&self.bundle);
        let released = bundle_setup::release(&self.bundle).err();
        Progress::Cleaned(error.or(released.map(|error| error.to_string())))
    }
}
