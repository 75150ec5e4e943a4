//! The core's state as records, for the next life of PID 1 ([`crate::life`]).
//!
//! What an entry was made from is not saved: the bundles are read again. Nor
//! are those who wait for an answer: their connections end with the life.
//!
//! [`Entry::save`] names every field of an entry, so that one which is added
//! cannot be forgotten.

use super::backoff::Backoff;
use super::entry::{Entry, Remains, State, Watch, Why};
use super::{Core, End, Ending, How, Phase, Time, Way};
use crate::life::record::{Record, Writer};

impl End {
    /// The end that [`Self::as_str`] has this word for.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let all = [Self::Poweroff, Self::Reboot, Self::Halt, Self::Kexec];
        all.into_iter().find(|end| end.as_str() == word)
    }
}

impl How {
    /// `exited:0`, `signaled:9`.
    #[must_use]
    pub fn to_text(self) -> String {
        match self {
            Self::Exited(code) => format!("exited:{code}"),
            Self::Signaled(signal) => format!("signaled:{signal}"),
        }
    }

    /// What [`Self::to_text`] wrote.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("exited", code) => code.parse().ok().map(Self::Exited),
            ("signaled", signal) => signal.parse().ok().map(Self::Signaled),
            _ => None,
        }
    }
}

fn save_ending(ending: Option<Ending>, key: &str, oom: &str, to: &mut Writer) {
    if let Some(ending) = ending {
        to.field(key, ending.how.to_text()).flag(oom, ending.oom);
    }
}

fn ending(record: &Record<'_>, key: &str, oom: &str) -> Option<Ending> {
    Some(Ending {
        how: How::from_text(record.get(key)?)?,
        oom: record.flag(oom),
    })
}

fn time(record: &Record<'_>, key: &str) -> Option<Time> {
    record.parsed(key).map(Time)
}

impl Core {
    /// Writes what the core knows beyond its specs.
    pub fn save(&self, to: &mut Writer) {
        let Self {
            entries,
            phase,
            onboot_done,
            services_up,
            ready,
        } = self;
        to.record("core");
        phase.save(to);
        to.some("onboot_done", onboot_done.map(|time| time.0))
            .some("services_up", services_up.map(|time| time.0))
            .some("ready", ready.map(|time| time.0));
        for entry in entries {
            entry.memo.write(to, |to| entry.save(to));
        }
    }

