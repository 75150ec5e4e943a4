//! ISO 9660 images: what boots by "El Torito", and the root.
//!
//! The root is no file in the ISO: the ISO *is* the root as well. ISO 9660
//! leaves the first 32 KiB to others, which is where a squashfs has its
//! superblock, and a squashfs leaves free what its superblock does not refer
//! to, which is where the ISO's descriptors are. So the guest mounts the CD
//! itself, and needs neither ISO 9660 nor a loop device for it.
//!
//! ECMA-119; "El Torito" Bootable CD-ROM Format Specification 1.0.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::bios::{self, LOADER, Piece, Places};
use super::disk::copy;
use super::fat::Fat;
use super::kit::Kit;
use super::rootfs::{Fields, too_large};
use super::uki::boot_path;
use super::{Error, Firmware};
use crate::tree::Content;

const SECTOR_LEN: usize = 2048;
const SECTOR: u64 = SECTOR_LEN as u64;
/// Sectors of the descriptors, behind the 32 KiB of others.
const VOLUME: u64 = 16;
const BOOT_RECORD: u64 = 17;
const LAST_DESCRIPTOR: u64 = 18;
const CATALOG: u64 = 19;
const PATHS: u64 = 20;
const PATHS_BIG_ENDIAN: u64 = 21;
const ROOT: u64 = 22;
/// Where the rest begins, in bytes: data of the root.
const DATA: u64 = 64 * 1024;
/// The path table of a volume with nothing but a root.
const PATH_TABLE: u32 = 10;

/// What boots an ISO, and what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The root; this firmware starts the system.
    Root(Firmware),
    /// The root; a kernel that is not in it is started by others.
    RootOnly,
    /// An EFI program that has the system as its initrd.
    Initrd,
}

/// Writes it into `file`, which is empty; for [`Kind::RootOnly`] returns the
/// initrd that mounts it.
pub(super) fn write(kit: &Kit<'_>, file: &File, kind: Kind) -> Result<Option<Content>, Error> {
    let (end, starter) = match kind {
        Kind::Initrd => (DATA, None),
        _ => {
            let written = kit.write_squashfs(file, DATA)?;
            (written.end, Some(kit.starter("squashfs", &written)?))
        }
    };
    let mut volume = Volume {
        file,
        end,
        files: Vec::new(),
    };
    let boot = match (kind, &starter) {
        (Kind::Root(firmware), Some(starter)) if firmware.has_bios() => {
            Some(volume.add_bios(kit, starter)?)
        }
        (Kind::Root(_), Some(starter)) => {
            let uki = kit.make_uki(starter)?;
            Some(volume.add_efi(kit, &uki.content).map_err(Error::Parts)?)
        }
        (Kind::Initrd, _) => {
            let uki = kit.make_uki(kit.initrd()?)?;
            Some(volume.add_efi(kit, &uki.content).map_err(Error::Parts)?)
        }
        _ => None,
    };
    volume.finish(boot.as_ref()).map_err(Error::Parts)?;
    Ok(starter.filter(|_| kind == Kind::RootOnly))
}

/// Writes a CD with one file and nothing that boots into `file`, which is
/// empty.
///
/// # Errors
/// It cannot be written.
pub fn write_data(file: &File, name: &'static str, content: &Content) -> io::Result<()> {
    let mut volume = Volume {
        file,
        end: DATA,
        files: Vec::new(),
    };
    volume.add(name, content)?;
    volume.finish(None)
}

/// What the firmware loads from the CD.
#[derive(Clone, Copy, Debug)]
struct BootImage {
    /// Which firmware, by El Torito's number.
    platform: u8,
    at: u64,
    /// How much of it is loaded, in units of 512 bytes; 0 is all.
    blocks: u16,
}

/// An ISO that is being written.
struct Volume<'a> {
    file: &'a File,
    end: u64,
    /// Names, without version, and where they lie.
    files: Vec<(&'static str, Piece)>,
}

