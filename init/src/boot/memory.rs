//! An initrd that does not fit into memory: the kernel unpacks what fits, says
//! so among its own lines, and starts what there is. The first file of an
//! initrd says how much memory it wants, the last one that it is whole.

use std::fs;
use std::io::ErrorKind;

use hullkit_bundle::layout::{INITRD_BEGIN, INITRD_END};
use nix::sys::sysinfo::sysinfo;

use crate::Error;

/// Whether all of the initrd is there; takes away what tells.
///
/// # Errors
/// It is not: with the memory that there is, and that there should be.
pub(super) fn check() -> Result<(), Error> {
    let wanted = match fs::read_to_string(INITRD_BEGIN) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        // It was the first; only its content can be missing.
        result => result.unwrap_or_default(),
    };
    let _begin = fs::remove_file(INITRD_BEGIN);
    if fs::remove_file(INITRD_END).is_ok() {
        return Ok(());
    }
    let mebibytes = sysinfo().map_or(0, |info| info.ram_total() >> 20);
    Err(Error::Memory {
        mebibytes,
        wanted: wanted.trim().to_owned(),
    })
}
