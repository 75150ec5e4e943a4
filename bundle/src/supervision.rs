//! How PID 1 supervises an entry: restart policy, order, stop, failure.
//!
//! Times are whole milliseconds here; the YAML writes them as `500ms`, `10s`,
//! `5m` or `1h`, and the builder checks them before they get here.

use serde::{Deserialize, Serialize};

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
    /// Onboot: what its failure means for the boot.
    pub on_failure: OnFailure,
}

impl Supervision {
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
        }
    }
}

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

/// What the failure of an onboot entry means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// The boot goes on with the next entry, as LinuxKit does.
    #[default]
    Continue,
    /// No further onboot entry and no service is started; the machine stays
    /// up, so that it can be looked at.
    Stop,
    /// The machine reboots.
    Reboot,
    /// The machine powers off.
    Poweroff,
}
