//! How PID 1 supervises an entry: restart policy, order, stop, failure.
//!
//! Times are whole milliseconds here; the YAML writes them as `500ms`, `10s`,
//! `5m` or `1h`, and the builder checks them before they get here.

use serde::{Deserialize, Serialize};

use crate::socket::Socket;

/// The supervision of one entry. Fields that do not apply to its section keep
/// their defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Supervision {
    /// Services: whether to start again after the end.
    pub restart: Restart,
    /// Services: how long to wait before that.
    pub backoff: Backoff,
    /// Services: started after these have started, if they are to start at all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// Services: like `after`, and not started unless these run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// The signal that asks it to stop, as a number; the builder translates
    /// names.
    pub stop_signal: i32,
    /// From the stop signal to `cgroup.kill`, in milliseconds.
    pub stop_timeout: u64,
    /// Onboot and onshutdown: killed after this many milliseconds. 0: an
    /// onboot entry never, an onshutdown entry after 90 s, as nothing may keep
    /// the machine from its end.
    pub timeout: u64,
    /// Onboot: what its failure means for the boot; onshutdown: for the end.
    pub on_failure: OnFailure,
    /// Services: how often they may be started.
    #[serde(skip_serializing_if = "StartLimit::is_none")]
    pub start_limit: StartLimit,
    /// Services: when they count as ready; none: as soon as they run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<ReadyBy>,
    /// Services: failed if not ready after this many milliseconds.
    pub ready_timeout: u64,
    /// Services: how it is found out whether they still do what they are for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// Services: failed if they do not say `WATCHDOG=1` for this many
    /// milliseconds. 0: they need not.
    pub watchdog: u64,
    /// Services: what it means when the kernel ends them for want of memory.
    pub oom: Measure,
    /// Services: their final failure reboots the machine.
    pub critical: bool,
    /// Services: they have a socket to say how they are (`sd_notify(3)`).
    pub notify: bool,
    /// Services: the sockets that PID 1 opens for them, in this order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sockets: Vec<Socket>,
    /// Services with sockets: started when somebody comes.
    pub lazy: bool,
    /// Services: how many descriptors they may leave with PID 1.
    pub fd_store: u32,
    /// Where its log is kept on a disk as well; none: in memory only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<LogFile>,
}

impl Supervision {
    /// Whether PID 1 keeps descriptors from one run to the next.
    #[must_use]
    pub fn keeps_descriptors(&self) -> bool {
        !self.sockets.is_empty() || self.fd_store > 0
    }

    /// Whether nothing differs from the default.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Supervision {
    fn default() -> Self {
        Self {
            restart: Restart::default(),
            backoff: Backoff::default(),
            after: Vec::new(),
            requires: Vec::new(),
            stop_signal: SIGTERM,
            stop_timeout: 10_000,
            timeout: 0,
            on_failure: OnFailure::default(),
            start_limit: StartLimit::default(),
            ready: None,
            ready_timeout: READY_TIMEOUT,
            health: None,
            watchdog: 0,
            oom: Measure::Restart,
            critical: false,
            notify: false,
            sockets: Vec::new(),
            lazy: false,
            fd_store: 0,
            log: None,
        }
    }
}

/// A log on a disk: the file, and those that it was before, `PATH.1` the
/// latest of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogFile {
    /// The file, absolute, as PID 1 sees it; at most [`LogFile::LONGEST_PATH`]
    /// bytes.
    pub path: String,
    /// A file does not grow above this, in bytes.
    pub max_size: u64,
    /// How many there are, from 1, with the one that is written.
    pub max_files: u32,
}

impl LogFile {
    /// The longest path, in bytes.
    pub const LONGEST_PATH: usize = 512;
}

/// The default of [`Supervision::ready_timeout`].
pub const READY_TIMEOUT: u64 = 90_000;

/// The default stop signal; 15 on every architecture of Linux.
pub const SIGTERM: i32 = 15;

/// When a service that ended is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Whatever its end was.
    #[default]
    Always,
    /// When it ended by a signal or with a code other than 0.
    OnFailure,
    /// Not at all.
    Never,
}

/// Exponential backoff: `initial · factorⁿ`, at most `max`, where n counts the
/// restarts since it last ran for `reset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Backoff {
    /// Before the first restart, in milliseconds.
    pub initial: u64,
    /// Never longer than this, in milliseconds.
    pub max: u64,
    /// Growth, in percent: 200 doubles.
    pub factor_percent: u32,
    /// Back to `initial` after running for so long, in milliseconds.
    pub reset: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            initial: 200,
            max: 30_000,
            factor_percent: 200,
            reset: 10_000,
        }
    }
}

/// What the failure of an onboot entry means for the boot, that of an
/// onshutdown entry for the machine's end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// The next entry's turn comes, as LinuxKit does.
    #[default]
    Continue,
    /// No further entry is started, nor, at boot, any service: the machine
    /// stays up, so that it can be looked at. On the way down it ends.
    Stop,
    /// The machine reboots.
    Reboot,
    /// The machine powers off.
    Poweroff,
}

