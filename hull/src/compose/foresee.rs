//! What a runtime would refuse, found before the image is built.

use crate::spec::{Container, IdMapping, Located, Namespace, Security};

use super::linux;

/// The longest host name (`HOST_NAME_MAX`).
const MAX_HOSTNAME: usize = 64;

/// The fields that could only fail at run time, and why.
pub(super) fn failures(container: &Container, security: Security) -> Vec<(&'static str, String)> {
    let mut failures = Vec::new();
    let mut add = |field, message: &str| failures.push((field, message.to_owned()));
    let said = |n: &Option<Located<Namespace>>| n.as_ref().map(|n| n.value.clone());
    if let Some(hostname) = &container.hostname {
        if said(&container.uts) == Some(Namespace::Host) {
            add(
                "hostname",
                "a hostname of its own needs a uts namespace of its own: leave \"uts\" out, or say uts: new",
            );
        }
        if hostname.len() > MAX_HOSTNAME {
            add("hostname", "longer than 64 bytes");
        }
    }
    let maps = |m: &Option<Vec<IdMapping>>| m.as_ref().is_some_and(|m| !m.is_empty());
    if said(&container.userns) == Some(Namespace::New)
        && !(maps(&container.uid_mappings) && maps(&container.gid_mappings))
    {
        add(
            "userns",
            "a new user namespace needs uidMappings and gidMappings",
        );
    }
    for variable in container.env.iter().flatten() {
        if variable.find('=').is_none_or(|at| at == 0) {
            add("env", &format!("found \"{variable}\", allowed: NAME=value"));
        }
    }
    let namespaces = linux::namespaces(container, security);
    for key in container.sysctl.iter().flat_map(|map| map.keys()) {
        let Some((kind, yaml)) = owner(key) else {
            add(
                "sysctl",
                &format!(
                    "{key} is the whole machine's; an onboot entry such as hullkit/sysctl sets it"
                ),
            );
            continue;
        };
        if !namespaces.iter().any(|n| n.kind == kind) {
            add(
                "sysctl",
                &format!(
                    "{key} is the {kind} namespace's, which the entry shares with the machine; say {yaml}: new"
                ),
            );
        }
    }
    failures
}

/// Kernel parameters of an ipc namespace, as sysctl(8) writes them.
const IPC: [&str; 9] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shm_next_id",
    "kernel.shm_rmid_forced",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
];

/// The namespace that a kernel parameter belongs to: its OCI name, and the
/// YAML's key.
fn owner(key: &str) -> Option<(&'static str, &'static str)> {
    let key = key.replace('/', ".");
    if IPC.contains(&key.as_str()) || key.starts_with("fs.mqueue.") {
        Some(("ipc", "ipc"))
    } else if key.starts_with("net.") {
        Some(("network", "net"))
    } else if key == "kernel.hostname" || key == "kernel.domainname" {
        Some(("uts", "uts"))
    } else {
        None
    }
}
