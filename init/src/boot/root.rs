//! The root filesystem: one in which `pivot_root(2)` works, read-only.

use nix::mount::{MsFlags, mount};
use nix::sys::statfs::{self, FsType};
use nix::unistd;

use crate::Error;

/// `RAMFS_MAGIC` of `linux/magic.h`: an initramfs is one, or a tmpfs.
const RAMFS: FsType = FsType(0x8584_58f6);

/// Stacks a bind mount of `/` over an initramfs; true where the root is one.
///
/// The first root of all has no parent mount, and `pivot_root` refuses it. A
/// bind mount of itself, moved on top of it, is an ordinary mount of the same
/// files: nothing is copied. Other roots (squashfs, erofs, a disk) were mounted
/// over the first one by the kernel and are fine as they are.
///
/// # Errors
/// A step failed: containers will not be able to pivot.
pub(super) fn stack() -> Result<bool, Error> {
    let kind = statfs::statfs("/")
        .map_err(Error::os("statfs", "/"))?
        .filesystem_type();
    if kind != RAMFS && kind != statfs::TMPFS_MAGIC {
        return Ok(false);
    }
    // Any folder is a place for the mount, until it is moved.
    let place = "/proc";
    let _there_already = unistd::mkdir(place, nix::sys::stat::Mode::from_bits_truncate(0o555));
    mount(Some("/"), place, NONE, MsFlags::MS_BIND, NONE).map_err(Error::os("bind / to", place))?;
    unistd::chdir(place).map_err(Error::os("chdir", place))?;
    mount(Some("."), "/", NONE, MsFlags::MS_MOVE, NONE).map_err(Error::os("move", "/"))?;
    unistd::chroot(".").map_err(Error::os("chroot", "/"))?;
    unistd::chdir("/").map_err(Error::os("chdir", "/"))?;
    Ok(true)
}

const NONE: Option<&str> = None;

/// Makes the root's mount read-only, and it and all below it shared, so that
/// a container's `rshared` bind sees what others mount.
///
/// # Errors
/// The kernel's word.
pub(super) fn seal() -> Result<(), Error> {
    let remount = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    mount(NONE, "/", NONE, remount, NONE).map_err(Error::os("remount read-only", "/"))?;
    let shared = MsFlags::MS_REC | MsFlags::MS_SHARED;
    mount(NONE, "/", NONE, shared, NONE).map_err(Error::os("make shared", "/"))
}
