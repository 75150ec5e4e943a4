//! A part of a file that is written from front to back; zeros stay holes.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

/// What is looked at for zeros, in bytes: a block of most filesystems.
const BLOCK: usize = 4096;
const BUFFER: usize = 64 * BLOCK;

/// A writer into a file in which all is zero yet.
pub(super) struct Region<'a> {
    file: &'a File,
    at: u64,
    buffer: Vec<u8>,
}

impl<'a> Region<'a> {
    /// From `at` on.
    pub(super) fn new(file: &'a File, at: u64) -> Self {
        Self {
            file,
            at,
            buffer: Vec::with_capacity(BUFFER),
        }
    }

    fn put(&mut self) -> io::Result<()> {
        for block in self.buffer.chunks(BLOCK) {
            if block.iter().any(|&byte| byte != 0) {
                self.file.write_all_at(block, self.at)?;
            }
            self.at += block.len() as u64;
        }
        self.buffer.clear();
        Ok(())
    }
}

impl Write for Region<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = bytes.len().min(BUFFER - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..n]);
        if self.buffer.len() == BUFFER {
            self.put()?;
        }
        Ok(n)
    }

    /// Must be called at the end.
    fn flush(&mut self) -> io::Result<()> {
        self.put()
    }
}
