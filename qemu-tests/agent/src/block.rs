//! What a container makes of a disk.

use std::fs;
use std::io;

use nix::mount::MsFlags;

/// Mounts an ext4, and makes the folder for it.
pub(crate) fn mount_ext4(device: &str, folder: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let none = None::<&str>;
    nix::mount::mount(Some(device), folder, Some("ext4"), MsFlags::empty(), none)?;
    Ok(())
}
