//! The core's state, in the words of the control protocol.

use hullkit_bundle::control;

use super::names::section_name;
use crate::supervise::{Entry, How, Kind, State, Time};

/// One entry.
pub(crate) fn entry(entry: &Entry, now: Time) -> control::Entry {
    let how = entry.last_ending().map(|ending| ending.how);
    control::Entry {
        section: section_name(entry.spec().kind).to_owned(),
        name: entry.spec().name.clone(),
        state: entry.state().as_str().to_owned(),
        pid: entry.pid(),
        since_ms: entry.since().0,
        restarts: entry.restarts(),
        code: match how {
            Some(How::Exited(code)) => Some(code),
            _ => None,
        },
        signal: match how {
            Some(How::Signaled(signal)) => Some(signal),
            _ => None,
        },
        restart_in_ms: match entry.state() {
            State::Backoff { until } => Some(until.since(now)),
            _ => None,
        },
        crash_loop: entry.crash_loop(now),
        error: entry.error().map(str::to_owned),
        ready: (entry.spec().kind == Kind::Service
            && matches!(entry.state(), State::Running { .. }))
        .then(|| entry.is_up()),
        healthy: entry.watch().is_healthy().filter(|_| entry.is_alive()),
        status: entry.watch().status().map(str::to_owned),
        log: None,
    }
}
