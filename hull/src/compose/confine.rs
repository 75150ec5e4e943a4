//! What an entry gets beyond LinuxKit's result: the default confinement.

use crate::spec::{Bind, Capability, Container, Located};

/// Capabilities with which an entry runs the machine rather than an
/// application: it keeps its view of `/proc` and `/sys`.
const ADMINISTRATIVE: [&str; 6] = [
    "CAP_NET_ADMIN",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_TIME",
];

/// Files and folders that tell of the machine and do nothing for a container.
const MASKED: [&str; 13] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/kernel/security",
];

/// Places where root would change the machine by writing.
const READONLY: [&str; 6] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
    "/sys",
];

/// Whether any of `capabilities` is administrative.
pub(super) fn is_administrative<'a>(
    capabilities: impl IntoIterator<Item = &'a Capability>,
) -> bool {
    capabilities
        .into_iter()
        .any(|c| ADMINISTRATIVE.contains(&c.name()))
}

/// The masked paths of an entry without administrative capabilities.
pub(super) fn masked(container: &Container) -> Vec<String> {
    without_declared(&MASKED, container)
}

/// The read-only paths of an entry without administrative capabilities.
pub(super) fn readonly(container: &Container) -> Vec<String> {
    without_declared(&READONLY, container)
}

/// `paths`, but for those that the entry itself mounts something on or
/// below, or that lie in what it binds: what it asks for by name it gets.
fn without_declared(paths: &[&str], container: &Container) -> Vec<String> {
    let declared = |path: &str| {
        destinations(container).any(|(destination, is_bind)| {
            is_within(destination, path) || (is_bind && is_within(path, destination))
        })
    };
    paths
        .iter()
        .filter(|path| !declared(path))
        .map(|path| (*path).to_owned())
        .collect()
}

/// Where the entry mounts something, and whether that is a bind.
fn destinations(container: &Container) -> impl Iterator<Item = (&str, bool)> {
    let binds = container.binds.iter().flatten();
    let tmpfs = container.tmpfs.iter().flatten();
    let mounts = container.mounts.iter().flatten();
    binds
        .map(|b| (b.value.destination.as_str(), true))
        .chain(tmpfs.map(|t| (t.destination.as_str(), false)))
        .chain(mounts.map(|m| (m.value.destination.as_str(), m.value.kind == "bind")))
}

/// Whether the entry is shown the machine's cgroups: with a cgroup namespace
/// of its own, the paths in `/proc/self/cgroup` would not fit what it sees.
pub(super) fn sees_host_cgroups(container: &Container) -> bool {
    let binds = container.binds.iter().flatten();
    let mounts = container.mounts.iter().flatten();
    binds
        .map(|Located { value, .. }| {
            let Bind { source, .. } = value;
            source
        })
        .chain(
            mounts
                .filter(|m| m.value.kind == "bind")
                .map(|m| &m.value.source),
        )
        .any(|source| is_within(source, hullkit_bundle::layout::CGROUP))
}

/// Whether `path` is `folder` or lies below it.
fn is_within(path: &str, folder: &str) -> bool {
    let mut inner = path.split('/').filter(|part| !part.is_empty());
    folder
        .split('/')
        .filter(|part| !part.is_empty())
        .all(|part| inner.next() == Some(part))
}

#[cfg(test)]
mod tests {
    use super::is_within;

    #[test]
    fn within_goes_by_parts_of_the_path() {
        assert!(is_within("/sys/firmware", "/sys"));
        assert!(is_within("/sys/", "/sys"));
        assert!(is_within("/sys", "/"));
        assert!(!is_within("/system", "/sys"));
        assert!(!is_within("/sys", "/sys/firmware"));
    }
}