/// What is done about a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Nothing, but that it is said.
    None,
    /// It is ended, and started again as its policy says.
    Restart,
    /// It is not started again.
    Stop,
    /// The machine reboots.
    Reboot,
    /// The machine powers off.
    Poweroff,
}

/// A service that has been started `burst` times within `interval` and ends
/// once more is not started again by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StartLimit {
    /// Starts; 0: there is no limit.
    pub burst: u32,
    /// In milliseconds.
    pub interval: u64,
    /// What is done about it.
    pub action: Measure,
}

impl StartLimit {
    fn is_none(&self) -> bool {
        self.burst == 0
    }
}

impl Default for StartLimit {
    fn default() -> Self {
        Self {
            burst: 0,
            interval: 0,
            action: Measure::Stop,
        }
    }
}

/// How it is found out whether a service does what it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// What is tried.
    pub probe: Probe,
    /// From one try to the next, in milliseconds.
    pub interval: u64,
    /// A try that takes longer has failed, in milliseconds.
    pub timeout: u64,
    /// It is unhealthy after so many failures in a row.
    pub retries: u32,
    /// Failures so long after its start do not count, until a try has gone
    /// well; in milliseconds.
    pub start_period: u64,
    /// What is done about an unhealthy one.
    pub action: Measure,
}

/// When a service counts as ready. Written as a list of words: `["notify"]`,
/// `["fd", "3"]`, `["delay", "500"]`, or a [`Probe`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub enum ReadyBy {
    /// When it says `READY=1` (`sd_notify(3)`).
    Notify,
    /// When it has written a newline to this descriptor.
    Fd(u32),
    /// After this many milliseconds.
    Delay(u64),
    /// When this goes well.
    Probe(Probe),
}

/// Something that is tried inside a service's namespaces. Written as a list of
/// words, which are the arguments of the program that tries it:
/// `["exec", PROGRAM, ARGUMENT…]`, `["tcp", ADDRESS:PORT]`, `["unix", PATH]`,
/// `["http", ADDRESS:PORT, PATH]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Probe(Vec<String>);

impl Probe {
    /// The words.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.0
    }
}

impl TryFrom<Vec<String>> for Probe {
    type Error = String;

    fn try_from(words: Vec<String>) -> Result<Self, String> {
        let known = match words.first().map(String::as_str) {
            Some("exec") => words.len() > 1,
            Some("tcp" | "unix") => words.len() == 2,
            Some("http") => words.len() == 3,
            _ => false,
        };
        if known {
            Ok(Self(words))
        } else {
            Err(no_words(&words))
        }
    }
}

impl From<Probe> for Vec<String> {
    fn from(probe: Probe) -> Self {
        probe.0
    }
}

impl TryFrom<Vec<String>> for ReadyBy {
    type Error = String;

    fn try_from(words: Vec<String>) -> Result<Self, String> {
        let number = || words.get(1).and_then(|word| word.parse::<u64>().ok());
        let one = words.len() == 2;
        match (words.first().map(String::as_str), number()) {
            (Some("notify"), None) if words.len() == 1 => Ok(Self::Notify),
            (Some("delay"), Some(ms)) if one => Ok(Self::Delay(ms)),
            (Some("fd"), Some(fd)) if one => match u32::try_from(fd) {
                Ok(fd) => Ok(Self::Fd(fd)),
                Err(_) => Err(no_words(&words)),
            },
            _ => Probe::try_from(words).map(Self::Probe),
        }
    }
}

impl From<ReadyBy> for Vec<String> {
    fn from(by: ReadyBy) -> Self {
        match by {
            ReadyBy::Notify => vec!["notify".to_owned()],
            ReadyBy::Delay(ms) => vec!["delay".to_owned(), ms.to_string()],
            ReadyBy::Fd(fd) => vec!["fd".to_owned(), fd.to_string()],
            ReadyBy::Probe(probe) => probe.0,
        }
    }
}

fn no_words(words: &[String]) -> String {
    format!("{} is no probe", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn words_come_back() {
        for text in [
            "notify",
            "delay 500",
            "fd 3",
            "exec /bin/true",
            "exec sh -c x",
            "tcp 127.0.0.1:80",
            "unix /run/s",
            "http 127.0.0.1:80 /",
        ] {
            let by = ReadyBy::try_from(words(text)).unwrap();
            assert_eq!(Vec::from(by), words(text), "{text}");
        }
    }

    #[test]
    fn others_are_refused() {
        for text in [
            "",
            "exec",
            "tcp",
            "tcp a b",
            "notify 1",
            "delay",
            "delay -1",
            "fd",
            "fd -1",
            "fd 4294967296",
            "http a",
            "smtp a",
        ] {
            assert!(ReadyBy::try_from(words(text)).is_err(), "{text}");
        }
        assert!(Probe::try_from(words("notify")).is_err());
        assert!(Probe::try_from(Vec::new()).is_err());
    }
}
