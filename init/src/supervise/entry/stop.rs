//! The end of a run that somebody, or the time, asks for.

use super::{Entry, KILL_TIMEOUT, Remains, SIGKILL, START_TIMEOUT, State, Step, Why};
use crate::supervise::action::{Action, Refusal, Report};

impl Entry {
    /// Asks it to end; `force` kills it at once.
    pub(in crate::supervise) fn stop(&mut self, force: bool, step: &mut Step<'_>) {
        match self.state {
            State::Running { .. } if !force => {
                let signal = self.spec.supervision.stop_signal;
                self.end(Some(signal), Why::Asked, step);
            }
            State::Starting { .. } | State::Running { .. } => self.kill(Why::Asked, step),
            State::Stopping {
                killed: false, why, ..
            } if force => self.kill(why, step),
            // What happens anyway is now also asked for.
            State::Stopping {
                deadline, killed, ..
            } => {
                self.state = State::Stopping {
                    deadline,
                    killed,
                    why: Why::Asked,
                };
            }
            _ => {}
        }
    }

    /// Lets a running entry end in its `stopTimeout`, with a signal unless it
    /// does so by itself.
    pub(super) fn end(&mut self, signal: Option<i32>, why: Why, step: &mut Step<'_>) {
        self.unwatch(step);
        let timeout = self.spec.supervision.stop_timeout;
        if let Some(signal) = signal {
            step.out.push(Action::Signal(self.id, signal));
        }
        let state = State::Stopping {
            deadline: Some(step.now.after(timeout)),
            killed: false,
            why,
        };
        let kill_in_ms = Some(timeout);
        self.enter(state, step, Report::Stopping { signal, kill_in_ms });
    }

    pub(super) fn kill(&mut self, why: Why, step: &mut Step<'_>) {
        self.unwatch(step);
        step.out.push(Action::Kill(self.id));
        let state = State::Stopping {
            deadline: Some(step.now.after(KILL_TIMEOUT)),
            killed: true,
            why,
        };
        let report = Report::Stopping {
            signal: Some(SIGKILL),
            kill_in_ms: None,
        };
        self.enter(state, step, report);
    }

    /// Does what time demands.
    pub(in crate::supervise) fn expire(&mut self, step: &mut Step<'_>) {
        if matches!(self.remains, Remains::Cleaning(deadline) if deadline <= step.now) {
            self.cleaned(Some("not cleaned up in time".to_owned()), step);
        }
        self.expire_watch(step);
        match self.state {
            State::Starting { deadline } if deadline <= step.now => {
                self.error = Some(format!("not started within {START_TIMEOUT} ms"));
                self.kill(Why::Failed, step);
            }
            State::Running {
                deadline: Some(deadline),
            } if deadline <= step.now => {
                let ms = self.run_timeout().unwrap_or_default();
                self.error = Some(format!("timed out after {ms} ms"));
                self.kill(Why::Failed, step);
            }
            State::Stopping {
                deadline: Some(deadline),
                killed,
                why,
            } if deadline <= step.now => {
                if killed {
                    self.stuck(why, step);
                } else {
                    self.kill(why, step);
                }
            }
            State::Backoff { until } if until <= step.now && self.remains == Remains::None => {
                if !self.spec.supervision.lazy {
                    self.restarts = self.restarts.saturating_add(1);
                }
                self.state = State::Waiting;
            }
            _ => {}
        }
    }

    fn stuck(&mut self, why: Why, step: &mut Step<'_>) {
        let state = State::Stopping {
            deadline: None,
            killed: true,
            why,
        };
        self.enter(state, step, Report::Stuck);
        let reason = format!("{}: killed, and still there", self.spec.name);
        for up in [true, false] {
            self.answer(up, &Err(Refusal::Failed(reason.clone())), step);
        }
    }
}
