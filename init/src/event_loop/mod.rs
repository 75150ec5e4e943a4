//! The event loop of PID 1: one thread that waits in one place, tells the core
//! what happened ([`Event`]) and does what it says ([`Action`]). It decides
//! nothing.
//!
//! Nothing here blocks: the OCI runtime is a child whose end is an event, the
//! sockets do not wait, and the one wait (`epoll_wait(2)`) is as long as the
//! core's next deadline allows. Only [`Shell::reap`] waits for children, and
//! always until there are none left.

mod adopt;
mod cgroup;
mod container;
mod exec;
mod helper;
mod kept;
mod log_link;
mod notify;
mod output;
mod poller;
mod probes;
mod report;
mod requests;
mod runtime;
mod saved;
mod setup;
mod signals;
mod sockets;
mod upgrade;
mod watchdog;
mod written;

use std::collections::VecDeque;

use hullkit_bundle::control::{self as protocol, ErrorCode, Reply};
use nix::sys::epoll::EpollFlags;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use crate::Error;
use crate::boot::Booted;
use crate::control::Server;
use crate::klog::{Level, Line};
use crate::life::snapshot::Snapshot;
use crate::plan::Plan;
use crate::supervise::{Action, Core, End, Ending, EntryId, Event, How, Refusal, Report, Time};
use crate::sys::signals::Signals;
use crate::sys::spawn::{self, Streams};
use crate::sys::wait;

use container::{Container, Progress};
use helper::Helper;
use log_link::LogLink;
use poller::{Poller, Token};
use requests::Wait;
use setup::release_name;
use upgrade::Upgrade;
use watchdog::Watchdog;

pub use adopt::{Legacy, check, resume};
pub(crate) use signals::{Meaning, WATCHDOG, meaning as meaning_of, numbers as signal_numbers};
pub use upgrade::{CHECK, YES};

/// Runs the plan to the machine's end. PID 1 began at `started`.
#[must_use]
pub fn run(started: Time, booted: Booted, plan: Plan) -> End {
    let (poller, signals) = match open() {
        Ok(opened) => opened,
        // Without them nothing can be supervised.
        Err(error) => {
            problem(&error.to_string());
            return End::Reboot;
        }
    };
    let emergency = setup::is_emergency(&plan, &booted.cmdline);
    let mut shell = Shell::new(started, booted, plan, poller);
    shell.watchdog.open();
    shell.feed(if emergency { Event::Hold } else { Event::Begin });
    shell.live(&signals)
}

/// What must be open before the first child is started: its end must not be
/// missed.
fn open() -> Result<(Poller, Signals), Error> {
    let signals = Signals::open(&signal_numbers()).map_err(Error::os("open", "signalfd"))?;
    let poller = Poller::new().map_err(Error::os("open", "epoll"))?;
    poller
        .watch(&signals, Token::Signals, EpollFlags::EPOLLIN)
        .map_err(Error::os("watch", "signalfd"))?;
    // Ctrl-Alt-Del becomes a signal. Not possible in a container.
    if let Err(error) = nix::sys::reboot::set_cad_enabled(false) {
        problem(&format!("ctrl-alt-del: {error}"));
    }
    Ok((poller, signals))
}

/// The moment, by the clock that goes on while the machine is suspended.
#[must_use]
pub fn now() -> Time {
    let Ok(time) = clock_gettime(ClockId::CLOCK_BOOTTIME) else {
        // The clock is there since Linux 2.6.39.
        return Time::default();
    };
    let ms = time.tv_sec() * 1000 + time.tv_nsec() / 1_000_000;
    Time(u64::try_from(ms).unwrap_or(0))
}

/// Something went wrong that has no entry of its own.
fn problem(what: &str) {
    Line::new(Level::Error, "init", "problem")
        .with("error", what)
        .write();
}

/// How many messages of the log process are taken at a time: more than its
/// socket holds.
const HEARD_AT_ONCE: usize = 1024;

/// The program of this process, for those of its own.
const OURSELVES: &str = "/proc/self/exe";