impl Volume<'_> {
    fn add(&mut self, name: &'static str, content: &Content) -> io::Result<Piece> {
        let piece = Piece {
            at: self.end,
            len: content.len(),
        };
        copy(content, self.file, piece.at)?;
        self.grow(name, piece)?;
        Ok(piece)
    }

    fn grow(&mut self, name: &'static str, piece: Piece) -> io::Result<()> {
        self.end = (piece.at + piece.len).next_multiple_of(SECTOR);
        self.file.set_len(self.end)?;
        self.files.push((name, piece));
        Ok(())
    }

    fn add_bios(&mut self, kit: &Kit<'_>, starter: &Content) -> Result<BootImage, Error> {
        let own = self.end;
        let mut put = || -> io::Result<()> {
            let piece = Piece {
                at: own,
                len: LOADER as u64,
            };
            self.grow("BOOT.BIN", piece)?;
            let cmdline = Content::from(kit.system.cmdline.as_str());
            let places = Places {
                sector: 2048,
                own,
                cmdline: self.add("CMDLINE.TXT", &cmdline)?,
                kernel: self.add("KERNEL.", kit.kernel().map_err(io::Error::other)?)?,
                initrd: self.add("INITRD.IMG", starter)?,
            };
            let loader = bios::loader(kit.bios_loader()?, &places)?;
            self.file.write_all_at(&loader, own)
        };
        put().map_err(Error::Parts)?;
        Ok(BootImage {
            platform: 0,
            at: own,
            blocks: 4,
        })
    }

    fn add_efi(&mut self, kit: &Kit<'_>, program: &Content) -> io::Result<BootImage> {
        let fat = Fat::plan(&[(boot_path(kit.arch), program)], 0)?;
        let piece = Piece {
            at: self.end,
            len: fat.len(),
        };
        self.grow("EFI.IMG", piece)?;
        fat.write(self.file, piece.at, 0, 0x6875_6c6c)?;
        Ok(BootImage {
            platform: 0xef,
            at: piece.at,
            blocks: 0,
        })
    }

    fn finish(&self, boot: Option<&BootImage>) -> io::Result<()> {
        let mut last = LAST_DESCRIPTOR;
        let put = |sector: u64, bytes: &[u8]| self.file.write_all_at(bytes, sector * SECTOR);
        put(VOLUME, &self.descriptor()?)?;
        match boot {
            Some(image) => {
                put(BOOT_RECORD, &boot_record()?)?;
                put(CATALOG, &catalog(image)?)?;
            }
            None => last = BOOT_RECORD,
        }
        put(
            last,
            &Fields(b"\xffCD001\x01".to_vec()).zeros_to(SECTOR_LEN).0,
        )?;
        put(PATHS, &path_table(u32::to_le_bytes, u16::to_le_bytes)?)?;
        put(
            PATHS_BIG_ENDIAN,
            &path_table(u32::to_be_bytes, u16::to_be_bytes)?,
        )?;
        put(ROOT, &self.root_folder()?)?;
        self.file.set_len(self.end)
    }

    fn root_folder(&self) -> io::Result<Vec<u8>> {
        let own = Piece {
            at: ROOT * SECTOR,
            len: SECTOR,
        };
        let mut folder = record(b"\0", own, true)?;
        folder.extend(record(b"\x01", own, true)?);
        let mut files = self.files.clone();
        files.sort_by_key(|(name, _)| *name);
        for (name, piece) in files {
            let name = format!("{name};1");
            folder.extend(record(name.as_bytes(), piece, false)?);
        }
        Ok(Fields(folder).zeros_to(SECTOR_LEN).0)
    }

    fn descriptor(&self) -> io::Result<Vec<u8>> {
        let root = Piece {
            at: ROOT * SECTOR,
            len: SECTOR,
        };
        let size = u32::try_from(self.end / SECTOR).map_err(|_| too_large("an ISO"))?;
        let text = |text: &str, len: usize| {
            let mut bytes = text.as_bytes().to_vec();
            bytes.resize(len, b' ');
            bytes
        };
        let sector = |sector: u64| u32::try_from(sector).map_err(io::Error::other);
        // No time: 16 digits 0 and the zone.
        let no_time = *b"0000000000000000\0";
        Ok(Fields(b"\x01CD001\x01\0".to_vec())
            .bytes(&text("LINUX", 32))
            .bytes(&text("HULLKIT", 32))
            .zeros_to(80)
            .bytes(&both32(size))
            .zeros_to(120)
            .bytes(&both16(1))
            .bytes(&both16(1))
            .bytes(&both16(2048))
            .bytes(&both32(PATH_TABLE))
            .u32(sector(PATHS)?)
            .u32(0)
            .bytes(&sector(PATHS_BIG_ENDIAN)?.to_be_bytes())
            .u32(0)
            .bytes(&record(b"\0", root, true)?)
            // Volume set, publisher, preparer, application; three file names.
            .bytes(&text("", 128))
            .bytes(&text("", 128))
            .bytes(&text("", 128))
            .bytes(&text("HULLKIT", 128))
            .bytes(&text("", 37 * 3))
            .bytes(&no_time)
            .bytes(&no_time)
            .bytes(&no_time)
            .bytes(&no_time)
            .u8(1)
            .zeros_to(SECTOR_LEN)
            .0)
    }
}

