//! The beginning of a life of PID 1 that is not the first: everything that the
//! one before has left is taken over, and nothing is started again.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use hullkit_bundle::control::{Reply, System};
use nix::sys::epoll::EpollFlags;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::poller::{Poller, Token};
use super::saved::DOORS;
use super::setup::Members;
use super::upgrade;
use super::watchdog::Watchdog;
use super::{Shell, now, open, problem, release_name, runtime};
use crate::cmdline::Cmdline;
use crate::control::Server;
use crate::klog::{Level, Line};
use crate::last_resort;
use crate::life::cause::Cause;
use crate::life::inherited::Inherited;
use crate::life::record::Record;
use crate::life::snapshot::Snapshot;
use crate::plan::Plan;
use crate::supervise::{Core, End, EntryId, Event, How, State, Time};
use crate::sys::wait;

use super::log_link::LogLink;

/// What came from the life before.
pub struct Legacy<'a> {
    /// The records of its state.
    pub records: Vec<Record<'a>>,
    /// Its descriptors.
    pub fds: Inherited,
    /// Why it ended.
    pub cause: Cause,
    /// The file with its state, until there is a new one.
    pub file: Option<File>,
}

/// How a child ended whose status is lost with the life that has reaped it.
const UNKNOWN: How = How::Signaled(0);

/// Goes on with the machine of the life before, to its end.
#[must_use]
pub fn resume(legacy: Legacy<'_>, cmdline: &Cmdline, plan: Plan) -> End {
    let (poller, signals) = match open() {
        Ok(opened) => opened,
        // What runs is worth more than that it is supervised.
        Err(error) => {
            problem(&error.to_string());
            last_resort::begin();
        }
    };
    let mut shell = Shell::adopted(&legacy, cmdline, plan, poller);
    let reply = shell.restore(legacy);
    if let Some(client) = reply {
        upgrade::tell(client, &Reply::Ok);
    }
    shell.live(&signals)
}

