//! A machine that the core believes in: it answers actions as the shell would,
//! in any order and at any time, and holds the core to its rules.

use std::collections::{BTreeMap, BTreeSet};

use super::super::entry::KILL_TIMEOUT;
use super::super::*;
use crate::life::record::{Record, Writer};

/// What there really is of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Real {
    /// Nothing.
    Gone,
    /// The runtime is making it; whether that was killed.
    Launching { killed: bool },
    /// Its first process runs; whether that was killed.
    Alive { killed: bool },
    /// It ended, and what is left has not been cleaned up.
    Remains { cleaning: bool },
}

/// A rule was broken: which.
pub(super) type Broken = String;

#[derive(Debug)]
pub(super) struct World {
    pub(super) core: Core,
    pub(super) now: Time,
    pub(super) real: Vec<Real>,
    /// When each entry last ended, and the delay that was announced.
    not_before: BTreeMap<usize, Time>,
    /// Entries whose first process has ended and whose others live.
    orphans: BTreeSet<usize>,
    /// Services in the order in which they were asked to stop, on the way down.
    pub(super) stopped: Vec<usize>,
    pub(super) replies: BTreeMap<u64, Result<(), Refusal>>,
    pub(super) asked: Vec<u64>,
    pub(super) finished: Option<End>,
    going_down: bool,
    forced: bool,
    next_pid: i32,
}

/// What may happen next.
#[derive(Clone, Debug)]
pub(super) enum Move {
    /// The `n`th thing that the machine may do by itself.
    Machine(usize, Variant),
    Ask(Ask, usize),
    Shutdown(End),
    /// PID 1 begins a new life.
    Rebirth,
    /// Time goes on to the core's deadline, or by this much.
    Wait(u64),
}

/// How a machine's move goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variant {
    Well,
    Badly,
}

impl World {
    pub(super) fn new(specs: Vec<Spec>) -> Self {
        Self {
            real: vec![Real::Gone; specs.len()],
            core: Core::new(specs),
            now: Time(1000),
            not_before: BTreeMap::new(),
            orphans: BTreeSet::new(),
            stopped: Vec::new(),
            replies: BTreeMap::new(),
            asked: Vec::new(),
            finished: None,
            going_down: false,
            forced: false,
            next_pid: 100,
        }
    }

