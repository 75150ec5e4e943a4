//! The state as it stands, in memory that outlives the program.
//!
//! There are two files. A snapshot is written to the one that is not valid,
//! which then becomes the valid one by a single store. Between two snapshots,
//! what happened is appended to the valid file: a record about the same thing
//! as an earlier one takes its place. So whenever this life ends there is a
//! whole state, and what is missing in it is what was being done.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::FileExt;

use nix::sys::memfd::{MFdFlags, memfd_create};

use super::record::Writer;
use crate::sys::rebirth;

/// The two files.
#[derive(Debug)]
pub struct Snapshot {
    files: [File; 2],
    /// Which is valid.
    valid: bool,
    /// Bytes in the valid one.
    length: u64,
}

impl Snapshot {
    /// Two empty files, neither of them valid.
    ///
    /// # Errors
    /// No descriptor is free, or no memory.
    pub fn new() -> io::Result<Self> {
        let make = || memfd_create(c"hullkit-state", MFdFlags::MFD_CLOEXEC).map(File::from);
        Ok(Self {
            files: [make()?, make()?],
            valid: false,
            length: 0,
        })
    }

    fn valid(&self) -> &File {
        let [first, second] = &self.files;
        if self.valid { second } else { first }
    }

    fn other(&self) -> &File {
        let [first, second] = &self.files;
        if self.valid { first } else { second }
    }

    /// Makes `state` the valid one.
    ///
    /// # Errors
    /// No memory is left; the one before stays valid.
    pub fn take(&mut self, state: Writer) -> io::Result<()> {
        let (text, highest) = state.finish();
        let file = self.other();
        file.write_all_at(text.as_bytes(), 0)?;
        let length = text.len() as u64;
        file.set_len(length)?;
        rebirth::leave(file.as_raw_fd(), highest);
        self.valid = !self.valid;
        self.length = length;
        Ok(())
    }

    /// Appends what happened since.
    ///
    /// # Errors
    /// No memory is left; it is not noted.
    pub fn note(&mut self, what: Writer) -> io::Result<()> {
        let (text, highest) = what.finish();
        self.valid().write_all_at(text.as_bytes(), self.length)?;
        self.length += text.len() as u64;
        rebirth::leave(self.valid().as_raw_fd(), highest);
        Ok(())
    }

    /// The valid file.
    #[must_use]
    pub fn file(&self) -> BorrowedFd<'_> {
        self.valid().as_fd()
    }

    /// The highest number of the two.
    #[must_use]
    pub fn highest(&self) -> RawFd {
        let [first, second] = &self.files;
        first.as_raw_fd().max(second.as_raw_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::life::state;

    fn record(word: &str, value: u32) -> Writer {
        let mut writer = Writer::default();
        writer.record(word).field("value", value);
        writer
    }

    #[test]
    fn the_last_whole_one_and_what_came_after_it() {
        let mut snapshot = Snapshot::new().unwrap();
        let read = |snapshot: &Snapshot| {
            state::text(&File::from(snapshot.file().try_clone_to_owned().unwrap())).unwrap()
        };
        snapshot.take(record("first-and-long", 1)).unwrap();
        snapshot.note(record("note", 2)).unwrap();
        assert_eq!(read(&snapshot), "first-and-long value=1\nnote value=2\n");
        snapshot.take(record("b", 3)).unwrap();
        assert_eq!(read(&snapshot), "b value=3\n");
        snapshot.take(record("c", 4)).unwrap();
        snapshot.note(record("d", 5)).unwrap();
        assert_eq!(read(&snapshot), "c value=4\nd value=5\n");
    }
}
