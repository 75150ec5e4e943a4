//! The BIOS loader (`boot/bios/loader.s`), with its table filled in.

use std::io;

use object::{Object as _, ObjectSection as _};

use super::rootfs::Fields;
use crate::tree::Content;

/// In bytes; the first sector of it is a disk's, without the partition table.
pub(super) const LOADER: usize = 2048;
/// What of the boot record is code.
pub(super) const BOOT_CODE: usize = 440;
/// The longest command line that x86 kernels take, without the zero behind it.
const CMDLINE: u64 = 2047;

/// A piece of the medium, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) at: u64,
    pub(super) len: u64,
}

/// What the loader is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    /// The medium's sectors, in bytes: 512 or 2048.
    pub(super) sector: u16,
    /// Where the loader's second part is, on a disk.
    pub(super) own: u64,
    pub(super) kernel: Piece,
    pub(super) initrd: Piece,
    pub(super) cmdline: Piece,
}

/// The loader in the object file `object`, with `places` in it.
///
/// # Errors
/// It is not the loader, or something does not lie where it can be.
pub(super) fn loader(object: &Content, places: &Places) -> io::Result<Vec<u8>> {
    if places.cmdline.len > CMDLINE {
        return Err(io::Error::other(format!(
            "kernel: cmdline: {} bytes; at most {CMDLINE} are allowed where a BIOS boots",
            places.cmdline.len
        )));
    }
    let mut loader = section(&object.read()?)?;
    let at = loader.windows(MAGIC.len()).position(|part| part == MAGIC);
    let at = at.ok_or_else(not_the_loader)? + MAGIC.len();
    let sector = u64::from(places.sector);
    let lba = |at: u64| match at % sector {
        0 => Ok(at / sector),
        _ => Err(io::Error::other("a piece does not begin with a sector")),
    };
    let size = |piece: Piece| {
        u32::try_from(piece.len)
            .map_err(|_| io::Error::other("4 GiB or larger, which a BIOS cannot load"))
    };
    let table = Fields::default()
        .u64(lba(places.own)?)
        .u64(lba(places.kernel.at)?)
        .u64(lba(places.initrd.at)?)
        .u64(lba(places.cmdline.at)?)
        .u32(size(places.kernel)?)
        .u32(size(places.initrd)?)
        .u32(size(places.cmdline)?)
        .u16(places.sector)
        .0;
    loader
        .get_mut(at..at + table.len())
        .ok_or_else(not_the_loader)?
        .copy_from_slice(&table);
    Ok(loader)
}

/// What the table begins behind.
const MAGIC: &[u8] = b"HULLBIOS";

fn section(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let file = object::File::parse(bytes).map_err(|_| not_the_loader())?;
    let section = file
        .section_by_name(".hullkit")
        .ok_or_else(not_the_loader)?;
    let data = section.data().map_err(|_| not_the_loader())?;
    if data.len() != LOADER {
        return Err(not_the_loader());
    }
    Ok(data.to_vec())
}

fn not_the_loader() -> io::Error {
    io::Error::other("bios-loader.o is not Hullkit's BIOS loader; `make build` makes it")
}
