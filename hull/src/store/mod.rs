//! The local store: a folder in the form of an OCI image layout, whose index
//! maps (name, architecture) to a manifest.
//!
//! Several programs may use it at once. Who adds blobs holds `gc.lock` shared
//! until they are in the index, who removes blobs holds it alone;
//! `index.lock` is held while the index is read and replaced. Readers take
//! `gc.lock` shared until they have opened what they need.

mod adding;
mod check;
mod write;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use oci_spec::image::{Descriptor, ImageIndex};

use crate::arch::Arch;
use crate::cache::Cache;
use crate::digest::Digest;
use crate::reference::Reference;
use crate::source::layout::{self, Layout};
use crate::source::{self, Image};

pub use adding::{Adding, Partial};
pub use check::Freed;

/// The annotation that tells by which index of a registry a manifest came.
const FROM_INDEX: &str = "org.hullkit.from-index";

/// What can go wrong in the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system gives no place for caches.
    #[error("no place for the image store: set HULL_STORE or HOME, or give --store DIR")]
    NoPlace,
    /// A file cannot be read, written or locked.
    #[error("image store: {doing} {path}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A layer could not be written: a file that goes into it cannot be read,
    /// or the disk is full.
    #[error("image {name}: writing a layer: {source}")]
    Layer {
        /// The image.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// Not in the store.
    #[error("there is no image {name:?} in the store {store}")]
    NotFound {
        /// The name.
        name: String,
        /// The store's folder.
        store: PathBuf,
    },
    /// The store, or an image that was to come into it, is broken.
    #[error(transparent)]
    Source(#[from] source::Error),
}

/// The local image store.
#[derive(Clone, Debug)]
pub struct Store {
    layout: Layout,
}

/// An image in the store, as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Its name, as people write it.
    pub name: String,
    /// Its architecture, in OCI's words.
    pub arch: String,
    /// Of its manifest.
    pub digest: Digest,
    /// Of its configuration and layers as they are stored, in bytes.
    pub size: u64,
}

impl Store {
    /// The store in `dir`, which need not exist: what is not there is empty,
    /// and is made when something is stored.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            layout: Layout {
                dir: dir.into(),
                trusted: true,
            },
        }
    }

    /// The store at `dir`, else in the user's cache folder. An empty path, as of
    /// a variable that is set to nothing, is none.
    ///
    /// # Errors
    /// There is neither `XDG_CACHE_HOME` nor `HOME`.
    pub fn at(dir: Option<&Path>) -> Result<Self, Error> {
        if let Some(dir) = dir.filter(|dir| !dir.as_os_str().is_empty()) {
            return Ok(Self::new(dir));
        }
        // The XDG base directory specification: a relative path is ignored.
        let from = |name| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let cache = from("XDG_CACHE_HOME").or_else(|| Some(from("HOME")?.join(".cache")));
        Ok(Self::new(cache.ok_or(Error::NoPlace)?.join("hull")))
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.layout.dir
    }

    /// What can be made again.
    #[must_use]
    pub fn cache(&self) -> Cache {
        Cache::below(self.dir())
    }

    /// The image that `reference` means, for `arch`; `name` is what the image
    /// says that it was asked for as.
    ///
    /// # Errors
    /// The store is broken or cannot be read.
    pub fn find(
        &self,
        name: &str,
        reference: &Reference,
        arch: Arch,
    ) -> Result<Option<Image>, source::Error> {
        let _shared = self.lock_for_reading()?;
        let Some(index) = self.layout.index()? else {
            return Ok(None);
        };
        let named: Vec<_> = index
            .manifests()
            .iter()
            .filter(|m| means(m, reference))
            .cloned()
            .collect();
        match self.layout.manifests(&named, arch)?.first() {
            Some(one) => self.layout.image(name, one, arch).map(Some),
            None => Ok(None),
        }
    }

    /// The architectures, in OCI's words, that there are of an image.
    ///
    /// # Errors
    /// The store is broken or cannot be read.
    pub fn arches(&self, reference: &Reference) -> Result<Vec<String>, source::Error> {
        let index = self.layout.index()?;
        let manifests = index.as_ref().map(ImageIndex::manifests);
        Ok(manifests
            .into_iter()
            .flatten()
            .filter(|m| means(m, reference))
            .map(arch_of)
            .collect())
    }

    /// All images, sorted by name and architecture.
    ///
    /// # Errors
    /// The store is broken or cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, Error> {
        let _shared = self.lock_for_reading()?;
        let Some(index) = self.layout.index()? else {
            return Ok(Vec::new());
        };
        let mut all = index
            .manifests()
            .iter()
            .map(|m| self.listed(m))
            .collect::<Result<Vec<_>, _>>()?;
        all.sort();
        Ok(all)
    }

    fn listed(&self, descriptor: &Descriptor) -> Result<Listed, Error> {
        let size = self.parts(descriptor)?.values().sum();
        Ok(Listed {
            size,
            ..self.listed_in_any_state(descriptor)?
        })
    }

    /// Without a size: that of a broken image cannot be told.
    fn listed_in_any_state(&self, descriptor: &Descriptor) -> Result<Listed, Error> {
        let digest = layout::sha256(descriptor)?;
        let name = name_of(descriptor);
        Ok(Listed {
            name: name.map_or_else(|| digest.to_string(), |name| name.familiar()),
            arch: arch_of(descriptor),
            digest,
            size: 0,
        })
    }

    /// A shared hold on the blobs, where there is anything to hold.
    fn lock_for_reading(&self) -> Result<Option<Flock<File>>, source::Error> {
        let path = self.gc_lock();
        let Ok(file) = File::open(&path) else {
            return Ok(None);
        };
        Flock::lock(file, FlockArg::LockShared)
            .map(Some)
            .map_err(|(_, e)| source::Error::Read {
                path,
                source: e.into(),
            })
    }

    fn gc_lock(&self) -> PathBuf {
        self.dir().join("gc.lock")
    }
}

/// Whether an entry of the index is the image that `reference` means.
fn means(descriptor: &Descriptor, reference: &Reference) -> bool {
    let Some(name) = name_of(descriptor) else {
        return false;
    };
    match reference.digest() {
        Some(digest) => {
            let of_manifest = || layout::sha256(descriptor).is_ok_and(|d| d == digest);
            name.same_repository(reference)
                && (of_manifest() || from_index(descriptor) == Some(digest))
        }
        None => name == *reference,
    }
}

/// The index of a registry that led to a manifest.
fn from_index(descriptor: &Descriptor) -> Option<Digest> {
    let annotations = descriptor.annotations().as_ref()?;
    annotations.get(FROM_INDEX)?.parse().ok()
}

fn name_of(descriptor: &Descriptor) -> Option<Reference> {
    layout::ref_name(descriptor)?.parse().ok()
}

fn arch_of(descriptor: &Descriptor) -> String {
    let platform = descriptor.platform().as_ref();
    platform.map_or_else(|| "?".to_owned(), |p| p.architecture().to_string())
}

#[cfg(test)]
mod tests;
