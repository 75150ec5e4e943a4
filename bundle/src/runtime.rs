//! `runtime.json`: what PID 1 does for a bundle around the OCI runtime.
//!
//! LinuxKit's fields keep their names, types and meaning (`docs/yaml.md`);
//! ours stand below the one key `supervision`, left out when it says nothing.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::Supervision;

/// The content of `runtime.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RuntimeConfig {
    /// Cgroup paths (below the cgroup2 root) made before the container.
    pub cgroups: Vec<String>,
    /// Mounted in the root mount namespace before the container; a relative
    /// destination lies below the container's root; missing folders are made.
    pub mounts: Vec<Mount>,
    /// Folders made after the mounts; a relative one lies below the
    /// container's root.
    pub mkdir: Vec<String>,
    /// Network interfaces made or moved for the container.
    pub interfaces: Vec<Interface>,
    /// Where the new container's namespaces are bind-mounted, between create
    /// and start. An empty string is none.
    #[serde(rename = "bindNS")]
    pub bind_ns: BindNs,
    /// containerd's namespace: accepted and not used.
    pub namespace: String,
    /// How PID 1 supervises the entry.
    #[serde(skip_serializing_if = "Supervision::is_default")]
    pub supervision: Supervision,
}

/// A mount, as in the OCI runtime specification.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mount {
    /// Where; relative: below the container's root.
    pub destination: String,
    /// Filesystem type; empty with the option `bind` or `rbind`.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// What.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Mount options, as fstab has them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

/// A network interface that the container gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Interface {
    /// Its name in the container.
    pub name: String,
    /// The link type to create (`dummy`, `bridge`, `wireguard`, …); empty
    /// without a peer: the existing interface `name` is moved.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub add: String,
    /// A veth's other end, which stays in the root network namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub peer: String,
    /// Create in the root namespace, then move (WireGuard's socket stays in
    /// the namespace that it was created in).
    pub create_in_root: bool,
}

/// Paths to which a container's namespaces are bind-mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "each field is the namespace of its name")]
pub struct BindNs {
    pub cgroup: String,
    pub ipc: String,
    pub mnt: String,
    pub net: String,
    pub pid: String,
    pub user: String,
    pub uts: String,
}

impl BindNs {
    /// The namespaces that have a path: (file below `/proc/PID/ns`, path).
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("cgroup", self.cgroup.as_str()),
            ("ipc", &self.ipc),
            ("mnt", &self.mnt),
            ("net", &self.net),
            ("pid", &self.pid),
            ("user", &self.user),
            ("uts", &self.uts),
        ]
        .into_iter()
        .filter(|(_, path)| !path.is_empty())
    }
}

/// Why a `runtime.json` could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// The kernel's word.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{path}: {source}")]
    Parse {
        /// The file.
        path: String,
        /// What, and where in the file.
        source: serde_json::Error,
    },
}

impl RuntimeConfig {
    /// Reads the `runtime.json` of the bundle at `bundle`. A bundle without
    /// one has the defaults.
    ///
    /// # Errors
    /// The file cannot be read, is not JSON, or has a field of a wrong type.
    pub fn read(bundle: &Path) -> Result<Self, Error> {
        let path = bundle.join(crate::layout::RUNTIME_JSON);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => {
                return Err(Error::Read {
                    path: path.display().to_string(),
                    source,
                });
            }
        };
        Self::parse(&text).map_err(|source| Error::Parse {
            path: path.display().to_string(),
            source,
        })
    }

    /// Takes the content of a `runtime.json`.
    ///
    /// # Errors
    /// It is no JSON object, or has a field of a wrong type.
    pub fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        // Derived code takes an array as well, as the fields in their order;
        // `[]` would be the defaults.
        serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(text)?;
        serde_json::from_slice(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_and_nothing_else() {
        assert_eq!(
            RuntimeConfig::parse(b"{}").unwrap(),
            RuntimeConfig::default()
        );
        for text in ["[]", "[[\"a\"]]", "7", "null", "", "{\"mkdir\":7}"] {
            assert!(RuntimeConfig::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
