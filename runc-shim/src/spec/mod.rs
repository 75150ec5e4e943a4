//! The OCI runtime specification's `config.json`, read once into values that
//! nobody checks again: [`Container`] and what it holds.
//!
//! [`raw`] is the file as it is written; the other modules turn its parts into
//! typed values. What is invalid, or asked for and not supported, is refused
//! with the field, what was found and what is allowed.

mod capability;
mod change;
mod hooks;
mod mount;
mod namespace;
mod net_device;
mod process;
pub(crate) mod raw;
mod rdt;
mod resources;
mod scheduling;
mod seccomp;
mod sysctl;
pub(crate) mod words;

use std::collections::BTreeMap;
use std::ffi::CString;
use std::path::Path;

pub use capability::Capabilities;
pub(crate) use change::{read_process, read_resources};
pub use hooks::{Hook, Hooks};
pub use mount::{Attributes, IdMap, Mount, MountKind, MountOption};
pub use namespace::{IdMapping, Namespace, NamespaceKind, Namespaces};
pub use net_device::NetDevice;
pub use process::{Process, Rlimit};
pub(crate) use raw::{Process as RawProcess, Resources as RawResources};
pub use rdt::Rdt;
pub use resources::{
    Access, BlockIo, Cpu, Device, DeviceKind, DeviceRule, Memory, Resources, ThrottleDevice,
    WeightDevice,
};
pub use scheduling::Affinity;
pub use seccomp::{Action, Arch, Argument, Listener, Operator, Rule, Seccomp};
pub use sysctl::Sysctl;

use crate::sys::mount::Propagation;
use crate::sys::scheduling::MemoryPolicy;

/// A field of `config.json` that cannot be obeyed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Invalid {
    /// Where: `linux.namespaces[2].type`.
    pub field: String,
    /// What was found, and what is allowed.
    pub problem: String,
}

impl Invalid {
    pub(crate) fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            problem: problem.into(),
        }
    }

    /// A value that is none of those allowed.
    pub(crate) fn choice(field: impl Into<String>, found: &str, allowed: &str) -> Self {
        Self::new(field, format!("\"{found}\" is not one of {allowed}"))
    }
}

type Result<T> = std::result::Result<T, Invalid>;

/// A container, as its `config.json` wants it.
#[derive(Clone, Debug)]
pub struct Container {
    /// The specification's version that the file names.
    pub oci_version: String,
    /// The root filesystem.
    pub root: Root,
    /// What runs in it.
    pub process: Process,
    /// Host name, with a uts namespace.
    pub hostname: Option<CString>,
    /// NIS domain name, with a uts namespace.
    pub domainname: Option<CString>,
    /// Mounts, in order.
    pub mounts: Vec<Mount>,
    /// Namespaces, new ones and joined ones.
    pub namespaces: Namespaces,
    /// Network devices of the host that it gets.
    pub net_devices: Vec<NetDevice>,
    /// Device nodes beside the default ones.
    pub devices: Vec<Device>,
    /// Paths that show nothing.
    pub masked_paths: Vec<CString>,
    /// Paths that cannot be written.
    pub readonly_paths: Vec<CString>,
    /// Kernel parameters of its namespaces.
    pub sysctls: Vec<Sysctl>,
    /// The cgroup, below the cgroup2 root; without one it is named by the id.
    pub cgroups_path: Option<String>,
    /// What the cgroup limits.
    pub resources: Resources,
    /// How it shares caches and memory bandwidth.
    pub rdt: Option<Rdt>,
    /// The system call filter.
    pub seccomp: Option<Seccomp>,
    /// What the kernel shows itself as, for personality(2).
    pub personality: Option<u32>,
    /// Where its memory comes from.
    pub memory_policy: Option<MemoryPolicy>,
    /// The SELinux label of what is mounted in it.
    pub mount_label: Option<CString>,
    /// Programs run at stages of its life.
    pub hooks: Hooks,
    /// For others to read.
    pub annotations: BTreeMap<String, String>,
}

/// The root filesystem.
#[derive(Clone, Debug)]
pub struct Root {
    /// Absolute, or relative to the bundle.
    pub path: CString,
    /// Whether it cannot be written.
    pub readonly: bool,
    /// How mounts spread between it and the host.
    pub propagation: Propagation,
    /// Whether that goes for the mounts below it too.
    pub propagation_recursive: bool,
}

