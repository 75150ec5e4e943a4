//! A booted guest, and the questions that cases ask of it.

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use agent_protocol::{Answer, Exec, Mount, Op, Process};
use anyhow::{Context, Result, bail, ensure};
use hull::arch::Arch;
use hullkit_bundle::control::{Entry, Status};
use serde_json::json;

use crate::agent::Agent;
use crate::case::{Machine, Target};
use crate::console::Console;
use crate::event::Event;
use crate::image::Image;
use crate::qemu::Qemu;
use crate::qmp::Qmp;

/// A machine that runs, until it is dropped.
#[derive(Debug)]
pub struct Guest {
    /// Its kernel and architecture.
    pub target: Target,
    /// Its serial console.
    pub console: Console,
    /// QEMU's control channel.
    pub qmp: Qmp,
    agent: Agent,
    /// The console's other direction.
    keyboard: UnixStream,
    qemu: Mutex<Qemu>,
    dir: PathBuf,
    _permit: Permit,
}

/// How a machine ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// In QEMU's words: `guest-shutdown`, `guest-reset`.
    pub reason: String,
    /// QEMU's exit code.
    pub code: Option<i32>,
}

impl Guest {
    /// Boots `image`, with its files in `dir`; waits for a place among the
    /// machines that may run at the same time.
    ///
    /// # Errors
    /// QEMU does not start.
    pub fn boot(image: &Image, machine: &Machine, dir: &Path) -> Result<Self> {
        let permit = Permit::take();
        let (qemu, channels) = Qemu::start(image, machine, dir)?;
        let qmp = Qmp::start(channels.qmp)?;
        let guest = Self {
            target: image.target,
            keyboard: channels.console.try_clone()?,
            console: Console::start(channels.console, &dir.join("console.log"))?,
            qmp,
            agent: Agent::start(channels.agent)?,
            qemu: Mutex::new(qemu),
            dir: dir.to_owned(),
            _permit: permit,
        };
        guest.qmp.execute("cont", &json!({}))?;
        Ok(guest)
    }

    /// The time limit for one step in this guest: generous, because hitting it
    /// is a failure; emulating aarch64 is slower. On a machine that is busy
    /// with other things `$HULLKIT_PATIENCE` makes it so many times as long.
    #[must_use]
    pub fn patience(&self) -> Duration {
        let seconds = match self.target.arch {
            Arch::X86_64 => 30,
            Arch::Aarch64 => 60,
        };
        let times = std::env::var("HULLKIT_PATIENCE").ok();
        let times: u64 = times.and_then(|times| times.parse().ok()).unwrap_or(1);
        Duration::from_secs(seconds * times.max(1))
    }

    /// The time limit for the way from power-on to the agent.
    fn boot_limit(&self) -> Duration {
        2 * self.patience()
    }

    /// Where this guest's files are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Waits until the agent answers and PID 1 has started all services once.
    ///
    /// # Errors
    /// Not in time; the kernel panicked; the machine ended.
    pub fn wait_up(&self) -> Result<()> {
        self.agent_up()?;
        self.wait_status("all services started once", |status| {
            status.system.as_ref()?.services_up_ms.map(drop)
        })
    }

    /// Waits until the agent answers.
    ///
    /// # Errors
    /// Not in time; the kernel panicked; the machine ended.
    pub fn agent_up(&self) -> Result<()> {
        // The console is asked too, so that a panic is seen at once.
        self.console.wait("the agent", self.boot_limit(), |log| {
            (self.agent.hellos() > 0 || log.events.iter().any(is_agent)).then_some(())
        })?;
        self.agent.wait_hello(1, self.patience())
    }

    /// How often an agent has said hello in this guest.
    #[must_use]
    pub fn agent_hellos(&self) -> u32 {
        self.agent.hellos()
    }

    /// Waits until an agent has said hello `count` times in all.
    ///
    /// # Errors
    /// Not in time.
    pub fn wait_agent(&self, count: u32) -> Result<()> {
        self.agent.wait_hello(count, self.patience())
    }

