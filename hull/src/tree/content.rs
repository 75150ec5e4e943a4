//! What is in a file: in memory, or still on disk where it came from.

use std::fs::File;
use std::io::{self, Cursor, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The bytes of a file in a tree. Cheap to clone; nothing that lies on disk is
/// read before it is wanted.
#[derive(Clone, Debug)]
pub enum Content {
    /// In memory: for what is made here, not for what comes from images.
    Bytes(Arc<[u8]>),
    /// A part of an open file, such as a layer.
    Range {
        /// The file.
        file: Arc<File>,
        /// Where the part begins, in bytes.
        offset: u64,
        /// How long it is, in bytes.
        len: u64,
    },
    /// A whole file by its path, which is opened when it is read.
    Path {
        /// The file.
        path: Arc<PathBuf>,
        /// Its size when it was listed, in bytes.
        len: u64,
    },
}

impl Content {
    /// The file at `path` on this machine, which must be a regular one.
    ///
    /// # Errors
    /// It is not there, or not a regular file.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        let meta = std::fs::metadata(path)?;
        if !meta.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        Ok(Self::Path {
            path: Arc::new(path.to_owned()),
            len: meta.len(),
        })
    }

    /// The same, opened once, so that what may not be read is known now. A
    /// file of size 0 is read: those of `/proc` and `/sys` say so, and are not.
    ///
    /// # Errors
    /// It is not there, not a regular file, or may not be read.
    pub fn of_readable_file(path: &Path) -> io::Result<Self> {
        /// No file that hides its size is larger, in bytes.
        const MOST: u64 = 16 << 20;
        let content = Self::of_file(path)?;
        if !content.is_empty() {
            content.open()?;
            return Ok(content);
        }
        let mut bytes = Vec::new();
        File::open(path)?.take(MOST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MOST {
            return Err(io::Error::other("says that it is empty, and does not end"));
        }
        Ok(Self::from(bytes))
    }

    /// Size in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Range { len, .. } | Self::Path { len, .. } => *len,
        }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A reader over exactly [`Self::len`] bytes; fewer are an error.
    ///
    /// # Errors
    /// The file cannot be opened, or is not as long as it was.
    pub fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(match self {
            Self::Bytes(bytes) => Box::new(Cursor::new(&bytes[..])),
            Self::Range { file, offset, len } => Box::new(RangeReader {
                file: Arc::clone(file),
                at: *offset,
                left: *len,
            }),
            Self::Path { path, len } => {
                let file = File::open(path.as_path())?;
                if file.metadata()?.len() != *len {
                    return Err(changed());
                }
                Box::new(RangeReader {
                    file: Arc::new(file),
                    at: 0,
                    left: *len,
                })
            }
        })
    }

    /// Copies all of it to `out`.
    ///
    /// # Errors
    /// Reading or writing failed.
    pub fn copy_to(&self, out: &mut dyn Write) -> io::Result<()> {
        if let Self::Bytes(bytes) = self {
            return out.write_all(bytes);
        }
        let mut buffer = vec![0; 128 * 1024];
        let mut from = self.open()?;
        loop {
            match from.read(&mut buffer)? {
                0 => return Ok(()),
                n => out.write_all(&buffer[..n])?,
            }
        }
    }

    /// All of it, in memory.
    ///
    /// # Errors
    /// Reading failed.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open()?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::Bytes(text.as_bytes().into())
    }
}

fn changed() -> io::Error {
    io::Error::other("the file changed while it was read")
}

/// Reads a part of a file without moving the file's own position, so that
/// several readers can share it.
struct RangeReader {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl Read for RangeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if want == 0 {
            return Ok(0);
        }
        let n = self.file.read_at(&mut buffer[..want], self.at)?;
        if n == 0 {
            return Err(changed());
        }
        self.at += n as u64;
        self.left -= n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_reads_its_part_and_no_more() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let content = Content::Range {
            file: Arc::new(file),
            offset: 3,
            len: 4,
        };
        assert_eq!(content.read().unwrap(), b"3456");
        assert_eq!(content.read().unwrap(), b"3456", "twice the same");
    }

    #[test]
    fn a_file_that_shrank_or_grew_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, b"abc").unwrap();
        let content = Content::of_file(&path).unwrap();
        std::fs::write(&path, b"ab").unwrap();
        assert!(content.read().is_err());
        std::fs::write(&path, b"abcd").unwrap();
        assert!(content.read().is_err());
    }
}
