//! What is wanted of an entry, and the answers to those who want it.

use super::{Entry, State, Step, Waiter};
use crate::supervise::How;
use crate::supervise::action::{Action, Refusal, Report};
use crate::supervise::backoff::Backoff;
use crate::supervise::event::Ending;

impl Entry {
    /// It is not started, because of `why`.
    pub(in crate::supervise) fn skip(&mut self, why: &str, step: &mut Step<'_>) {
        if !matches!(self.state, State::Waiting | State::Skipped) {
            return;
        }
        self.tried = true;
        if self.state == State::Waiting || self.error.as_deref() != Some(why) {
            self.error = Some(why.to_owned());
            self.enter(State::Skipped, step, Report::Skipped(why.to_owned()));
            self.close(step);
        }
        let refusal = Refusal::Failed(format!("{}: {why}", self.spec.name));
        self.answer(true, &Err(refusal), step);
        self.answer_if_down(step);
    }

    /// Whatever it waits for, it no longer does: it stays as it is.
    pub(in crate::supervise) fn settle(&mut self, why: &str, step: &mut Step<'_>) {
        self.wanted = false;
        // Nobody waits for more of it, and it is ended in its turn.
        self.unwatch(step);
        match self.state {
            State::Waiting => self.skip(why, step),
            State::Backoff { .. } => {
                let failed = self.error.is_some() || !self.ending.is_some_and(Ending::is_success);
                let state = if failed { State::Failed } else { State::Exited };
                let ended = self.ended_report(failed, None);
                self.enter(state, step, Report::Ended(ended));
                self.close(step);
            }
            State::Listening => {
                let ended = self.ended_report(false, None);
                self.enter(State::Exited, step, Report::Ended(ended));
                self.close(step);
            }
            _ => {}
        }
        let refusal = Refusal::NotNow(format!("{}: {why}", self.spec.name));
        self.answer(true, &Err(refusal), step);
    }

    /// Nobody gets what they wait for.
    pub(in crate::supervise) fn dismiss(&mut self, why: &str, step: &mut Step<'_>) {
        for up in [true, false] {
            let refusal = Refusal::NotNow(format!("{}: {why}", self.spec.name));
            self.answer(up, &Err(refusal), step);
        }
    }

    /// A service in backoff, or one that is not meant to run, is started as
    /// soon as it can be, as if it never failed.
    pub(in crate::supervise) fn want(&mut self) {
        self.wanted = true;
        self.backoff = Backoff::default();
        self.crash_loop = false;
        self.starts.clear();
        if !matches!(self.state, State::Starting { .. } | State::Running { .. }) {
            self.called = true;
        }
        if matches!(
            self.state,
            State::Backoff { .. }
                | State::Listening
                | State::Exited
                | State::Failed
                | State::Skipped
        ) {
            self.state = State::Waiting;
        }
    }

    /// Says what a waiting entry waits for, once.
    pub(in crate::supervise) fn wait_for(&mut self, requires: &str, step: &mut Step<'_>) {
        let why = format!("waits for {requires}");
        if self.error.as_deref() != Some(why.as_str()) {
            self.error = Some(why);
            let requires = requires.to_owned();
            self.enter(State::Waiting, step, Report::Waiting { requires });
        }
    }

    pub(in crate::supervise) fn wait(&mut self, waiter: Waiter) {
        self.waiters.push(waiter);
    }

    /// Answers those who wait for it to be up, or down.
    pub(in crate::supervise) fn answer(
        &mut self,
        up: bool,
        with: &Result<(), Refusal>,
        step: &mut Step<'_>,
    ) {
        self.waiters.retain(|waiter| {
            if waiter.up == up {
                step.out.push(Action::Reply(waiter.id, with.clone()));
            }
            waiter.up != up
        });
    }

    /// Answers those who wait for it to be down, if it is.
    pub(in crate::supervise) fn answer_if_down(&mut self, step: &mut Step<'_>) {
        if !self.is_alive() && self.is_down() {
            self.answer(false, &Ok(()), step);
        }
    }

    pub(super) fn answer_after_end(&mut self, step: &mut Step<'_>) {
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
            (None, Some(How::Exited(code))) => format!("{name}: exited with code {code}"),
            (None, Some(How::Signaled(signal))) => {
                format!("{name}: ended by signal {signal}")
            }
            (None, None) => format!("{name}: {}", self.state.as_str()),
        }
    }
}
