//! What the core is told of each entry, once.

use hullkit_bundle::Supervision;
use hullkit_bundle::layout::Section;
use hullkit_bundle::supervision::Backoff;

/// An entry, by its place in the list that the core was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub usize);

/// What is done with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Run once at boot, in its turn.
    Onboot,
    /// Kept running.
    Service,
    /// Run once on the way down, in its turn.
    Onshutdown,
    /// The log process: kept running from the first moment to the last.
    Log,
    /// The process that loads modules for hardware that comes later: kept
    /// running once the services are up.
    Uevent,
    /// The emergency console: kept running where nothing else is started.
    Console,
}

impl Kind {
    /// The word for it in the kernel log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Onboot => "onboot",
            Self::Service => "service",
            Self::Onshutdown => "onshutdown",
            Self::Log | Self::Uevent | Self::Console => "init",
        }
    }

    /// Whether it is a process of our own, and no container.
    #[must_use]
    pub const fn is_helper(self) -> bool {
        matches!(self, Self::Log | Self::Uevent | Self::Console)
    }
}

impl From<Section> for Kind {
    fn from(section: Section) -> Self {
        match section {
            Section::Onboot => Self::Onboot,
            Section::Onshutdown => Self::Onshutdown,
            Section::Services => Self::Service,
        }
    }
}

/// An entry as it is before anything happened.
#[derive(Clone, Debug)]
pub struct Spec {
    /// What is done with it.
    pub kind: Kind,
    /// Its bundle's name.
    pub name: String,
    /// How.
    pub supervision: Supervision,
    /// Why it can never be started.
    pub error: Option<String>,
}

impl Spec {
    /// A process of our own. Services block on full pipes while the log process
    /// is away, so its backoff ends low.
    #[must_use]
    pub fn helper(kind: Kind, name: &str) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            supervision: Supervision {
                backoff: Backoff {
                    initial: 20,
                    max: 1_000,
                    ..Backoff::default()
                },
                ..Supervision::default()
            },
            error: None,
        }
    }
}
