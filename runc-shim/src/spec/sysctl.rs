//! `linux.sysctl`: kernel parameters of the container's own namespaces.

use std::collections::BTreeMap;
use std::ffi::CString;

use super::{Invalid, NamespaceKind, Namespaces, Result, c_text};

/// A kernel parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sysctl {
    /// Its file: `/proc/sys/net/ipv4/ip_forward`.
    pub path: CString,
    /// What is written.
    pub value: CString,
}

/// Parameters that belong to an ipc namespace.
const IPC: [&str; 9] = [
    "kernel/msgmax",
    "kernel/msgmnb",
    "kernel/msgmni",
    "kernel/sem",
    "kernel/shmall",
    "kernel/shmmax",
    "kernel/shmmni",
    "kernel/shm_rmid_forced",
    "kernel/shm_next_id",
];

impl Sysctl {
    pub(super) fn validate_all(
        raw: &BTreeMap<String, String>,
        namespaces: &Namespaces,
    ) -> Result<Vec<Self>> {
        raw.iter()
            .map(|(key, value)| {
                let field = format!("linux.sysctl[{key}]");
                let path = file(key);
                check(&field, &path, namespaces)?;
                Ok(Self {
                    path: c_text(&field, &format!("/proc/sys/{path}"))?,
                    value: c_text(&field, value)?,
                })
            })
            .collect()
    }
}

/// The file of a key, relative to `/proc/sys`. As sysctl(8) has it: where the
/// first separator is a dot, dots separate and a slash stands for a dot in a
/// name (`net.ipv4.conf.eth0/1.forwarding`); else it is the path itself.
fn file(key: &str) -> String {
    match key.find(['.', '/']) {
        Some(at) if key.as_bytes().get(at) == Some(&b'.') => key
            .chars()
            .map(|c| match c {
                '.' => '/',
                '/' => '.',
                other => other,
            })
            .collect(),
        _ => key.to_owned(),
    }
}

/// Refuses what would change the host: each parameter must belong to a
/// namespace that the container does not share.
fn check(field: &str, path: &str, namespaces: &Namespaces) -> Result<()> {
    let whole = |part: &str| !part.is_empty() && part != "." && part != "..";
    if !path.split('/').all(whole) {
        return Err(Invalid::new(field, "is not the name of a kernel parameter"));
    }
    let kind = if IPC.contains(&path) || path.starts_with("fs/mqueue/") {
        NamespaceKind::Ipc
    } else if path.starts_with("net/") {
        NamespaceKind::Network
    } else if path == "kernel/domainname" || path == "kernel/hostname" {
        NamespaceKind::Uts
    } else {
        return Err(Invalid::new(
            field,
            "belongs to no namespace, so it would change the host",
        ));
    };
    if namespaces.has(kind) {
        return Ok(());
    }
    Err(Invalid::new(
        field,
        format!(
            "would change the host, because the container has no own {} namespace",
            kind.name()
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::file;

    #[test]
    fn dots_and_slashes_change_places_when_a_dot_comes_first() {
        assert_eq!(file("net.ipv4.ip_forward"), "net/ipv4/ip_forward");
        assert_eq!(
            file("net/ipv4/conf/eth0.1/forwarding"),
            "net/ipv4/conf/eth0.1/forwarding"
        );
        assert_eq!(
            file("net.ipv4.conf.eth0/1.forwarding"),
            "net/ipv4/conf/eth0.1/forwarding"
        );
    }
}
