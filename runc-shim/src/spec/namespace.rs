//! Namespaces and id mappings.

use std::collections::BTreeMap;
use std::ffi::CString;

use super::raw;
use super::{Invalid, Result, absolute_path};

/// The kinds of namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamespaceKind {
    /// User and group ids, capabilities.
    User,
    /// Process ids.
    Pid,
    /// Network.
    Network,
    /// Mounts.
    Mount,
    /// System V IPC and POSIX message queues.
    Ipc,
    /// Host name.
    Uts,
    /// The cgroup's root.
    Cgroup,
    /// The clocks that count from the boot.
    Time,
}

impl NamespaceKind {
    fn parse(field: &str, word: &str) -> Result<Self> {
        Ok(match word {
            "user" => Self::User,
            "pid" => Self::Pid,
            "network" => Self::Network,
            "mount" => Self::Mount,
            "ipc" => Self::Ipc,
            "uts" => Self::Uts,
            "cgroup" => Self::Cgroup,
            "time" => Self::Time,
            other => {
                return Err(Invalid::choice(
                    field,
                    other,
                    "pid, network, mount, ipc, uts, user, cgroup, time",
                ));
            }
        })
    }

    /// The specification's word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Pid => "pid",
            Self::Network => "network",
            Self::Mount => "mount",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::Cgroup => "cgroup",
            Self::Time => "time",
        }
    }

    /// The kernel's `CLONE_NEW…` bit.
    #[must_use]
    pub fn flag(self) -> u64 {
        let flag = match self {
            Self::User => libc::CLONE_NEWUSER,
            Self::Pid => libc::CLONE_NEWPID,
            Self::Network => libc::CLONE_NEWNET,
            Self::Mount => libc::CLONE_NEWNS,
            Self::Ipc => libc::CLONE_NEWIPC,
            Self::Uts => libc::CLONE_NEWUTS,
            Self::Cgroup => libc::CLONE_NEWCGROUP,
            Self::Time => 0x80, // CLONE_NEWTIME
        };
        u64::from(flag.unsigned_abs())
    }
}

/// A namespace of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Its kind.
    pub kind: NamespaceKind,
    /// The one to join; `None`: a new one.
    pub path: Option<CString>,
}

/// A range of ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdMapping {
    /// The first inside.
    pub container: u32,
    /// The first outside.
    pub host: u32,
    /// How many.
    pub size: u32,
}

/// All namespaces of the container; what is not named is the caller's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// At most one of each kind; a mount namespace is a new one.
    pub list: Vec<Namespace>,
    /// Of a new user namespace.
    pub uid_mappings: Vec<IdMapping>,
    /// Of a new user namespace.
    pub gid_mappings: Vec<IdMapping>,
    /// Of a new time namespace, as its file `timens_offsets` takes them.
    pub time_offsets: String,
}

impl Namespaces {
    /// Whether the container does not share this with its caller.
    #[must_use]
    pub fn has(&self, kind: NamespaceKind) -> bool {
        self.list.iter().any(|n| n.kind == kind)
    }

    /// Whether a new one of this kind is made.
    #[must_use]
    pub fn is_new(&self, kind: NamespaceKind) -> bool {
        self.list.iter().any(|n| n.kind == kind && n.path.is_none())
    }

    /// The `CLONE_NEW…` bits of all new ones.
    #[must_use]
    pub fn new_flags(&self) -> u64 {
        let new = self.list.iter().filter(|n| n.path.is_none());
        new.fold(0, |flags, n| flags | n.kind.flag())
    }

    /// Those to join, with their paths.
    pub fn joined(&self) -> impl Iterator<Item = (NamespaceKind, &CString)> {
        self.list
            .iter()
            .filter_map(|n| Some((n.kind, n.path.as_ref()?)))
    }