    /// The address of [`Machine::forward`] on this host.
    ///
    /// # Errors
    /// The machine forwards nothing.
    ///
    /// # Panics
    /// Another thread panicked while it waited for QEMU.
    pub fn forwarded(&self) -> Result<SocketAddr> {
        let qemu = self.qemu.lock().expect("nobody panicked");
        let port = qemu.forwarded.context("the machine forwards no port")?;
        Ok(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    /// Waits for the machine's end.
    ///
    /// # Errors
    /// It runs on after `timeout`, or ended by a panic.
    ///
    /// # Panics
    /// Another thread panicked while it waited for QEMU.
    pub fn wait_end(&self, timeout: Duration) -> Result<End> {
        let reason = self
            .qmp
            .wait_closed(timeout)
            .context("waiting for the machine's end")?;
        let status = self.qemu.lock().expect("nobody panicked").wait()?;
        if let Some(panic) = &self.console.lock().panic {
            bail!("{panic}");
        }
        Ok(End {
            reason: reason.context("QEMU gave no reason for its end")?,
            code: status.code(),
        })
    }

    /// Waits until the machine has turned itself off.
    ///
    /// # Errors
    /// It runs on after `timeout`, or ended otherwise.
    pub fn wait_poweroff(&self, timeout: Duration) -> Result<()> {
        let end = self.wait_end(timeout)?;
        ensure!(
            end.reason == "guest-shutdown" && end.code == Some(0),
            "{end:?}"
        );
        Ok(())
    }

    /// Types on the serial console.
    ///
    /// # Errors
    /// The console is gone.
    pub fn type_text(&self, text: &str) -> Result<()> {
        (&self.keyboard)
            .write_all(text.as_bytes())
            .context("type on the console")
    }

    /// Whether the machine has ended by itself.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.console.lock().closed
    }
}

/// Whether this event says that the agent runs.
fn is_agent(event: &Event) -> bool {
    event.subject == "service agent" && event.state == "running"
}

/// Asking the agent.
impl Guest {
    /// Asks `op`; an [`Answer::Failed`] is an answer.
    ///
    /// # Errors
    /// The channel is lost, or no answer came in time.
    pub fn try_ask(&self, op: &Op) -> Result<Answer> {
        let own = match op {
            Op::Exec { timeout_ms, .. }
            | Op::WaitFile { timeout_ms, .. }
            | Op::WaitGone { timeout_ms, .. } => Duration::from_millis(*timeout_ms),
            _ => Duration::ZERO,
        };
        self.agent.ask(op, self.patience() + own)
    }

    /// Asks `op`.
    ///
    /// # Errors
    /// It failed.
    pub fn ask(&self, op: &Op) -> Result<Answer> {
        match self.try_ask(op)? {
            Answer::Failed { message, .. } => bail!("{op:?}: {message}"),
            answer => Ok(answer),
        }
    }

    /// The content of the file that has this path for PID 1.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self, path: &str) -> Result<String> {
        let path = path.to_owned();
        match self.ask(&Op::Read { path })? {
            Answer::Text { text } => Ok(text),
            other => bail!("unexpected answer {other:?}"),
        }
    }

    /// The names in a folder.
    ///
    /// # Errors
    /// There is no such folder.
    pub fn list(&self, path: &str) -> Result<Vec<String>> {
        let path = path.to_owned();
        match self.ask(&Op::List { path })? {
            Answer::Names { names } => Ok(names),
            other => bail!("unexpected answer {other:?}"),
        }
    }

    /// All processes of the guest.
    ///
    /// # Errors
    /// The agent cannot read `/proc`.
    pub fn processes(&self) -> Result<Vec<Process>> {
        match self.ask(&Op::Processes)? {
            Answer::Processes { processes } => Ok(processes),
            other => bail!("unexpected answer {other:?}"),
        }
    }

