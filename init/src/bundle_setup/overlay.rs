//! The writable root of a container: an overlay whose upper layer is a tmpfs.

use std::path::Path;

use hullkit_bundle::layout;
use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::mount::{MsFlags, mount as mount2};
use nix::sys::stat::{self, FchmodatFlags, Mode};
use nix::unistd::{self, Gid, Uid};

use crate::{Error, modules};

/// Mounts a tmpfs on the `tmp` of the folder `dir`, and on `target` an overlay
/// of it over the folder's `lower`.
///
/// # Errors
/// The step that failed, and on what; that the kernel has no overlay.
pub fn mount(dir: &Path, target: &Path) -> Result<(), Error> {
    modules::ensure("overlay")?;
    let tmp = dir.join(layout::TMP);
    // One container that writes without end shall not take all memory.
    mount2(
        Some("tmpfs"),
        &tmp,
        Some("tmpfs"),
        MsFlags::MS_NODEV,
        Some("mode=700,size=10%"),
    )
    .map_err(Error::path("mount tmpfs", &tmp))?;
    let (upper, work) = (tmp.join(layout::UPPER), tmp.join(layout::WORK));
    for folder in [&upper, &work] {
        make_folder(folder)?;
    }
    // The overlay's root is that of its upper layer, and is to be the image's.
    resemble(&upper, &dir.join(layout::LOWER))?;
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        escaped(&dir.join(layout::LOWER)),
        escaped(&upper),
        escaped(&work),
    );
    mount2(
        Some("overlay"),
        target,
        Some("overlay"),
        MsFlags::empty(),
        Some(options.as_str()),
    )
    .map_err(Error::path("mount overlay", target))
}

fn make_folder(path: &Path) -> Result<(), Error> {
    match unistd::mkdir(path, Mode::from_bits_truncate(0o755)) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(Error::path("make folder", path)(errno)),
    }
}

/// Gives the folder `path` the owner and the permissions of `model`.
fn resemble(path: &Path, model: &Path) -> Result<(), Error> {
    let of = stat::stat(model).map_err(Error::path("look at", model))?;
    let (uid, gid) = (Uid::from_raw(of.st_uid), Gid::from_raw(of.st_gid));
    unistd::chown(path, Some(uid), Some(gid)).map_err(Error::path("change owner of", path))?;
    let mode = Mode::from_bits_truncate(of.st_mode);
    stat::fchmodat(AT_FDCWD, path, mode, FchmodatFlags::FollowSymlink)
        .map_err(Error::path("change mode of", path))
}

/// A path as overlayfs takes it: it splits its options at commas, and lower
/// layers at colons.
fn escaped(path: &Path) -> String {
    let mut text = String::new();
    for c in path.to_string_lossy().chars() {
        if matches!(c, ',' | ':' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_escaped() {
        assert_eq!(escaped(Path::new("/a,b:c\\d")), "/a\\,b\\:c\\\\d");
    }
}