    pub(super) fn validate(
        raw: &[raw::Namespace],
        uids: &[raw::IdMapping],
        gids: &[raw::IdMapping],
        offsets: &BTreeMap<String, raw::TimeOffset>,
    ) -> Result<Self> {
        let mut list: Vec<Namespace> = Vec::with_capacity(raw.len());
        for (i, namespace) in raw.iter().enumerate() {
            let field = format!("linux.namespaces[{i}]");
            let kind = NamespaceKind::parse(&format!("{field}.type"), &namespace.kind)?;
            if list.iter().any(|n| n.kind == kind) {
                let problem = format!("\"{}\" is named twice", kind.name());
                return Err(Invalid::new(format!("{field}.type"), problem));
            }
            let path = match namespace.path.as_str() {
                "" => None,
                path => Some(absolute_path(&format!("{field}.path"), path)?),
            };
            list.push(Namespace { kind, path });
        }
        let all = Self {
            list,
            uid_mappings: mappings("linux.uidMappings", uids)?,
            gid_mappings: mappings("linux.gidMappings", gids)?,
            time_offsets: time_offsets(offsets)?,
        };
        all.check_mount()?;
        all.check_mappings()?;
        all.check_offsets()?;
        Ok(all)
    }

    /// In a mount namespace of others there is no root to change.
    fn check_mount(&self) -> Result<()> {
        if !self.has(NamespaceKind::Mount) || self.is_new(NamespaceKind::Mount) {
            return Ok(());
        }
        Err(Invalid::new(
            "linux.namespaces",
            "a mount namespace is named by path, and this runtime makes a new one or, where none is named, changes the root alone",
        ))
    }

    fn check_offsets(&self) -> Result<()> {
        if self.time_offsets.is_empty() || self.is_new(NamespaceKind::Time) {
            return Ok(());
        }
        let problem = "are set without a new time namespace";
        Err(Invalid::new("linux.timeOffsets", problem))
    }

    fn check_mappings(&self) -> Result<()> {
        let none = self.uid_mappings.is_empty() && self.gid_mappings.is_empty();
        match (self.is_new(NamespaceKind::User), none) {
            (false, false) => Err(Invalid::new(
                "linux.uidMappings",
                "are set without a new user namespace",
            )),
            (true, _) if self.uid_mappings.is_empty() => Err(Invalid::new(
                "linux.uidMappings",
                "a new user namespace needs at least one mapping",
            )),
            (true, _) if self.gid_mappings.is_empty() => Err(Invalid::new(
                "linux.gidMappings",
                "a new user namespace needs at least one mapping",
            )),
            _ => Ok(()),
        }
    }
}

/// time_namespaces(7): a line for each clock.
fn time_offsets(raw: &BTreeMap<String, raw::TimeOffset>) -> Result<String> {
    let mut lines = String::new();
    for (clock, offset) in raw {
        let field = format!("linux.timeOffsets[{clock}]");
        if clock != "monotonic" && clock != "boottime" {
            return Err(Invalid::choice(field, clock, "monotonic, boottime"));
        }
        if offset.nanosecs >= 1_000_000_000 {
            let problem = format!("{} is not less than 1000000000", offset.nanosecs);
            return Err(Invalid::new(format!("{field}.nanosecs"), problem));
        }
        lines += &format!("{clock} {} {}\n", offset.secs, offset.nanosecs);
    }
    Ok(lines)
}

pub(super) fn mappings(field: &str, raw: &[raw::IdMapping]) -> Result<Vec<IdMapping>> {
    raw.iter()
        .enumerate()
        .map(|(i, m)| {
            let fits = |first: u32| first.checked_add(m.size).is_some();
            if m.size == 0 || !fits(m.container) || !fits(m.host) {
                return Err(Invalid::new(
                    format!("{field}[{i}].size"),
                    format!("{} is not from 1 up to the last id, 4294967294", m.size),
                ));
            }
            Ok(IdMapping {
                container: m.container,
                host: m.host,
                size: m.size,
            })
        })
        .collect()
}
