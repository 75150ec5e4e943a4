//! Bringing blobs into the store from elsewhere, bit by bit.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::write::{flock, io};
use super::{Error, Store};
use crate::arch::Arch;
use crate::atomic;
use crate::digest::{Digest, Hashing};
use crate::reference::Reference;
use crate::signature::Evidence;
use crate::source::Manifest;

/// A hold on the store: while it lasts, no blob is taken away.
#[derive(Debug)]
pub struct Adding<'a> {
    store: &'a Store,
    _shared: Flock<File>,
}

impl Store {
    /// Begins to add an image. What is added stays only if it is named before
    /// the hold ends.
    ///
    /// # Errors
    /// The store cannot be made or locked.
    pub fn adding(&self) -> Result<Adding<'_>, Error> {
        Ok(Adding {
            store: self,
            _shared: self.lock(FlockArg::LockShared)?,
        })
    }

    /// What was kept that speaks for an image; nothing where that is broken.
    #[must_use]
    pub fn evidence(&self, manifest: Digest) -> Evidence {
        let text = std::fs::read(self.evidence_path(manifest)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    pub(super) fn signatures(&self) -> PathBuf {
        self.dir().join("signatures")
    }

    fn evidence_path(&self, manifest: Digest) -> PathBuf {
        self.signatures().join(manifest.hex())
    }

    pub(super) fn partials(&self) -> PathBuf {
        self.dir().join("partial")
    }
}

impl Adding<'_> {
    /// Whether a blob is there, of the length that it should have.
    #[must_use]
    pub fn has(&self, digest: Digest, len: u64) -> bool {
        let path = self.store.layout.blob(digest);
        path.metadata().is_ok_and(|meta| meta.len() == len)
    }

    /// Stores a small blob.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn put(&self, bytes: &[u8]) -> Result<(), Error> {
        self.store.put_bytes(bytes).map(drop)
    }

    /// What there is of a blob that is on its way; `None` where all of it is
    /// there. Waits for another program that is just bringing it.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn partial(&self, digest: Digest, len: u64) -> Result<Option<Partial>, Error> {
        let dir = self.store.partials();
        std::fs::create_dir_all(&dir).map_err(io("making", &dir))?;
        let path = dir.join(digest.hex());
        loop {
            if self.has(digest, len) {
                return Ok(None);
            }
            let file = flock(&path, FlockArg::LockExclusive)?;
            // Whoever held it may have brought all of it, and renamed it.
            let ours = file.metadata().map_err(io("reading", &path))?.ino();
            if path.metadata().is_ok_and(|meta| meta.ino() == ours) {
                return Ok(Some(Partial {
                    file,
                    path,
                    blob: self.store.layout.blob(digest),
                }));
            }
        }
    }

    /// Keeps what speaks for an image.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn put_evidence(&self, manifest: Digest, evidence: &Evidence) -> Result<(), Error> {
        let path = self.store.evidence_path(manifest);
        let dir = self.store.signatures();
        std::fs::create_dir_all(&dir).map_err(io("making", &dir))?;
        let text = serde_json::to_vec(evidence).unwrap_or_default();
        atomic::write(&path, &text).map_err(io("writing", &path))
    }

    /// Gives a stored image its name; `index` is the one that led to it.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn name(
        &self,
        name: &Reference,
        arch: Arch,
        manifest: &Manifest,
        index: Option<Digest>,
    ) -> Result<(), Error> {
        self.store
            .put_manifest(name, arch, manifest, index)
            .map(drop)
    }
}

/// A blob of which not all may be there yet. It stays for the next try when
/// this one breaks off.
#[derive(Debug)]
pub struct Partial {
    file: Flock<File>,
    path: PathBuf,
    blob: PathBuf,
}

impl Partial {
    /// Hashes what is there, and goes on from its end.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn resume(&mut self) -> Result<Hashing<io::Sink>, Error> {
        let mut hash = Hashing::new(io::sink());
        let path = self.path.clone();
        let mut hash_all = || {
            self.file.seek(SeekFrom::Start(0))?;
            let mut buffer = vec![0; 256 * 1024];
            loop {
                match self.file.read(&mut buffer)? {
                    0 => return Ok(()),
                    n => hash.write_all(&buffer[..n])?,
                }
            }
        };
        hash_all().map_err(io("reading", &path))?;
        Ok(hash)
    }

    /// Throws away what is there.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn restart(&mut self) -> Result<(), Error> {
        let path = self.path.clone();
        self.file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)))
            .map(drop)
            .map_err(io("writing", &path))
    }

    /// Appends.
    ///
    /// # Errors
    /// The disk does not take it.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let path: &Path = &self.path;
        (&*self.file).write_all(bytes).map_err(io("writing", path))
    }

    /// It is whole and checked: the disk has it, and it gets its name.
    ///
    /// # Errors
    /// The disk does not take it.
    pub fn finish(self) -> Result<(), Error> {
        self.file.sync_data().map_err(io("writing", &self.path))?;
        std::fs::rename(&self.path, &self.blob).map_err(io("writing", &self.blob))
    }

    /// It is not what it should be: away with it.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn discard(self) -> Result<(), Error> {
        std::fs::remove_file(&self.path).map_err(io("removing", &self.path))
    }
}