/// A number in both orders of bytes.
fn both32(value: u32) -> Vec<u8> {
    [value.to_le_bytes(), value.to_be_bytes()].concat()
}

fn both16(value: u16) -> Vec<u8> {
    [value.to_le_bytes(), value.to_be_bytes()].concat()
}

/// A folder's entry.
fn record(name: &[u8], piece: Piece, folder: bool) -> io::Result<Vec<u8>> {
    let number = |value: u64| u32::try_from(value).map_err(|_| too_large("a file of an ISO"));
    let len = (33 + name.len()).next_multiple_of(2);
    Ok(Fields::default()
        .u8(u8::try_from(len).map_err(io::Error::other)?)
        .u8(0)
        .bytes(&both32(number(piece.at / SECTOR)?))
        .bytes(&both32(number(piece.len)?))
        // 1970-01-01, in universal time.
        .bytes(&[70, 1, 1, 0, 0, 0, 0])
        .u8(if folder { 2 } else { 0 })
        .u16(0)
        .bytes(&both16(1))
        .u8(u8::try_from(name.len()).map_err(io::Error::other)?)
        .bytes(name)
        .zeros_to(len)
        .0)
}

fn path_table(word: fn(u32) -> [u8; 4], half: fn(u16) -> [u8; 2]) -> io::Result<Vec<u8>> {
    let root = u32::try_from(ROOT).map_err(io::Error::other)?;
    Ok(Fields(vec![1, 0])
        .bytes(&word(root))
        .bytes(&half(1))
        .zeros_to(PATH_TABLE as usize)
        .0)
}

fn boot_record() -> io::Result<Vec<u8>> {
    Ok(Fields(b"\0CD001\x01EL TORITO SPECIFICATION".to_vec())
        .zeros_to(0x47)
        .u32(u32::try_from(CATALOG).map_err(io::Error::other)?)
        .zeros_to(SECTOR_LEN)
        .0)
}

fn catalog(image: &BootImage) -> io::Result<Vec<u8>> {
    let validation = |checksum: u16| {
        Fields(vec![1, image.platform, 0, 0])
            .bytes(b"HULLKIT")
            .zeros_to(28)
            .u16(checksum)
            .bytes(&[0x55, 0xaa])
            .0
    };
    // All its words are to be 0 together.
    let sum = validation(0)
        .as_chunks::<2>()
        .0
        .iter()
        .fold(0_u16, |sum, word| {
            sum.wrapping_add(u16::from_le_bytes(*word))
        });
    let sector = u32::try_from(image.at / SECTOR).map_err(|_| too_large("an ISO"))?;
    Ok(Fields(validation(sum.wrapping_neg()))
        // Bootable, without emulation, where the BIOS likes it.
        .bytes(&[0x88, 0, 0, 0, 0, 0])
        .u16(image.blocks)
        .u32(sector)
        .zeros_to(SECTOR_LEN)
        .0)
}
