//! The pure core of the supervision: [`Core::step`] takes an event and the
//! moment, and says what to do. It does no I/O, has no clock and makes no
//! system call. `docs/supervision.md` tells its rules to people.
//!
//! The shell ([`crate::event_loop`]) owes it this: each
//! [`Action::Start`] is answered by one [`Event::Started`] or
//! [`Event::StartFailed`], each start that came about by one [`Event::Ended`],
//! each [`Action::Probe`] that is not taken back by one [`Event::Probed`], and
//! each [`Action::Clean`] by one [`Event::Cleaned`]; and it calls with
//! [`Event::Tick`] when [`Core::deadline`] has come. What an [`Action::Listen`]
//! asks for may be told late: the core passes over an [`Event::Called`] that it
//! does not wait for.

mod action;
mod backoff;
mod entry;
mod event;
mod order;
mod request;
mod restart;
mod saved;
mod sequence;
mod services;
mod spec;
#[cfg(test)]
mod tests;
mod time;

pub use action::{Action, End, Ended, Purpose, Refusal, Report, SystemState};
pub use entry::{
    CLEAN_TIMEOUT, EXTENSION_MAX, Entry, KILL_TIMEOUT, ONSHUTDOWN_TIMEOUT, START_TIMEOUT, State,
    Watch, Why,
};
pub use event::{Ask, Ending, Event, How, Notice, RequestId};
pub use spec::{EntryId, Kind, Spec};
pub use time::Time;

use entry::Step;

/// The state of the whole machine.
#[derive(Debug)]
pub struct Core {
    entries: Vec<Entry>,
    phase: Phase,
    onboot_done: Option<Time>,
    services_up: Option<Time>,
    ready: Option<Time>,
}

/// Where the machine is between its two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Before [`Event::Begin`].
    Idle,
    /// The onboot entries run, one after another.
    Onboot,
    /// The services run.
    Services,
    /// An onboot entry said that nothing further is to be started.
    Held,
    /// What runs is being stopped.
    Stopping(Way),
    /// The onshutdown entries run, one after another.
    Onshutdown(Way),
    /// [`Action::Finish`] was said.
    Over(End),
}

/// The way down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Way {
    /// Where it leads.
    end: End,
    /// Whether it was asked for twice: nothing is given time to stop.
    forced: bool,
}

impl Core {
    /// The core of a machine with these entries, none of them started.
    #[must_use]
    pub fn new(specs: Vec<Spec>) -> Self {
        let deps = order::resolve(&specs);
        let entries = specs.into_iter().zip(deps).enumerate();
        let entries = entries.map(|(index, (mut spec, deps))| {
            let deps = deps.unwrap_or_else(|error| {
                spec.error.get_or_insert(error);
                order::Deps::default()
            });
            Entry::new(EntryId(index), spec, deps)
        });
        Self {
            entries: entries.collect(),
            phase: Phase::Idle,
            onboot_done: None,
            services_up: None,
            ready: None,
        }
    }

    /// All entries, in the order that they were given in.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// One entry.
    #[must_use]
    pub fn entry(&self, id: EntryId) -> Option<&Entry> {
        self.entries.get(id.0)
    }

    /// The state of the machine as a whole.
    #[must_use]
    pub fn system(&self) -> SystemState {
        match self.phase {
            Phase::Idle | Phase::Onboot => SystemState::Booting,
            Phase::Services => SystemState::Running,
            Phase::Held => SystemState::Stopped,
            Phase::Stopping(way) | Phase::Onshutdown(way) => SystemState::Stopping(way.end),
            Phase::Over(end) => SystemState::Stopping(end),
        }
    }

    /// When the last onboot entry had ended.
    #[must_use]
    pub fn onboot_done(&self) -> Option<Time> {
        self.onboot_done
    }

    /// When each service had been started once, had failed to, or waited for one
    /// that was not ready.
    #[must_use]
    pub fn services_up(&self) -> Option<Time> {
        self.services_up
    }

    /// When all services were ready for the first time.
    #[must_use]
    pub fn ready(&self) -> Option<Time> {
        self.ready
    }

