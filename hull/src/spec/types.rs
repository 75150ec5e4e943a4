//! What a checked YAML file says.

use hullkit_bundle::layout::Section;
use hullkit_bundle::runtime::{Interface, Mount};
use hullkit_bundle::socket::Address;
use hullkit_bundle::supervision::{Measure, OnFailure, Probe, ReadyBy, Restart, StartLimit};
use serde_json::Value;

use super::capability::CapabilityName;
use super::place::{Located, Place, Problem};

/// All files of a build, appended, checked.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    /// The kernel.
    pub kernel: Kernel,
    /// Images unpacked into the root, in order.
    pub init: Vec<Located<String>>,
    /// Run at boot, in order.
    pub onboot: Vec<Entry>,
    /// Run on the way down, in order.
    pub onshutdown: Vec<Entry>,
    /// Supervised.
    pub services: Vec<Entry>,
    /// Put into the root.
    pub files: Vec<File>,
    /// Folders that outlive a container.
    pub volumes: Vec<Volume>,
    /// For entries that do not say.
    pub security: Option<Security>,
    /// Where entries' logs are kept that do not say themselves.
    pub log: Option<LogFields>,
    /// Worth a word, and no error.
    pub warnings: Vec<Problem>,
    /// The files as one document, appended, for `metadata`.
    pub(super) document: Value,
}

/// `kernel`.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The image; none: the build makes no kernel.
    pub image: Option<Located<String>>,
    /// The kernel's command line.
    pub cmdline: String,
    /// The kernel's path in the image.
    pub binary: String,
    /// The path in the image of a tar that is unpacked into the root.
    pub tar: Option<String>,
    /// The path in the image of a cpio that is put before the initrd.
    pub ucode: Option<String>,
}

impl Default for Kernel {
    fn default() -> Self {
        Self {
            image: None,
            cmdline: String::new(),
            binary: "kernel".to_owned(),
            tar: Some("kernel.tar".to_owned()),
            ucode: None,
        }
    }
}

/// One container of `onboot`, `onshutdown` or `services`.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it begins.
    pub place: Place,
    /// The list that it stands in.
    pub section: Section,
    /// Its number in that list, from 0.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// The uid and gid that are its own, counted from 100.
    pub id: u32,
    /// The image reference, as written.
    pub image: Located<String>,
    /// What it says of the container.
    pub container: Container,
    /// What it says to PID 1.
    pub supervise: Supervise,
}

impl Entry {
    /// The name of its bundle: `000-NAME`, or `NAME` for a service.
    #[must_use]
    pub fn bundle_name(&self) -> String {
        self.section.bundle_name(self.index, &self.name)
    }
}

/// The fields that make `config.json`, as LinuxKit has them; the same in the
/// YAML and in the label `org.mobyproject.config`. Absent is "not said".
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(
    missing_docs,
    reason = "each field is the YAML key of its name; docs/yaml.md"
)]
pub struct Container {
    pub command: Option<Vec<String>>,
    pub env: Option<Vec<String>>,
    pub cwd: Option<String>,
    pub uid: Option<Located<Id>>,
    pub gid: Option<Located<Id>>,
    pub additional_gids: Option<Vec<Located<Id>>>,
    pub capabilities: Option<Vec<Located<CapabilityName>>>,
    pub capabilities_add: Option<Vec<Located<CapabilityName>>>,
    pub ambient: Option<Vec<Located<CapabilityName>>>,
    pub no_new_privileges: Option<bool>,
    pub rlimits: Option<Vec<Rlimit>>,
    pub oom_score_adj: Option<i32>,
    pub readonly: Option<bool>,
    pub hostname: Option<String>,
    pub tmpfs: Option<Vec<Tmpfs>>,
    pub binds: Option<Vec<Located<Bind>>>,
    pub binds_add: Option<Vec<Located<Bind>>>,
    pub mounts: Option<Vec<Located<Mount>>>,
    pub devices: Option<Vec<Device>>,
    pub net: Option<Located<Namespace>>,
    pub ipc: Option<Located<Namespace>>,
    pub uts: Option<Located<Namespace>>,
    pub pid: Option<Located<Namespace>>,
    pub userns: Option<Located<Namespace>>,
    pub uid_mappings: Option<Vec<IdMapping>>,
    pub gid_mappings: Option<Vec<IdMapping>>,
    pub masked_paths: Option<Vec<String>>,
    pub readonly_paths: Option<Vec<String>>,
    pub sysctl: Option<std::collections::BTreeMap<String, String>>,
    pub annotations: Option<std::collections::BTreeMap<String, String>>,
    pub resources: Option<Value>,
    pub cgroups_path: Option<String>,
    pub rootfs_propagation: Option<String>,
    pub runtime: Runtime,
}

/// `runtime`: each field stands for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "each field is the YAML key of its name; docs/yaml.md"
)]
pub struct Runtime {
    pub cgroups: Option<Vec<String>>,
    pub mounts: Option<Vec<Mount>>,
    pub mkdir: Option<Vec<String>>,
    pub interfaces: Option<Vec<Interface>>,
    pub bind_ns: BindNsFields,
    pub namespace: Option<String>,
}

/// `runtime.bindNS`: where a namespace is kept; an empty text is nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "each field is the YAML key of its name; docs/yaml.md"
)]
pub struct BindNsFields {
    pub cgroup: Option<String>,
    pub ipc: Option<String>,
    pub mnt: Option<String>,
    pub net: Option<String>,
    pub pid: Option<String>,
    pub user: Option<String>,
    pub uts: Option<String>,
}

