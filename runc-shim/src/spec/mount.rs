//! `mounts`: option words into what the kernel is asked for.

use std::ffi::CString;

use super::namespace::mappings;
use super::raw;
use super::{IdMapping, Invalid, NamespaceKind, Namespaces, Result, c_text};
use crate::sys::mount::{Change, Propagation, attr};

/// A mount of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where, absolute in the container; not its root.
    pub destination: CString,
    /// What.
    pub kind: MountKind,
    /// Of the mount itself.
    pub attributes: Attributes,
    /// Of it and all below it (`rro` and its like).
    pub recursive: Option<Change>,
    /// How it spreads, in order; whether that goes for all below it too.
    pub propagation: Vec<(Propagation, bool)>,
    /// Whose its files are, where that is not whose they are.
    pub id_map: Option<IdMap>,
    /// Whether a tmpfs begins with a copy of what it covers.
    pub copy_up: bool,
}

/// Ids of files that stand for others in a mount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdMap {
    /// From those of the files (container) to those that are seen (host).
    pub uids: Vec<IdMapping>,
    /// Likewise.
    pub gids: Vec<IdMapping>,
    /// Whether that goes for all below it too.
    pub recursive: bool,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountKind {
    /// A file or folder of the host.
    Bind {
        /// Absolute, or relative to the bundle.
        source: CString,
        /// With the mounts below it.
        recursive: bool,
    },
    /// cgroup v2.
    Cgroup,
    /// A filesystem.
    Filesystem {
        /// The kernel's name of it.
        fstype: CString,
        /// A device, or a name that only people read.
        source: CString,
        /// Its own options.
        options: Vec<MountOption>,
    },
    /// What is mounted there already gets other attributes, and its filesystem
    /// other options.
    Remount {
        /// The filesystem's own options.
        options: Vec<MountOption>,
    },
}

/// An option of a filesystem: `size=64k`, `sync`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountOption {
    /// Before the `=`.
    pub key: CString,
    /// Behind it.
    pub value: Option<CString>,
}

/// Attributes to set, a bit each ([`attr`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes(pub u64);

impl Attributes {
    /// Whether it cannot be written.
    #[must_use]
    pub fn is_read_only(self) -> bool {
        self.0 & attr::RDONLY != 0
    }

    /// The change that gives an existing mount these attributes and leaves it
    /// the others: what a user namespace has locked stays.
    #[must_use]
    pub fn change(self) -> Change {
        let atime = self.0 & attr::ATIME != 0;
        Change {
            set: self.0,
            clear: if atime { attr::ATIME } else { 0 },
            propagation: None,
        }
    }

    fn apply(&mut self, set: u64, clear: u64) {
        self.0 = self.0 & !clear | set;
    }
}

