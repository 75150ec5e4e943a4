//! What is true of a service's runs, known without the core: what it said and
//! what was tried, and what follows from that.

use hullkit_bundle::supervision::{Measure, ReadyBy};

use super::super::*;
use super::world::Broken;

/// Nobody may be slower to look whether a service is ready.
const READY_WAIT_MAX: u64 = 1_000;
/// Nobody may look at its health more often.
const HEALTH_FLOOR: u64 = 20;

/// The truth of an entry.
#[derive(Clone, Debug, Default)]
pub(super) struct Truth {
    /// Whether this run is ready.
    pub(super) ready: bool,
    began: Time,
    ready_until: Time,
    /// When its watchdog runs out.
    watchdog: Option<Time>,
    watchdog_ms: u64,
    /// The probe that is under way, and since when.
    pub(super) probing: Option<(Purpose, Time)>,
    /// When the last one ended, or could have begun.
    probed: Time,
    failures: u32,
    was_well: bool,
    triggered: bool,
    /// Whether it was told to end, or said that it does.
    pub(super) ending: bool,
    /// Whether someone asked for the end of this run.
    pub(super) asked: bool,
    /// When it was started, since someone last asked for it.
    starts: Vec<Time>,
    /// Why it must not be started again by itself.
    pub(super) forbidden: bool,
    /// Whether a failure means the end of the machine.
    pub(super) ends_the_machine: bool,
    /// Whether somebody came, or asked for it, since it was last started.
    pub(super) called: bool,
    /// Whether its turn is over for those that come `after` it.
    pub(super) had_turn: bool,
}

fn service(spec: &Spec) -> bool {
    spec.kind == Kind::Service
}

impl Truth {
    /// It is started, by itself or not.
    pub(super) fn start(&mut self, now: Time) {
        self.starts.push(now);
        *self = Self {
            starts: std::mem::take(&mut self.starts),
            ends_the_machine: self.ends_the_machine,
            had_turn: self.had_turn,
            ..Self::default()
        };
    }

    pub(super) fn started(&mut self, spec: &Spec, now: Time) {
        self.began = now;
        self.probed = now;
        self.watchdog_ms = spec.supervision.watchdog;
        self.ready_until = now.after(spec.supervision.ready_timeout);
        if spec.supervision.ready.is_none() || !service(spec) {
            self.become_ready(spec, now);
        }
    }

    fn become_ready(&mut self, spec: &Spec, now: Time) {
        if !self.ready {
            self.ready = true;
            self.had_turn = true;
            self.probed = now;
            self.alive(spec, now);
        }
    }

    fn alive(&mut self, spec: &Spec, now: Time) {
        let due = now.after(self.watchdog_ms);
        self.watchdog = (self.watchdog_ms > 0 && service(spec)).then_some(due);
    }

    /// Time has gone on.
    pub(super) fn pass(&mut self, spec: &Spec, now: Time) {
        if let Some(ReadyBy::Delay(ms)) = spec.supervision.ready
            && self.began.after(ms) <= now
            && self.ready_until > self.began.after(ms)
        {
            self.become_ready(spec, now);
        }
    }

    /// It says something while it runs.
    pub(super) fn says(&mut self, spec: &Spec, notice: &Notice, now: Time) {
        let by = spec.supervision.ready.as_ref();
        match notice {
            Notice::Ready if by == Some(&ReadyBy::Notify) => self.become_ready(spec, now),
            Notice::Written if matches!(by, Some(ReadyBy::Fd(_))) => self.become_ready(spec, now),
            Notice::Alive if self.ready => self.alive(spec, now),
            Notice::WatchdogInterval(ms) => {
                self.watchdog_ms = *ms;
                if self.ready {
                    self.alive(spec, now);
                }
            }
            Notice::Trigger => self.triggered = true,
            Notice::Stopping => self.ending = true,
            Notice::ExtendTimeout(ms) => {
                let most = self
                    .began
                    .after(spec.supervision.ready_timeout + EXTENSION_MAX);
                self.ready_until = self.ready_until.max(now.after(*ms).min(most));
            }
            _ => {}
        }
    }

    /// A probe has ended.
    pub(super) fn probed(&mut self, spec: &Spec, well: bool, now: Time) {
        let Some((purpose, _)) = self.probing.take() else {
            return;
        };
        self.probed = now;
        match (purpose, well) {
            (Purpose::Ready, true) => self.become_ready(spec, now),
            (Purpose::Ready, false) => {}
            (Purpose::Health, true) => {
                self.failures = 0;
                self.was_well = true;
            }
            (Purpose::Health, false) => self.ill(spec, now),
        }
    }

