//! What is watched while a service runs: whether it is ready, its health, its
//! word that it is alive; and what it says of itself.

use hullkit_bundle::supervision::{Health, Measure, ReadyBy};

use super::{EXTENSION_MAX, Entry, State, Step, Why};
use crate::life::record::{Record, Writer};
use crate::supervise::action::{Action, Purpose, Report};
use crate::supervise::event::Notice;
use crate::supervise::spec::Kind;
use crate::supervise::time::Time;

/// Between the first two tries whether it is ready; doubled up to
/// [`READY_WAIT_MAX`]. In milliseconds.
const READY_WAIT: u64 = 50;
const READY_WAIT_MAX: u64 = 1_000;
/// Health is not tried more often than this, in milliseconds.
const HEALTH_FLOOR: u64 = 20;
/// What a service gets whose watchdog ran out: it may leave a core dump.
const SIGABRT: i32 = 6;

/// What is known of a run, beside that it runs.
#[derive(Debug, Default)]
pub struct Watch {
    ready: bool,
    /// When it has failed if it is not ready.
    ready_until: Option<Time>,
    /// When it is ready by itself.
    ready_at: Option<Time>,
    /// The wait before the next try whether it is ready.
    ready_wait: u64,
    /// When something is tried next.
    next: Option<Time>,
    probing: Option<Probing>,
    /// Health checks that failed, in a row.
    failures: u32,
    /// Whether one has gone well.
    was_well: bool,
    unhealthy: bool,
    /// Why the last try failed.
    last_error: Option<String>,
    watchdog_ms: u64,
    /// When it must have said that it is alive.
    watchdog: Option<Time>,
    reloading: bool,
    status: Option<String>,
    /// Why it will have failed, by its own word.
    said: Option<String>,
}

/// The probe that is under way.
#[derive(Clone, Copy, Debug)]
enum Probing {
    /// As long as the service may take to get ready.
    Ready,
    /// Until this moment.
    Health(Time),
}

impl Watch {
    /// Whether it is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Whether its health checks fail; none while none has ended.
    #[must_use]
    pub fn is_healthy(&self) -> Option<bool> {
        (self.was_well || self.unhealthy).then_some(!self.unhealthy)
    }

    /// Whether it reads its configuration again.
    #[must_use]
    pub fn is_reloading(&self) -> bool {
        self.reloading
    }

    /// What it last said of itself.
    #[must_use]
    pub fn status(&self) -> Option<&str> {
        self.status.as_deref()
    }

    /// The probe that is under way.
    #[must_use]
    pub fn probing(&self) -> Option<Purpose> {
        self.probing.map(|probing| match probing {
            Probing::Ready => Purpose::Ready,
            Probing::Health(_) => Purpose::Health,
        })
    }

    pub(super) fn take_said(&mut self) -> Option<String> {
        self.said.take()
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        let probing = match self.probing {
            None => self.next,
            Some(Probing::Ready) => None,
            Some(Probing::Health(until)) => Some(until),
        };
        let all = [self.ready_until, self.ready_at, self.watchdog, probing];
        all.into_iter().flatten().min()
    }
}

impl Watch {
    /// Writes it for the next life of PID 1.
    pub(in crate::supervise) fn save(&self, to: &mut Writer) {
        let Self {
            ready,
            ready_until,
            ready_at,
            ready_wait,
            next,
            probing,
            failures,
            was_well,
            unhealthy,
            last_error,
            watchdog_ms,
            watchdog,
            reloading,
            status,
            said,
        } = self;
        to.flag("ready", *ready)
            .field("ready_wait", ready_wait)
            .field("failures", failures)
            .flag("was_well", *was_well)
            .flag("unhealthy", *unhealthy)
            .field("watchdog_ms", watchdog_ms)
            .flag("reloading", *reloading);
        let health = match probing {
            Some(Probing::Health(until)) => Some(*until),
            Some(Probing::Ready) | None => None,
        };
        to.flag("probing", matches!(probing, Some(Probing::Ready)));
        let times = [ready_until, ready_at, next, watchdog, &health];
        for (key, time) in TIMES.iter().zip(times) {
            to.some(key, time.map(|time| time.0));
        }
        for (key, text) in TEXTS.iter().zip([last_error, status, said]) {
            if let Some(text) = text {
                to.text(key, text);
            }
        }
    }

