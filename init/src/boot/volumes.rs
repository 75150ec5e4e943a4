//! Volumes: folders that several containers share
//! (`/containers/volumes/NAME`).

use std::fs;
use std::path::Path;

use hullkit_bundle::layout;
use nix::mount::{MsFlags, mount};

use super::Booted;
use crate::Error;
use crate::bundle_setup::overlay;

/// Mounts each volume on its `merged`: an overlay with a tmpfs where the
/// volume has a `tmp`, else its `lower`, read-only.
pub(super) fn mount_all(booted: &mut Booted) {
    let root = Path::new("/").join(layout::VOLUMES);
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let mounted = mount_volume(&entry.path());
        booted.note("volume", mounted);
    }
}

fn mount_volume(dir: &Path) -> Result<(), Error> {
    let merged = dir.join(layout::MERGED);
    if dir.join(layout::TMP).is_dir() {
        return overlay::mount(dir, &merged);
    }
    let lower = dir.join(layout::LOWER);
    let bind = MsFlags::MS_BIND;
    mount(Some(&lower), &merged, NONE, bind, NONE).map_err(Error::path("bind", &merged))?;
    let remount = bind | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(NONE, &merged, NONE, remount, NONE).map_err(Error::path("remount read-only", &merged))
}

const NONE: Option<&Path> = None;