    fn ill(&mut self, spec: &Spec, now: Time) {
        let Some(health) = &spec.supervision.health else {
            return;
        };
        if self.was_well || now.since(self.began) >= health.start_period {
            self.failures += 1;
            let last = matches!(health.action, Measure::Reboot | Measure::Poweroff);
            if last && self.failures == health.retries {
                self.ends_the_machine = true;
            }
        }
    }

    /// The core takes the probe back.
    pub(super) fn stop_probe(&mut self, spec: &Spec, now: Time) -> Result<(), Broken> {
        let Some((purpose, since)) = self.probing.take() else {
            return Err("no probe to stop".to_owned());
        };
        let timeout = spec
            .supervision
            .health
            .as_ref()
            .map_or(0, |h| h.timeout.max(1));
        if purpose == Purpose::Health && since.after(timeout) <= now && !self.ending {
            self.probed = now;
            self.ill(spec, now);
        }
        Ok(())
    }

    /// The run is over.
    pub(super) fn ended(&mut self, spec: &Spec, oom: bool, now: Time) {
        self.had_turn = true;
        self.ready = false;
        if self.asked {
            return;
        }
        let policy = &spec.supervision;
        let limit = policy.start_limit;
        let burst = usize::try_from(limit.burst).unwrap();
        let first = self.starts.iter().rev().nth(burst.max(1) - 1);
        let limited = burst > 0 && first.is_some_and(|first| now.since(*first) <= limit.interval);
        self.forbidden = limited || (oom && policy.oom == Measure::Stop);
        if oom && matches!(policy.oom, Measure::Reboot | Measure::Poweroff) {
            self.ends_the_machine = true;
        }
    }

    /// Someone wants it to run.
    pub(super) fn wanted(&mut self) {
        self.starts.clear();
        self.forbidden = false;
    }

    /// Why the core may, and must, end it.
    pub(super) fn due(&self, spec: &Spec, now: Time) -> Option<&'static str> {
        let health = spec.supervision.health.as_ref();
        let ill =
            health.is_some_and(|h| h.action == Measure::Restart && self.failures >= h.retries);
        if self.triggered {
            Some("said that it is dead")
        } else if !self.ready && self.ready_until <= now {
            Some("was not ready in time")
        } else if self.watchdog.is_some_and(|due| due <= now) {
            Some("was silent for too long")
        } else if ill {
            Some("was unhealthy")
        } else {
            None
        }
    }

    /// Whether someone looks at what must be looked at.
    pub(super) fn looked_at(&self, spec: &Spec, now: Time) -> Result<(), Broken> {
        let policy = &spec.supervision;
        let ready_probe = !self.ready && matches!(policy.ready, Some(ReadyBy::Probe(_)));
        let interval = policy.health.as_ref().map(|h| h.interval.max(HEALTH_FLOOR));
        let wait = if ready_probe {
            Some(READY_WAIT_MAX)
        } else {
            interval.filter(|_| self.ready)
        };
        let late = wait.is_some_and(|wait| self.probed.after(wait) < now);
        if self.probing.is_none() && late {
            return Err("nobody looks at it".to_owned());
        }
        let timeout = policy.health.as_ref().map_or(0, |h| h.timeout.max(1));
        match self.probing {
            Some((Purpose::Health, since)) if since.after(timeout) <= now => {
                Err("its probe has no end".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Whether a probe may begin.
    pub(super) fn probe(&mut self, spec: &Spec, purpose: Purpose, now: Time) -> Result<(), Broken> {
        let interval = spec.supervision.health.as_ref().map_or(0, |h| h.interval);
        if self.probing.is_some() {
            return Err("a second probe".to_owned());
        }
        if self.ending {
            return Err("a probe of what ends".to_owned());
        }
        match purpose {
            Purpose::Ready if self.ready => return Err("it is ready already".to_owned()),
            Purpose::Health if !self.ready => return Err("it is not ready".to_owned()),
            Purpose::Health if now < self.probed.after(interval) => {
                return Err("a probe before its time".to_owned());
            }
            _ => {}
        }
        self.probing = Some((purpose, now));
        Ok(())
    }
}
