//! What the read-only filesystems have in common: where they are written, and
//! the mark by which the guest finds its root again.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use hullkit_bundle::root::{MARK_OFFSET, Mark};
use sha2::{Digest, Sha256};

use super::region::Region;

/// Filesystems end at a multiple of this: no device has larger sectors.
pub(super) const ALIGN: u64 = 4096;

/// A filesystem that has been written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Where it ends in the file, in bytes; a multiple of 4096.
    pub end: u64,
    /// What tells it from every other.
    pub mark: Mark,
}

/// A file that is written from front to back, and hashed.
pub(super) struct Out<'a> {
    file: &'a File,
    pub(super) at: u64,
    hash: Sha256,
}

impl<'a> Out<'a> {
    pub(super) fn new(file: &'a File, at: u64) -> Self {
        Self {
            file,
            at,
            hash: Sha256::new(),
        }
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.file.write_all_at(bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Puts bytes at a place of their own.
    pub(super) fn put_at(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.hash.update(bytes);
        self.file.write_all_at(bytes, at)
    }

    /// Puts bytes into a part of the file where all is zero yet; blocks of
    /// zeros stay holes.
    pub(super) fn put_sparse(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        let mut region = Region::new(self.file, self.at);
        region.write_all(bytes)?;
        region.flush()?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Of all that was put so far.
    pub(super) fn digest(&self) -> [u8; 32] {
        self.hash.clone().finalize().into()
    }

    /// Zeros up to the next multiple of `to`, a power of two.
    pub(super) fn pad(&mut self, to: u64) -> io::Result<()> {
        self.at = self.at.next_multiple_of(to);
        let len = self.file.metadata()?.len();
        self.file.set_len(len.max(self.at))
    }

    /// Puts `superblock` at its place, and the mark, which is the digest of all
    /// that was written.
    pub(super) fn finish(mut self, superblock: &[u8], offset: u64) -> io::Result<Written> {
        self.hash.update(superblock);
        self.file.write_all_at(superblock, offset)?;
        let mark = Mark(self.hash.finalize().into());
        self.file.write_all_at(&mark.record(), MARK_OFFSET)?;
        Ok(Written { end: self.at, mark })
    }
}

/// Little-endian numbers, one behind the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(pub(super) Vec<u8>);

impl Fields {
    pub(super) fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(super) fn u16(mut self, value: u16) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(super) fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(super) fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    /// Zeros up to `len` bytes in all.
    pub(super) fn zeros_to(mut self, len: usize) -> Self {
        self.0.resize(len, 0);
        self
    }
}

/// A number that does not fit its field.
pub(super) fn too_large(what: &str) -> io::Error {
    io::Error::other(format!("{what}: more than the format can hold"))
}
