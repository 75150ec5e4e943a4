//! Which service may be started, and which may be stopped, now.

use super::entry::Step;
use super::{Action, Core, Entry, EntryId, Kind, Phase, State, Way};

/// Whether a service that is meant to run may be started.
#[derive(Debug)]
enum Readiness {
    Ready,
    /// Another one's turn comes first, at the boot.
    NotYet,
    /// It needs a service that does not run, and is on its way.
    Needs(String),
    /// It needs a service that does not run, and will not: why.
    Never(String),
}

impl Core {
    /// Starts all that may be started. Whether one listens now, which another
    /// may have waited for; a start changes nothing before its event comes.
    pub(super) fn start_services(&mut self, step: &mut Step<'_>) -> bool {
        let mut one_listens = false;
        for index in 0..self.entries.len() {
            let Some(readiness) = self.readiness(EntryId(index)) else {
                continue;
            };
            self.with(EntryId(index), |entry| match readiness {
                Readiness::Ready => one_listens |= entry.start_or_listen(step),
                Readiness::NotYet => {}
                Readiness::Needs(name) => entry.wait_for(&name, step),
                Readiness::Never(why) => entry.skip(&why, step),
            });
        }
        one_listens
    }

    /// None for what is not a service that waits to be started.
    fn readiness(&self, id: EntryId) -> Option<Readiness> {
        let entry = self.entry(id)?;
        if entry.spec.kind != Kind::Service || !entry.wanted || !entry.can_start() {
            return None;
        }
        let find = |id: &EntryId| self.entry(*id);
        if !entry
            .deps
            .after
            .iter()
            .filter_map(find)
            .all(Entry::had_its_turn)
        {
            return Some(Readiness::NotYet);
        }
        let missing = entry
            .deps
            .requires
            .iter()
            .filter_map(find)
            .find(|other| !other.is_there());
        Some(match missing {
            None => Readiness::Ready,
            Some(other) if !other.tried && other.wanted => Readiness::NotYet,
            Some(other) if other.wanted && !other.is_final() => {
                Readiness::Needs(other.spec.name.clone())
            }
            Some(other) => {
                Readiness::Never(format!("requires {}, which does not run", other.spec.name))
            }
        })
    }

    /// Notes that the boot is over. Whether nothing is being started.
    pub(super) fn note_services_up(&mut self, step: &mut Step<'_>) -> bool {
        let services = || self.entries.iter().filter(|e| e.spec.kind == Kind::Service);
        if services().any(|entry| matches!(entry.state, State::Starting { .. })) {
            return false;
        }
        // Who still waits does so for one that runs and is not ready.
        let settled = |entry: &Entry| {
            entry.tried || matches!(entry.state, State::Running { .. } | State::Waiting)
        };
        if self.services_up.is_none() && services().all(settled) {
            self.services_up = Some(step.now);
        }
        // Nothing waits for the processor any more.
        self.each(Entry::has_remains_for_later, |entry| entry.clean_kept(step));
        true
    }

    /// Notes, once, that each service is ready or has done its work.
    pub(super) fn note_ready(&mut self, step: &mut Step<'_>) {
        if self.phase != Phase::Services || self.ready.is_some() {
            return;
        }
        let mut services = self.entries.iter().filter(|e| e.spec.kind == Kind::Service);
        if services.all(|entry| entry.is_there() || entry.state == State::Exited) {
            self.ready = Some(step.now);
            step.out.push(Action::AllReady);
        }
    }

    /// Stops all that may be stopped: what no other running service waited for.
    /// Whether the phase changed.
    pub(super) fn advance_stopping(&mut self, way: Way, step: &mut Step<'_>) -> bool {
        for index in 0..self.entries.len() {
            let id = EntryId(index);
            let held_up = self
                .entries
                .iter()
                .any(|other| !other.is_down() && other.deps.all().any(|dep| dep == id));
            let planned = self.entry(id).is_some_and(Entry::is_planned);
            if planned && (way.forced || !held_up) {
                self.with(id, |entry| entry.stop(way.forced, step));
            }
        }
        let mut stopping = self.entries.iter().filter(|entry| entry.is_planned());
        if stopping.any(|entry| !entry.is_down()) {
            return false;
        }
        self.enter(Phase::Onshutdown(way), step);
        true
    }
}

impl Entry {
    /// Whether those `after` it need not wait.
    fn had_its_turn(&self) -> bool {
        self.tried || !self.wanted
    }

    /// Whether it is started on the way up, and stopped on the way down.
    pub(super) fn is_planned(&self) -> bool {
        matches!(self.spec.kind, Kind::Onboot | Kind::Service)
    }

    fn is_final(&self) -> bool {
        matches!(self.state, State::Exited | State::Failed | State::Skipped)
    }
}