/// Whether this program could go on with the state in `records`.
///
/// # Errors
/// What it does not understand, or does not find: a line each.
pub fn check(records: &[Record<'_>], cmdline: &Cmdline, plan: Plan) -> Result<(), Vec<String>> {
    let members = Members::of(plan, cmdline);
    Core::new(members.specs).restore(records)
}

/// Ends a probe of the life before: it is tried again.
fn forget_probe(record: &Record<'_>) {
    if let Some(pid) = record.parsed("pid").map(Pid::from_raw)
        && wait::is_child(pid)
    {
        // It is our child and not reaped, so the id is its own.
        let _already_ended = killpg(pid, Signal::SIGKILL);
    }
}

impl Shell {
    /// A loop with the old core, and none of the descriptors yet.
    fn adopted(legacy: &Legacy<'_>, cmdline: &Cmdline, plan: Plan, poller: Poller) -> Self {
        let records = &legacy.records;
        let life = records.iter().find(|record| record.word == "life");
        let time = |key| life.and_then(|life| life.parsed(key)).map(Time);
        let failed = match legacy.cause.is_failure() {
            true => Some(now()),
            false => time("failed"),
        };
        let mut problems = plan.problems.iter().map(ToString::to_string).collect();
        let members = Members::of(plan, cmdline);
        let mut core = Core::new(members.specs);
        for error in core.restore(records).err().into_iter().flatten() {
            problem(&error);
        }
        let texts = records.iter().filter(|record| record.word == "problem");
        let mut all: Vec<String> = texts.filter_map(|record| record.text("text")).collect();
        all.append(&mut problems);
        Self {
            core,
            containers: members.containers,
            poller,
            control: None,
            log: LogLink::empty(cmdline.runtime_console),
            log_id: members.log,
            helpers: members.helpers,
            watchdog: Watchdog::new(cmdline.watchdog),
            runtime: runtime::Options::from(cmdline),
            system: System {
                kernel: release_name(),
                init_ms: time("began").unwrap_or_default().0,
                problems: all,
                ..System::default()
            },
            probes: Vec::new(),
            actions: Vec::new(),
            end: None,
            snapshot: Snapshot::new()
                .inspect_err(|e| problem(&e.to_string()))
                .ok(),
            unsaved: false,
            failed,
            crash_test: cmdline.crash_test,
            upgrade: None,
            to_tell: match life.is_some_and(|life| life.flag("told")) {
                true => None,
                false => cmdline.ready.clone(),
            },
            execs: Vec::new(),
            waits: Vec::new(),
        }
    }

    /// Takes the descriptors and the processes. The client that asked for this
    /// life, if one did.
    fn restore(&mut self, legacy: Legacy<'_>) -> Option<OwnedFd> {
        let Legacy {
            records,
            mut fds,
            cause,
            file,
        } = legacy;
        let mut reply = None;
        // A record about the same thing as an earlier one takes its place.
        let mut containers = BTreeMap::new();
        for record in &records {
            match record.word {
                "container" => drop(containers.insert(record.text("id"), record)),
                "log" => self.log.restore(record, &mut fds),
                "helper" => {
                    let name = record.get("name");
                    let helper = self.helpers.iter_mut().find(|h| Some(h.name) == name);
                    if let Some(helper) = helper {
                        helper.pid = record.parsed("pid").map(Pid::from_raw);
                    }
                }
                "watchdog" => {
                    if let Some(fd) = record.parsed("device").and_then(|fd| fds.take(fd)) {
                        self.watchdog.adopt(fd);
                    }
                }
                "control" => {
                    let listener = |(key, _)| {
                        let fd = record.parsed(key).and_then(|fd| fds.take(fd));
                        fd.map(UnixListener::from)
                    };
                    let [control, view] = DOORS.map(listener);
                    self.control = control.zip(view).map(|(c, v)| Server::adopt([c, v]));
                }
                "probe" => forget_probe(record),
                "reply" => reply = record.parsed("to").and_then(|fd| fds.take(fd)),
                _ => {}
            }
        }
        for container in self.containers.iter_mut().flatten() {
            let id = Some(container.bundle.id.clone());
            if let Some(record) = containers.get(&id) {
                container.restore(record, &mut fds);
            }
        }
        self.watch_adopted();
        for record in records.iter().filter(|record| record.word == "exec") {
            self.restore_exec(record, &mut fds);
        }
        self.announce(cause);
        for record in records.iter().filter(|record| record.word == "reaped") {
            let how = record.get("how").and_then(How::from_text);
            if let Some(pid) = record.parsed("pid") {
                self.reaped_known(Pid::from_raw(pid), how.unwrap_or(UNKNOWN));
            }
        }
        self.catch_up();
        drop(file);
        reply
    }

    fn watch_adopted(&mut self) {
        if let Some(control) = &self.control {
            let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
            for (_, door) in DOORS {
                let listener = control.listener(door);
                if let Err(error) = self.poller.watch(listener, Token::Door(door), flags) {
                    problem(&format!("watch control socket: {error}"));
                }
            }
        }
        self.watch_log();
        for index in 0..self.containers.len() {
            self.watch_notify(EntryId(index));
            self.watch_written(EntryId(index));
        }
    }

    /// `hullkit: init: reborn cause=panic entries=3`: how many have a process.
    fn announce(&self, cause: Cause) {
        let containers = self.containers.iter().flatten();
        let alive = containers.filter(|container| !container.is_idle()).count();
        let level = if cause.is_failure() {
            Level::Error
        } else {
            Level::Info
        };
        Line::new(level, "init", "reborn")
            .with("cause", cause)
            .with("alive", alive)
            .write();
    }

    /// What happened while nobody looked, and what the life before had decided
    /// and not done.
    fn catch_up(&mut self) {
        self.reap();
        self.miss_the_gone();
        for index in 0..self.core.entries().len() {
            self.redo(EntryId(index));
        }
        self.tell_log();
        self.end = self.core.over();
        self.save();
        self.feed(Event::Tick);
    }

    /// Those that were reaped before, and whose end nobody was told.
    fn miss_the_gone(&mut self) {
        let containers = self.containers.iter().flatten();
        let mut known: Vec<Pid> = containers.flat_map(|c| c.processes()).collect();
        known.extend(self.log.pid());
        known.extend(self.helpers.iter().filter_map(|helper| helper.pid));
        for pid in known {
            if !wait::is_child(pid) {
                self.reaped_known(pid, UNKNOWN);
            }
        }
    }

    /// Does what the core waits for and nobody is at.
    fn redo(&mut self, id: EntryId) {
        let Some(entry) = self.core.entry(id) else {
            return;
        };
        let (state, cleaning) = (entry.state(), entry.is_cleaning());
        let helper = entry.spec().kind.is_helper();
        let probing = entry.watch().probing();
        let idle = match self.container(id) {
            Some(container) => container.is_idle(),
            None => !helper || !self.helper_runs(id),
        };
        let event = match state {
            State::Listening => self.listen_for(id, true),
            State::Starting { .. } if idle => self.start_anew(id),
            State::Running { .. } | State::Stopping { .. } if idle => Some(Event::Ended {
                entry: id,
                ending: crate::supervise::Ending {
                    how: UNKNOWN,
                    oom: false,
                },
            }),
            State::Running { .. } => probing.and_then(|purpose| self.probe(id, purpose)),
            State::Stopping { killed: true, .. } => {
                self.on_container(id, super::Container::kill);
                None
            }
            _ if cleaning && self.container(id).is_none_or(|c| !c.is_being_deleted()) => {
                self.clean(id)
            }
            _ => None,
        };
        if let Some(event) = event {
            self.feed(event);
        }
    }

    fn helper_runs(&self, id: EntryId) -> bool {
        if id == self.log_id {
            self.log.pid().is_some()
        } else {
            let mut helpers = self.helpers.iter();
            helpers.any(|helper| helper.entry == id && helper.pid.is_some())
        }
    }

    /// A start that the life before may have begun to prepare.
    fn start_anew(&mut self, id: EntryId) -> Option<Event> {
        if let Some(container) = self.container(id)
            && let Err(error) = crate::bundle_setup::release(&container.bundle)
        {
            problem(&error.to_string());
        }
        self.start(id)
    }
}