    /// Takes what [`Self::save`] has written, in the place of the beginning.
    ///
    /// # Errors
    /// What cannot be read, or has no entry here any more: one line each.
    /// The rest has been taken.
    pub fn restore(&mut self, records: &[Record<'_>]) -> Result<(), Vec<String>> {
        let mut errors = Vec::new();
        for record in records {
            let done = match record.word {
                "core" => self.restore_core(record),
                "entry" => self.restore_entry(record),
                _ => Ok(()),
            };
            errors.extend(done.err());
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    }

    fn restore_core(&mut self, record: &Record<'_>) -> Result<(), String> {
        self.phase = Phase::restore(record)
            .ok_or_else(|| format!("phase {:?} is not known", record.get("phase")))?;
        self.onboot_done = time(record, "onboot_done");
        self.services_up = time(record, "services_up");
        self.ready = time(record, "ready");
        Ok(())
    }

    fn restore_entry(&mut self, record: &Record<'_>) -> Result<(), String> {
        let name = record.text("name").unwrap_or_default();
        let kind = record.get("kind").unwrap_or_default();
        let mut entries = self.entries.iter_mut();
        let entry = entries.find(|e| e.spec.kind.as_str() == kind && e.spec.name == name);
        match entry {
            Some(entry) => {
                entry.memo.forget();
                entry.restore(record)
            }
            None => Err(format!("{kind} {name} is not in this image")),
        }
        .map_err(|error| format!("{kind} {name}: {error}"))
    }

    /// How the machine is to end, when all is over.
    #[must_use]
    pub fn over(&self) -> Option<End> {
        match self.phase {
            Phase::Over(end) => Some(end),
            _ => None,
        }
    }
}

impl Phase {
    fn save(self, to: &mut Writer) {
        let (word, way) = match self {
            Self::Idle => ("idle", None),
            Self::Onboot => ("onboot", None),
            Self::Services => ("services", None),
            Self::Held => ("held", None),
            Self::Stopping(way) => ("stopping", Some(way)),
            Self::Onshutdown(way) => ("onshutdown", Some(way)),
            Self::Over(end) => ("over", Some(Way { end, forced: false })),
        };
        to.field("phase", word)
            .some("end", way.map(|way| way.end.as_str()))
            .flag("forced", way.is_some_and(|way| way.forced));
    }

    fn restore(record: &Record<'_>) -> Option<Self> {
        let way = || {
            Some(Way {
                end: End::from_word(record.get("end")?)?,
                forced: record.flag("forced"),
            })
        };
        Some(match record.get("phase")? {
            "idle" => Self::Idle,
            "onboot" => Self::Onboot,
            "services" => Self::Services,
            "held" => Self::Held,
            "stopping" => Self::Stopping(way()?),
            "onshutdown" => Self::Onshutdown(way()?),
            "over" => Self::Over(way()?.end),
            _ => return None,
        })
    }
}

impl Entry {
    pub(super) fn save(&self, to: &mut Writer) {
        let Self {
            // By its kind and name it is found again.
            id: _,
            spec,
            deps: _,
            state,
            wanted,
            tried,
            called,
            open,
            since,
            remains,
            pid,
            began,
            restarts,
            backoff,
            crash_loop,
            ending,
            last_ending,
            error,
            waiters: _,
            watch,
            starts,
            demand,
            memo: _,
        } = self;
        to.record("entry")
            .field("kind", spec.kind.as_str())
            .text("name", &spec.name);
        state.save(to);
        to.flag("wanted", *wanted)
            .flag("tried", *tried)
            .flag("called", *called)
            .flag("open", *open)
            .field("since", since.0);
        match remains {
            Remains::None => {}
            Remains::Kept => drop(to.field("remains", "kept")),
            Remains::Cleaning(until) => drop(to.field("cleaning", until.0)),
        }
        to.some("pid", *pid)
            .some("began", began.map(|time| time.0))
            .field("restarts", restarts)
            .field("backoff", backoff.restarts())
            .flag("crash_loop", *crash_loop);
        save_ending(*ending, "ending", "oom", to);
        save_ending(*last_ending, "last", "last_oom", to);
        if let Some(error) = error {
            to.text("error", error);
        }
        for start in starts {
            to.field("start", start.0);
        }
        to.some("demand", demand.map(End::as_str));
        watch.save(to);
    }

    fn restore(&mut self, record: &Record<'_>) -> Result<(), String> {
        self.state = State::restore(record)
            .ok_or_else(|| format!("state {:?} is not known", record.get("state")))?;
        self.wanted = record.flag("wanted");
        self.tried = record.flag("tried");
        self.called = record.flag("called");
        self.open = record.flag("open");
        self.since = time(record, "since").unwrap_or_default();
        self.remains = match (record.get("remains"), time(record, "cleaning")) {
            (_, Some(until)) => Remains::Cleaning(until),
            (Some(_), None) => Remains::Kept,
            (None, None) => Remains::None,
        };
        self.pid = record.parsed("pid");
        self.began = time(record, "began");
        self.restarts = record.parsed("restarts").unwrap_or_default();
        self.backoff = Backoff::after(record.parsed("backoff").unwrap_or_default());
        self.crash_loop = record.flag("crash_loop");
        self.ending = ending(record, "ending", "oom");
        self.last_ending = ending(record, "last", "last_oom");
        self.error = record.text("error");
        self.starts = record.all("start").map(Time).collect();
        self.demand = record.get("demand").and_then(End::from_word);
        self.watch = Watch::restore(record);
        Ok(())
    }

    /// Whether what is left of its last run is being cleaned.
    #[must_use]
    pub fn is_cleaning(&self) -> bool {
        matches!(self.remains, Remains::Cleaning(_))
    }
}

impl Why {
    const ALL: [Self; 3] = [Self::Asked, Self::Failed, Self::Itself];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Failed => "failed",
            Self::Itself => "itself",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|why| why.as_str() == word)
    }
}

impl State {
    fn save(self, to: &mut Writer) {
        to.field("state", self.as_str());
        match self {
            Self::Starting { deadline } => drop(to.field("deadline", deadline.0)),
            Self::Running { deadline } => drop(to.some("deadline", deadline.map(|t| t.0))),
            Self::Stopping {
                deadline,
                killed,
                why,
            } => drop(
                to.some("deadline", deadline.map(|time| time.0))
                    .flag("killed", killed)
                    .field("why", why.as_str()),
            ),
            Self::Backoff { until } => drop(to.field("until", until.0)),
            Self::Waiting | Self::Listening | Self::Exited | Self::Failed | Self::Skipped => {}
        }
    }

    fn restore(record: &Record<'_>) -> Option<Self> {
        Some(match record.get("state")? {
            "waiting" => Self::Waiting,
            "listening" => Self::Listening,
            "starting" => Self::Starting {
                deadline: time(record, "deadline")?,
            },
            "running" => Self::Running {
                deadline: time(record, "deadline"),
            },
            "stopping" => Self::Stopping {
                deadline: time(record, "deadline"),
                killed: record.flag("killed"),
                why: record.get("why").and_then(Why::from_word)?,
            },
            "backoff" => Self::Backoff {
                until: time(record, "until")?,
            },
            "exited" => Self::Exited,
            "failed" => Self::Failed,
            "skipped" => Self::Skipped,
            _ => return None,
        })
    }
}