    /// What process `pid` sees mounted.
    ///
    /// # Errors
    /// There is no such process.
    pub fn mounts(&self, pid: i32) -> Result<Vec<Mount>> {
        match self.ask(&Op::Mounts { pid })? {
            Answer::Mounts { mounts } => Ok(mounts),
            other => bail!("unexpected answer {other:?}"),
        }
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// There is no such process.
    pub fn kill(&self, pid: i32, signal: i32) -> Result<()> {
        self.ask(&Op::Kill { pid, signal }).map(drop)
    }

    /// Waits until there is no process `pid`.
    ///
    /// # Errors
    /// Not in time.
    pub fn wait_gone(&self, pid: i32) -> Result<()> {
        let timeout_ms = millis(self.patience());
        self.ask(&Op::WaitGone { pid, timeout_ms }).map(drop)
    }

    /// Waits until a file holds `contains` and returns its content.
    ///
    /// # Errors
    /// Not in time.
    pub fn wait_file(&self, path: &str, contains: &str) -> Result<String> {
        let op = Op::WaitFile {
            path: path.to_owned(),
            contains: contains.to_owned(),
            timeout_ms: millis(self.patience()),
        };
        match self.ask(&op)? {
            Answer::Text { text } => Ok(text),
            other => bail!("unexpected answer {other:?}"),
        }
    }

    /// Runs a program beside the agent, to its end.
    ///
    /// # Errors
    /// It cannot be started, or does not end in time.
    pub fn exec(&self, argv: &[&str]) -> Result<Exec> {
        let exec = self.exec_until(argv, None, self.patience())?;
        ensure!(!exec.timed_out, "{argv:?} did not end in time: {exec:?}");
        Ok(exec)
    }

    /// Runs a program beside the agent, until it ends, its output holds
    /// `until`, or `timeout` is over.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn exec_until(
        &self,
        argv: &[&str],
        until: Option<&str>,
        timeout: Duration,
    ) -> Result<Exec> {
        let op = Op::Exec {
            argv: argv.iter().map(|arg| (*arg).to_owned()).collect(),
            stdin: String::new(),
            timeout_ms: millis(timeout),
            until: until.map(str::to_owned),
        };
        match self.ask(&op)? {
            Answer::Exec(exec) => Ok(exec),
            other => bail!("unexpected answer {other:?}"),
        }
    }
}

/// Asking PID 1.
impl Guest {
    /// Runs `hullctl` and returns what it wrote.
    ///
    /// # Errors
    /// It fails: with its words.
    pub fn hullctl(&self, args: &[&str]) -> Result<String> {
        let mut argv = vec![HULLCTL];
        argv.extend(args);
        let exec = self.exec(&argv)?;
        ensure!(
            exec.code == Some(0),
            "hullctl {args:?}: code {:?}: {}{}",
            exec.code,
            exec.stdout,
            exec.stderr
        );
        Ok(exec.stdout)
    }

    /// `hullctl status --json`.
    ///
    /// # Errors
    /// `hullctl` fails, or writes something else.
    pub fn status(&self) -> Result<Status> {
        let json = self.hullctl(&["status", "--json"])?;
        serde_json::from_str(&json).with_context(|| format!("hullctl status --json: {json}"))
    }

    /// The entry of this bundle name.
    ///
    /// # Errors
    /// There is none.
    pub fn entry(&self, name: &str) -> Result<Entry> {
        let status = self.status()?;
        let entry = status.entries.into_iter().find(|entry| entry.name == name);
        entry.with_context(|| format!("hullctl status: no entry {name}"))
    }

    /// The bundle name of an onboot or onshutdown entry: `dhcp` → `000-dhcp`.
    ///
    /// # Errors
    /// There is no such entry.
    pub fn bundle(&self, name: &str) -> Result<String> {
        let status = self.status()?;
        let mut names = status.entries.into_iter().map(|entry| entry.name);
        names
            .find(|bundle| bundle.get(3..).and_then(|rest| rest.strip_prefix('-')) == Some(name))
            .with_context(|| format!("hullctl status: no numbered entry {name}"))
    }

    /// The pid of a running service.
    ///
    /// # Errors
    /// It does not run.
    pub fn pid(&self, service: &str) -> Result<i32> {
        let entry = self.entry(service)?;
        entry
            .pid
            .with_context(|| format!("{service} does not run: {entry:?}"))
    }

    /// Asks for the status until `look` finds what it looks for.
    ///
    /// # Errors
    /// Not in time.
    pub fn wait_status<T>(&self, what: &str, look: impl Fn(&Status) -> Option<T>) -> Result<T> {
        let start = std::time::Instant::now();
        loop {
            let status = self.status()?;
            if let Some(found) = look(&status) {
                return Ok(found);
            }
            ensure!(
                start.elapsed() < self.patience(),
                "waiting for {what}: not within {:?}; the last status: {status:?}",
                self.patience()
            );
        }
    }

    /// Asks for the status until entry `name` is in `state`.
    ///
    /// # Errors
    /// Not in time.
    pub fn wait_state(&self, name: &str, state: &str) -> Result<Entry> {
        self.wait_status(&format!("{name} {state}"), |status| {
            let mut entries = status.entries.iter();
            entries
                .find(|entry| entry.name == name && entry.state == state)
                .cloned()
        })
    }

    /// Waits for an event of `subject` that `look` accepts.
    ///
    /// # Errors
    /// None came in time, or the machine ended before.
    pub fn wait_event(
        &self,
        subject: &str,
        state: &str,
        look: impl Fn(&Event) -> bool,
    ) -> Result<Event> {
        self.wait_nth_event(subject, state, 1, look)
    }