    /// When [`Event::Tick`] is due, if nothing happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        self.entries.iter().filter_map(Entry::deadline).min()
    }

    /// Takes `event`, which happened at `now`, and appends what is to be done
    /// to `out`. `now` is never before that of an earlier call.
    pub fn step(&mut self, event: Event, now: Time, out: &mut Vec<Action>) {
        let mut step = Step { now, out };
        self.take(event, &mut step);
        self.each(|entry| entry.is_due(now), |entry| entry.expire(&mut step));
        while self.advance(&mut step) {}
        self.note_ready(&mut step);
    }

    fn take(&mut self, event: Event, step: &mut Step<'_>) {
        match event {
            Event::Begin => self.begin(step),
            Event::Hold => self.begin_held(step),
            Event::Tick => {}
            Event::Started { entry, pid } => self.with(entry, |e| e.started(pid, step)),
            Event::StartFailed { entry, error } => {
                self.with(entry, |e| e.start_failed(error, step));
            }
            Event::Called { entry } => self.with(entry, Entry::called),
            Event::Ended { entry, ending } => self.with(entry, |e| e.ended(ending, step)),
            Event::Notice { entry, notice } => self.with(entry, |e| e.notice(notice, step)),
            Event::Probed { entry, error } => self.with(entry, |e| e.probed(error, step)),
            Event::Cleaned { entry, error } => self.with(entry, |e| e.cleaned(error, step)),
            Event::Request { id, ask, entry } => self.request(id, ask, entry, step),
            Event::Shutdown(end) => self.shut_down(end, step),
        }
    }

    fn with(&mut self, id: EntryId, act: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.entries.get_mut(id.0) {
            entry.memo.forget();
            act(entry);
        }
    }

    /// Does something to those that `are` so. No entry is changed but here and
    /// in [`Self::with`].
    fn each(&mut self, are: impl Fn(&Entry) -> bool, mut act: impl FnMut(&mut Entry)) {
        for entry in self.entries.iter_mut().filter(|entry| are(entry)) {
            entry.memo.forget();
            act(entry);
        }
    }

    /// The first entry that is so.
    fn first(&self, is: impl Fn(&Entry) -> bool) -> Option<EntryId> {
        self.entries.iter().find(|entry| is(entry)).map(|e| e.id)
    }

    fn begin(&mut self, step: &mut Step<'_>) {
        if self.phase == Phase::Idle {
            self.enter(Phase::Onboot, step);
            self.each(|_| true, |entry| entry.announce(step));
        }
    }

    fn enter(&mut self, phase: Phase, step: &mut Step<'_>) {
        let before = self.system();
        let idle = self.phase == Phase::Idle;
        self.phase = phase;
        if idle || before != self.system() {
            step.out.push(Action::System(self.system()));
        }
    }

    /// Does one thing that the machine's phase lets happen now. Whether there
    /// may be another.
    fn advance(&mut self, step: &mut Step<'_>) -> bool {
        match self.phase {
            Phase::Idle | Phase::Over(_) => false,
            Phase::Onboot => self.start_helper(Kind::Log, step) || self.advance_onboot(step),
            Phase::Services => {
                self.obey_demand(step)
                    || self.start_helper(Kind::Log, step)
                    || self.start_services(step)
                    || self.start_late(step)
            }
            Phase::Held => {
                self.start_helper(Kind::Log, step)
                    || self.start_helper(Kind::Uevent, step)
                    || self.start_helper(Kind::Console, step)
                    || self.start_services(step)
            }
            Phase::Stopping(way) => {
                self.start_helper(Kind::Log, step) || self.advance_stopping(way, step)
            }
            Phase::Onshutdown(way) => {
                self.start_helper(Kind::Log, step) || self.advance_onshutdown(way, step)
            }
        }
    }

    fn start_helper(&mut self, kind: Kind, step: &mut Step<'_>) -> bool {
        let helper = self.first(|entry| entry.spec.kind == kind && entry.can_start());
        helper.is_some_and(|helper| {
            self.with(helper, |helper| helper.start(step));
            true
        })
    }

    /// What is started when nothing else waits for the processor.
    fn start_late(&mut self, step: &mut Step<'_>) -> bool {
        self.note_services_up(step) && self.start_helper(Kind::Uevent, step)
    }

    /// Ends the machine where an entry's failure means that. Whether it does.
    fn obey_demand(&mut self, step: &mut Step<'_>) -> bool {
        let mut demand = None;
        if let Some(id) = self.first(|entry| entry.demand.is_some()) {
            self.with(id, |entry| demand = entry.demand.take());
        }
        demand.is_some_and(|end| {
            self.shut_down(end, step);
            true
        })
    }

    /// The way down begins, or is asked for once more.
    fn shut_down(&mut self, end: End, step: &mut Step<'_>) {
        match self.phase {
            Phase::Over(_) => {}
            Phase::Stopping(way) | Phase::Onshutdown(way) if way.forced => self.finish(end, step),
            Phase::Stopping(_) => {
                self.enter(Phase::Stopping(Way { end, forced: true }), step);
                self.kill_all(step);
            }
            Phase::Onshutdown(_) => {
                self.enter(Phase::Onshutdown(Way { end, forced: true }), step);
                self.kill_all(step);
            }
            Phase::Idle | Phase::Onboot | Phase::Services | Phase::Held => {
                self.enter(Phase::Stopping(Way { end, forced: false }), step);
                self.each(Entry::is_planned, |entry| {
                    entry.settle("the machine is going down", step);
                });
            }
        }
    }

    fn kill_all(&mut self, step: &mut Step<'_>) {
        self.each(
            |entry| !entry.spec.kind.is_helper(),
            |entry| entry.stop(true, step),
        );
    }

    fn finish(&mut self, end: End, step: &mut Step<'_>) {
        self.enter(Phase::Over(end), step);
        self.each(
            |_| true,
            |entry| entry.dismiss("the machine is going down", step),
        );
        step.out.push(Action::Finish(end));
    }
}