/// What a word among the options means.
#[derive(Clone, Copy)]
enum Word {
    /// Sets and clears attributes.
    Attribute(u64, u64),
    /// Changes propagation.
    Spread(Propagation, bool),
    /// A bind mount, recursive or not.
    Bind(bool),
    /// A flag of the filesystem as a whole, by the kernel's name.
    Superblock(&'static str),
    /// Takes back a flag of the filesystem.
    NoSuperblock(&'static str),
    /// Ids are mapped, recursively or not.
    MapIds(bool),
    /// A tmpfs begins with what it covers.
    CopyUp,
    /// What is there is changed.
    Remount,
    /// What holds anyway.
    Nothing,
}

fn word(option: &str) -> Option<Word> {
    use Word::{
        Attribute, Bind, CopyUp, MapIds, NoSuperblock, Nothing, Remount, Spread, Superblock,
    };
    Some(match option {
        "ro" => Attribute(attr::RDONLY, 0),
        "rw" => Attribute(0, attr::RDONLY),
        "nosuid" => Attribute(attr::NOSUID, 0),
        "suid" => Attribute(0, attr::NOSUID),
        "nodev" => Attribute(attr::NODEV, 0),
        "dev" => Attribute(0, attr::NODEV),
        "noexec" => Attribute(attr::NOEXEC, 0),
        "exec" => Attribute(0, attr::NOEXEC),
        "noatime" => Attribute(attr::NOATIME, attr::ATIME),
        "strictatime" => Attribute(attr::STRICTATIME, attr::ATIME),
        "atime" | "relatime" | "nostrictatime" => Attribute(0, attr::ATIME),
        "nodiratime" => Attribute(attr::NODIRATIME, 0),
        "diratime" => Attribute(0, attr::NODIRATIME),
        "nosymfollow" => Attribute(attr::NOSYMFOLLOW, 0),
        "symfollow" => Attribute(0, attr::NOSYMFOLLOW),
        "shared" => Spread(Propagation::Shared, false),
        "rshared" => Spread(Propagation::Shared, true),
        "slave" => Spread(Propagation::Slave, false),
        "rslave" => Spread(Propagation::Slave, true),
        "private" => Spread(Propagation::Private, false),
        "rprivate" => Spread(Propagation::Private, true),
        "unbindable" => Spread(Propagation::Unbindable, false),
        "runbindable" => Spread(Propagation::Unbindable, true),
        "bind" => Bind(false),
        "rbind" => Bind(true),
        "idmap" => MapIds(false),
        "ridmap" => MapIds(true),
        "tmpcopyup" => CopyUp,
        "remount" => Remount,
        "sync" => Superblock("sync"),
        "async" => NoSuperblock("sync"),
        "dirsync" => Superblock("dirsync"),
        "lazytime" => Superblock("lazytime"),
        "nolazytime" => NoSuperblock("lazytime"),
        "mand" => Superblock("mand"),
        "nomand" => NoSuperblock("mand"),
        "defaults" | "norelatime" | "silent" | "loud" | "iversion" | "noiversion" => Nothing,
        _ => return None,
    })
}

/// Words that change a mount and all below it: (to set, to clear).
fn recursive_word(option: &str) -> Option<(u64, u64)> {
    Some(match option {
        "rro" => (attr::RDONLY, 0),
        "rrw" => (0, attr::RDONLY),
        "rnosuid" => (attr::NOSUID, 0),
        "rsuid" => (0, attr::NOSUID),
        "rnodev" => (attr::NODEV, 0),
        "rdev" => (0, attr::NODEV),
        "rnoexec" => (attr::NOEXEC, 0),
        "rexec" => (0, attr::NOEXEC),
        "rnoatime" => (attr::NOATIME, attr::ATIME),
        "rstrictatime" => (attr::STRICTATIME, attr::ATIME),
        "ratime" | "rrelatime" | "rnorelatime" | "rnostrictatime" => (0, attr::ATIME),
        "rnodiratime" => (attr::NODIRATIME, 0),
        "rdiratime" => (0, attr::NODIRATIME),
        "rnosymfollow" => (attr::NOSYMFOLLOW, 0),
        "rsymfollow" => (0, attr::NOSYMFOLLOW),
        _ => return None,
    })
}

/// The options of one mount, as they are read.
#[derive(Default)]
struct Reading {
    bind: Option<bool>,
    attributes: Attributes,
    recursive: Option<Change>,
    propagation: Vec<(Propagation, bool)>,
    options: Vec<MountOption>,
    map_ids: Option<bool>,
    copy_up: bool,
    remount: bool,
}

impl Reading {
    fn read(field: &str, options: &[String]) -> Result<Self> {
        let mut reading = Self::default();
        for (i, option) in options.iter().enumerate() {
            let field = format!("{field}.options[{i}]");
            reading.take(&field, option)?;
        }
        Ok(reading)
    }

    fn take(&mut self, field: &str, option: &str) -> Result<()> {
        if let Some((set, clear)) = recursive_word(option) {
            let change = self.recursive.get_or_insert_default();
            change.set = change.set & !clear | set;
            change.clear = change.clear & !set | clear;
            return Ok(());
        }
        match word(option) {
            Some(Word::Attribute(set, clear)) => self.attributes.apply(set, clear),
            Some(Word::Spread(how, recursive)) => self.propagation.push((how, recursive)),
            Some(Word::Bind(recursive)) => self.bind = Some(recursive),
            Some(Word::Superblock(flag)) => self.own(field, flag)?,
            Some(Word::NoSuperblock(flag)) => {
                self.options.retain(|o| o.key.as_bytes() != flag.as_bytes());
            }
            Some(Word::MapIds(recursive)) => self.map_ids = Some(recursive),
            Some(Word::CopyUp) => self.copy_up = true,
            Some(Word::Remount) => self.remount = true,
            Some(Word::Nothing) => {}
            None if option.is_empty() => {}
            None => self.own(field, option)?,
        }
        Ok(())
    }

    /// An option of the filesystem's own.
    fn own(&mut self, field: &str, option: &str) -> Result<()> {
        let (key, value) = match option.split_once('=') {
            Some((key, value)) => (key, Some(c_text(field, value)?)),
            None => (option, None),
        };
        let key = c_text(field, key)?;
        self.options.push(MountOption { key, value });
        Ok(())
    }
}

impl Mount {
    pub(super) fn validate_all(raw: Vec<raw::Mount>, namespaces: &Namespaces) -> Result<Vec<Self>> {
        raw.into_iter()
            .enumerate()
            .map(|(i, mount)| Self::validate(&format!("mounts[{i}]"), &mount, namespaces))
            .collect()
    }

    fn validate(field: &str, raw: &raw::Mount, namespaces: &Namespaces) -> Result<Self> {
        let reading = Reading::read(field, &raw.options)?;
        let destination = destination(&format!("{field}.destination"), &raw.destination)?;
        let is_bind = reading.bind.is_some() || raw.kind == "bind" || raw.kind == "rbind";
        if let Some(option) = reading.options.first().filter(|_| is_bind) {
            let option = option.key.to_string_lossy().into_owned();
            let problem = format!("\"{option}\" is not an option of a bind mount");
            return Err(Invalid::new(format!("{field}.options"), problem));
        }
        let kind = if reading.remount {
            MountKind::Remount {
                options: reading.options,
            }
        } else if is_bind {
            if raw.source.is_empty() {
                return Err(Invalid::new(
                    format!("{field}.source"),
                    "a bind mount needs one",
                ));
            }
            MountKind::Bind {
                source: c_text(&format!("{field}.source"), &raw.source)?,
                recursive: reading.bind.unwrap_or(raw.kind == "rbind"),
            }
        } else {
            filesystem(field, raw, reading.options)?
        };
        let id_map = id_map(field, raw, reading.map_ids, namespaces)?;
        if id_map.is_some() && (!is_bind || reading.remount) {
            let problem = "ids are mapped for bind mounts only";
            return Err(Invalid::new(format!("{field}.options"), problem));
        }
        if reading.copy_up && (raw.kind != "tmpfs" || reading.remount) {
            let problem = "\"tmpcopyup\" is an option of a new tmpfs only";
            return Err(Invalid::new(format!("{field}.options"), problem));
        }
        Ok(Self {
            destination,
            kind,
            attributes: reading.attributes,
            recursive: reading.recursive,
            propagation: reading.propagation,
            id_map,
            copy_up: reading.copy_up,
        })
    }
}

fn id_map(
    field: &str,
    raw: &raw::Mount,
    word: Option<bool>,
    namespaces: &Namespaces,
) -> Result<Option<IdMap>> {
    let uids = mappings(&format!("{field}.uidMappings"), &raw.uid_mappings)?;
    let gids = mappings(&format!("{field}.gidMappings"), &raw.gid_mappings)?;
    let recursive = word.unwrap_or_default();
    match (uids.is_empty(), gids.is_empty()) {
        (true, true) if word.is_none() => Ok(None),
        (true, true) if namespaces.is_new(NamespaceKind::User) => Ok(Some(IdMap {
            uids: namespaces.uid_mappings.clone(),
            gids: namespaces.gid_mappings.clone(),
            recursive,
        })),
        (true, true) => Err(Invalid::new(
            format!("{field}.options"),
            "ids can be mapped as uidMappings and gidMappings of the mount say, or as a new user namespace has them, and there are neither",
        )),
        (false, false) => Ok(Some(IdMap {
            uids,
            gids,
            recursive,
        })),
        _ => Err(Invalid::new(
            format!("{field}.uidMappings"),
            "uidMappings and gidMappings belong together",
        )),
    }
}

fn filesystem(field: &str, raw: &raw::Mount, options: Vec<MountOption>) -> Result<MountKind> {
    match raw.kind.as_str() {
        "" => Err(Invalid::new(
            format!("{field}.type"),
            "is missing, and no option says bind or rbind",
        )),
        // Options of cgroup v1, which no longer mean anything, are dropped.
        "cgroup" | "cgroup2" => Ok(MountKind::Cgroup),
        fstype => Ok(MountKind::Filesystem {
            fstype: c_text(&format!("{field}.type"), fstype)?,
            source: c_text(
                &format!("{field}.source"),
                if raw.source.is_empty() {
                    fstype
                } else {
                    &raw.source
                },
            )?,
            options,
        }),
    }
}

/// A destination as an absolute path without needless parts. One that is
/// relative counts from the root, as older versions of the specification had it.
fn destination(field: &str, path: &str) -> Result<CString> {
    let parts: Vec<&str> = path
        .split('/')
        .filter(|p| !p.is_empty() && *p != ".")
        .collect();
    if parts.contains(&"..") {
        return Err(Invalid::new(field, format!("\"{path}\" holds \"..\"")));
    }
    if parts.is_empty() {
        let problem = if path.is_empty() {
            "is missing"
        } else {
            "is the container's root"
        };
        return Err(Invalid::new(field, problem));
    }
    c_text(field, &format!("/{}", parts.join("/")))
}