/// All that the loop holds.
struct Shell {
    core: Core,
    /// In the order of the core's entries; none for the log process and for
    /// what cannot be started.
    containers: Vec<Option<Container>>,
    poller: Poller,
    /// None if the socket could not be opened.
    control: Option<Server>,
    log: LogLink,
    /// The log process's entry.
    log_id: EntryId,
    /// Our other processes.
    helpers: Vec<Helper>,
    watchdog: Watchdog,
    runtime: runtime::Options,
    system: protocol::System,
    /// What is being tried inside services.
    probes: Vec<probes::Running>,
    actions: Vec<Action>,
    end: Option<End>,
    /// The state for the next life of PID 1; none: there was no memory for it.
    snapshot: Option<Snapshot>,
    /// Whether the last state could not be written.
    unsaved: bool,
    /// When PID 1 last made a mistake of its own.
    failed: Option<Time>,
    /// Whether tests may have it make one.
    crash_test: bool,
    /// The program that is asked whether it can go on from here.
    upgrade: Option<Upgrade>,
    /// Who is told when all services are ready, and was not yet.
    to_tell: Option<String>,
    /// Programs that run for clients.
    execs: Vec<exec::Running>,
    /// Clients that wait for an entry, or for all services.
    waits: Vec<Wait>,
}

impl Shell {
    /// Does what happens, to the machine's end.
    fn live(&mut self, signals: &Signals) -> End {
        loop {
            if let Some(end) = self.end {
                self.log.finish();
                std::mem::take(&mut self.watchdog).leave(end);
                return end;
            }
            let upgrade = self.upgrade.as_ref().map(Upgrade::deadline);
            let all = [
                self.core.deadline(),
                upgrade,
                self.silence_ends(),
                self.watchdog.deadline(),
            ];
            let deadline = all.into_iter().flatten().min();
            let timeout = deadline.map(|deadline| deadline.from(now()));
            for (token, flags) in self.poller.wait(timeout) {
                self.happened(token, flags, signals);
            }
            self.accept_late();
            self.hear_again();
            self.expire_upgrade();
            self.watchdog.feed();
            self.feed(Event::Tick);
            self.answer_waits();
            self.end_abandoned();
            self.tell_ready();
        }
    }

    fn happened(&mut self, token: Token, flags: EpollFlags, signals: &Signals) {
        match token {
            Token::Signals => {
                while let Some(signal) = signals.next() {
                    match signals::meaning(signal) {
                        Some(Meaning::Child) => self.reap(),
                        Some(Meaning::Shutdown(end)) => self.feed(Event::Shutdown(end)),
                        Some(Meaning::Watchdog) => self.watchdog.open(),
                        Some(Meaning::Crash(crash)) if self.crash_test => crash.happen(),
                        Some(Meaning::Crash(_)) => {}
                        None => {}
                    }
                }
            }
            Token::Door(door) => self.accept(door),
            Token::Log => {
                self.hear_log();
                self.tell_log();
            }
            Token::Client(slot) => self.serve(slot, flags),
            Token::Notify(entry) => self.hear(EntryId(entry)),
            Token::Called(entry) => self.called(EntryId(entry)),
            Token::Written(entry) => self.hear_written(EntryId(entry)),
        }
    }

