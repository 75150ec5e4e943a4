//! Mounts, folders and cgroups of `runtime.json`. A relative path lies below
//! the container's root, an absolute one in the root filesystem.

use std::fs;
use std::path::Path;

use hullkit_bundle::layout;
use hullkit_bundle::runtime::Mount;
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::inside::Place;
use super::options::{self, Options};
use crate::mount_point::make_file;
use crate::{Error, modules, plan};

const NONE: Option<&str> = None;

/// Whether a mount lies outside of the container's root.
pub(super) fn is_outside(wanted: &Mount) -> bool {
    wanted.destination.starts_with('/')
}

/// Makes one mount.
pub(super) fn mount_one(wanted: &Mount, rootfs: &Path) -> Result<(), Error> {
    let destination = wanted.destination.as_str();
    let options = options::parse(&wanted.options);
    make_overlay_folders(&wanted.options)?;
    let folder = is_folder(wanted, &options)?;
    if is_outside(wanted) {
        let path = Path::new(destination);
        make_outside(path, folder)?;
        attach(wanted, &options, path)?;
        return finish(&options, path, destination);
    }
    let place = if folder {
        Place::folder(rootfs, destination)?
    } else {
        Place::file(rootfs, destination)?
    };
    attach(wanted, &options, &place.path())?;
    // That place lies below the new mount now: the rest is done to what is on
    // top of it.
    let mounted = Place::open(rootfs, destination)?;
    finish(&options, &mounted.path(), destination)
}

/// Whether the mount point is a folder: always, but for the bind of a file.
fn is_folder(wanted: &Mount, options: &Options) -> Result<bool, Error> {
    if !options.flags.contains(MsFlags::MS_BIND) {
        return Ok(true);
    }
    let source = Path::new(&wanted.source);
    let metadata = fs::metadata(source).map_err(Error::path("stat", source))?;
    Ok(metadata.is_dir())
}

fn make_outside(path: &Path, folder: bool) -> Result<(), Error> {
    if folder {
        fs::create_dir_all(path).map_err(Error::path("make folder", path))
    } else {
        make_file(path)
    }
}

/// An overlay's own folders, which LinuxKit makes where they are missing.
fn make_overlay_folders(options: &[String]) -> Result<(), Error> {
    for option in options {
        if let Some(("upperdir" | "workdir", path)) = option.split_once('=') {
            make_outside(Path::new(path), true)?;
        }
    }
    Ok(())
}

fn attach(wanted: &Mount, options: &Options, path: &Path) -> Result<(), Error> {
    let source = Some(wanted.source.as_str());
    if options.flags.contains(MsFlags::MS_BIND) {
        // It takes no other flags when it is made: `finish` sets them.
        let bind = options.flags & (MsFlags::MS_BIND | MsFlags::MS_REC);
        return mount(source, path, NONE, bind, NONE)
            .map_err(Error::os("bind", &wanted.destination));
    }
    modules::ensure_filesystem(&wanted.kind)?;
    mount(
        source,
        path,
        Some(wanted.kind.as_str()),
        options.flags,
        Some(options.data.as_str()),
    )
    .map_err(Error::os("mount", &wanted.destination))
}

/// What is a call of its own: the flags of a bind, and propagation.
fn finish(options: &Options, path: &Path, name: &str) -> Result<(), Error> {
    let plain = options.flags - MsFlags::MS_BIND - MsFlags::MS_REC;
    if options.flags.contains(MsFlags::MS_BIND) && !plain.is_empty() {
        let remount = plain | MsFlags::MS_BIND | MsFlags::MS_REMOUNT;
        mount(NONE, path, NONE, remount, NONE).map_err(Error::os("remount", name))?;
    }
    for flags in &options.propagation {
        mount(NONE, path, NONE, *flags, NONE).map_err(Error::os("set propagation of", name))?;
    }
    Ok(())
}

/// Unmounts what [`mount_one`] mounted at a relative destination.
pub(super) fn unmount_inside(rootfs: &Path, destination: &str) -> Result<(), Error> {
    let Ok(place) = Place::open(rootfs, destination) else {
        return Ok(());
    };
    // The link leads to the mount itself; UMOUNT_NOFOLLOW would stop at it.
    match umount2(&place.path(), MntFlags::MNT_DETACH) {
        Ok(()) | Err(Errno::EINVAL) => Ok(()),
        Err(errno) => Err(Error::os("unmount", destination)(errno)),
    }
}

/// Makes a folder, and those above it.
pub(super) fn make_folder(path: &str, rootfs: &Path) -> Result<(), Error> {
    if path.starts_with('/') {
        return make_outside(Path::new(path), true);
    }
    Place::folder(rootfs, path).map(drop)
}

/// Makes a cgroup, and those above it.
pub(super) fn make_cgroup(name: &str) -> Result<(), Error> {
    let path = plan::cgroup_folder(name).ok_or_else(|| Error::Bundle {
        object: format!("{}: cgroups", layout::RUNTIME_JSON),
        reason: format!("{name:?} is not below the cgroup root"),
    })?;
    fs::create_dir_all(&path).map_err(Error::path("make cgroup", &path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_mount_point_is_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        make_outside(&path, false).unwrap();
        make_outside(&path, false).unwrap();
        assert!(path.is_file());
        make_overlay_folders(&[format!("upperdir={}/up", dir.path().display())]).unwrap();
        assert!(dir.path().join("up").is_dir());
    }
}
