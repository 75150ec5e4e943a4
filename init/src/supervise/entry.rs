//! One entry: its state, and every way from one state to another.
//!
//! ```text
//!            start            started            ended
//!  Waiting ────────▶ Starting ───────▶ Running ─────────▶ Exited | Failed
//!     ▲                  │ failed         │ stop              | Backoff
//!     │                  ▼                ▼
//!     └───────────── Backoff          Stopping ── ended ──▶ Exited | Waiting
//! ```
//!
//! Whether an entry may be started is not known here: the core asks
//! [`Entry::can_start`] and looks at the others.

use super::action::{Action, Ended, Refusal, Report};
use super::backoff::Backoff;
use super::event::{Ending, RequestId};
use super::order::Deps;
use super::restart;
use super::spec::{EntryId, Kind, Spec};
use super::time::Time;

/// From [`Action::Start`] until the runtime must have answered. A hook of the
/// container may take some of it.
pub const START_TIMEOUT: u64 = 60_000;
/// From [`Action::Kill`] until an entry counts as stuck: only a process that
/// hangs in the kernel outlives that.
pub const KILL_TIMEOUT: u64 = 2_000;
/// From [`Action::Clean`] until the core goes on without its answer.
pub const CLEAN_TIMEOUT: u64 = 15_000;
/// The time that an `onshutdown` entry gets which states none: nothing may
/// keep the machine from its end.
pub const ONSHUTDOWN_TIMEOUT: u64 = 90_000;

const SIGKILL: i32 = 9;

/// What a step may use: the moment, and where its actions go.
#[derive(Debug)]
pub(super) struct Step<'a> {
    pub(super) now: Time,
    pub(super) out: &'a mut Vec<Action>,
}

/// Where an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has not been its turn.
    Waiting,
    /// The runtime is at it.
    Starting {
        /// When that takes too long.
        deadline: Time,
    },
    /// Its first process runs.
    Running {
        /// When that takes too long, if it can.
        deadline: Option<Time>,
    },
    /// It is to end.
    Stopping {
        /// When it is killed, or when it is stuck; none: it is stuck.
        deadline: Option<Time>,
        /// Whether it has been killed.
        killed: bool,
        /// Whether someone asked for it; else it took too long.
        asked: bool,
    },
    /// It ended and is started again.
    Backoff {
        /// Not before this moment.
        until: Time,
    },
    /// It ended well, or was stopped on request.
    Exited,
    /// It failed, for good.
    Failed,
    /// It is not started, because of something else.
    Skipped,
}

impl State {
    /// The word for it in the control protocol.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Starting { .. } => "starting",
            Self::Running { .. } => "running",
            Self::Stopping { .. } => "stopping",
            Self::Backoff { .. } => "backoff",
            Self::Exited => "exited",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// What is left of the last run: its cgroup, its mounts, the runtime's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remains {
    None,
    /// To be cleaned when there is time for it.
    Kept,
    /// Being cleaned; given up at this moment.
    Cleaning(Time),
}

/// Someone who waits for an entry to be up, or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiter {
    pub(super) id: RequestId,
    pub(super) up: bool,
}

/// An entry and all that is known of it.
#[derive(Debug)]
pub struct Entry {
    pub(super) id: EntryId,
    pub(super) spec: Spec,
    pub(super) deps: Deps,
    pub(super) state: State,
    /// Services: whether it is meant to run.
    pub(super) wanted: bool,
    /// Whether it has been started once, or failed to.
    pub(super) tried: bool,
    since: Time,
    remains: Remains,
    pid: Option<i32>,
    /// When its first process began to run.
    began: Option<Time>,
    restarts: u32,
    backoff: Backoff,
    crash_loop: bool,
    ending: Option<Ending>,
    error: Option<String>,
    waiters: Vec<Waiter>,
}

impl Entry {
    pub(super) fn new(id: EntryId, spec: Spec, deps: Deps) -> Self {
        let broken = spec.error.is_some();
        Self {
            id,
            deps,
            state: if broken {
                State::Failed
            } else {
                State::Waiting
            },
            wanted: !broken && spec.kind == Kind::Service,
            tried: broken,
            since: Time::default(),
            remains: Remains::None,
            pid: None,
            began: None,
            restarts: 0,
            backoff: Backoff::default(),
            crash_loop: false,
            ending: None,
            error: spec.error.clone(),
            waiters: Vec::new(),
            spec,
        }
    }

    /// What it was made from.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Its state.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// When it entered its state.
    #[must_use]
    pub fn since(&self) -> Time {
        self.since
    }