/// Our own keys of an entry; the same in the YAML and in the label
/// `org.hullkit.config`. Absent is "not said". Times are milliseconds.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(
    missing_docs,
    reason = "each field is the YAML key of its name; docs/yaml.md"
)]
pub struct Supervise {
    pub restart: Option<Restart>,
    pub backoff: BackoffFields,
    pub after: Option<Vec<Located<String>>>,
    pub requires: Option<Vec<Located<String>>>,
    pub stop_signal: Option<i32>,
    pub stop_timeout: Option<u64>,
    pub timeout: Option<u64>,
    pub on_failure: Option<OnFailure>,
    pub security: Option<Security>,
    pub start_limit: Option<StartLimit>,
    pub ready: Option<ReadyFields>,
    pub health: Option<HealthFields>,
    pub watchdog: Option<u64>,
    pub oom: Option<Measure>,
    pub critical: Option<bool>,
    pub sockets: Option<Vec<SocketFields>>,
    pub lazy: Option<bool>,
    pub fd_store: Option<u32>,
    pub log: Option<LogFields>,
}

/// One of `sockets`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "each field is the YAML key of its name; docs/yaml.md"
)]
pub struct SocketFields {
    /// `listenStream`, or `listenDatagram`.
    pub stream: bool,
    pub address: Address,
    pub name: Option<String>,
    pub backlog: Option<u32>,
    pub mode: Option<u32>,
    pub owner: Option<(u32, u32)>,
}

/// The fields of `log`, each of which may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "each field is the YAML key of its name; docs/yaml.md"
)]
pub struct LogFields {
    /// `log: none`.
    pub off: bool,
    pub path: Option<Located<String>>,
    pub max_size: Option<u64>,
    pub max_files: Option<u32>,
}

/// `ready`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyFields {
    /// How it is found out.
    pub by: ReadyBy,
    /// `timeout`.
    pub timeout: Option<u64>,
}

/// The fields of `health`, each of which may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "each field is the YAML key of its name; docs/yaml.md"
)]
pub struct HealthFields {
    /// `health: none`.
    pub off: bool,
    /// `exec`, `tcp`, `unix` or `http`.
    pub probe: Option<Probe>,
    pub interval: Option<u64>,
    pub timeout: Option<u64>,
    pub retries: Option<u32>,
    pub start_period: Option<u64>,
    pub action: Option<Measure>,
}

/// The fields of `backoff`, each of which may be left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "each field is the YAML key of its name; docs/yaml.md"
)]
pub struct BackoffFields {
    pub initial: Option<u64>,
    pub max: Option<u64>,
    pub factor_percent: Option<u32>,
    pub reset: Option<u64>,
}

/// How an entry is confined where it does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// Safer than LinuxKit, without breaking what entries declare.
    #[default]
    Default,
    /// LinuxKit's result, field for field.
    LinuxKit,
    /// More of its own, less of the machine's.
    Strict,
}

/// A user or group, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Id {
    /// A number, or `root`.
    Number(u32),
    /// The id of the entry of this name.
    Entry(String),
}

/// A namespace, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// The machine's.
    Host,
    /// A new one.
    New,
    /// The one that a file stands for.
    Path(String),
}

/// `SRC:DEST[:OPTS]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// A path, or without a leading `/` the name of a volume.
    pub source: String,
    /// The path in the container.
    pub destination: String,
    /// As written; none: the default.
    pub options: Option<Vec<String>>,
}

/// `DEST[:OPTS]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tmpfs {
    /// The path in the container.
    pub destination: String,
    /// Mount options.
    pub options: Vec<String>,
}

/// `NAME,SOFT,HARD`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rlimit {
    /// `RLIMIT_…`.
    pub kind: String,
    /// The soft limit; `u64::MAX`: none.
    pub soft: u64,
    /// The hard limit; `u64::MAX`: none.
    pub hard: u64,
}

/// A device that the container gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// `path: all`: all devices of a type may be used.
    All {
        /// `c`, `b` or `a`.
        kind: String,
    },
    /// A device node.
    Node {
        /// Where, in the container.
        path: String,
        /// `c`, `b`, `u` or `p`.
        kind: String,
        /// Major number.
        major: i64,
        /// Minor number.
        minor: i64,
        /// Permission bits.
        mode: u32,
    },
}

/// A range of ids of a user namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdMapping {
    /// The first id inside.
    pub container_id: u32,
    /// The first id outside.
    pub host_id: u32,
    /// How many.
    pub size: u32,
}

/// One item of `files`.
#[derive(Clone, Debug)]
pub struct File {
    /// Where it is written.
    pub place: Place,
    /// The path in the image, without a leading `/`.
    pub path: String,
    /// What it is.
    pub content: FileContent,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// What an item of `files` is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileContent {
    /// A file with this text.
    Contents(String),
    /// A file copied from the building machine.
    Source {
        /// Its path there; `~/` is the home folder.
        path: String,
        /// Left out when it cannot be read.
        optional: bool,
    },
    /// A link to this path.
    Symlink(String),
    /// A folder.
    Directory,
    /// The resolved YAML: [`Spec::metadata`].
    Metadata(Metadata),
}

/// The form of the resolved YAML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metadata {
    /// `metadata: yaml`.
    Yaml,
    /// `metadata: json`.
    Json,
}

/// One item of `volumes`.
#[derive(Clone, Debug)]
pub struct Volume {
    /// Where it is written.
    pub place: Place,
    /// Its name.
    pub name: String,
    /// What is in it; none: nothing.
    pub image: Option<Located<String>>,
    /// Containers may not write to it.
    pub readonly: bool,
    /// How the image is put in.
    pub format: VolumeFormat,
    /// The platforms of an OCI layout; empty: the build's.
    pub platforms: Vec<String>,
}

/// How an image is put into a volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VolumeFormat {
    /// Unpacked.
    #[default]
    Filesystem,
    /// As an OCI layout.
    Oci,
}
