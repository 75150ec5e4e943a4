//! Paths below a container's root. The image's author wrote what is there, so
//! a path is never followed out of it: the kernel resolves each with
//! `openat2(2)` and `RESOLVE_IN_ROOT`.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{self, OFlag, OpenHow, ResolveFlag};
use nix::sys::stat::{self, Mode};

use crate::Error;

/// A place below a container's root, held open.
#[derive(Debug)]
pub(super) struct Place {
    fd: OwnedFd,
}

impl Place {
    /// A path for system calls that take no descriptor.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.fd.as_raw_fd()))
    }

    /// Opens `path` below the folder `root`.
    ///
    /// # Errors
    /// The kernel's word; `ENOENT`: there is nothing.
    pub(super) fn open(root: &Path, path: &str) -> Result<Self, Error> {
        let name = root.join(path.trim_start_matches('/'));
        let root = open_root(root)?;
        let fd = resolve(&root, Path::new(path)).map_err(Error::path("open", &name))?;
        Ok(Self { fd })
    }

    /// Opens the folder `path` below the folder `root`; missing folders are
    /// made, mode 755.
    ///
    /// # Errors
    /// The kernel's word.
    pub(super) fn folder(root: &Path, path: &str) -> Result<Self, Error> {
        let name = root.join(path.trim_start_matches('/'));
        let root = open_root(root)?;
        let fd = make(&root, path).map_err(Error::path("make folder", &name))?;
        Ok(Self { fd })
    }

    /// Opens the file `path` below the folder `root`; a missing one is made,
    /// with the folders above it.
    ///
    /// # Errors
    /// The kernel's word.
    pub(super) fn file(root: &Path, path: &str) -> Result<Self, Error> {
        let (above, name) = match path.trim_end_matches('/').rsplit_once('/') {
            Some((above, name)) => (above, name),
            None => ("", path),
        };
        let folder = Self::folder(root, above)?;
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        match fcntl::openat(&folder.fd, name, flags, Mode::from_bits_truncate(0o644)) {
            Ok(_) | Err(Errno::EEXIST) => Self::open(root, path),
            Err(errno) => Err(Error::path("make", &root.join(path))(errno)),
        }
    }
}

fn open_root(root: &Path) -> Result<OwnedFd, Error> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    fcntl::open(root, flags, Mode::empty()).map_err(Error::path("open", root))
}

fn resolve(root: &OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    // An empty path is the root itself.
    let path = if path.as_os_str().is_empty() {
        Path::new("/")
    } else {
        path
    };
    fcntl::openat2(root, path, how)
}

/// Goes down `path` folder by folder and makes those that are missing. Each
/// step is resolved from the root, so that a link on the way is followed, and
/// stays inside.
fn make(root: &OwnedFd, path: &str) -> Result<OwnedFd, Errno> {
    let mut so_far = PathBuf::from("/");
    let mut folder = resolve(root, &so_far)?;
    for part in path.split('/').filter(|part| !part.is_empty()) {
        so_far.push(part);
        let next = match resolve(root, &so_far) {
            Err(Errno::ENOENT) => {
                // Somebody else may be faster, or a link may lead nowhere: the
                // second look tells.
                match stat::mkdirat(&folder, part, Mode::from_bits_truncate(0o755)) {
                    Ok(()) | Err(Errno::EEXIST) => resolve(root, &so_far)?,
                    Err(errno) => return Err(errno),
                }
            }
            other => other?,
        };
        folder = next;
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn folders_are_made_inside_whatever_the_links_say() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("etc")).unwrap();
        symlink("/var", root.join("link")).unwrap();
        symlink("../../../..", root.join("etc/up")).unwrap();
        fs::create_dir(root.join("var")).unwrap();

        Place::folder(&root, "a/b/c").unwrap();
        assert!(root.join("a/b/c").is_dir());
        Place::folder(&root, "/link/x").unwrap();
        assert!(root.join("var/x").is_dir());
        Place::folder(&root, "etc/up/y").unwrap();
        assert!(root.join("y").is_dir());
        Place::folder(&root, "../z").unwrap();
        assert!(root.join("z").is_dir());
        assert!(!dir.path().join("z").exists());
        Place::folder(&root, "").unwrap();
    }

    #[test]
    fn files_too() {
        let dir = tempfile::tempdir().unwrap();
        symlink("/elsewhere", dir.path().join("out")).unwrap();
        Place::file(dir.path(), "a/file").unwrap();
        Place::file(dir.path(), "a/file").unwrap();
        assert!(dir.path().join("a/file").is_file());
        Place::file(dir.path(), "top").unwrap();
        assert!(dir.path().join("top").is_file());
        // A link to nowhere: nothing is made through it.
        assert!(Place::file(dir.path(), "out").is_err());
        assert!(!dir.path().join("elsewhere").exists());
    }

    #[test]
    fn a_file_on_the_way_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let error = Place::folder(dir.path(), "file/x").unwrap_err().to_string();
        assert!(error.contains("file/x: Not a directory"), "{error}");
    }
}