impl Container {
    /// Reads `config.json`'s text.
    ///
    /// # Errors
    /// It is not JSON, a field has a wrong type, or [`Invalid`] as the module says.
    pub fn parse(text: &[u8]) -> Result<Self> {
        Self::parse_changed(text, &mut |_| {})
    }

    /// [`Container::parse`] of a text whose process is changed first.
    pub(crate) fn parse_changed(
        text: &[u8],
        change: &mut dyn FnMut(&mut raw::Process),
    ) -> Result<Self> {
        let mut raw = read(text)?;
        raw.process.as_mut().map(change);
        Self::validate(raw)
    }

    fn validate(raw: raw::Spec) -> Result<Self> {
        if !raw.oci_version.starts_with("1.") {
            return Err(Invalid::new(
                "ociVersion",
                format!(
                    "\"{}\" is not a version that begins with 1.",
                    raw.oci_version
                ),
            ));
        }
        let process = raw
            .process
            .ok_or_else(|| Invalid::new("process", "is missing"))?;
        let root = raw.root.ok_or_else(|| Invalid::new("root", "is missing"))?;
        let linux = raw.linux;
        refuse_without_mounts(&linux, root.readonly, !raw.mounts.is_empty())?;
        let namespaces = Namespaces::validate(
            &linux.namespaces,
            &linux.uid_mappings,
            &linux.gid_mappings,
            &linux.time_offsets,
        )?;
        let (propagation, propagation_recursive) = propagation(&linux.rootfs_propagation)?;
        Ok(Self {
            oci_version: raw.oci_version,
            root: Root {
                path: path_text("root.path", &root.path)?,
                readonly: root.readonly,
                propagation,
                propagation_recursive,
            },
            process: Process::validate(process, namespaces.has(NamespaceKind::User))?,
            hostname: name_of_host("hostname", &raw.hostname, &namespaces)?,
            domainname: name_of_host("domainname", &raw.domainname, &namespaces)?,
            mounts: Mount::validate_all(raw.mounts, &namespaces)?,
            net_devices: NetDevice::validate_all(linux.net_devices, &namespaces)?,
            devices: Device::validate_all(&linux.devices)?,
            masked_paths: absolute_paths("linux.maskedPaths", &linux.masked_paths)?,
            readonly_paths: absolute_paths("linux.readonlyPaths", &linux.readonly_paths)?,
            sysctls: Sysctl::validate_all(&linux.sysctl, &namespaces)?,
            cgroups_path: cgroups_path(&linux.cgroups_path)?,
            resources: Resources::validate(linux.resources)?,
            rdt: linux.intel_rdt.map(Rdt::validate).transpose()?,
            seccomp: linux.seccomp.map(Seccomp::validate).transpose()?,
            personality: linux
                .personality
                .as_ref()
                .map(scheduling::personality)
                .transpose()?,
            memory_policy: linux
                .memory_policy
                .as_ref()
                .map(scheduling::memory_policy)
                .transpose()?,
            mount_label: process::optional("linux.mountLabel", &linux.mount_label)?,
            hooks: Hooks::validate(&raw.hooks)?,
            annotations: raw.annotations,
            namespaces,
        })
    }
}

impl Container {
    /// Whom on the host its cgroup belongs to: its root, where it has a user
    /// namespace and a cgroup namespace of its own and a cgroup mount that it
    /// may write (config-linux.md, "Cgroup ownership").
    #[must_use]
    pub fn cgroup_owner(&self) -> Option<(u32, u32)> {
        let namespaces = &self.namespaces;
        let own = [NamespaceKind::User, NamespaceKind::Cgroup];
        let writable = |mount: &Mount| {
            matches!(mount.kind, MountKind::Cgroup) && !mount.attributes.is_read_only()
        };
        if !own.iter().all(|kind| namespaces.is_new(*kind)) || !self.mounts.iter().any(writable) {
            return None;
        }
        let root = |list: &[IdMapping]| Some(list.iter().find(|m| m.container == 0)?.host);
        Some((
            root(&namespaces.uid_mappings)?,
            root(&namespaces.gid_mappings)?,
        ))
    }
}

