//! The negative control: a core that breaks one rule, by being told something
//! else than what is true, or by having done something else than what it says.
//! Each must be found.

use hullkit_bundle::supervision::{Measure, Restart, StartLimit};

use super::super::*;

/// The rule that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sabotage {
    /// A required service need not run, or be ready.
    IgnoreRequires,
    IgnoreAfter,
    /// Ready without having said so.
    ReadyTooEarly,
    /// Never ready.
    DeafToReady,
    /// It may take for ever to get ready.
    NoReadyTimeout,
    NoWatchdog,
    /// Its word that it is alive does not count.
    DeafToWatchdog,
    /// Each probe goes well.
    ProbesAreWell,
    /// None does.
    ProbesAreIll,
    /// Nothing is tried.
    NoProbe,
    /// A probe is not ended with its service.
    EndlessProbe,
    NoStartLimit,
    /// Out of memory is like any other end.
    IgnoreOom,
    NotCritical,
    /// An end is never followed by a start.
    NeverRestart,
    RestartTooEarly,
    StartTwice,
    /// A service's children outlive it.
    LeaveOrphans,
    LoseReplies,
    ReplyTwice,
    /// Nobody is told that all are ready.
    KeepReadyQuiet,
    /// Nobody is asked before it is killed.
    KillAtOnce,
    /// It is started before somebody comes.
    Eager,
    /// Nobody is told who comes.
    DeafToCalls,
    /// Sockets are closed with each run.
    CloseEarly,
    /// And never.
    CloseNever,
    /// A newline is no word.
    DeafToNewlines,
}

impl Sabotage {
    pub(super) const ALL: [Self; 27] = [
        Self::IgnoreRequires,
        Self::IgnoreAfter,
        Self::ReadyTooEarly,
        Self::DeafToReady,
        Self::NoReadyTimeout,
        Self::NoWatchdog,
        Self::DeafToWatchdog,
        Self::ProbesAreWell,
        Self::ProbesAreIll,
        Self::NoProbe,
        Self::EndlessProbe,
        Self::NoStartLimit,
        Self::IgnoreOom,
        Self::NotCritical,
        Self::NeverRestart,
        Self::RestartTooEarly,
        Self::StartTwice,
        Self::LeaveOrphans,
        Self::LoseReplies,
        Self::ReplyTwice,
        Self::KeepReadyQuiet,
        Self::KillAtOnce,
        Self::Eager,
        Self::DeafToCalls,
        Self::CloseEarly,
        Self::CloseNever,
        Self::DeafToNewlines,
    ];