    /// Takes what [`Self::save`] has written.
    pub(in crate::supervise) fn restore(record: &Record<'_>) -> Self {
        let [ready_until, ready_at, next, watchdog, health] =
            TIMES.map(|key| record.parsed(key).map(Time));
        let [last_error, status, said] = TEXTS.map(|key| record.text(key));
        let ready = record.flag("probing").then_some(Probing::Ready);
        Self {
            ready: record.flag("ready"),
            ready_until,
            ready_at,
            ready_wait: record.parsed("ready_wait").unwrap_or_default(),
            next,
            probing: health.map(Probing::Health).or(ready),
            failures: record.parsed("failures").unwrap_or_default(),
            was_well: record.flag("was_well"),
            unhealthy: record.flag("unhealthy"),
            last_error,
            watchdog_ms: record.parsed("watchdog_ms").unwrap_or_default(),
            watchdog,
            reloading: record.flag("reloading"),
            status,
            said,
        }
    }
}

/// The keys of a saved [`Watch`].
const TIMES: [&str; 5] = ["ready_until", "ready_at", "next", "watchdog", "health"];
const TEXTS: [&str; 3] = ["probe_error", "status", "said"];

impl Entry {
    /// A run begins.
    pub(super) fn begin_watch(&mut self, step: &mut Step<'_>) {
        let policy = &self.spec.supervision;
        self.watch = Watch {
            watchdog_ms: policy.watchdog,
            ready_wait: READY_WAIT,
            ..Watch::default()
        };
        let service = self.spec.kind == Kind::Service;
        if service && !self.wanted {
            // The machine goes down, and it with it.
            return;
        }
        let ready = policy.ready.as_ref();
        match ready.filter(|_| service) {
            None => return self.become_ready(step),
            Some(ReadyBy::Notify | ReadyBy::Fd(_)) => {}
            Some(ReadyBy::Delay(ms)) => self.watch.ready_at = Some(step.now.after(*ms)),
            Some(ReadyBy::Probe(_)) => self.watch.next = Some(step.now),
        }
        self.watch.ready_until = Some(step.now.after(policy.ready_timeout));
    }

    /// Nothing is watched any longer; what is known stays.
    pub(super) fn unwatch(&mut self, step: &mut Step<'_>) {
        if self.watch.probing.take().is_some() {
            step.out.push(Action::StopProbe(self.id));
        }
        self.watch.next = None;
        self.watch.ready_until = None;
        self.watch.ready_at = None;
        self.watch.watchdog = None;
    }

    fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    fn become_ready(&mut self, step: &mut Step<'_>) {
        self.unwatch(step);
        self.tried = true;
        self.watch.ready = true;
        if self.spec.kind == Kind::Service {
            if self.spec.supervision.ready.is_some() {
                let ms = step.now.since(self.since);
                step.out.push(Action::Report(self.id, Report::Ready { ms }));
            }
            self.alive(step.now);
            self.try_health_later(step.now);
        }
        self.answer(true, &Ok(()), step);
    }

    fn health(&self) -> Option<&Health> {
        self.spec.supervision.health.as_ref()
    }

    fn try_health_later(&mut self, now: Time) {
        let interval = self.health().map(|health| health.interval);
        self.watch.next = interval.map(|ms| now.after(ms.max(HEALTH_FLOOR)));
    }

    /// The watchdog's time begins again.
    fn alive(&mut self, now: Time) {
        let ms = self.watch.watchdog_ms;
        self.watch.watchdog = (ms > 0).then(|| now.after(ms));
    }

    /// Does what time demands of what is watched: of nothing, unless it runs.
    pub(super) fn expire_watch(&mut self, step: &mut Step<'_>) {
        let now = step.now;
        let due = |time: Option<Time>| time.is_some_and(|time| time <= now);
        if due(self.watch.ready_at) {
            self.become_ready(step);
        }
        if let Some(Probing::Health(until)) = self.watch.probing
            && until <= now
        {
            let ms = self.health().map_or(0, |health| health.timeout);
            step.out.push(Action::StopProbe(self.id));
            self.probed(Some(format!("timed out after {ms} ms")), step);
        }
        if due(self.watch.watchdog) {
            let ms = self.watch.watchdog_ms;
            self.fail(SIGABRT, format!("watchdog: silent for {ms} ms"), step);
        } else if due(self.watch.ready_until) {
            self.not_ready(step);
        } else if self.watch.probing.is_none() && due(self.watch.next) {
            self.probe(step);
        }
    }

    fn not_ready(&mut self, step: &mut Step<'_>) {
        let ms = step.now.since(self.since);
        let why = self.watch.last_error.take();
        let why = why.map_or_else(String::new, |error| format!(": {error}"));
        let signal = self.spec.supervision.stop_signal;
        self.fail(signal, format!("not ready within {ms} ms{why}"), step);
    }

    fn probe(&mut self, step: &mut Step<'_>) {
        self.watch.next = None;
        let timeout = self.health().map_or(0, |health| health.timeout.max(1));
        let (probing, purpose) = if self.watch.ready {
            let until = step.now.after(timeout);
            (Probing::Health(until), Purpose::Health)
        } else {
            (Probing::Ready, Purpose::Ready)
        };
        self.watch.probing = Some(probing);
        let entry = self.id;
        step.out.push(Action::Probe { entry, purpose });
    }

