//! The end of a run that somebody, or the time, asks for.

use super::{Entry, KILL_TIMEOUT, Remains, SIGKILL, START_TIMEOUT, State, Step};
use crate::supervise::action::{Action, Refusal, Report};

impl Entry {
    /// Asks it to end; `force` kills it at once.
    pub(in crate::supervise) fn stop(&mut self, force: bool, step: &mut Step<'_>) {
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

    pub(super) fn kill(&mut self, asked: bool, step: &mut Step<'_>) {
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

    /// Does what time demands.
    pub(in crate::supervise) fn expire(&mut self, step: &mut Step<'_>) {
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
}