    /// Tells the core, and does what it says, and tells it what came of that.
    fn feed(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let mut actions = std::mem::take(&mut self.actions);
            // What services say is saved a batch at a time.
            let tick = matches!(event, Event::Tick | Event::Notice { .. });
            self.core.step(event, now(), &mut actions);
            if !tick || !actions.is_empty() {
                self.save();
            }
            for action in actions.drain(..) {
                events.extend(self.act(action));
            }
            self.actions = actions;
        }
    }

    /// Does `action`. An event, if something came of it at once.
    fn act(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Start(id) => {
                let event = self.start(id);
                self.note_container(id);
                return event;
            }
            Action::Clean(id) => {
                let event = self.clean(id);
                self.note_container(id);
                return event;
            }
            Action::Listen { entry, wake } => return self.listen_for(entry, wake),
            Action::Close(id) => self.close_kept(id),
            Action::Signal(id, signal) => {
                self.on_container(id, |container| container.signal(signal));
            }
            Action::Kill(id) => self.on_container(id, Container::kill),
            Action::KillRest(id) => self.on_container(id, |container| container.kill_rest()),
            Action::Probe { entry, purpose } => return self.probe(entry, purpose),
            Action::StopProbe(id) => self.stop_probe(id),
            Action::Report(id, report) => self.report(id, &report),
            Action::System(state) => {
                report::system(state).write();
                self.tell_change(state.as_str(), None);
            }
            Action::AllReady => report::all_ready(self.core.ready().unwrap_or_default()).write(),
            Action::Reply(id, Ok(())) => self.answer(id, &Reply::Ok),
            Action::Reply(id, Err(refusal)) => self.answer(id, &refused(refusal)),
            Action::Finish(end) => self.end = Some(end),
        }
        None
    }

    fn report(&mut self, id: EntryId, report: &Report) {
        if let Some(entry) = self.core.entry(id) {
            report::entry(entry.spec().kind, &entry.spec().name, report).write();
            self.tell_change(report::word(report), Some(id));
        }
        if let Report::Ended(ended) = report
            && let Some(output) = self.container(id).and_then(|c| c.output.as_mut())
        {
            output.failed = ended.failed && output.ended;
        }
    }

    fn container(&mut self, id: EntryId) -> Option<&mut Container> {
        let container = self.containers.get_mut(id.0)?.as_mut()?;
        container.memo.forget();
        Some(container)
    }

    fn on_container(&mut self, id: EntryId, act: impl FnOnce(&mut Container) -> Result<(), Error>) {
        if let Some(container) = self.container(id)
            && let Err(error) = act(container)
        {
            problem(&error.to_string());
        }
    }

    fn start(&mut self, id: EntryId) -> Option<Event> {
        if id == self.log_id {
            return Some(self.start_log());
        }
        if let Some(helper) = self.helpers.iter_mut().find(|helper| helper.entry == id) {
            return Some(event_of_start(id, helper.start()));
        }
        self.await_no_call(id);
        let options = self.runtime.clone();
        let (heard, started) = match self.container(id) {
            Some(container) => (
                container.notify.is_some(),
                container.start(&options).map_err(|error| error.to_string()),
            ),
            None => (true, Err("there is no bundle".to_owned())),
        };
        if !heard {
            self.watch_notify(id);
        }
        self.tell_log();
        started
            .err()
            .map(|error| Event::StartFailed { entry: id, error })
    }

    fn clean(&mut self, id: EntryId) -> Option<Event> {
        let options = self.runtime.clone();
        let cleaned = match self.container(id) {
            Some(container) => container.clean(&options),
            None => Progress::Cleaned(None),
        };
        event_of(id, cleaned)
    }

    fn start_log(&mut self) -> Event {
        let entry = self.log_id;
        let started = self.log.start();
        if started.is_ok() {
            for container in self.containers.iter_mut().flatten() {
                if let Some(output) = &mut container.output {
                    output.handed = false;
                    container.memo.forget();
                }
            }
            self.watch_log();
            self.tell_log();
        }
        event_of_start(entry, started)
    }

    /// Tells whoever started the machine that all services are ready.
    fn tell_ready(&mut self) {
        if self.core.ready().is_none() {
            return;
        }
        let Some(address) = self.to_tell.take() else {
            return;
        };
        let streams = Streams {
            stdin: None,
            stdout: None,
            stderr: None,
        };
        let started = spawn::spawn(OURSELVES, crate::ready::NAME, &[&address], streams);
        if let Err(error) = started {
            problem(&format!("execute {}: {error}", crate::ready::NAME));
        }
        self.save();
    }

    fn watch_log(&self) {
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
        if let Some(socket) = self.log.socket()
            && let Err(error) = self.poller.watch(socket, Token::Log, flags)
        {
            problem(&format!("watch log process: {error}"));
        }
    }

    /// Takes what the log process says: so much at a time that it keeps
    /// nobody waiting.
    fn hear_log(&mut self) {
        for _ in 0..HEARD_AT_ONCE {
            let Some((id, state)) = self.log.hear() else {
                return;
            };
            let known = self
                .containers
                .iter()
                .position(|container| container.as_ref().is_some_and(|c| c.bundle.id == id));
            if let Some(entry) = known.map(EntryId)
                && let Some(container) = self.container(entry)
            {
                container.file = state;
                self.note_container(entry);
            }
        }
    }

    /// What the log process does not take now it gets when there is room, or
    /// when there is a new one.
    fn tell_log(&mut self) {
        let _told_later = self.log.tell(self.containers.iter_mut().flatten());
    }

    /// Reaps until no child is left that has ended.
    fn reap(&mut self) {
        // Who has ended may have said something before, and can only be told
        // from others as long as it is not reaped.
        self.hear_all();
        while let Some((pid, how)) = wait::reap(None) {
            self.reaped(pid, how);
        }
    }

    fn reaped(&mut self, pid: Pid, how: How) {
        if self.reaped_known(pid, how) {
            return;
        }
        // It may be a container's first process that did not outlive its
        // runtime. Then the runtime has ended too, as that is how it came to
        // us, and its end tells us whose process this was.
        let mut launching = self
            .containers
            .iter()
            .flatten()
            .filter_map(Container::launching);
        let ended: Vec<_> = launching
            .by_ref()
            .filter_map(|runtime| wait::reap(Some(runtime)))
            .collect();
        if ended.is_empty() {
            return;
        }
        for (runtime, how) in ended {
            self.reaped_known(runtime, how);
        }
        self.reaped_known(pid, how);
    }

    /// Whether `pid` was a process that we know.
    fn reaped_known(&mut self, pid: Pid, how: How) -> bool {
        if self.asked_ended(pid, how) || self.exec_ended(pid, how) {
            return true;
        }
        let options = self.runtime.clone();
        let mut touched = None;
        if self.is_ours(pid) {
            self.note_reaped(pid, how);
        }
        let event = if self.log.is_process(pid) {
            self.log.ended();
            let ending = Ending { how, oom: false };
            Some(Event::Ended {
                entry: self.log_id,
                ending,
            })
        } else if let Some(helper) = self.helpers.iter_mut().find(|h| h.pid == Some(pid)) {
            helper.pid = None;
            let entry = helper.entry;
            let ending = Ending { how, oom: false };
            Some(Event::Ended { entry, ending })
        } else if let Some(probed) = self.probe_ended(pid, how) {
            Some(probed)
        } else if let Some((entry, container)) = self.find(|c| c.is_runtime(pid)) {
            touched = Some(entry);
            event_of(entry, container.runtime_ended(how, &options))
        } else if let Some((entry, container)) = self.find(|c| c.is_process(pid)) {
            container.process_ended(entry, how)
        } else {
            return false;
        };
        if let Some(entry) = touched {
            self.note_container(entry);
        }
        if let Some(event) = event {
            self.feed(event);
        }
        if let Some(entry) = touched {
            self.hear_from_now(entry);
            self.watch_written(entry);
        }
        // The core has said whether that was a failure.
        self.tell_log();
        true
    }

    /// Whether `pid` is a process that we know.
    fn is_ours(&self, pid: Pid) -> bool {
        self.log.is_process(pid)
            || self.helpers.iter().any(|helper| helper.pid == Some(pid))
            || self
                .containers
                .iter()
                .flatten()
                .any(|c| c.is_runtime(pid) || c.is_process(pid))
    }

    fn find(&mut self, is: impl Fn(&Container) -> bool) -> Option<(EntryId, &mut Container)> {
        let containers = self.containers.iter_mut().enumerate();
        let mut containers =
            containers.filter_map(|(index, c)| Some((EntryId(index), c.as_mut()?)));
        let (id, container) = containers.find(|(_, container)| is(container))?;
        container.memo.forget();
        Some((id, container))
    }
}

fn event_of_start(entry: EntryId, started: Result<Pid, Error>) -> Event {
    match started {
        Ok(pid) => Event::Started {
            entry,
            pid: pid.as_raw(),
        },
        Err(error) => Event::StartFailed {
            entry,
            error: error.to_string(),
        },
    }
}

fn event_of(entry: EntryId, progress: Progress) -> Option<Event> {
    match progress {
        Progress::None => None,
        Progress::Started(pid) => Some(Event::Started {
            entry,
            pid: pid.as_raw(),
        }),
        Progress::StartFailed(error) => Some(Event::StartFailed { entry, error }),
        Progress::Cleaned(error) => Some(Event::Cleaned { entry, error }),
    }
}

fn refused(refusal: Refusal) -> Reply {
    let (code, message) = match refusal {
        Refusal::Failed(message) => (ErrorCode::Failed, message),
        Refusal::NotNow(message) => (ErrorCode::NotNow, message),
    };
    Reply::Error { code, message }
}
