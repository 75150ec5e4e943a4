//! What PID 1 does around a container: its writable root, and what its
//! `runtime.json` asks.

mod inside;
mod namespaces;
mod options;
pub mod overlay;
mod places;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use hullkit_bundle::layout;
use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::unistd::Pid;

use crate::Error;
use crate::net::Links;
use crate::plan::Bundle;

/// Whether something is to be done between create and start
/// ([`after_create`]); if not, the runtime's fast path is taken.
#[must_use]
pub fn needs_pid(bundle: &Bundle) -> bool {
    !bundle.runtime.interfaces.is_empty() || bundle.runtime.bind_ns.iter().next().is_some()
}

/// Before the container is created, in this order: the overlay of a writable
/// root, then the mounts, folders and cgroups of `runtime.json`, in LinuxKit's
/// order. Before a restart it is called again: mounts outside of the
/// container's root are still there and are not made twice.
///
/// # Errors
/// The step that failed, and on what.
pub fn prepare(bundle: &Bundle) -> Result<(), Error> {
    if bundle.writable {
        // A start that failed half-way has left one.
        release(bundle)?;
        overlay::mount(&bundle.dir, &bundle.rootfs())?;
    }
    let again = mark(bundle)?;
    for mount in &bundle.runtime.mounts {
        places::mount_one(mount, &bundle.rootfs(), again)?;
    }
    for folder in &bundle.runtime.mkdir {
        places::make_folder(folder, &bundle.rootfs())?;
    }
    for cgroup in &bundle.runtime.cgroups {
        places::make_cgroup(cgroup)?;
    }
    Ok(())
}

/// Between create and start: interfaces made and moved, namespaces bound to
/// paths.
///
/// # Errors
/// The step that failed, and on what.
pub fn after_create(bundle: &Bundle, pid: Pid) -> Result<(), Error> {
    // The last run's namespaces go first, and its interfaces with them.
    for (_, path) in bundle.runtime.bind_ns.iter() {
        unmount(Path::new(path))?;
    }
    if !bundle.runtime.interfaces.is_empty() {
        let links = Links::open().map_err(Error::os("open", "rtnetlink"))?;
        for interface in &bundle.runtime.interfaces {
            namespaces::give_interface(&links, interface, pid)?;
        }
    }
    for (name, path) in bundle.runtime.bind_ns.iter() {
        namespaces::bind(name, Path::new(path), pid)?;
    }
    Ok(())
}

/// After the container's end, before it may be prepared again: its overlay
/// goes, with all that it wrote and all that was mounted in it. What stands
/// outside of its root stays: other containers may use it.
///
/// # Errors
/// The step that failed, and on what.
pub fn release(bundle: &Bundle) -> Result<(), Error> {
    if bundle.writable {
        unmount(&bundle.rootfs())?;
        return unmount(&bundle.dir.join(layout::TMP));
    }
    // A read-only root has at most mounts of its own in it.
    for mount in bundle.runtime.mounts.iter().rev() {
        if !mount.destination.starts_with('/') {
            places::unmount_inside(&bundle.rootfs(), &mount.destination)?;
        }
    }
    Ok(())
}

/// Detaches a mount, busy or not; it is no error when there is none.
fn unmount(path: &Path) -> Result<(), Error> {
    let flags = MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW;
    match umount2(path, flags) {
        Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => Ok(()),
        Err(errno) => Err(Error::path("unmount", path)(errno)),
    }
}

/// Notes that the bundle has been prepared; true when it was before. A file,
/// not memory: it must outlive PID 1's program.
fn mark(bundle: &Bundle) -> Result<bool, Error> {
    if bundle.runtime.mounts.is_empty() {
        return Ok(false);
    }
    let folder = PathBuf::from(layout::RUN).join("prepared");
    fs::create_dir_all(&folder).map_err(Error::path("make folder", &folder))?;
    let path = folder.join(&bundle.id);
    match fs::File::create_new(&path) {
        Ok(_) => Ok(false),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(true),
        Err(e) => Err(Error::path("make", &path)(e)),
    }
}