    /// Waits for the `n`th (from 1) event of `subject` that `look` accepts.
    ///
    /// # Errors
    /// None came in time, or the machine ended before.
    pub fn wait_nth_event(
        &self,
        subject: &str,
        state: &str,
        n: usize,
        look: impl Fn(&Event) -> bool,
    ) -> Result<Event> {
        let what = format!("event {n} `{subject}: {state}`");
        self.console.wait(&what, self.boot_limit(), |log| {
            log.events
                .iter()
                .filter(|e| e.subject == subject && e.state == state && look(e))
                .nth(n - 1)
                .cloned()
        })
    }

    /// The events of `subject` so far.
    #[must_use]
    pub fn events(&self, subject: &str) -> Vec<Event> {
        let log = self.console.lock();
        let events = log.events.iter().filter(|event| event.subject == subject);
        events.cloned().collect()
    }

    /// The probe that runs as the first process of `service`, under the
    /// service's name.
    ///
    /// # Errors
    /// The service does not run.
    pub fn probe(&self, service: &str) -> Result<Probe<'_>> {
        Ok(Probe {
            guest: self,
            pid: self.pid(service)?,
            name: service.to_owned(),
        })
    }
}

/// `hullctl` in the agent's container.
pub const HULLCTL: &str = "/usr/bin/hullctl";

/// A probe inside a container.
#[derive(Debug)]
pub struct Probe<'a> {
    guest: &'a Guest,
    /// Its pid in the guest.
    pub pid: i32,
    name: String,
}

impl Probe<'_> {
    /// Asks `op` inside the container; an [`Answer::Failed`] is an answer.
    ///
    /// # Errors
    /// The probe does not answer.
    pub fn try_ask(&self, op: &Op) -> Result<Answer> {
        self.guest.try_ask(&Op::In {
            pid: self.pid,
            name: self.name.clone(),
            ask: Box::new(op.clone()),
        })
    }

    /// Asks `op` inside the container.
    ///
    /// # Errors
    /// It failed.
    pub fn ask(&self, op: &Op) -> Result<Answer> {
        match self.try_ask(op)? {
            Answer::Failed { message, .. } => bail!("in {}: {op:?}: {message}", self.name),
            answer => Ok(answer),
        }
    }

    /// Asks `op` inside the container, which has to fail.
    ///
    /// # Errors
    /// It works, or fails otherwise than with one of `errnos`.
    pub fn refused(&self, op: &Op, errnos: &[i32]) -> Result<()> {
        match self.try_ask(op)? {
            Answer::Failed {
                errno: Some(errno), ..
            } if errnos.contains(&errno) => Ok(()),
            other => bail!(
                "in {}: {op:?}: wanted a failure with one of {errnos:?}, got {other:?}",
                self.name
            ),
        }
    }

    /// A file's content, inside the container.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self, path: &str) -> Result<String> {
        let path = path.to_owned();
        match self.ask(&Op::Read { path })? {
            Answer::Text { text } => Ok(text),
            other => bail!("unexpected answer {other:?}"),
        }
    }

    /// A field of the probe's `/proc/PID/status`, as the guest sees it.
    ///
    /// # Errors
    /// There is no such field.
    pub fn proc_status(&self, field: &str) -> Result<String> {
        let status = self.guest.read(&format!("/proc/{}/status", self.pid))?;
        status
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
            .map(|value| value.trim().to_owned())
            .with_context(|| format!("no {field} in {status}"))
    }
}

/// Whole milliseconds; times here are short.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The right to run a QEMU; given back when dropped.
#[derive(Debug)]
struct Permit;

static PERMITS: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

/// As many machines run at the same time as `$HULLKIT_QEMUS` says; else 2.
fn permits() -> usize {
    std::env::var("HULLKIT_QEMUS")
        .ok()
        .and_then(|number| number.parse().ok())
        .unwrap_or(2)
}

impl Permit {
    fn take() -> Self {
        let (taken, changed) = &PERMITS;
        let taken = taken.lock().expect("nobody panics with it");
        let mut taken = changed
            .wait_while(taken, |taken| *taken >= permits())
            .expect("nobody panics with it");
        *taken += 1;
        Self
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let (taken, changed) = &PERMITS;
        *taken.lock().expect("nobody panics with it") -= 1;
        changed.notify_one();
    }
}
