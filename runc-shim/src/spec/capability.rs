//! Capabilities: names into sets.

use super::raw;
use super::{Invalid, Result};

/// The names, each at its number (capabilities(7)).
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// The five sets, a bit per capability.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// What an exec may ever give.
    pub bounding: u64,
    /// What counts at checks.
    pub effective: u64,
    /// What an exec of a file with capabilities may pass on.
    pub inheritable: u64,
    /// What may be made effective.
    pub permitted: u64,
    /// What an exec of any file passes on.
    pub ambient: u64,
}

impl Capabilities {
    /// The names, without `CAP_`.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        NAMES.into_iter()
    }

    pub(super) fn validate(raw: &raw::Capabilities) -> Result<Self> {
        let set =
            |name: &str, names: &[String]| parse(&format!("process.capabilities.{name}"), names);
        let sets = Self {
            bounding: set("bounding", &raw.bounding)?,
            effective: set("effective", &raw.effective)?,
            inheritable: set("inheritable", &raw.inheritable)?,
            permitted: set("permitted", &raw.permitted)?,
            ambient: set("ambient", &raw.ambient)?,
        };
        within("effective", sets.effective, "permitted", sets.permitted)?;
        within("ambient", sets.ambient, "permitted", sets.permitted)?;
        within("ambient", sets.ambient, "inheritable", sets.inheritable)?;
        Ok(sets)
    }
}

fn parse(field: &str, names: &[String]) -> Result<u64> {
    names.iter().enumerate().try_fold(0, |set, (i, name)| {
        let known = NAMES.iter().position(|known| {
            name.strip_prefix("CAP_")
                .is_some_and(|short| short == *known)
        });
        match known {
            Some(number) => Ok(set | 1 << number),
            None => Err(Invalid::new(
                format!("{field}[{i}]"),
                format!("\"{name}\" is not a capability, CAP_CHOWN to CAP_CHECKPOINT_RESTORE"),
            )),
        }
    })
}

/// The kernel's own rule, told with names instead of `EPERM`.
fn within(name: &str, set: u64, of: &str, limit: u64) -> Result<()> {
    let Some(number) = (0..64).find(|bit| set & !limit & (1 << bit) != 0) else {
        return Ok(());
    };
    let capability = NAMES.get(number).copied().unwrap_or_default();
    Err(Invalid::new(
        format!("process.capabilities.{name}"),
        format!("CAP_{capability} is not in {of} too"),
    ))
}