    /// What it is found by: one of these words is in the rule.
    pub(super) fn found_by(self) -> &'static [&'static str] {
        match self {
            Self::IgnoreRequires => &["started without", "stopped before"],
            Self::IgnoreAfter => &["started before", "stopped before"],
            Self::ReadyTooEarly => &[
                "ready is false",
                "started without",
                "started before",
                "ready without",
            ],
            Self::DeafToReady => &["ready is true", "ended without a reason"],
            Self::NoReadyTimeout => &["was not ready in time"],
            Self::NoWatchdog => &["was silent for too long"],
            Self::DeafToWatchdog => &["ended without a reason"],
            Self::ProbesAreWell => &[
                "was unhealthy",
                "ready is false",
                "ready without",
                "the machine goes on",
            ],
            Self::ProbesAreIll => &["ended without a reason", "ready is true"],
            Self::NoProbe => &["nobody looks at it", "no probe to stop"],
            Self::EndlessProbe => &["a probe of what", "a second probe", "its probe has no end"],
            Self::NoStartLimit => &["started where that is forbidden"],
            Self::IgnoreOom => &["started where that is forbidden", "the machine goes on"],
            Self::NotCritical => &["the machine goes on"],
            Self::NeverRestart => &["is lost", "the machine goes on"],
            Self::RestartTooEarly => &["restarted before its time"],
            Self::StartTwice => &["a second instance"],
            Self::LeaveOrphans => &["left processes that live"],
            Self::LoseReplies => &["was never answered"],
            Self::ReplyTwice => &["a second reply"],
            Self::KeepReadyQuiet => &["nobody says so"],
            Self::KillAtOnce => &["killed without being asked to end", "is Stopping"],
            Self::Eager => &["started, and nobody came"],
            Self::DeafToCalls => &["somebody came, and it listens on"],
            Self::CloseEarly => &["its sockets are closed", "closed twice"],
            Self::CloseNever => &["its sockets outlive it"],
            Self::DeafToNewlines => &["ready is true", "ended without a reason"],
        }
    }

    /// What the core is told of an entry.
    pub(super) fn spec(self, mut spec: Spec) -> Spec {
        let policy = &mut spec.supervision;
        match self {
            Self::IgnoreRequires => policy.requires.clear(),
            Self::IgnoreAfter => policy.after.clear(),
            Self::NoReadyTimeout => policy.ready_timeout = u64::MAX / 4,
            Self::NoWatchdog => policy.watchdog = 0,
            Self::NoStartLimit => policy.start_limit = StartLimit::default(),
            Self::IgnoreOom => policy.oom = Measure::Restart,
            Self::NotCritical => policy.critical = false,
            Self::NeverRestart => policy.restart = Restart::Never,
            Self::Eager => policy.lazy = false,
            _ => {}
        }
        spec
    }

    /// What the core is told in the place of `event`.
    pub(super) fn events(self, event: Event) -> Vec<Event> {
        match (self, event) {
            (Self::ReadyTooEarly, Event::Started { entry, pid }) => {
                let said = |notice| Event::Notice { entry, notice };
                vec![Event::Started { entry, pid }, said(Notice::Ready)]
            }
            (
                Self::DeafToReady,
                Event::Notice {
                    notice: Notice::Ready,
                    ..
                },
            )
            | (
                Self::DeafToWatchdog,
                Event::Notice {
                    notice: Notice::Alive,
                    ..
                },
            )
            | (
                Self::DeafToNewlines,
                Event::Notice {
                    notice: Notice::Written,
                    ..
                },
            )
            | (Self::DeafToCalls, Event::Called { .. }) => vec![Event::Tick],
            (Self::ProbesAreWell, Event::Probed { entry, .. }) => {
                vec![Event::Probed { entry, error: None }]
            }
            (Self::ProbesAreIll, Event::Probed { entry, .. }) => {
                let error = Some("a lie".to_owned());
                vec![Event::Probed { entry, error }]
            }
            (_, event) => vec![event],
        }
    }

    /// What is done of what the core says.
    pub(super) fn actions(self, actions: Vec<Action>) -> Vec<Action> {
        actions
            .into_iter()
            .flat_map(|action| match (self, action) {
                (Self::NoProbe, Action::Probe { .. })
                | (Self::EndlessProbe, Action::StopProbe(_))
                | (Self::LoseReplies, Action::Reply(..)) => vec![],
                (Self::LeaveOrphans, Action::Clean(_) | Action::KillRest(_)) => vec![],
                (Self::StartTwice, Action::Start(id)) => vec![Action::Start(id), Action::Start(id)],
                (Self::ReplyTwice, Action::Reply(id, reply)) => {
                    vec![Action::Reply(id, reply.clone()), Action::Reply(id, reply)]
                }
                (Self::KeepReadyQuiet, Action::AllReady) => vec![],
                (Self::RestartTooEarly, Action::Report(id, Report::Ended(ended))) => {
                    // It says another time than it keeps.
                    let restart_in_ms = ended.restart_in_ms.map(|ms| ms + 1);
                    let ended = Ended {
                        restart_in_ms,
                        ..ended
                    };
                    vec![Action::Report(id, Report::Ended(ended))]
                }
                (Self::KillAtOnce, Action::Signal(id, _)) => vec![Action::Kill(id)],
                (Self::CloseEarly, Action::Clean(id)) => vec![Action::Clean(id), Action::Close(id)],
                (Self::CloseNever, Action::Close(_)) => vec![],
                (_, action) => vec![action],
            })
            .collect()
    }
}
