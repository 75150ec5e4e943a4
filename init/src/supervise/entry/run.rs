//! A run of an entry, from its start until nothing is left of it.

use hullkit_bundle::supervision::Measure;

use super::{CLEAN_TIMEOUT, Entry, ONSHUTDOWN_TIMEOUT, Remains, START_TIMEOUT, State, Step, Why};
use crate::supervise::action::{Action, Ended, Report};
use crate::supervise::event::Ending;
use crate::supervise::restart;
use crate::supervise::spec::Kind;

impl Entry {
    pub(in crate::supervise) fn start(&mut self, step: &mut Step<'_>) {
        if !self.can_start() {
            return;
        }
        self.error = None;
        self.ending = None;
        self.began = None;
        self.called = false;
        self.open = self.spec.supervision.keeps_descriptors();
        self.count_start(step.now);
        let deadline = step.now.after(START_TIMEOUT);
        step.out.push(Action::Start(self.id));
        self.enter(State::Starting { deadline }, step, Report::Starting);
    }

    pub(in crate::supervise) fn started(&mut self, pid: i32, step: &mut Step<'_>) {
        match self.state {
            State::Starting { .. } => {
                self.pid = Some(pid);
                self.began = Some(step.now);
                let deadline = self.run_timeout().map(|ms| step.now.after(ms));
                self.enter(State::Running { deadline }, step, Report::Running { pid });
                self.begin_watch(step);
            }
            // It was killed while it was being started: once more, as the
            // first time may have come too early.
            State::Stopping { .. } => {
                self.pid = Some(pid);
                self.began = Some(step.now);
                step.out.push(Action::Kill(self.id));
            }
            _ => {}
        }
    }

    /// How long it may run, in milliseconds.
    pub(super) fn run_timeout(&self) -> Option<u64> {
        match (self.spec.kind, self.spec.supervision.timeout) {
            (Kind::Service | Kind::Log | Kind::Uevent | Kind::Console, _) | (Kind::Onboot, 0) => {
                None
            }
            (Kind::Onshutdown, 0) => Some(ONSHUTDOWN_TIMEOUT),
            (Kind::Onboot | Kind::Onshutdown, ms) => Some(ms),
        }
    }

    pub(in crate::supervise) fn start_failed(&mut self, error: String, step: &mut Step<'_>) {
        match self.state {
            State::Starting { .. } | State::Listening => self.error = Some(error),
            // It was killed: the runtime's complaint is not the reason.
            State::Stopping { .. } => {}
            _ => return,
        }
        self.over(true, step);
    }

    pub(in crate::supervise) fn ended(&mut self, ending: Ending, step: &mut Step<'_>) {
        if !matches!(self.state, State::Running { .. } | State::Stopping { .. }) {
            return;
        }
        self.ending = Some(ending);
        if ending.oom {
            self.error.get_or_insert_with(|| "out of memory".to_owned());
            self.demand_if_wanted(self.spec.supervision.oom);
        }
        self.over(!ending.is_success(), step);
    }

    /// The run is over: what is left is cleaned, and the next state is chosen.
    pub(super) fn over(&mut self, failed: bool, step: &mut Step<'_>) {
        let why = match self.state {
            State::Stopping { why, .. } => Some(why),
            _ => None,
        };
        let asked = why == Some(Why::Asked);
        let failed = (failed || why == Some(Why::Failed)) && !asked;
        self.unwatch(step);
        if self.state != State::Listening {
            self.clean_later_or_now(step);
        }
        let ran_ms = self.began.map(|began| step.now.since(began));
        let restarts = self.restarts_after(failed, asked);
        let limited = restarts && self.is_start_limited(step.now);
        let failed = failed || limited;
        if failed {
            self.explain(limited);
        }
        let delay = (restarts && !limited).then(|| {
            self.backoff
                .next(&self.spec.supervision.backoff, ran_ms.unwrap_or(0))
        });
        self.crash_loop = delay.is_some_and(|delay| delay.exhausted);
        self.tried = true;
        let state = match delay {
            Some(delay) => State::Backoff {
                until: step.now.after(delay.ms),
            },
            None if asked && self.wanted => State::Waiting,
            None if failed => State::Failed,
            None => State::Exited,
        };
        let ended = Ended {
            restart_in_ms: delay.map(|delay| delay.ms),
            ..self.ended_report(failed, ran_ms)
        };
        self.pid = None;
        self.last_ending = self.ending;
        self.enter(state, step, Report::Ended(ended));
        if matches!(state, State::Exited | State::Failed) {
            self.close(step);
        }
        self.answer_after_end(step);
        if limited {
            self.demand_if_wanted(self.spec.supervision.start_limit.action);
        }
        self.demand_if_critical();
    }

    /// Whether it is started again by itself.
    fn restarts_after(&self, failed: bool, asked: bool) -> bool {
        match self.spec.kind {
            Kind::Log | Kind::Uevent | Kind::Console => true,
            Kind::Service => {
                let policy = &self.spec.supervision;
                let oom = self.ending.is_some_and(|ending| ending.oom);
                let forbidden = asked || (oom && policy.oom == Measure::Stop);
                self.wanted && !forbidden && restart::wanted(policy.restart, failed)
            }
            Kind::Onboot | Kind::Onshutdown => false,
        }
    }

    pub(super) fn ended_report(&self, failed: bool, ran_ms: Option<u64>) -> Ended {
        Ended {
            failed,
            ending: self.ending,
            error: self.error.clone(),
            ran_ms,
            restart_in_ms: None,
            crash_loop: self.crash_loop,
        }
    }

    fn clean_later_or_now(&mut self, step: &mut Step<'_>) {
        match self.spec.kind {
            // It is no container.
            Kind::Log | Kind::Uevent | Kind::Console => {}
            // The boot waits for neither: what still runs is killed now, the
            // rest is for later.
            Kind::Onboot => {
                self.remains = Remains::Kept;
                step.out.push(Action::KillRest(self.id));
            }
            Kind::Service | Kind::Onshutdown => self.clean(step),
        }
    }

    fn clean(&mut self, step: &mut Step<'_>) {
        self.remains = Remains::Cleaning(step.now.after(CLEAN_TIMEOUT));
        step.out.push(Action::Clean(self.id));
    }

    /// Whether something was left for later.
    pub(in crate::supervise) fn has_remains_for_later(&self) -> bool {
        self.remains == Remains::Kept
    }

    /// Cleans what was left for later.
    pub(in crate::supervise) fn clean_kept(&mut self, step: &mut Step<'_>) {
        if self.remains == Remains::Kept {
            self.clean(step);
        }
    }

    pub(in crate::supervise) fn cleaned(&mut self, error: Option<String>, step: &mut Step<'_>) {
        if matches!(self.remains, Remains::Cleaning(_)) {
            self.remains = Remains::None;
            if let Some(error) = error {
                step.out
                    .push(Action::Report(self.id, Report::Problem(error)));
            }
            self.answer_if_down(step);
        }
    }
}
