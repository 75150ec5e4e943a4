//! A nameless file that takes what is unpacked. Zeros take no room on the
//! disk, and there is a limit.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Runs of zeros of this size, in bytes, become holes.
const PIECE: usize = 64 * 1024;
static ZEROS: [u8; PIECE] = [0; PIECE];

/// A file that is being filled.
pub(crate) struct Spool(BufWriter<Holes>);

struct Holes {
    file: File,
    at: u64,
    limit: u64,
}

impl Spool {
    /// A new file in `dir` that takes at most `limit` bytes.
    pub(crate) fn new(dir: &Path, limit: u64) -> io::Result<Self> {
        Ok(Self::of(tempfile::tempfile_in(dir)?, limit))
    }

    /// An empty file that takes at most `limit` bytes.
    pub(crate) fn of(file: File, limit: u64) -> Self {
        let holes = Holes { file, at: 0, limit };
        Self(BufWriter::with_capacity(4 * PIECE, holes))
    }

    /// Goes on at `at`, which is not before what is written.
    pub(crate) fn skip_to(&mut self, at: u64) -> io::Result<()> {
        self.0.flush()?;
        let holes = self.0.get_mut();
        holes.check(at)?;
        holes.at = at;
        Ok(())
    }

    /// The file, with all that was written.
    pub(crate) fn finish(self) -> io::Result<File> {
        let holes = self
            .0
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        // A hole at the end.
        holes.file.set_len(holes.at)?;
        Ok(holes.file)
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Holes {
    fn check(&self, end: u64) -> io::Result<()> {
        if end <= self.limit {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "it unpacks to more than {} bytes, which is refused",
            self.limit
        )))
    }
}

impl Write for Holes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = &bytes[..bytes.len().min(PIECE)];
        let end = self.at + piece.len() as u64;
        self.check(end)?;
        if *piece != ZEROS[..piece.len()] {
            self.file.write_all_at(piece, self.at)?;
        }
        self.at = end;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn zeros_take_no_room_and_are_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(dir.path(), 20 << 20).unwrap();
        spool.write_all(b"begin").unwrap();
        for _ in 0..160 {
            spool.write_all(&ZEROS).unwrap();
        }
        spool.write_all(b"end").unwrap();
        spool.skip_to(19 << 20).unwrap();
        let mut file = spool.finish().unwrap();
        assert!(file.metadata().unwrap().blocks() * 512 < 1 << 20);
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len(), 19 << 20);
        assert_eq!(&bytes[..5], b"begin");
        assert_eq!(&bytes[5 + 160 * PIECE..][..3], b"end");
        let rest = bytes.iter().filter(|&&b| b != 0).count();
        assert_eq!(rest, 8);
    }

    #[test]
    fn the_limit_holds() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(dir.path(), 100).unwrap();
        spool.write_all(&[1; 100]).unwrap();
        assert!(spool.skip_to(101).is_err());
        let mut spool = Spool::new(dir.path(), 100).unwrap();
        spool.write_all(&[0; 101]).unwrap();
        assert!(spool.finish().is_err());
    }
}