/// Reads a text, and does not look at the values yet.
fn read(text: &[u8]) -> Result<raw::Spec> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let raw =
        serde_path_to_error::deserialize(&mut deserializer).map_err(|error| locate(&error))?;
    // What follows the object.
    deserializer
        .end()
        .map_err(|error| Invalid::new("config.json", error.to_string()))?;
    Ok(raw)
}

/// Names the field that could not be read, or the file where there is none.
fn locate(error: &serde_path_to_error::Error<serde_json::Error>) -> Invalid {
    let field = error.path().to_string();
    let field = if field == "." {
        "config.json".to_owned()
    } else {
        field
    };
    Invalid::new(field, error.inner().to_string())
}

/// What would change the caller's mounts, where the container has none of its
/// own.
fn refuse_without_mounts(linux: &raw::Linux, readonly: bool, mounts: bool) -> Result<()> {
    let named = |kind: &str| linux.namespaces.iter().any(|n| n.kind == kind);
    if named("mount") {
        return Ok(());
    }
    let asked = [
        ("mounts", mounts),
        ("root.readonly", readonly),
        ("linux.maskedPaths", !linux.masked_paths.is_empty()),
        ("linux.readonlyPaths", !linux.readonly_paths.is_empty()),
        (
            "linux.rootfsPropagation",
            !linux.rootfs_propagation.is_empty(),
        ),
        ("linux.namespaces: user", named("user")),
    ];
    match asked.iter().find(|(_, asked)| *asked) {
        Some((field, _)) => Err(Invalid::new(
            *field,
            "needs a new mount namespace (type mount), or it would change the host",
        )),
        None => Ok(()),
    }
}

/// A text without a NUL byte, as the kernel wants it.
fn c_text(field: &str, text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Invalid::new(field, "holds a NUL byte"))
}

/// A path that is not empty.
fn path_text(field: &str, path: &str) -> Result<CString> {
    if path.is_empty() {
        return Err(Invalid::new(field, "is missing or empty"));
    }
    c_text(field, path)
}

/// An absolute path.
fn absolute_path(field: &str, path: &str) -> Result<CString> {
    if !Path::new(path).is_absolute() {
        return Err(Invalid::new(
            field,
            format!("\"{path}\" is not an absolute path"),
        ));
    }
    c_text(field, path)
}

fn absolute_paths(field: &str, paths: &[String]) -> Result<Vec<CString>> {
    paths
        .iter()
        .enumerate()
        .map(|(i, path)| absolute_path(&format!("{field}[{i}]"), path))
        .collect()
}

fn name_of_host(field: &str, name: &str, namespaces: &Namespaces) -> Result<Option<CString>> {
    if name.is_empty() {
        return Ok(None);
    }
    if !namespaces.has(NamespaceKind::Uts) {
        return Err(Invalid::new(field, "is set without an own uts namespace"));
    }
    if name.len() > 64 {
        return Err(Invalid::new(field, "is longer than 64 bytes"));
    }
    c_text(field, name).map(Some)
}

/// runc's words for `linux.rootfsPropagation`, and whether they go for the
/// mounts below the root too. Without one it is a slave, as with runc: what the
/// host mounts below it later is seen, nothing gets out.
fn propagation(word: &str) -> Result<(Propagation, bool)> {
    Ok(match word {
        "" | "rslave" => (Propagation::Slave, true),
        "slave" => (Propagation::Slave, false),
        "private" => (Propagation::Private, false),
        "rprivate" => (Propagation::Private, true),
        "shared" => (Propagation::Shared, false),
        "rshared" => (Propagation::Shared, true),
        "unbindable" => (Propagation::Unbindable, false),
        "runbindable" => (Propagation::Unbindable, true),
        other => {
            return Err(Invalid::choice(
                "linux.rootfsPropagation",
                other,
                "shared, slave, private, unbindable, each with r before it or not",
            ));
        }
    })
}

fn cgroups_path(path: &str) -> Result<Option<String>> {
    let parts: Vec<&str> = path
        .split('/')
        .filter(|p| !p.is_empty() && *p != ".")
        .collect();
    if parts.contains(&"..") || path.contains('\0') {
        return Err(Invalid::new(
            "linux.cgroupsPath",
            format!("\"{path}\" leads out of the cgroup filesystem"),
        ));
    }
    if parts.is_empty() && !path.is_empty() {
        return Err(Invalid::new("linux.cgroupsPath", "names the root cgroup"));
    }
    Ok((!parts.is_empty()).then(|| parts.join("/")))
}
