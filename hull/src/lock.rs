//! The lock file: which digest each image of a YAML file is, by architecture.
//!
//! It lies beside the YAML (`web.yml`, `web.lock`) and is JSON, sorted, so that
//! a change of it reads well in a review:
//!
//! ```json
//! {
//!   "version": 1,
//!   "images": {
//!     "docker.io/library/redis:7": { "linux/amd64": "sha256:…", "linux/arm64": "sha256:…" }
//!   }
//! }
//! ```

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::arch::Arch;
use crate::atomic;
use crate::digest::Digest;
use crate::reference::Reference;

/// The one form that there is.
const VERSION: u32 = 1;

/// Why a lock file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read or written.
    #[error("{path}: {source}; `hull lock` writes it")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not the JSON that it should be.
    #[error("{path}: {why}; `hull lock` writes it anew")]
    Broken {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// It does not have an image.
    #[error("{path} does not have {name} for {platform}; `hull lock` renews it")]
    Missing {
        /// Which.
        path: PathBuf,
        /// The image.
        name: String,
        /// `linux/ARCH`, in OCI's words.
        platform: String,
    },
}

/// A lock file.
#[derive(Clone, Debug)]
pub struct Lock {
    path: PathBuf,
    images: BTreeMap<String, BTreeMap<String, Digest>>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Form {
    version: u32,
    images: BTreeMap<String, BTreeMap<String, String>>,
}

impl Lock {
    /// An empty one that is to lie at `path`.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            images: BTreeMap::new(),
        }
    }

    /// Where the lock file of a YAML file lies: beside it.
    #[must_use]
    pub fn beside(yaml: &Path) -> PathBuf {
        yaml.with_extension("lock")
    }

    /// Reads one.
    ///
    /// # Errors
    /// It is not there, or broken.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read(path).map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })?;
        let broken = |why: String| Error::Broken {
            path: path.to_owned(),
            why,
        };
        let form: Form = serde_json::from_slice(&text).map_err(|e| broken(e.to_string()))?;
        if form.version != VERSION {
            return Err(broken(format!(
                "version {} is not known, only {VERSION}",
                form.version
            )));
        }
        let mut lock = Self::new(path.to_owned());
        for (name, digests) in form.images {
            for (platform, digest) in digests {
                let digest = digest.parse().map_err(|e| broken(format!("{name}: {e}")))?;
                let of_name = lock.images.entry(name.clone()).or_default();
                of_name.insert(platform, digest);
            }
        }
        Ok(lock)
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes it, as a whole.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self) -> Result<(), Error> {
        let digests = |all: &BTreeMap<String, Digest>| {
            let all = all.iter();
            all.map(|(platform, digest)| (platform.clone(), digest.to_string()))
                .collect()
        };
        let form = Form {
            version: VERSION,
            images: (self.images.iter())
                .map(|(name, all)| (name.clone(), digests(all)))
                .collect(),
        };
        let mut text = serde_json::to_string_pretty(&form).unwrap_or_default();
        text.push('\n');
        atomic::write(&self.path, text.as_bytes()).map_err(|source| Error::Io {
            path: self.path.clone(),
            source,
        })
    }

    /// Puts an image in.
    pub fn set(&mut self, name: &Reference, arch: Arch, digest: Digest) {
        let of_name = self.images.entry(name.to_string()).or_default();
        of_name.insert(platform(arch), digest);
    }

    /// The reference that `name` is pinned to. A name with a digest of its own
    /// stays what it is.
    ///
    /// # Errors
    /// The file does not have it.
    pub fn pinned(&self, name: &Reference, arch: Arch) -> Result<Reference, Error> {
        if name.digest().is_some() {
            return Ok(name.clone());
        }
        let digests = self.images.get(&name.to_string());
        match digests.and_then(|digests| digests.get(&platform(arch))) {
            Some(&digest) => Ok(name.pinned(digest)),
            None => Err(Error::Missing {
                path: self.path.clone(),
                name: name.familiar(),
                platform: platform(arch),
            }),
        }
    }
}

fn platform(arch: Arch) -> String {
    format!("linux/{}", arch.oci())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = Lock::beside(&dir.path().join("web.yml"));
        assert_eq!(path, dir.path().join("web.lock"));
        let mut lock = Lock::new(path.clone());
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        let redis: Reference = "redis:7".parse().unwrap();
        lock.set(&redis, Arch::X86_64, one);
        lock.set(&redis, Arch::Aarch64, two);
        lock.write().unwrap();
        let lock = Lock::read(&path).unwrap();
        let pinned = lock.pinned(&redis, Arch::Aarch64).unwrap();
        assert_eq!(pinned.to_string(), format!("docker.io/library/redis@{two}"));
        assert_eq!(lock.pinned(&pinned, Arch::X86_64).unwrap(), pinned);
        let other = "redis:8".parse().unwrap();
        let error = lock.pinned(&other, Arch::X86_64).unwrap_err().to_string();
        assert!(error.contains("redis:8 for linux/amd64"), "{error}");
    }

    #[test]
    fn what_is_no_lock_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.lock");
        assert!(matches!(Lock::read(&path), Err(Error::Io { .. })));
        for text in [
            "",
            "[]",
            r#"{"version": 2, "images": {}}"#,
            r#"{"version": 1, "images": {"a": {"linux/amd64": "sha256:12"}}}"#,
            r#"{"version": 1, "images": {}, "more": 1}"#,
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Lock::read(&path).unwrap_err().to_string();
            assert!(
                error.contains("x.lock") && error.contains("hull lock"),
                "{error}"
            );
        }
    }
}
