//! The container's root while it is set up: every path in it is resolved from
//! its descriptor, and cannot lead out of it whatever the image's symbolic
//! links say or another process does meanwhile.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use crate::sys::file;
use crate::sys::resolve::open_in_root;

const O_PATH: i32 = libc::O_PATH;

/// The root.
#[derive(Debug)]
pub(super) struct Tree {
    root: OwnedFd,
}

/// A mount point.
#[derive(Debug)]
pub(super) struct Place {
    /// The file or folder.
    pub(super) fd: OwnedFd,
    /// Whether it was there before.
    pub(super) existed: bool,
}

/// What a mount point has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    Folder,
    File,
}

impl Tree {
    pub(super) fn new(root: OwnedFd) -> Self {
        Self { root }
    }

    /// The root that this process has.
    pub(super) fn at_root() -> io::Result<Self> {
        file::openat(None, c"/", O_PATH | libc::O_DIRECTORY, 0).map(Self::new)
    }

    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Opens what is at `path`, following symbolic links within the root.
    pub(super) fn open(&self, path: &CStr) -> io::Result<OwnedFd> {
        open_in_root(self.root(), path, O_PATH, 0)
    }

    /// Where in the container `fd` is, by the host's `/proc`; `None`: nowhere in
    /// its root.
    pub(super) fn path_of(&self, fd: BorrowedFd<'_>) -> io::Result<Option<Vec<u8>>> {
        let root = host_path(self.root())?;
        let path = host_path(fd)?;
        let rest = path.strip_prefix(root.strip_suffix(b"/").unwrap_or(&root));
        let inside = rest.filter(|rest| rest.is_empty() || rest.starts_with(b"/"));
        Ok(inside.map(<[u8]>::to_vec))
    }

    /// Opens a mount point, making it and the folders above it where missing.
    pub(super) fn place(&self, path: &CStr, want: Want) -> io::Result<Place> {
        match self.open(path) {
            Ok(fd) => return Ok(Place { fd, existed: true }),
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => {}
            Err(e) => return Err(e),
        }
        let fd = match want {
            Want::Folder => self.make_folders(path)?,
            Want::File => {
                let (parent, name) = self.make_parent(path)?;
                let flags = libc::O_CREAT | libc::O_NOFOLLOW | libc::O_RDONLY | libc::O_NONBLOCK;
                file::openat(Some(parent.as_fd()), &name, flags, 0o644)?
            }
        };
        Ok(Place { fd, existed: false })
    }

    /// Makes the folder above `path`; it, and the last part's name.
    pub(super) fn make_parent(&self, path: &CStr) -> io::Result<(OwnedFd, CString)> {
        let bytes = path.to_bytes();
        let at = bytes.iter().rposition(|b| *b == b'/').unwrap_or_default();
        let (parent, name) = bytes.split_at(at);
        let name = CString::new(name.strip_prefix(b"/").unwrap_or(name))?;
        let parent = CString::new(if parent.is_empty() { b"/" } else { parent })?;
        Ok((self.make_folders(&parent)?, name))
    }

    /// Opens the folder `path`, making what is missing of it. Each part is made
    /// in the folder that the part before resolved to, so a symbolic link on
    /// the way is followed as the container would, and no further.
    pub(super) fn make_folders(&self, path: &CStr) -> io::Result<OwnedFd> {
        let flags = O_PATH | libc::O_DIRECTORY;
        if let Ok(folder) = open_in_root(self.root(), path, flags, 0) {
            return Ok(folder);
        }
        let bytes = path.to_bytes();
        let mut parent = open_in_root(self.root(), c"/", flags, 0)?;
        for end in ends(bytes) {
            let prefix = CString::new(bytes.get(..end).unwrap_or_default())?;
            let folder = match open_in_root(self.root(), &prefix, flags, 0) {
                Err(e) if e.raw_os_error() == Some(libc::ENOENT) => {
                    let start = prefix.as_bytes().iter().rposition(|b| *b == b'/');
                    let name = prefix.as_bytes().get(start.map_or(0, |at| at + 1)..);
                    let name = CString::new(name.unwrap_or_default())?;
                    match file::mkdirat(Some(parent.as_fd()), &name, 0o755) {
                        // A symbolic link to nowhere, or somebody was faster.
                        Err(e) if e.raw_os_error() != Some(libc::EEXIST) => return Err(e),
                        _ => open_in_root(self.root(), &prefix, flags, 0)?,
                    }
                }
                other => other?,
            };
            parent = folder;
        }
        Ok(parent)
    }
}

fn host_path(fd: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    let path = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
    Ok(path.into_os_string().into_vec())
}

/// Where each part of a path ends: of `/a/b`, 2 and 4.
fn ends(path: &[u8]) -> impl Iterator<Item = usize> {
    let slashes = path
        .iter()
        .enumerate()
        .filter(|(_, b)| **b == b'/')
        .map(|(at, _)| at);
    slashes.filter(|at| *at > 0).chain([path.len()])
}