    /// Its first process, while there is one.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.pid
    }

    /// Times it was started again by itself.
    #[must_use]
    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    /// How its last run ended.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// Why it failed, where the ending does not say it.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// Whether it fails again and again: it has used up its backoff, and did
    /// not run well since.
    #[must_use]
    pub fn crash_loop(&self, now: Time) -> bool {
        let healthy = matches!(self.state, State::Running { .. })
            && now.since(self.since) >= self.spec.supervision.backoff.reset;
        self.crash_loop && !healthy
    }

    /// Whether there may be a process of it.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        matches!(
            self.state,
            State::Starting { .. } | State::Running { .. } | State::Stopping { .. }
        )
    }

    /// Whether it was killed and is still there.
    pub(super) fn is_stuck(&self) -> bool {
        matches!(self.state, State::Stopping { deadline: None, .. })
    }

    /// Whether nobody needs to wait for its end or its cleaning any longer.
    pub(super) fn is_down(&self) -> bool {
        let cleaning = matches!(self.remains, Remains::Cleaning(_));
        (!self.is_alive() || self.is_stuck()) && !cleaning
    }

    /// Whether it is meant to be started and nothing of its own is in the way.
    pub(super) fn can_start(&self) -> bool {
        self.remains == Remains::None && matches!(self.state, State::Waiting | State::Skipped)
    }

    /// When the core must look at it again, if nothing else happens before.
    pub(super) fn deadline(&self) -> Option<Time> {
        let state = match self.state {
            State::Starting { deadline } => Some(deadline),
            State::Running { deadline } | State::Stopping { deadline, .. } => deadline,
            // The end of the cleaning comes first.
            State::Backoff { until } if self.remains == Remains::None => Some(until),
            _ => None,
        };
        let remains = match self.remains {
            Remains::Cleaning(deadline) => Some(deadline),
            Remains::None | Remains::Kept => None,
        };
        state.into_iter().chain(remains).min()
    }

    fn enter(&mut self, state: State, step: &mut Step<'_>, report: Report) {
        self.state = state;
        self.since = step.now;
        if !(self.spec.kind.is_helper() && report == Report::Starting) {
            step.out.push(Action::Report(self.id, report));
        }
    }

    /// Says at the beginning that it can never be started.
    pub(super) fn announce(&mut self, step: &mut Step<'_>) {
        if self.spec.error.is_some() {
            let ended = self.ended_report(true, None);
            self.enter(State::Failed, step, Report::Ended(ended));
        }
    }

    pub(super) fn start(&mut self, step: &mut Step<'_>) {
        if !self.can_start() {
            return;
        }
        self.error = None;
        self.ending = None;
        self.began = None;
        let deadline = step.now.after(START_TIMEOUT);
        step.out.push(Action::Start(self.id));
        self.enter(State::Starting { deadline }, step, Report::Starting);
    }

    pub(super) fn started(&mut self, pid: i32, step: &mut Step<'_>) {
        match self.state {
            State::Starting { .. } => {
                self.pid = Some(pid);
                self.began = Some(step.now);
                self.tried = true;
                let deadline = self.run_timeout().map(|ms| step.now.after(ms));
                self.enter(State::Running { deadline }, step, Report::Running { pid });
                self.answer(true, &Ok(()), step);
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
    fn run_timeout(&self) -> Option<u64> {
        match (self.spec.kind, self.spec.supervision.timeout) {
            (Kind::Service | Kind::Log | Kind::Uevent, _) | (Kind::Onboot, 0) => None,
            (Kind::Onshutdown, 0) => Some(ONSHUTDOWN_TIMEOUT),
            (Kind::Onboot | Kind::Onshutdown, ms) => Some(ms),
        }
    }

    pub(super) fn start_failed(&mut self, error: String, step: &mut Step<'_>) {
        if matches!(self.state, State::Starting { .. } | State::Stopping { .. }) {
            // Where it was killed, the runtime's complaint is not the reason.
            if matches!(self.state, State::Starting { .. }) {
                self.error = Some(error);
            }
            self.over(true, step);
        }
    }

    pub(super) fn ended(&mut self, ending: Ending, step: &mut Step<'_>) {
        if !matches!(self.state, State::Running { .. } | State::Stopping { .. }) {
            return;
        }
        self.ending = Some(ending);
        if ending.oom {
            self.error.get_or_insert_with(|| "out of memory".to_owned());
        }
        self.over(!ending.is_success(), step);
    }

    /// The run is over: what is left is cleaned, and the next state is chosen.
    fn over(&mut self, failed: bool, step: &mut Step<'_>) {
        let asked = matches!(self.state, State::Stopping { asked: true, .. });
        let failed = (failed || matches!(self.state, State::Stopping { .. })) && !asked;
        self.clean_later_or_now(step);
        let ran_ms = self.began.map(|began| step.now.since(began));
        let delay = self.restarts_after(failed, asked).then(|| {
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
        self.enter(state, step, Report::Ended(ended));
        self.answer_after_end(step);
    }

    /// Whether it is started again by itself.
    fn restarts_after(&self, failed: bool, asked: bool) -> bool {
        match self.spec.kind {
            Kind::Log | Kind::Uevent => true,
            Kind::Service => {
                self.wanted && !asked && restart::wanted(self.spec.supervision.restart, failed)
            }
            Kind::Onboot | Kind::Onshutdown => false,
        }
    }

    fn ended_report(&self, failed: bool, ran_ms: Option<u64>) -> Ended {
        Ended {
            failed,
            ending: self.ending,
            error: self.error.clone(),
            ran_ms,
            restart_in_ms: None,
            crash_loop: self.crash_loop,
        }
    }

    fn answer_after_end(&mut self, step: &mut Step<'_>) {
        if self.state != State::Waiting {
            let why = self.describe_end();
            self.answer(true, &Err(Refusal::Failed(why)), step);
        }
        self.answer_if_down(step);
    }

    /// One line on why it does not run.
    fn describe_end(&self) -> String {
        let name = &self.spec.name;
        match (&self.error, self.ending.map(|ending| ending.how)) {
            (Some(error), _) => format!("{name}: {error}"),
            (None, Some(super::How::Exited(code))) => format!("{name}: exited with code {code}"),
            (None, Some(super::How::Signaled(signal))) => {
                format!("{name}: ended by signal {signal}")
            }
            (None, None) => format!("{name}: {}", self.state.as_str()),
        }
    }

    fn clean_later_or_now(&mut self, step: &mut Step<'_>) {
        match self.spec.kind {
            // It is no container.
            Kind::Log | Kind::Uevent => {}
            // The boot does not wait for it.
            Kind::Onboot => self.remains = Remains::Kept,
            Kind::Service | Kind::Onshutdown => self.clean(step),
        }
    }

    fn clean(&mut self, step: &mut Step<'_>) {
        self.remains = Remains::Cleaning(step.now.after(CLEAN_TIMEOUT));
        step.out.push(Action::Clean(self.id));
    }

    /// Cleans what was left for later.
    pub(super) fn clean_kept(&mut self, step: &mut Step<'_>) {
        if self.remains == Remains::Kept {
            self.clean(step);
        }
    }

    pub(super) fn cleaned(&mut self, error: Option<String>, step: &mut Step<'_>) {
        if matches!(self.remains, Remains::Cleaning(_)) {
            self.remains = Remains::None;
            if let Some(error) = error {
                step.out
                    .push(Action::Report(self.id, Report::Problem(error)));
            }
            self.answer_if_down(step);
        }
    }

    /// Asks it to end; `force` kills it at once.
    pub(super) fn stop(&mut self, force: bool, step: &mut Step<'_>) {
        match self.state {
            State::Running { .. } if !force => {
                let signal = self.spec.supervision.stop_signal;
                let timeout = self.spec.supervision.stop_timeout;
                step.out.push(Action::Signal(self.id, signal));
                let state = State::Stopping {
                    deadline: Some(step.now.after(timeout)),
                    killed: false,
                    asked: true,
                };
                let kill_in_ms = Some(timeout);
                self.enter(state, step, Report::Stopping { signal, kill_in_ms });
            }
            State::Starting { .. } | State::Running { .. } => self.kill(true, step),
            State::Stopping {
                killed: false,
                asked,
                ..
            } if force => self.kill(asked, step),
            _ => {}
        }
    }

    fn kill(&mut self, asked: bool, step: &mut Step<'_>) {
        step.out.push(Action::Kill(self.id));
        let state = State::Stopping {
            deadline: Some(step.now.after(KILL_TIMEOUT)),
            killed: true,
            asked,
        };
        let report = Report::Stopping {
            signal: SIGKILL,
            kill_in_ms: None,
        };
        self.enter(state, step, report);
    }

    /// It is not started, because of `why`.
    pub(super) fn skip(&mut self, why: &str, step: &mut Step<'_>) {
        if !matches!(self.state, State::Waiting | State::Skipped) {
            return;
        }
        self.tried = true;
        if self.state == State::Waiting || self.error.as_deref() != Some(why) {
            self.error = Some(why.to_owned());
            self.enter(State::Skipped, step, Report::Skipped(why.to_owned()));
        }
        let refusal = Refusal::Failed(format!("{}: {why}", self.spec.name));
        self.answer(true, &Err(refusal), step);
        self.answer_if_down(step);
    }

    /// Whatever it waits for, it no longer does: it stays as it is.
    pub(super) fn settle(&mut self, why: &str, step: &mut Step<'_>) {
        self.wanted = false;
        match self.state {
            State::Waiting => self.skip(why, step),
            State::Backoff { .. } => {
                let failed = self.error.is_some() || !self.ending.is_some_and(Ending::is_success);
                let state = if failed { State::Failed } else { State::Exited };
                let ended = self.ended_report(failed, None);
                self.enter(state, step, Report::Ended(ended));
            }
            _ => {}
        }
        let refusal = Refusal::NotNow(format!("{}: {why}", self.spec.name));
        self.answer(true, &Err(refusal), step);
    }

    /// Nobody gets what they wait for.
    pub(super) fn dismiss(&mut self, why: &str, step: &mut Step<'_>) {
        for up in [true, false] {
            let refusal = Refusal::NotNow(format!("{}: {why}", self.spec.name));
            self.answer(up, &Err(refusal), step);
        }
    }

    /// A service in backoff, or one that is not meant to run, is started as
    /// soon as it can be, as if it never failed.
    pub(super) fn want(&mut self) {
        self.wanted = true;
        self.backoff = Backoff::default();
        self.crash_loop = false;
        if matches!(
            self.state,
            State::Backoff { .. } | State::Exited | State::Failed | State::Skipped
        ) {
            self.state = State::Waiting;
        }
    }

    /// Says what a waiting entry waits for, once.
    pub(super) fn wait_for(&mut self, requires: &str, step: &mut Step<'_>) {
        let why = format!("waits for {requires}");
        if self.error.as_deref() != Some(why.as_str()) {
            self.error = Some(why);
            let requires = requires.to_owned();
            self.enter(State::Waiting, step, Report::Waiting { requires });
        }
    }

    /// Does what time demands.
    pub(super) fn expire(&mut self, step: &mut Step<'_>) {
        if matches!(self.remains, Remains::Cleaning(deadline) if deadline <= step.now) {
            self.cleaned(Some("not cleaned up in time".to_owned()), step);
        }
        match self.state {
            State::Starting { deadline } if deadline <= step.now => {
                self.error = Some(format!("not started within {START_TIMEOUT} ms"));
                self.kill(false, step);
            }
            State::Running {
                deadline: Some(deadline),
            } if deadline <= step.now => {
                let ms = self.run_timeout().unwrap_or_default();
                self.error = Some(format!("timed out after {ms} ms"));
                self.kill(false, step);
            }
            State::Stopping {
                deadline: Some(deadline),
                killed,
                asked,
            } if deadline <= step.now => {
                if killed {
                    self.stuck(asked, step);
                } else {
                    self.kill(asked, step);
                }
            }
            State::Backoff { until } if until <= step.now && self.remains == Remains::None => {
                self.restarts = self.restarts.saturating_add(1);
                self.state = State::Waiting;
            }
            _ => {}
        }
    }

    fn stuck(&mut self, asked: bool, step: &mut Step<'_>) {
        let state = State::Stopping {
            deadline: None,
            killed: true,
            asked,
        };
        self.enter(state, step, Report::Stuck);
        let why = format!("{}: killed, and still there", self.spec.name);
        for up in [true, false] {
            self.answer(up, &Err(Refusal::Failed(why.clone())), step);
        }
    }

    pub(super) fn wait(&mut self, waiter: Waiter) {
        self.waiters.push(waiter);
    }

    /// Answers those who wait for it to be up, or down.
    pub(super) fn answer(&mut self, up: bool, with: &Result<(), Refusal>, step: &mut Step<'_>) {
        self.waiters.retain(|waiter| {
            if waiter.up == up {
                step.out.push(Action::Reply(waiter.id, with.clone()));
            }
            waiter.up != up
        });
    }

    /// Answers those who wait for it to be down, if it is.
    pub(super) fn answer_if_down(&mut self, step: &mut Step<'_>) {
        if !self.is_alive() && self.is_down() {
            self.answer(false, &Ok(()), step);
        }
    }
}
