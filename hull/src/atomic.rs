//! Files that appear whole or not at all.
//!
//! A new file has no name while it is written (`O_TMPFILE`), so that nothing
//! is left of it when the program is killed; it gets its name by `linkat(2)`
//! and `rename(2)`. On a filesystem without such files it has a temporary name
//! from the start, which is removed unless the program is killed.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};
use tempfile::{Builder, NamedTempFile};

/// A file that is being written.
#[derive(Debug)]
pub struct NewFile(Inner);

#[derive(Debug)]
enum Inner {
    Nameless(File),
    Named(NamedTempFile),
}

/// What temporary names begin with.
pub const TEMPORARY: &str = ".hull-tmp-";

impl NewFile {
    /// A new file that is to appear in `dir`, readable as the umask says.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create(dir: &Path) -> io::Result<Self> {
        if let Ok(file) = nameless(dir) {
            return Ok(Self(Inner::Nameless(file)));
        }
        let named = Builder::new()
            .prefix(TEMPORARY)
            .permissions(readable())
            .tempfile_in(dir)?;
        Ok(Self(Inner::Named(named)))
    }

    /// The file itself, to read it back.
    #[must_use]
    pub fn file(&self) -> &File {
        match &self.0 {
            Inner::Nameless(file) => file,
            Inner::Named(named) => named.as_file(),
        }
    }

    /// Waits until its bytes are on the disk.
    ///
    /// # Errors
    /// The disk does not take them.
    pub fn sync(&self) -> io::Result<()> {
        self.file().sync_data()
    }

    /// Gives it its name, in place of a file that has it. `path` lies on the
    /// same filesystem as the folder that it was created in.
    ///
    /// # Errors
    /// The name cannot be given; the file is gone then.
    pub fn persist(self, path: &Path) -> io::Result<()> {
        match self.0 {
            Inner::Nameless(file) => name(&file, path),
            Inner::Named(named) => {
                named.persist(path)?;
                Ok(())
            }
        }
    }
}

impl Write for NewFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.file().write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes `bytes` to `path` as a whole, on the disk before the name is given.
///
/// # Errors
/// It cannot be written or named.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut file = NewFile::create(dir)?;
    file.write_all(bytes)?;
    file.sync()?;
    file.persist(path)
}

fn readable() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o666)
}

fn nameless(dir: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    // Naming the file goes through this folder.
    if !Path::new("/proc/self/fd").exists() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    File::options()
        .read(true)
        .write(true)
        .mode(0o666)
        .custom_flags(OFlag::O_TMPFILE.bits())
        .open(dir)
}

fn name(file: &File, path: &Path) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let from = format!("/proc/self/fd/{}", file.as_raw_fd());
    // linkat(2) does not replace: a name of our own first, then rename(2).
    let linked = Builder::new()
        .prefix(TEMPORARY)
        .make_in(dir, |to| {
            nix::unistd::linkat(
                AT_FDCWD,
                from.as_str(),
                AT_FDCWD,
                to,
                AtFlags::AT_SYMLINK_FOLLOW,
            )
            .map_err(io::Error::from)
        })?
        .into_temp_path();
    linked.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "old").unwrap();
        let mut new = NewFile::create(dir.path()).unwrap();
        new.write_all(b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        new.persist(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(names(dir.path()), ["f"]);
    }

    #[test]
    fn a_file_that_is_given_up_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut new = NewFile::create(dir.path()).unwrap();
        new.write_all(b"half").unwrap();
        drop(new);
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn a_name_that_cannot_be_given_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let taken = dir.path().join("d");
        std::fs::create_dir(&taken).unwrap();
        let new = NewFile::create(dir.path()).unwrap();
        assert!(new.persist(&taken).is_err());
        assert_eq!(names(dir.path()), ["d"]);
    }
}
