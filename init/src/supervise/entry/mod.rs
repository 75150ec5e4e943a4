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

mod limit;
mod listen;
mod run;
mod stop;
mod watch;
mod wish;

use std::collections::VecDeque;

use super::action::{Action, End, Report};
use super::backoff::Backoff;
use super::event::{Ending, RequestId};
use super::order::Deps;
use super::spec::{EntryId, Kind, Spec};
use super::time::Time;
use crate::life::record::Memo;

pub use watch::Watch;

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

/// An entry may ask for more time to get ready or to end, but for no more than
/// this beyond what it has.
pub const EXTENSION_MAX: u64 = 300_000;

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
    /// Its sockets are open, and it is started when somebody comes.
    Listening,
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
        /// Because of what.
        why: Why,
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

/// Why an entry is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Someone asked for it.
    Asked,
    /// It failed: took too long, or does not do what it is for.
    Failed,
    /// It said that it ends by itself.
    Itself,
}

impl State {
    /// The word for it in the control protocol.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Listening => "listening",
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
pub(super) enum Remains {
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
    /// Whether it has been started once, or failed to, or listens.
    pub(super) tried: bool,
    /// Whether somebody has come, or asked for it, since it was last started:
    /// it need not listen.
    pub(super) called: bool,
    /// Whether its sockets are open, and what it left with us is kept.
    pub(super) open: bool,
    pub(super) since: Time,
    pub(super) remains: Remains,
    pub(super) pid: Option<i32>,
    /// When its first process began to run.
    pub(super) began: Option<Time>,
    pub(super) restarts: u32,
    pub(super) backoff: Backoff,
    pub(super) crash_loop: bool,
    /// How this run's first process ended.
    pub(super) ending: Option<Ending>,
    /// The same of the last run that is over.
    pub(super) last_ending: Option<Ending>,
    pub(super) error: Option<String>,
    pub(super) waiters: Vec<Waiter>,
    pub(super) watch: Watch,
    /// When it was last started, the earliest first; as many as its limit is.
    pub(super) starts: VecDeque<Time>,
    /// How its failure wants the machine to end.
    pub(super) demand: Option<End>,
    /// Its record.
    pub(super) memo: Memo,
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
            called: false,
            open: false,
            since: Time::default(),
            remains: Remains::None,
            pid: None,
            began: None,
            restarts: 0,
            backoff: Backoff::default(),
            crash_loop: false,
            ending: None,
            last_ending: None,
            error: spec.error.clone(),
            waiters: Vec::new(),
            watch: Watch::default(),
            starts: VecDeque::new(),
            demand: None,
            memo: Memo::default(),
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

    /// How the first process of its last run ended, also while the next one
    /// runs; none if that run had no process.
    #[must_use]
    pub fn last_ending(&self) -> Option<Ending> {
        self.last_ending
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

    /// Whether it runs and is ready.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Running { .. }) && self.watch.is_ready()
    }

    /// Whether those that require it can do with it: it is up, or will be as
    /// soon as they come.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.is_up() || self.state == State::Listening
    }

    /// What it said, and its checks showed, of this run.
    #[must_use]
    pub fn watch(&self) -> &Watch {
        &self.watch
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
            State::Running { deadline } => deadline.into_iter().chain(self.watch.deadline()).min(),
            State::Stopping { deadline, .. } => deadline,
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

    /// Whether time demands something of it.
    pub(super) fn is_due(&self, now: Time) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now)
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
            self.demand_if_critical();
        }
    }
}
