//! A whole disk: a partition table, what the firmware boots, the root.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use super::bios::{self, BOOT_CODE, LOADER, Piece, Places};
use super::fat::Fat;
use super::gpt::{self, ALIGN, Partition, SECTOR};
use super::kit::{Kit, Uki};
use super::region::Region;
use super::uki::boot_path;
use super::{Error, Firmware};
use crate::arch::Arch;
use crate::tree::Content;

/// In the partition that a BIOS boots from: the loader's second part, the
/// command line, and where no EFI program holds them, kernel and initrd.
const CMDLINE_AT: u64 = 4096;
const KERNEL_AT: u64 = 8192;

/// Writes the disk into `file`, where all is zero; returns its size in bytes.
pub(super) fn write(kit: &Kit<'_>, file: &File, firmware: Firmware) -> Result<u64, Error> {
    let root = kit.squashfs()?;
    let (bios, efi) = (firmware.has_bios(), firmware.has_efi());
    let uki = if efi { Some(kit.uki()?) } else { None };
    let kernel = kit.kernel()?;
    let mut plan = Plan::new(
        kit.arch,
        bios,
        uki,
        kernel.len() + root.starter.len(),
        root.written.end,
    )
    .map_err(Error::Parts)?;
    // What is asked for beyond what is needed stays free.
    plan.size = plan.size.max(kit.disk_size.next_multiple_of(ALIGN));
    let put = || -> io::Result<()> {
        file.set_len(plan.size)?;
        let mut boot_code = Vec::new();
        if let Some(bios) = &plan.bios {
            let cmdline = Content::from(kit.system.cmdline.as_str());
            copy(&cmdline, file, bios.at + CMDLINE_AT)?;
            let places = match (uki, plan.uki_at()) {
                (Some(uki), Some(at)) => Places {
                    kernel: shifted(uki.layout.kernel, at),
                    initrd: shifted(uki.layout.initrd, at),
                    ..plan.places(&cmdline)
                },
                _ => {
                    let places = plan.own_places(&cmdline, kernel, &root.starter);
                    copy(kernel, file, places.kernel.at)?;
                    copy(&root.starter, file, places.initrd.at)?;
                    places
                }
            };
            let loader = bios::loader(kit.bios_loader()?, &places)?;
            let (first, second) =
                loader.split_at(usize::try_from(SECTOR).map_err(io::Error::other)?);
            boot_code = first[..BOOT_CODE].to_vec();
            file.write_all_at(second, bios.at)?;
        }
        if let Some((fat, partition)) = &plan.efi {
            let [a, b, c, d, ..] = root.written.mark.0;
            let serial = u32::from_le_bytes([a, b, c, d]);
            fat.write(file, partition.at, partition.at / SECTOR, serial)?;
        }
        copy(&root.image, file, plan.root.at)?;
        gpt::write(
            file,
            plan.size,
            &plan.partitions(),
            &boot_code,
            &root.written.mark.0,
        )
    };
    put().map_err(Error::Parts)?;
    Ok(plan.size)
}

/// Where everything is.
struct Plan<'a> {
    bios: Option<Partition<'a>>,
    efi: Option<(Fat<'a>, Partition<'a>)>,
    root: Partition<'a>,
    size: u64,
}

impl<'a> Plan<'a> {
    /// `loose` is the size of kernel and initrd, where a BIOS loads them and no
    /// EFI program holds them.
    fn new(
        arch: Arch,
        bios: bool,
        uki: Option<&'a Uki>,
        loose: u64,
        root: u64,
    ) -> io::Result<Self> {
        let mut at = gpt::FIRST;
        let mut place = |kind, name, len: u64| {
            let partition = Partition {
                kind,
                name,
                at,
                len,
                read_only: kind != gpt::EFI_SYSTEM,
            };
            at = (at + len).next_multiple_of(ALIGN);
            partition
        };
        let bios = bios.then(|| {
            let own = KERNEL_AT + if uki.is_some() { 0 } else { loose + 4096 };
            place(gpt::BIOS_BOOT, "BIOS boot", own.next_multiple_of(ALIGN))
        });
        let efi = match uki {
            None => None,
            Some(uki) => {
                let fat = Fat::plan(&[(boot_path(arch), &uki.content)], 0)?;
                let len = fat.len().next_multiple_of(SECTOR);
                Some((fat, place(gpt::EFI_SYSTEM, "EFI system", len)))
            }
        };
        let kind = match arch {
            Arch::X86_64 => gpt::ROOT_X86_64,
            Arch::Aarch64 => gpt::ROOT_ARM64,
        };
        let root = place(kind, "hullkit root", root);
        Ok(Self {
            size: gpt::disk_size(at),
            bios,
            efi,
            root,
        })
    }

    fn partitions(&self) -> Vec<Partition<'a>> {
        let efi = self.efi.as_ref().map(|(_, partition)| *partition);
        self.bios
            .into_iter()
            .chain(efi)
            .chain([self.root])
            .collect()
    }

    /// Where the EFI program begins.
    fn uki_at(&self) -> Option<u64> {
        let (fat, partition) = self.efi.as_ref()?;
        Some(partition.at + fat.place_of(0)?)
    }

    /// What the loader is told, but for kernel and initrd.
    fn places(&self, cmdline: &Content) -> Places {
        let at = self.bios.map_or(0, |partition| partition.at);
        let nothing = Piece { at: 0, len: 0 };
        Places {
            sector: 512,
            own: at,
            kernel: nothing,
            initrd: nothing,
            cmdline: Piece {
                at: at + CMDLINE_AT,
                len: cmdline.len(),
            },
        }
    }

    /// The same with kernel and initrd behind the loader.
    fn own_places(&self, cmdline: &Content, kernel: &Content, initrd: &Content) -> Places {
        let places = self.places(cmdline);
        let at = places.own + KERNEL_AT;
        let kernel = Piece {
            at,
            len: kernel.len(),
        };
        Places {
            kernel,
            initrd: Piece {
                at: (at + kernel.len).next_multiple_of(4096),
                len: initrd.len(),
            },
            ..places
        }
    }
}

fn shifted(piece: Piece, by: u64) -> Piece {
    Piece {
        at: piece.at + by,
        ..piece
    }
}

/// Copies a content into a file where all is zero yet.
pub(super) fn copy(content: &Content, file: &File, at: u64) -> io::Result<()> {
    let mut out = Region::new(file, at);
    content.copy_to(&mut out)?;
    out.flush()
}

// The second part of the loader fits before the command line.
const _: () = assert!(LOADER as u64 - SECTOR <= CMDLINE_AT);
