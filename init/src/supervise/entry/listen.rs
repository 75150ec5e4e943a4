//! The sockets of a service, which outlive its runs, and the service that is
//! started by who comes to them.

use super::{Entry, State, Step};
use crate::supervise::action::{Action, Report};
use crate::supervise::spec::Kind;

impl Entry {
    /// Opens its sockets before anything is started, so that nobody who comes
    /// early is turned away.
    pub(in crate::supervise) fn open(&mut self, step: &mut Step<'_>) {
        let service = self.spec.kind == Kind::Service;
        let sockets = !self.spec.supervision.sockets.is_empty();
        if service && sockets && self.wanted && !self.open {
            self.open = true;
            let (entry, wake) = (self.id, false);
            step.out.push(Action::Listen { entry, wake });
        }
    }

    /// Closes them: it is not meant to run any more.
    pub(super) fn close(&mut self, step: &mut Step<'_>) {
        if std::mem::take(&mut self.open) {
            step.out.push(Action::Close(self.id));
        }
    }

    /// Whether it is to listen where another one is to be started.
    fn waits_for_a_call(&self) -> bool {
        self.spec.supervision.lazy && !self.called
    }

    /// Starts it, now or when somebody comes. Whether it listens.
    pub(in crate::supervise) fn start_or_listen(&mut self, step: &mut Step<'_>) -> bool {
        if !self.waits_for_a_call() {
            self.start(step);
            return false;
        }
        self.error = None;
        self.ending = None;
        self.began = None;
        self.open = true;
        self.tried = true;
        let (entry, wake) = (self.id, true);
        step.out.push(Action::Listen { entry, wake });
        self.enter(State::Listening, step, Report::Listening);
        true
    }

    /// Somebody has come.
    pub(in crate::supervise) fn called(&mut self) {
        if self.state == State::Listening {
            self.called = true;
            self.state = State::Waiting;
        }
    }
}
