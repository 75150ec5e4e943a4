//! The kernel log lines of what the core reports (`docs/kernel-log.md`).

use crate::klog::{Level, Line};
use crate::supervise::{Ended, How, Kind, Report, SystemState, Time};

/// The word for it, which is that of its line.
pub(super) const fn word(report: &Report) -> &'static str {
    match report {
        Report::Waiting { .. } => "waiting",
        Report::Listening => "listening",
        Report::Starting => "starting",
        Report::Running { .. } => "running",
        Report::Ready { .. } => "ready",
        Report::Unhealthy { .. } => "unhealthy",
        Report::Healthy => "healthy",
        Report::Stopping { .. } | Report::Stuck => "stopping",
        Report::Ended(Ended { failed: true, .. }) => "failed",
        Report::Ended(Ended { failed: false, .. }) => "exited",
        Report::Skipped(_) => "skipped",
        Report::Problem(_) => "problem",
    }
}

/// The line of an entry's new state.
pub(super) fn entry(kind: Kind, name: &str, report: &Report) -> Line {
    let subject = format!("{} {name}", kind.as_str());
    let line = |level| Line::new(level, &subject, word(report));
    match report {
        Report::Waiting { requires } => line(Level::Info).with("requires", requires),
        Report::Listening | Report::Starting => line(Level::Info),
        Report::Running { pid } => line(Level::Info).with("pid", pid),
        Report::Ready { ms } => line(Level::Info).with("ms", ms),
        Report::Unhealthy { failures, error } => line(Level::Error)
            .with("failures", failures)
            .with("error", error),
        Report::Healthy => line(Level::Info),
        Report::Stopping { signal, kill_in_ms } => line(Level::Info)
            .with_some("signal", *signal)
            .with_some("kill_in_ms", *kill_in_ms),
        Report::Stuck => line(Level::Error).with("error", "killed, and still there"),
        Report::Ended(ended) => ended_line(&subject, word(report), ended),
        Report::Skipped(why) => line(Level::Error).with("error", why),
        Report::Problem(what) => line(Level::Error).with("error", what),
    }
}

fn ended_line(subject: &str, word: &str, ended: &Ended) -> Line {
    let level = match ended.failed {
        true => Level::Error,
        false => Level::Info,
    };
    let line = Line::new(level, subject, word);
    let line = match ended.ending.map(|ending| ending.how) {
        Some(How::Exited(code)) => line.with("code", code),
        Some(How::Signaled(signal)) => line.with("signal", signal),
        None => line,
    };
    let oom = ended.ending.is_some_and(|ending| ending.oom);
    line.with_some("oom", oom.then_some(true))
        .with_some("error", ended.error.as_deref())
        .with_some("restart_in_ms", ended.restart_in_ms)
        .with_some("crash_loop", ended.crash_loop.then_some(true))
        .with_some("ms", ended.ran_ms)
}

/// The line that says that all services are ready.
pub(super) fn all_ready(now: Time) -> Line {
    Line::new(Level::Info, "init", "ready").with("ms", now.0)
}

/// The line of the machine's new state.
pub(super) fn system(state: SystemState) -> Line {
    let line = Line::new(Level::Info, "init", state.as_str());
    match state {
        SystemState::Stopping(end) => line.with("for", end.as_str()),
        SystemState::Booting | SystemState::Running | SystemState::Stopped => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervise::{End, Ending};

    fn text(report: &Report) -> String {
        entry(Kind::Service, "web", report).render()
    }

    #[test]
    fn running() {
        assert_eq!(
            text(&Report::Running { pid: 73 }),
            "<6>hullkit: service web: running pid=73\n"
        );
    }

    #[test]
    fn failed_by_a_signal_and_started_again() {
        let ended = Ended {
            failed: true,
            ending: Some(Ending {
                how: How::Signaled(9),
                oom: false,
            }),
            error: None,
            ran_ms: Some(12),
            restart_in_ms: Some(200),
            crash_loop: false,
        };
        assert_eq!(
            text(&Report::Ended(ended)),
            "<3>hullkit: service web: failed signal=9 restart_in_ms=200 ms=12\n"
        );
    }

    #[test]
    fn failed_before_it_ran() {
        let ended = Ended {
            failed: true,
            ending: None,
            error: Some("exec /bin/nope: No such file or directory".to_owned()),
            ran_ms: None,
            restart_in_ms: Some(30_000),
            crash_loop: true,
        };
        assert_eq!(
            text(&Report::Ended(ended)),
            "<3>hullkit: service web: failed error=\"exec /bin/nope: No such file or directory\" \
             restart_in_ms=30000 crash_loop=true\n"
        );
    }

    #[test]
    fn the_way_down() {
        let line = system(SystemState::Stopping(End::Reboot));
        assert_eq!(line.render(), "<6>hullkit: init: stopping for=reboot\n");
    }
}
