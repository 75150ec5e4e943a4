//! A machine that the core believes in: it answers actions as the shell would,
//! in any order and at any time, and holds the core to its rules.

use std::collections::{BTreeMap, BTreeSet};

use super::super::order::Deps;
use super::super::*;
use super::sabotage::Sabotage;
use super::truth::Truth;
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

const ALIVE: Real = Real::Alive { killed: false };

/// A rule was broken: which.
pub(super) type Broken = String;

#[derive(Debug)]
pub(super) struct World {
    pub(super) core: Core,
    /// The entries as they are meant.
    specs: Vec<Spec>,
    /// None: it can never be started.
    deps: Vec<Option<Deps>>,
    truth: Vec<Truth>,
    sabotage: Option<Sabotage>,
    pub(super) now: Time,
    pub(super) real: Vec<Real>,
    /// When each entry last ended, and the delay that was announced.
    not_before: BTreeMap<usize, Time>,
    /// Entries whose first process has ended and whose others live.
    orphans: BTreeSet<usize>,
    /// Whose sockets are open.
    open: BTreeSet<usize>,
    /// Services in the order in which they were asked to stop, on the way down.
    pub(super) stopped: Vec<usize>,
    pub(super) replies: BTreeMap<u64, Result<(), Refusal>>,
    pub(super) asked: Vec<u64>,
    pub(super) finished: Option<End>,
    /// Whether all services were said to be ready.
    told_ready: bool,
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
    /// The `n`th of the services that live says something.
    Say(usize, Notice),
    /// The `n`th of the probes ends; whether it went well.
    Probed(usize, bool),
    /// Somebody comes to the `n`th of the services with sockets; whether they
    /// could be opened.
    Call(usize, bool),
    /// The kernel ends the `n`th of the services that live for want of memory.
    Oom(usize),
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
        Self::sabotaged(specs, None)
    }

    /// A world with a core that breaks a rule.
    pub(super) fn sabotaged(specs: Vec<Spec>, sabotage: Option<Sabotage>) -> Self {
        let deps = order::resolve(&specs);
        let deps = specs.iter().zip(deps);
        let deps = deps.map(|(spec, deps)| deps.ok().filter(|_| spec.error.is_none()));
        let told = specs.iter().cloned();
        Self {
            real: vec![Real::Gone; specs.len()],
            truth: vec![Truth::default(); specs.len()],
            deps: deps.collect(),
            core: Core::new(
                told.map(|spec| sabotage.map_or(spec.clone(), |s| s.spec(spec)))
                    .collect(),
            ),
            specs,
            sabotage,
            now: Time(1000),
            not_before: BTreeMap::new(),
            orphans: BTreeSet::new(),
            open: BTreeSet::new(),
            stopped: Vec::new(),
            replies: BTreeMap::new(),
            asked: Vec::new(),
            finished: None,
            told_ready: false,
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
        if let Event::Request { ask, entry, .. } = event {
            self.note_ask(ask, entry.0);
        }
        for (truth, spec) in self.truth.iter_mut().zip(&self.specs) {
            truth.pass(spec, self.now);
        }
        let mut actions = Vec::new();
        let told = match self.sabotage {
            None => vec![event.clone()],
            Some(sabotage) => sabotage.events(event.clone()),
        };
        for event in told {
            self.core.step(event, self.now, &mut actions);
        }
        if let Some(sabotage) = self.sabotage {
            actions = sabotage.actions(actions);
        }
        // As the shell does: what is not said to have changed is not written
        // again.
        self.core.save(&mut Writer::default());
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
            Action::Listen { entry, .. } => {
                if self.specs[entry.0].supervision.sockets.is_empty() {
                    return Err("there is nothing to open".to_owned());
                }
                self.open.insert(entry.0);
                Ok(())
            }
            Action::Close(id) => {
                let state = self.core.entries()[id.0].state();
                let over = matches!(state, State::Exited | State::Failed | State::Skipped);
                match self.open.remove(&id.0) {
                    true if over => Ok(()),
                    true => Err(format!("its sockets are closed, and it is {state:?}")),
                    false => Err("closed twice".to_owned()),
                }
            }
            Action::Signal(id, _) => match self.real[id.0] {
                Real::Alive { killed: false } => {
                    self.check_reason(id.0)?;
                    self.note_stop(id.0)
                }
                real => Err(format!("a signal to a dead instance ({real:?})")),
            },
            Action::Kill(id) => match &mut self.real[id.0] {
                // A start that takes too long is killed whoever waits for it.
                Real::Launching { killed } => {
                    *killed = true;
                    self.truth[id.0].ending = true;
                    self.stopped.push(id.0);
                    Ok(())
                }
                Real::Alive { killed } => {
                    *killed = true;
                    let truth = &mut self.truth[id.0];
                    let first = !std::mem::replace(&mut truth.ending, true);
                    let service = self.specs[id.0].kind == Kind::Service;
                    if first && service && !self.forced && !truth.asked {
                        return Err("killed without being asked to end".to_owned());
                    }
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
            Action::Probe { entry, purpose } => {
                let alive = self.real[entry.0] == Real::Alive { killed: false };
                if !alive || self.going_down {
                    return Err("a probe of what does not run".to_owned());
                }
                self.truth[entry.0].probe(&self.specs[entry.0], *purpose, self.now)
            }
            Action::StopProbe(id) => self.truth[id.0].stop_probe(&self.specs[id.0], self.now),
            Action::AllReady => {
                if std::mem::replace(&mut self.told_ready, true) {
                    return Err("ready twice".to_owned());
                }
                let up = |index: usize| {
                    self.truth[index].ready || !self.core.entries()[index].is_alive()
                };
                match self.services().find(|index| !up(*index)) {
                    Some(index) => Err(format!("ready without {}", self.specs[index].name)),
                    None => Ok(()),
                }
            }
            Action::Report(id, report) => {
                if matches!(report, Report::Skipped(_) | Report::Listening) {
                    self.truth[id.0].had_turn = true;
                }
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
            Action::System(state) => {
                if matches!(state, SystemState::Stopping(_)) && !self.going_down {
                    // A failure means that. Who ends already does so in its own
                    // right.
                    self.going_down = true;
                    let ending = |index: &usize| self.truth[*index].ending;
                    self.stopped.extend((0..self.real.len()).filter(ending));
                }
                Ok(())
            }
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
        let spec = &self.specs[index];
        let Some(deps) = &self.deps[index] else {
            return Err("a broken entry was started".to_owned());
        };
        if self.truth[index].forbidden {
            return Err("started where that is forbidden".to_owned());
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
        for id in &deps.requires {
            let up = matches!(self.real[id.0], Real::Alive { .. }) && self.truth[id.0].ready;
            let listens = self.core.entries()[id.0].state() == State::Listening
                && self.specs[id.0].supervision.lazy;
            if !up && !listens {
                return Err(format!("started without {id:?}"));
            }
        }
        for id in &deps.after {
            if !self.truth[id.0].had_turn && self.core.entries()[id.0].wanted {
                return Err(format!("started before {id:?}"));
            }
        }
        let truth = &mut self.truth[index];
        if spec.supervision.lazy && !truth.called {
            return Err("started, and nobody came".to_owned());
        }
        truth.start(self.now);
        if spec.supervision.keeps_descriptors() {
            self.open.insert(index);
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
            let deps = self.deps[other].as_ref();
            let waited = deps.is_some_and(|deps| deps.all().any(|dep| dep.0 == index));
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
            self.check_sockets(entry)
                .map_err(|rule| format!("{name}: {rule}"))?;
            self.check_watched(entry)
                .map_err(|rule| format!("{name}: {rule}"))?;
        }
        self.check_machine()
    }

    /// Sockets are open as long as their service is meant to run, and who comes
    /// to one is served.
    fn check_sockets(&self, entry: &Entry) -> Result<(), Broken> {
        let index = entry.id.0;
        let policy = &self.specs[index].supervision;
        let listens = entry.state() == State::Listening;
        if listens && !policy.lazy {
            return Err("it listens, and should run".to_owned());
        }
        if listens && self.truth[index].called {
            return Err("somebody came, and it listens on".to_owned());
        }
        let open = self.open.contains(&index);
        let lives = listens || entry.is_alive() || matches!(entry.state(), State::Backoff { .. });
        if lives && policy.keeps_descriptors() && !open {
            return Err("its sockets are closed".to_owned());
        }
        let over = matches!(
            entry.state(),
            State::Exited | State::Failed | State::Skipped
        );
        if over && open {
            return Err("its sockets outlive it".to_owned());
        }
        Ok(())
    }

    fn services(&self) -> impl Iterator<Item = usize> + '_ {
        let specs = self.specs.iter().enumerate();
        specs
            .filter(|(_, spec)| spec.kind == Kind::Service)
            .map(|(index, _)| index)
    }

    /// The core ends a service for a reason.
    fn check_reason(&mut self, index: usize) -> Result<(), Broken> {
        let spec = &self.specs[index];
        let truth = &mut self.truth[index];
        truth.ending = true;
        let due = truth.due(spec, self.now).is_some();
        if self.going_down || truth.asked || due || spec.kind != Kind::Service {
            return Ok(());
        }
        Err("ended without a reason".to_owned())
    }

    /// What runs is looked at, and is ended where it has to.
    fn check_watched(&self, entry: &Entry) -> Result<(), Broken> {
        let (spec, truth) = (&self.specs[entry.id.0], &self.truth[entry.id.0]);
        let runs = matches!(entry.state(), State::Running { .. });
        if truth.probing.is_some() && !(runs && entry.wanted) {
            return Err("a probe of what no longer runs".to_owned());
        }
        if !runs || !entry.wanted || spec.kind != Kind::Service {
            return Ok(());
        }
        if let Some(why) = truth.due(spec, self.now) {
            return Err(format!("it runs on, though it {why}"));
        }
        if entry.is_up() != truth.ready {
            return Err(format!(
                "ready is {}, it seems {}",
                truth.ready,
                entry.is_up()
            ));
        }
        truth.looked_at(spec, self.now)
    }

    /// What a failure means for the machine is done, and what is done is told.
    fn check_machine(&self) -> Result<(), Broken> {
        if self.core.system() != SystemState::Running {
            return Ok(());
        }
        let fatal = |index: &usize| {
            let entry = &self.core.entries()[*index];
            let critical = self.specs[*index].supervision.critical;
            self.truth[*index].ends_the_machine
                || (critical && entry.state() == State::Failed && entry.wanted)
        };
        if let Some(index) = self.services().find(fatal) {
            return Err(format!(
                "{} failed, and the machine goes on",
                self.specs[index].name
            ));
        }
        let done = |index: usize| {
            let entry = &self.core.entries()[index];
            self.truth[index].ready && matches!(entry.state(), State::Running { .. })
                || matches!(entry.state(), State::Exited | State::Listening)
        };
        if !self.told_ready && self.services().all(done) {
            return Err("all are ready, and nobody says so".to_owned());
        }
        Ok(())
    }

    /// A service that is wanted runs, is on its way, or has a good reason.
    fn check_not_lost(&self, entry: &Entry) -> Result<(), Broken> {
        if entry.spec().kind != Kind::Service || !entry.wanted || self.going_down {
            return Ok(());
        }
        let always = self.specs[entry.id.0].supervision.restart
            == hullkit_bundle::supervision::Restart::Always;
        let policy_ended_it = matches!(entry.state(), State::Exited | State::Failed)
            && (!always || self.truth[entry.id.0].forbidden || self.deps[entry.id.0].is_none());
        let waits = matches!(entry.state(), State::Waiting | State::Skipped);
        let why_it_waits = self.core.system() == SystemState::Booting
            || self.real[entry.id.0] != Real::Gone
            || entry
                .deps
                .all()
                .any(|dep| !self.core.entries()[dep.0].is_there());
        let listens = entry.state() == State::Listening && self.specs[entry.id.0].supervision.lazy;
        let fine = entry.is_alive()
            || listens
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
                self.feed(Event::Request {
                    id: RequestId(id),
                    ask,
                    entry,
                })
            }
            Move::Shutdown(end) => self.feed(Event::Shutdown(end)),
            Move::Say(choice, ref notice) => match self.chosen(choice, |real, _| real == ALIVE) {
                Some(index) => self.says(index, notice.clone()),
                None => Ok(()),
            },
            Move::Probed(choice, well) => match self.chosen(choice, |_, t| t.probing.is_some()) {
                Some(index) => self.probed(index, well),
                None => Ok(()),
            },
            Move::Call(choice, well) => self.call(choice, well),
            Move::Oom(choice) => match self.chosen(choice, |real, _| real == ALIVE) {
                Some(index) => self.runs_out_of_memory(index),
                None => Ok(()),
            },
            Move::Rebirth => self.rebirth(),
            Move::Wait(ms) => {
                let deadline = self.core.deadline();
                let to = self.now.after(ms);
                self.now = deadline.map_or(to, |deadline| deadline.min(to));
                self.feed(Event::Tick)
            }
        }
    }

    /// The `choice`th of the services that are so.
    fn chosen(&self, choice: usize, is: impl Fn(Real, &Truth) -> bool) -> Option<usize> {
        let fits = |index: &usize| is(self.real[*index], &self.truth[*index]);
        let fit: Vec<usize> = self.services().filter(fits).collect();
        fit.get(choice.checked_rem(fit.len())?).copied()
    }

    /// Somebody comes, whether anybody waits for it or not.
    fn call(&mut self, choice: usize, well: bool) -> Result<(), Broken> {
        let with = |index: &usize| !self.specs[*index].supervision.sockets.is_empty();
        let all: Vec<usize> = self.services().filter(with).collect();
        let Some(index) = choice.checked_rem(all.len()).map(|choice| all[choice]) else {
            return Ok(());
        };
        let entry = EntryId(index);
        let listens = self.core.entries()[index].state() == State::Listening;
        if !well && listens {
            let error = "address already in use".to_owned();
            // It has not run, and counts as if it had, for no time.
            self.truth[index].ended(&self.specs[index], false, self.now);
            return self.feed(Event::StartFailed { entry, error });
        }
        if listens {
            self.truth[index].called = true;
        }
        self.feed(Event::Called { entry })
    }

    /// Somebody asks for something, and may get it.
    fn note_ask(&mut self, ask: Ask, index: usize) {
        if ask != Ask::Stop {
            // Nobody who asks for a start has to wait for the backoff.
            self.not_before.remove(&index);
        }
        let possible = self.deps[index].is_some() && self.specs[index].kind == Kind::Service;
        if self.going_down || !possible {
            return;
        }
        let up = self.core.entries()[index].is_up();
        let truth = &mut self.truth[index];
        if ask == Ask::Restart || (ask == Ask::Start && !up) {
            truth.wanted();
            let runs = matches!(
                self.core.entries()[index].state(),
                State::Starting { .. } | State::Running { .. }
            );
            truth.called |= ask == Ask::Restart || !runs;
        }
        truth.asked |= ask != Ask::Start;
    }

    /// A service says something, in whatever state it is.
    fn says(&mut self, index: usize, notice: Notice) -> Result<(), Broken> {
        let entry = &self.core.entries()[index];
        let runs = matches!(entry.state(), State::Running { .. });
        let counts = entry.wanted || matches!(notice, Notice::Stopping);
        if runs && counts {
            let spec = &self.specs[index];
            self.truth[index].says(spec, &notice, self.now);
        }
        if notice == Notice::Stopping && runs {
            self.truth[index].ending = true;
            self.stopped.push(index);
        }
        self.feed(Event::Notice {
            entry: EntryId(index),
            notice,
        })
    }

    fn probed(&mut self, index: usize, well: bool) -> Result<(), Broken> {
        let spec = &self.specs[index];
        self.truth[index].probed(spec, well, self.now);
        self.feed(Event::Probed {
            entry: EntryId(index),
            error: (!well).then(|| "it does not answer".to_owned()),
        })
    }

    fn runs_out_of_memory(&mut self, index: usize) -> Result<(), Broken> {
        self.real[index] = Real::Remains { cleaning: false };
        self.orphans.insert(index);
        let ending = Ending {
            how: How::Signaled(9),
            oom: true,
        };
        let watched = !self.going_down && self.core.entries()[index].wanted;
        let oom = watched && !self.truth[index].asked;
        self.truth[index].ended(&self.specs[index], oom, self.now);
        self.feed(Event::Ended {
            entry: EntryId(index),
            ending,
        })
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
            Kind::Log | Kind::Uevent | Kind::Console => Real::Gone,
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
        match event {
            Event::Started { .. } => self.truth[index].started(&self.specs[index], self.now),
            Event::StartFailed { .. } | Event::Ended { .. } => {
                self.truth[index].ended(&self.specs[index], false, self.now);
            }
            _ => {}
        }
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
                    + EXTENSION_MAX
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
