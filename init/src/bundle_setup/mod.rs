//! What PID 1 does around a container: its writable root, and what its
//! `runtime.json` asks.

mod inside;
mod namespaces;
mod options;
pub mod overlay;
mod places;

use std::fs;
use std::io::{ErrorKind, Write as _};
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
    mount_all(bundle)?;
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
        if !places::is_outside(mount) {
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

/// Makes the mounts of `runtime.json`, but for those outside of the
/// container's root that an earlier start has made.
fn mount_all(bundle: &Bundle) -> Result<(), Error> {
    let mut made = Made::of(bundle)?;
    let mut outside = 0;
    for mount in &bundle.runtime.mounts {
        if places::is_outside(mount) {
            outside += 1;
            if outside <= made.count {
                continue;
            }
        }
        places::mount_one(mount, &bundle.rootfs())?;
        if places::is_outside(mount) {
            made.one_more()?;
        }
    }
    Ok(())
}

/// How many of a bundle's mounts outside of its root are there, in order: a
/// start that failed at one of them goes on with that one. A file with a byte
/// for each, not memory: it must outlive PID 1's program.
struct Made {
    path: PathBuf,
    count: u64,
}

impl Made {
    fn of(bundle: &Bundle) -> Result<Self, Error> {
        let path = Path::new(layout::RUN).join("prepared").join(&bundle.id);
        let count = match fs::metadata(&path) {
            Ok(file) => file.len(),
            Err(e) if e.kind() == ErrorKind::NotFound => 0,
            Err(e) => return Err(Error::path("stat", &path)(e)),
        };
        Ok(Self { path, count })
    }

    fn one_more(&mut self) -> Result<(), Error> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).map_err(Error::path("make folder", folder))?;
        }
        let mut options = fs::OpenOptions::new();
        let file = options.create(true).append(true).open(&self.path);
        file.and_then(|mut file| file.write_all(b"+"))
            .map_err(Error::path("write", &self.path))?;
        self.count += 1;
        Ok(())
    }
}
