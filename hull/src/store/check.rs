//! Whether the store is whole, and away with what nobody needs.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;

use nix::fcntl::FlockArg;
use oci_spec::image::Descriptor;

use super::write::io as failed;
use super::{Error, Store, arch_of, name_of};
use crate::digest::{Digest, Hashing};

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freed {
    /// How many files.
    pub files: u64,
    /// How large they were together, in bytes.
    pub bytes: u64,
}

impl Store {
    /// Removes the blobs that no image needs, what interrupted pulls and
    /// killed programs left, and what can be made again.
    ///
    /// # Errors
    /// An image is broken, or the store cannot be written.
    pub fn gc(&self) -> Result<Freed, Error> {
        if !self.gc_lock().exists() {
            return Ok(Freed::default());
        }
        let _alone = self.lock(FlockArg::LockExclusive)?;
        let mut freed = self.collect()?;
        let partials = self.partials();
        if partials.exists() {
            freed.all_but(&BTreeSet::new(), &partials)?;
        }
        for dir in self.cache().folders().filter(|dir| dir.exists()) {
            freed.all_but(&BTreeSet::new(), &dir)?;
        }
        Ok(freed)
    }

    /// Reads and hashes all that the images need, and the cache. What is wrong,
    /// a line for each image and entry that is broken.
    ///
    /// # Errors
    /// The store has no list of images that could be read.
    pub fn check(&self) -> Result<Vec<String>, Error> {
        let _shared = self.lock_for_reading()?;
        let Some(index) = self.layout.index()? else {
            return Ok(Vec::new());
        };
        let broken = index.manifests().iter().filter_map(|descriptor| {
            let why = self.check_image(descriptor).err()?;
            let name = name_of(descriptor)
                .map_or_else(|| descriptor.digest().to_string(), |name| name.familiar());
            Some(format!("image {name} ({}): {why}", arch_of(descriptor)))
        });
        let mut broken: Vec<String> = broken.collect();
        broken.extend(self.cache().broken());
        Ok(broken)
    }

    fn check_image(&self, descriptor: &Descriptor) -> Result<(), String> {
        let parts = self.parts(descriptor).map_err(|e| e.to_string())?;
        for (digest, len) in parts {
            self.check_blob(digest, len)?;
        }
        Ok(())
    }

    fn check_blob(&self, digest: Digest, len: u64) -> Result<(), String> {
        let hashed = || {
            let mut hash = Hashing::new(io::sink());
            io::copy(&mut File::open(self.layout.blob(digest))?, &mut hash)?;
            io::Result::Ok(hash.finish())
        };
        let (found, found_len, _) = hashed().map_err(|e| format!("blob {digest}: {e}"))?;
        if found_len != len {
            return Err(format!(
                "blob {digest} is {found_len} bytes long, not {len}"
            ));
        }
        if found != digest {
            return Err(format!("blob {digest} has the digest {found}"));
        }
        Ok(())
    }
}

impl Freed {
    /// Removes the files of `dir` whose names are not among `needed`.
    pub(super) fn all_but(&mut self, needed: &BTreeSet<String>, dir: &Path) -> Result<(), Error> {
        for entry in dir.read_dir().map_err(failed("reading", dir))? {
            let entry = entry.map_err(failed("reading", dir))?;
            let name = entry.file_name();
            if name.to_str().is_none_or(|name| !needed.contains(name)) {
                let path = entry.path();
                let len = path.symlink_metadata().map_or(0, |meta| meta.len());
                match std::fs::remove_file(&path) {
                    // A build has found it broken, or too much.
                    Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                    removed => removed.map_err(failed("removing", &path))?,
                }
                self.bytes += len;
                self.files += 1;
            }
        }
        Ok(())
    }
}
