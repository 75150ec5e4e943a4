//! Copies what a new tmpfs will cover into it (`tmpcopyup`). Each entry is
//! opened in the folder that holds it and never by a path, so that nothing
//! leads elsewhere; the copy is not mounted yet, so nobody meddles with it.

use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;

use crate::sys::file::{self, Stat};

/// By way of a descriptor: a path that names what it names and nothing else.
fn path(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// Copies the folder `from` with its owner, and all in it, into the folder `to`.
pub(super) fn folder(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let stat = file::stat(from)?;
    std::os::unix::fs::chown(path(to), Some(stat.uid), Some(stat.gid))?;
    entries(from, to)
}

fn entries(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    for entry in fs::read_dir(path(from))? {
        let name = CString::new(entry?.file_name().into_vec())?;
        entry_of(from, &name, to)?;
    }
    Ok(())
}

fn entry_of(from: BorrowedFd<'_>, name: &CStr, to: BorrowedFd<'_>) -> io::Result<()> {
    let flags = libc::O_PATH | libc::O_NOFOLLOW;
    let item = file::openat(Some(from), name, flags, 0)?;
    let stat = file::stat(item.as_fd())?;
    let mode = stat.mode & 0o7777;
    match stat.mode & libc::S_IFMT {
        libc::S_IFDIR => {
            file::mkdirat(Some(to), name, mode)?;
            let copy = file::openat(Some(to), name, flags | libc::O_DIRECTORY, 0)?;
            entries(item.as_fd(), copy.as_fd())?;
        }
        libc::S_IFREG => {
            let flags = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY;
            let mut copy = File::from(file::openat(Some(to), name, flags, mode)?);
            io::copy(&mut File::open(path(item.as_fd()))?, &mut copy)?;
        }
        libc::S_IFLNK => {
            let target = fs::read_link(format!("{}/{}", path(from), name.to_string_lossy()))?;
            let target = CString::new(target.into_os_string().into_vec())?;
            file::symlinkat(&target, Some(to), name)?;
        }
        // Nobody listens at the copy of a socket.
        libc::S_IFSOCK => return Ok(()),
        _ => file::mknodat(Some(to), name, stat.mode, stat.device.0, stat.device.1)?,
    }
    give(to, name, &stat)
}

/// Gives the copy its owner, and then the bits that a change of owner takes.
fn give(to: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> io::Result<()> {
    file::chownat(Some(to), name, stat.uid, stat.gid)?;
    let special = stat.mode & (libc::S_ISUID | libc::S_ISGID) != 0;
    if special && stat.mode & libc::S_IFMT != libc::S_IFLNK {
        let flags = libc::O_PATH | libc::O_NOFOLLOW;
        let copy = file::openat(Some(to), name, flags, 0)?;
        fs::set_permissions(
            path(copy.as_fd()),
            fs::Permissions::from_mode(stat.mode & 0o7777),
        )?;
    }
    Ok(())
}