    #[allow(
        clippy::needless_pass_by_value,
        reason = "events are made where they happen"
    )]
    pub(super) fn feed(&mut self, event: Event) -> Result<(), Broken> {
        if let Event::Shutdown(_) = event {
            if !self.going_down {
                // Who was asked to stop before is stopping in its own right.
                let stopping = |entry: &&Entry| matches!(entry.state(), State::Stopping { .. });
                let stopping = self.core.entries().iter().filter(stopping);
                self.stopped.extend(stopping.map(|entry| entry.id.0));
            }
            self.forced = self.going_down;
            self.going_down = true;
        }
        let mut actions = Vec::new();
        self.core.step(event.clone(), self.now, &mut actions);
        for action in actions {
            self.obey(&action)
                .map_err(|rule| format!("{rule}: {action:?} after {event:?}"))?;
        }
        self.check()
            .map_err(|rule| format!("{rule} after {event:?}"))
    }

    fn obey(&mut self, action: &Action) -> Result<(), Broken> {
        if self.finished.is_some() {
            return Err("an action after the end".to_owned());
        }
        match action {
            Action::Start(id) => self.start(id.0),
            Action::Signal(id, _) => match self.real[id.0] {
                Real::Alive { killed: false } => self.note_stop(id.0),
                real => Err(format!("a signal to a dead instance ({real:?})")),
            },
            Action::Kill(id) => match &mut self.real[id.0] {
                // A start that takes too long is killed whoever waits for it.
                Real::Launching { killed } => {
                    *killed = true;
                    self.stopped.push(id.0);
                    Ok(())
                }
                Real::Alive { killed } => {
                    *killed = true;
                    self.note_stop(id.0)
                }
                real => Err(format!("a kill of a dead instance ({real:?})")),
            },
            Action::KillRest(id) => match self.real[id.0] {
                Real::Remains { cleaning: false } => {
                    self.orphans.remove(&id.0);
                    Ok(())
                }
                real => Err(format!("nothing to kill ({real:?})")),
            },
            Action::Clean(id) => match &mut self.real[id.0] {
                Real::Remains { cleaning } if !*cleaning => {
                    *cleaning = true;
                    self.orphans.remove(&id.0);
                    Ok(())
                }
                real => Err(format!("nothing to clean ({real:?})")),
            },
            Action::Reply(id, reply) => match self.replies.insert(id.0, reply.clone()) {
                None => Ok(()),
                Some(_) => Err("a second reply".to_owned()),
            },
            Action::Report(id, report) => {
                if let Report::Ended(Ended {
                    restart_in_ms: Some(ms),
                    ..
                }) = report
                {
                    self.not_before.insert(id.0, self.now.after(*ms));
                }
                // The core gave up on it, and the shell with it.
                let given_up = Real::Remains { cleaning: true };
                if matches!(report, Report::Problem(_)) && self.real[id.0] == given_up {
                    self.real[id.0] = Real::Gone;
                }
                Ok(())
            }
            Action::System(_) => Ok(()),
            Action::Finish(end) => {
                self.finished = Some(*end);
                Ok(())
            }
        }
    }

    fn start(&mut self, index: usize) -> Result<(), Broken> {
        if self.real[index] != Real::Gone {
            return Err(format!("a second instance ({:?})", self.real[index]));
        }
        let spec = self.core.entries()[index].spec();
        if spec.error.is_some() {
            return Err("a broken entry was started".to_owned());
        }
        if self.going_down && matches!(spec.kind, Kind::Onboot | Kind::Service) {
            return Err("started on the way down".to_owned());
        }
        if self
            .not_before
            .remove(&index)
            .is_some_and(|time| self.now < time)
        {
            return Err("restarted before its time".to_owned());
        }
        for id in &self.core.entries()[index].deps.requires {
            if !matches!(self.real[id.0], Real::Alive { .. }) {
                return Err(format!("started without {id:?}"));
            }
        }
        self.real[index] = Real::Launching { killed: false };
        Ok(())
    }

    /// On the way down, nothing is stopped before all that waited for it.
    fn note_stop(&mut self, index: usize) -> Result<(), Broken> {
        if !self.going_down || self.forced || self.stopped.contains(&index) {
            return Ok(());
        }
        self.stopped.push(index);
        for (other, entry) in self.core.entries().iter().enumerate() {
            let waited = entry.deps.all().any(|dep| dep.0 == index);
            let runs = matches!(
                self.real[other],
                Real::Alive { .. } | Real::Launching { .. }
            );
            if waited && runs && !entry.is_stuck() {
                return Err(format!("stopped before {other}"));
            }
        }
        Ok(())
    }

    /// What must hold between any two events.
    fn check(&self) -> Result<(), Broken> {
        if self.finished.is_some() {
            return Ok(());
        }
        if let Some(index) = self.orphans.first() {
            let name = &self.core.entries()[*index].spec().name;
            return Err(format!("{name} left processes that live"));
        }
        for (entry, real) in self.core.entries().iter().zip(&self.real) {
            let name = &entry.spec().name;
            let is = entry.state();
            let matches = match real {
                Real::Launching { killed: false } => matches!(is, State::Starting { .. }),
                Real::Alive { killed: false } => {
                    matches!(is, State::Running { .. } | State::Stopping { .. })
                }
                Real::Launching { killed: true } | Real::Alive { killed: true } => {
                    matches!(is, State::Stopping { killed: true, .. })
                }
                Real::Gone | Real::Remains { .. } => !entry.is_alive(),
            };
            if !matches {
                return Err(format!("{name} is {is:?} and really {real:?}"));
            }
            let needs_deadline = matches!(is, State::Starting { .. } | State::Backoff { .. })
                || (matches!(is, State::Stopping { .. }) && !entry.is_stuck());
            if needs_deadline && entry.deadline().is_none() {
                return Err(format!("{name} is {is:?} without a deadline"));
            }
            if entry.deadline().is_some_and(|deadline| deadline < self.now) {
                return Err(format!("{name} has a deadline in the past"));
            }
            self.check_not_lost(entry)?;
        }
        Ok(())
    }

    /// A service that is wanted runs, is on its way, or has a good reason.
    fn check_not_lost(&self, entry: &Entry) -> Result<(), Broken> {
        if entry.spec().kind != Kind::Service || !entry.wanted || self.going_down {
            return Ok(());
        }
        let policy_ended_it = matches!(entry.state(), State::Exited | State::Failed)
            && entry.spec().supervision.restart != hullkit_bundle::supervision::Restart::Always;
        let waits = matches!(entry.state(), State::Waiting | State::Skipped);
        let why_it_waits = self.core.system() == SystemState::Booting
            || self.real[entry.id.0] != Real::Gone
            || entry
                .deps
                .all()
                .any(|dep| !matches!(self.core.entries()[dep.0].state(), State::Running { .. }));
        let fine = entry.is_alive()
            || matches!(entry.state(), State::Backoff { .. })
            || policy_ended_it
            || (waits && why_it_waits);
        if fine {
            Ok(())
        } else {
            Err(format!(
                "{} is lost: {:?}",
                entry.spec().name,
                entry.state()
            ))
        }
    }

    /// All that the machine may do by itself now, in a fixed order.
    fn possible(&self) -> Vec<usize> {
        let busy = |real: &Real| !matches!(real, Real::Gone | Real::Remains { cleaning: false });
        self.real
            .iter()
            .enumerate()
            .filter(|(_, real)| busy(real))
            .map(|(index, _)| index)
            .collect()
    }

    pub(super) fn play(&mut self, step: &Move) -> Result<(), Broken> {
        if self.finished.is_some() {
            return Ok(());
        }
        match *step {
            Move::Machine(choice, variant) => {
                let possible = self.possible();
                if possible.is_empty() {
                    return Ok(());
                }
                self.happens(possible[choice % possible.len()], variant)
            }
            Move::Ask(ask, entry) => {
                let id = self.asked.len() as u64;
                self.asked.push(id);
                let entry = EntryId(entry % self.real.len());
                if ask != Ask::Stop {
                    // Nobody who asks for a start has to wait for the backoff.
                    self.not_before.remove(&entry.0);
                }
                self.feed(Event::Request {
                    id: RequestId(id),
                    ask,
                    entry,
                })
            }
            Move::Shutdown(end) => self.feed(Event::Shutdown(end)),
            Move::Rebirth => self.rebirth(),
            Move::Wait(ms) => {
                let deadline = self.core.deadline();
                let to = self.now.after(ms);
                self.now = deadline.map_or(to, |deadline| deadline.min(to));
                self.feed(Event::Tick)
            }
        }
    }

    /// The core is made anew from what it has saved. Those who waited for an
    /// answer have gone with the life.
    fn rebirth(&mut self) -> Result<(), Broken> {
        let specs = self.core.entries.iter().map(|entry| entry.spec.clone());
        let mut reborn = Core::new(specs.collect());
        let mut saved = Writer::default();
        self.core.save(&mut saved);
        let (text, _) = saved.finish();
        let records: Vec<_> = Record::parse(&text).collect();
        reborn
            .restore(&records)
            .map_err(|errors| format!("not restored: {errors:?}"))?;
        for entry in &mut self.core.entries {
            entry.waiters.clear();
        }
        if format!("{reborn:?}") != format!("{:?}", self.core) {
            return Err(format!("{:?} became {reborn:?}", self.core));
        }
        for id in &self.asked {
            self.replies.entry(*id).or_insert(Ok(()));
        }
        self.core = reborn;
        self.feed(Event::Tick)
    }

    /// Something comes of what is being done with an entry.
    pub(super) fn happens(&mut self, index: usize, variant: Variant) -> Result<(), Broken> {
        let entry = EntryId(index);
        let failed = |error: &str| Event::StartFailed {
            entry,
            error: error.to_owned(),
        };
        let after_end = match self.core.entries()[index].spec().kind {
            Kind::Log | Kind::Uevent => Real::Gone,
            _ => Real::Remains { cleaning: false },
        };
        let (real, event) = match (self.real[index], variant) {
            (Real::Launching { killed: false }, Variant::Well)
            | (Real::Launching { killed: true }, Variant::Badly) => {
                self.next_pid += 1;
                let killed = self.real[index] == Real::Launching { killed: true };
                (
                    Real::Alive { killed },
                    Event::Started {
                        entry,
                        pid: self.next_pid,
                    },
                )
            }
            (Real::Launching { .. }, _) => (after_end, failed("no such file")),
            (Real::Alive { killed: true }, _) => {
                let ending = Ending {
                    how: How::Signaled(9),
                    oom: false,
                };
                (after_end, Event::Ended { entry, ending })
            }
            (Real::Alive { .. }, _) => {
                let code = i32::from(variant == Variant::Badly);
                let ending = Ending {
                    how: How::Exited(code),
                    oom: false,
                };
                (after_end, Event::Ended { entry, ending })
            }
            (Real::Remains { .. }, Variant::Well) => {
                (Real::Gone, Event::Cleaned { entry, error: None })
            }
            (Real::Remains { .. }, Variant::Badly) => (
                Real::Gone,
                Event::Cleaned {
                    entry,
                    error: Some("busy".to_owned()),
                },
            ),
            (Real::Gone, _) => return Ok(()),
        };
        self.real[index] = real;
        if real == (Real::Remains { cleaning: false }) {
            self.orphans.insert(index);
        }
        self.feed(event)
    }

    /// From here on the machine obeys, or, where `dead`, does nothing at all:
    /// the way down ends all the same, in bounded time.
    pub(super) fn go_down(&mut self, dead: bool) -> Result<(), Broken> {
        self.feed(Event::Shutdown(End::Poweroff))?;
        let begin = self.now;
        let longest: u64 = self
            .core
            .entries()
            .iter()
            .map(|e| {
                let onshutdown = e.spec().supervision.timeout.max(ONSHUTDOWN_TIMEOUT);
                e.spec().supervision.stop_timeout
                    + onshutdown
                    + START_TIMEOUT
                    + 3 * KILL_TIMEOUT
                    + CLEAN_TIMEOUT
            })
            .sum();
        for _ in 0..50 * (self.real.len() + 1) {
            if self.finished.is_some() {
                let took = self.now.since(begin);
                return if took <= longest {
                    Ok(())
                } else {
                    Err(format!("the end took {took} ms"))
                };
            }
            match self
                .possible()
                .into_iter()
                .find(|index| !dead && self.obeys(*index))
            {
                Some(index) => self.happens(index, Variant::Well)?,
                None => {
                    let Some(deadline) = self.core.deadline() else {
                        return Err("nothing is waited for, and the end does not come".to_owned());
                    };
                    self.now = deadline.max(self.now);
                    self.feed(Event::Tick)?;
                }
            }
        }
        Err("the end does not come".to_owned())
    }

    /// Whether an entry does something because it was told to.
    fn obeys(&self, index: usize) -> bool {
        let entry = &self.core.entries()[index];
        let told = matches!(entry.state(), State::Stopping { .. });
        self.real[index] != Real::Alive { killed: false }
            || told
            || entry.spec().kind == Kind::Onshutdown
    }

    /// Everybody who asked has been answered.
    pub(super) fn check_answers(&self) -> Result<(), Broken> {
        match self.asked.iter().find(|id| !self.replies.contains_key(id)) {
            Some(id) => Err(format!("request {id} was never answered")),
            None => Ok(()),
        }
    }
}
