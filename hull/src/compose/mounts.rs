//! The mounts of a container: the defaults, and what the entry says, each at
//! its destination, sorted by destination.

use std::collections::BTreeMap;

use hullkit_bundle::layout;

use super::oci::Mount;
use crate::spec::{Bind, Container, Security, Spec, Tmpfs};

/// The mounts, and the names of the volumes among their sources.
pub(super) struct Mounts {
    pub(super) list: Vec<Mount>,
    pub(super) volumes: Vec<String>,
}

impl Mounts {
    /// Puts one of ours in, unless the entry has something at its place.
    pub(super) fn add(&mut self, mount: Mount) {
        let place = |other: &Mount| other.destination.cmp(&mount.destination);
        if let Err(index) = self.list.binary_search_by(place) {
            self.list.insert(index, mount);
        }
    }
}

/// Lays the entry's mounts over the defaults: tmpfs, then binds, then mounts;
/// at a destination the last one counts.
pub(super) fn compose(
    spec: &Spec,
    container: &Container,
    readonly: bool,
    security: Security,
) -> Mounts {
    let mut at: BTreeMap<String, Mount> = BTreeMap::new();
    let mut put = |mount: Mount| {
        at.insert(mount.destination.clone(), mount);
    };
    defaults(readonly).into_iter().for_each(&mut put);
    for Tmpfs {
        destination,
        options,
    } in container.tmpfs.iter().flatten()
    {
        put(mount(destination, "tmpfs", "tmpfs", options.clone()));
    }
    for bind in container.binds.iter().flatten() {
        let Bind {
            source,
            destination,
            options,
        } = &bind.value;
        put(mount(
            destination,
            "bind",
            &source_path(spec, source),
            bind_options(options.as_deref()),
        ));
    }
    for m in container.mounts.iter().flatten() {
        let m = &m.value;
        // LinuxKit checks that the volume is there, and forgets to put its
        // path in.
        let source = if m.kind == "bind" && security != Security::LinuxKit {
            source_path(spec, &m.source)
        } else {
            m.source.clone()
        };
        put(mount(&m.destination, &m.kind, &source, m.options.clone()));
    }
    let list: Vec<Mount> = at.into_values().collect();
    let bound = |volume: &str| {
        let path = volume_path(volume);
        list.iter()
            .any(|m| m.kind == "bind" && (m.source == path || m.source == volume))
    };
    let volumes = spec
        .volumes
        .iter()
        .map(|v| v.name.clone())
        .filter(|name| bound(name))
        .collect();
    Mounts { list, volumes }
}

fn mount(destination: &str, kind: &str, source: &str, options: Vec<String>) -> Mount {
    Mount {
        destination: destination.to_owned(),
        kind: kind.to_owned(),
        source: source.to_owned(),
        options,
    }
}

fn bind_options(written: Option<&[String]>) -> Vec<String> {
    match written {
        None => texts(&["rw", "rbind", "rshared"]),
        Some(options) => {
            let mut options = options.to_vec();
            options.push("rbind".to_owned());
            options
        }
    }
}

/// A path as it stands; the name of a volume becomes where it is mounted.
fn source_path(spec: &Spec, source: &str) -> String {
    if !source.starts_with('/') && spec.volume(source).is_some() {
        volume_path(source)
    } else {
        source.to_owned()
    }
}

fn volume_path(name: &str) -> String {
    format!("/{}/{name}/{}", layout::VOLUMES, layout::MERGED)
}

fn defaults(readonly: bool) -> [Mount; 5] {
    let with_ro = |options: &[&str]| {
        let mut options = texts(options);
        if readonly {
            options.push("ro".to_owned());
        }
        options
    };
    [
        mount(
            "/proc",
            "proc",
            "proc",
            texts(&["nosuid", "nodev", "noexec", "relatime"]),
        ),
        mount(
            "/dev",
            "tmpfs",
            "tmpfs",
            with_ro(&["nosuid", "strictatime", "mode=755", "size=65536k"]),
        ),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            texts(&[
                "nosuid",
                "noexec",
                "newinstance",
                "ptmxmode=0666",
                "mode=0620",
            ]),
        ),
        mount(
            "/sys",
            "sysfs",
            "sysfs",
            with_ro(&["nosuid", "noexec", "nodev"]),
        ),
        mount(
            "/sys/fs/cgroup",
            "cgroup",
            "cgroup",
            texts(&["nosuid", "noexec", "nodev", "relatime", "ro"]),
        ),
    ]
}

fn texts(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
