//! The entries that run one after another, each to its end: at boot, and on the
//! way down.

use hullkit_bundle::supervision::OnFailure;

use super::entry::Step;
use super::{Core, End, Entry, EntryId, Kind, Phase, State, Way};

/// What the next thing in a sequence is.
enum Next {
    /// An entry runs, or its turn has come and it was started.
    Wait,
    /// An entry failed, and that is not to be passed over.
    Failed(OnFailure),
    /// All have ended.
    Done,
}

impl Core {
    /// Whether the phase changed.
    pub(super) fn advance_onboot(&mut self, step: &mut Step<'_>) -> bool {
        match self.advance_sequence(Kind::Onboot, step) {
            Next::Wait => return false,
            Next::Done => {
                self.onboot_done = Some(step.now);
                self.enter(Phase::Services, step);
                self.each(|_| true, |entry| entry.open(step));
            }
            Next::Failed(OnFailure::Continue) => return false,
            Next::Failed(OnFailure::Stop) => self.hold(step),
            Next::Failed(OnFailure::Reboot) => self.shut_down(End::Reboot, step),
            Next::Failed(OnFailure::Poweroff) => self.shut_down(End::Poweroff, step),
        }
        true
    }

    /// The machine begins, and nothing is started unless a client asks for it.
    pub(super) fn begin_held(&mut self, step: &mut Step<'_>) {
        if self.phase == Phase::Idle {
            self.each(|_| true, |entry| entry.announce(step));
            self.hold(step);
        }
    }

    /// Nothing further is started unless a client asks for it.
    fn hold(&mut self, step: &mut Step<'_>) {
        self.enter(Phase::Held, step);
        self.each(Entry::is_planned, |entry| {
            entry.settle("the boot was stopped", step);
        });
    }

    /// Whether the phase changed.
    pub(super) fn advance_onshutdown(&mut self, way: Way, step: &mut Step<'_>) -> bool {
        match self.advance_sequence(Kind::Onshutdown, step) {
            Next::Wait => return false,
            Next::Failed(OnFailure::Reboot) => self.finish(End::Reboot, step),
            Next::Failed(OnFailure::Poweroff) => self.finish(End::Poweroff, step),
            Next::Failed(OnFailure::Continue | OnFailure::Stop) | Next::Done => {
                self.finish(way.end, step);
            }
        }
        true
    }

    fn advance_sequence(&mut self, kind: Kind, step: &mut Step<'_>) -> Next {
        for index in 0..self.entries.len() {
            let id = EntryId(index);
            let Some(entry) = self.entry(id).filter(|e| e.spec.kind == kind) else {
                continue;
            };
            match entry.state {
                State::Exited | State::Skipped => {}
                State::Failed => match entry.spec.supervision.on_failure {
                    OnFailure::Continue => {}
                    other => return Next::Failed(other),
                },
                // It was killed and does not die: nobody can do more about it.
                _ if entry.is_stuck() => {}
                State::Waiting => {
                    self.with(id, |entry| entry.start(step));
                    return Next::Wait;
                }
                _ => return Next::Wait,
            }
        }
        Next::Done
    }
}