    /// A probe has ended.
    pub(in crate::supervise) fn probed(&mut self, error: Option<String>, step: &mut Step<'_>) {
        match (self.watch.probing.take(), error) {
            (None, _) => {}
            (Some(Probing::Ready), None) => self.become_ready(step),
            (Some(Probing::Ready), error) => {
                self.watch.last_error = error;
                let wait = self.watch.ready_wait;
                self.watch.next = Some(step.now.after(wait));
                self.watch.ready_wait = (wait * 2).min(READY_WAIT_MAX);
            }
            (Some(Probing::Health(_)), None) => self.well(step),
            (Some(Probing::Health(_)), Some(error)) => self.not_well(&error, step),
        }
    }

    fn well(&mut self, step: &mut Step<'_>) {
        self.try_health_later(step.now);
        self.watch.failures = 0;
        self.watch.was_well = true;
        if std::mem::take(&mut self.watch.unhealthy) {
            step.out.push(Action::Report(self.id, Report::Healthy));
        }
    }

    fn not_well(&mut self, error: &str, step: &mut Step<'_>) {
        self.try_health_later(step.now);
        let Some(health) = self.health() else {
            return;
        };
        let (retries, action) = (health.retries, health.action);
        let starting = step.now.since(self.since) < health.start_period;
        if starting && !self.watch.was_well {
            return;
        }
        self.watch.failures = self.watch.failures.saturating_add(1);
        let failures = self.watch.failures;
        if failures < retries || self.watch.unhealthy {
            return;
        }
        self.watch.unhealthy = true;
        let error = format!("unhealthy: {error}");
        let report = Report::Unhealthy {
            failures,
            error: error.clone(),
        };
        step.out.push(Action::Report(self.id, report));
        self.demand_if_wanted(action);
        if action == Measure::Restart {
            let signal = self.spec.supervision.stop_signal;
            self.fail(signal, error, step);
        }
    }

    /// It runs and does not do what it is for.
    fn fail(&mut self, signal: i32, error: String, step: &mut Step<'_>) {
        self.error = Some(error);
        self.end(Some(signal), Why::Failed, step);
    }

    /// What it says of itself.
    pub(in crate::supervise) fn notice(&mut self, notice: Notice, step: &mut Step<'_>) {
        match notice {
            Notice::Status(text) if self.is_alive() => self.watch.status = Some(text),
            Notice::Error(text) if self.is_alive() => self.watch.said = Some(text),
            Notice::ExtendTimeout(ms) => self.extend(ms, step.now),
            Notice::MainPid(pid) if self.is_running() => {
                self.pid = Some(pid);
                let report = Report::Running { pid };
                step.out.push(Action::Report(self.id, report));
            }
            Notice::Stopping if self.is_running() => self.end(None, Why::Itself, step),
            Notice::Reloading if self.is_running() => self.watch.reloading = true,
            notice if self.is_running() && self.wanted => self.notice_watched(&notice, step),
            _ => {}
        }
    }

    /// The same of what is watched, of a service that is meant to run.
    fn notice_watched(&mut self, notice: &Notice, step: &mut Step<'_>) {
        let by = self.spec.supervision.ready.as_ref();
        match notice {
            Notice::Ready => {
                self.watch.reloading = false;
                if by == Some(&ReadyBy::Notify) && !self.watch.ready {
                    self.become_ready(step);
                }
            }
            Notice::Written if matches!(by, Some(ReadyBy::Fd(_))) && !self.watch.ready => {
                self.become_ready(step);
            }
            Notice::Alive if self.watch.ready => self.alive(step.now),
            Notice::WatchdogInterval(ms) => {
                self.watch.watchdog_ms = *ms;
                if self.watch.ready {
                    self.alive(step.now);
                }
            }
            Notice::Trigger => self.fail(SIGABRT, "watchdog: it says so itself".to_owned(), step),
            _ => {}
        }
    }

    /// It needs `ms` from now on, and gets it up to a limit.
    fn extend(&mut self, ms: u64, now: Time) {
        let policy = &self.spec.supervision;
        let until = |limit: u64| {
            now.after(ms)
                .min(self.since.after(limit.saturating_add(EXTENSION_MAX)))
        };
        match &mut self.state {
            State::Stopping {
                deadline: Some(deadline),
                killed: false,
                ..
            } => *deadline = until(policy.stop_timeout).max(*deadline),
            State::Running { .. } => {
                let longer = until(policy.ready_timeout);
                self.watch.ready_until = self.watch.ready_until.map(|time| time.max(longer));
            }
            _ => {}
        }
    }
}
