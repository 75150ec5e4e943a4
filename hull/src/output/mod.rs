//! A system becomes files to boot from. All of a build's files appear
//! together at its end, or none.

mod bios;
pub mod compress;
pub mod cpio;
mod disk;
mod docker;
pub mod erofs;
mod fat;
mod format;
mod gpt;
pub mod initrd;
pub mod iso;
mod kit;
mod memory;
mod region;
mod rootfs;
pub mod squashfs;
mod starter;
mod uki;
mod virtual_disk;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

pub use compress::Compression;
pub use format::{Firmware, Format, UnknownFormat};

use crate::arch::Arch;
use crate::assemble::System;
use crate::atomic::NewFile;
use crate::cache::Cache;
use crate::layer::write_tar;
use crate::tree::{Content, Meta, Node, Tree};
use kit::{Kit, Root};
use virtual_disk::{Raw, gcp, qcow2, vhd, vmdk};

/// Why a result could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The format needs what the system has not.
    #[error(
        "what boots needs a kernel, and the YAML names none (kernel: image); allowed without one: tar"
    )]
    NoKernel,
    /// Only our `/init` finds a root on a disk.
    #[error(
        "an image with its own /init cannot have its root on a disk unless Hullkit's init is \
         there as well (--guest); allowed: kernel+initrd, tar"
    )]
    NoInit,
    /// There is no EFI stub.
    #[error(
        "there is no EFI stub ({path} in the image of --efi-stub); `make build images` or \
         `hull pkg build boot/efi-stub` brings it into the store"
    )]
    NoStub {
        /// The file.
        path: &'static str,
    },
    /// The format is for other machines.
    #[error("format {format} is for {only}, not for {arch}")]
    Arch {
        /// What was asked for.
        format: Format,
        /// The machine that it is for.
        only: Arch,
        /// The machine that was asked for.
        arch: Arch,
    },
    /// Two formats have a file of the same name.
    #[error("{path}: two of the formats would be this file; build them with different --name")]
    SameFile {
        /// The file.
        path: PathBuf,
    },
    /// A root filesystem could not be written.
    #[error("writing the root filesystem: {0}")]
    Root(io::Error),
    /// A part that several formats share could not be written.
    #[error("writing the parts of the image: {0}")]
    Parts(io::Error),
    /// Writing failed, or reading what goes into the file.
    #[error("writing {path}: {source}")]
    Write {
        /// The file that was to be.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Where results go, and how.
#[derive(Clone, Debug)]
pub struct Target<'a> {
    /// The folder; made where it lacks.
    pub dir: &'a Path,
    /// What the files' names begin with.
    pub name: &'a str,
    /// For which machine.
    pub arch: Arch,
    /// The image that holds systemd's EFI stub.
    pub stub: Option<&'a Tree>,
    /// Of initrds and root filesystems.
    pub compression: Compression,
    /// When root filesystems are said to have been made, in seconds since the
    /// epoch.
    pub time: u32,
    /// Disks are at least so large, in bytes.
    pub disk_size: u64,
    /// What was compressed before.
    pub cache: Option<&'a Cache>,
}

impl Target<'_> {
    /// The file whose name ends so.
    fn path(&self, ending: &str) -> PathBuf {
        self.dir.join(format!("{}{ending}", self.name))
    }
}

/// What a build has made.
#[derive(Clone, Debug)]
pub struct Results {
    /// The files.
    pub paths: Vec<PathBuf>,
    /// Worth a word to people, a line each.
    pub notes: Vec<String>,
}

/// Writes `system` in `formats`.
///
/// # Errors
/// A file cannot be read or written; nothing is left then.
pub fn write(system: &System, formats: &[Format], target: &Target<'_>) -> Result<Results, Error> {
    check(formats, target)?;
    std::fs::create_dir_all(target.dir).map_err(|source| Error::Write {
        path: target.dir.to_owned(),
        source,
    })?;
    let kit = Kit::new(system, target);
    let mut pending = Pending {
        target,
        files: Vec::new(),
    };
    for format in formats {
        write_one(&kit, &mut pending, *format)?;
    }
    let paths = pending.publish()?;
    let note = |mebibytes| {
        let name = target.name;
        format!("{name}: the initrd needs a machine with at least {mebibytes} MiB of memory")
    };
    let notes = kit.least_memory().map(note).into_iter().collect();
    Ok(Results { paths, notes })
}

fn write_one(kit: &Kit<'_>, pending: &mut Pending<'_>, format: Format) -> Result<(), Error> {
    match format {
        Format::KernelInitrd => {
            let initrd = kit.initrd()?;
            kernel(kit, pending)?;
            pending.copy("-initrd.img", initrd)
        }
        Format::KernelSquashfs => kernel_root(kit, pending, format, kit.squashfs()?),
        Format::KernelErofs => kernel_root(kit, pending, format, kit.erofs()?),
        Format::KernelIso => kernel_iso(kit, pending),
        Format::TarKernelInitrd => tar_kernel_initrd(kit, pending),
        Format::Tar => tar(kit.system, pending),
        Format::Docker => {
            let name = pending.target.name;
            pending.add_file("-docker.tar", |file| {
                docker::write(kit, name, &mut BufWriter::new(file))
            })
        }
        Format::Uki => pending.copy(".efi", &kit.make_uki(kit.initrd()?)?.content),
        Format::IsoBios => iso_of(kit, pending, format, iso::Kind::Root(Firmware::Bios)),
        Format::IsoEfi => iso_of(kit, pending, format, iso::Kind::Root(Firmware::Efi)),
        Format::IsoEfiInitrd => iso_of(kit, pending, format, iso::Kind::Initrd),
        Format::RawBios
        | Format::RawEfi
        | Format::RawHybrid
        | Format::Qcow2Bios
        | Format::Qcow2Efi
        | Format::Vmdk
        | Format::Vhd
        | Format::DynamicVhd
        | Format::Gcp
        | Format::Aws => disk_of(kit, pending, format),
    }
}

/// The kernel, a root as a disk, and the initrd that mounts it.
fn kernel_root(
    kit: &Kit<'_>,
    pending: &mut Pending<'_>,
    format: Format,
    root: &Root,
) -> Result<(), Error> {
    kernel(kit, pending)?;
    if let [_, image, starter, ..] = format.endings() {
        pending.copy(image, &root.image)?;
        pending.copy(starter, &root.starter)?;
    }
    Ok(())
}

/// The kernel, a root as a CD, and the initrd that mounts it.
fn kernel_iso(kit: &Kit<'_>, pending: &mut Pending<'_>) -> Result<(), Error> {
    let mut starter = None;
    pending.add_file(".iso", |file| {
        starter = iso::write(kit, file, iso::Kind::RootOnly)?;
        Ok(())
    })?;
    kernel(kit, pending)?;
    match starter {
        Some(starter) => pending.copy("-iso-initrd.img", &starter),
        None => Ok(()),
    }
}

/// Whether the formats fit the machine and each other.
fn check(formats: &[Format], target: &Target<'_>) -> Result<(), Error> {
    let mut seen: Vec<(&str, Format)> = Vec::new();
    for &format in formats {
        if let Some(only) = format.only().filter(|only| *only != target.arch) {
            return Err(Error::Arch {
                format,
                only,
                arch: target.arch,
            });
        }
        for &ending in format.endings() {
            // The kernel and its command line are the same for all.
            let shared = ["-kernel", "-cmdline"].contains(&ending);
            if !shared && seen.iter().any(|(other, _)| *other == ending) {
                let path = target.path(ending);
                return Err(Error::SameFile { path });
            }
            seen.push((ending, format));
        }
    }
    Ok(())
}

/// The kernel and its command line, as files of their own.
fn kernel(kit: &Kit<'_>, pending: &mut Pending<'_>) -> Result<(), Error> {
    pending.copy("-kernel", kit.kernel()?)?;
    let cmdline = Content::from(kit.system.cmdline.as_str());
    pending.copy("-cmdline", &cmdline)
}

fn iso_of(
    kit: &Kit<'_>,
    pending: &mut Pending<'_>,
    format: Format,
    kind: iso::Kind,
) -> Result<(), Error> {
    let ending = format.endings().first().copied().unwrap_or_default();
    pending.add_file(ending, |file| iso::write(kit, file, kind).map(drop))
}

/// A disk as it is, or in the form of a hypervisor or a cloud.
fn disk_of(kit: &Kit<'_>, pending: &mut Pending<'_>, format: Format) -> Result<(), Error> {
    let Some(firmware) = format.disk(kit.arch) else {
        return Ok(());
    };
    let ending = format.endings().first().copied().unwrap_or_default();
    if matches!(
        format,
        Format::RawBios | Format::RawEfi | Format::RawHybrid | Format::Aws
    ) {
        return pending.add_file(ending, |file| disk::write(kit, file, firmware).map(drop));
    }
    let spool = kit.spool()?;
    let size = disk::write(kit, &spool, firmware)?;
    let raw = Raw { file: &spool, size };
    let seed = kit.squashfs()?.written.mark.0;
    let name = format!("{}{ending}", pending.target.name);
    let path = pending.target.path(ending);
    pending.add_file(ending, |file| {
        let written = match format {
            Format::Vmdk => vmdk::write(raw, &name, &seed, file),
            Format::Vhd => vhd::write(raw, vhd::Kind::Fixed, &seed, file),
            Format::DynamicVhd => vhd::write(raw, vhd::Kind::Dynamic, &seed, file),
            Format::Gcp => gcp::write(raw, file),
            _ => qcow2::write(raw, file),
        };
        written.map_err(|source| Error::Write { path, source })
    })
}

/// Kernel, initrd and command line as files of one tar.
fn tar_kernel_initrd(kit: &Kit<'_>, pending: &mut Pending<'_>) -> Result<(), Error> {
    let mut tree = Tree::new();
    let cmdline = Content::from(kit.system.cmdline.as_str());
    let files = [
        ("kernel", kit.kernel()?.clone()),
        ("initrd.img", kit.initrd()?.clone()),
        ("cmdline", cmdline),
    ];
    for (name, content) in files {
        tree.add(name, Node::file(Meta::root(0o644), content))
            .map_err(|e| Error::Parts(io::Error::other(e)))?;
    }
    pending.add("-initrd.tar", |out| write_tar(&tree, out))
}

fn tar(system: &System, pending: &mut Pending<'_>) -> Result<(), Error> {
    pending.add(".tar", |out| {
        let mut tree = system.tree.clone();
        let boot = [
            ("boot/kernel", system.kernel.clone()),
            ("boot/cmdline", cmdline(system)),
            ("boot/ucode.cpio", system.ucode.clone()),
        ];
        for (path, content) in boot {
            if let Some(content) = content {
                tree.add(path, Node::file(Meta::root(0o644), content))
                    .map_err(io::Error::other)?;
            }
        }
        write_tar(&tree, out)
    })
}

fn cmdline(system: &System) -> Option<Content> {
    system
        .kernel
        .as_ref()
        .map(|_| Content::from(system.cmdline.as_str()))
}

/// Files that are written and have no name yet.
struct Pending<'a> {
    target: &'a Target<'a>,
    files: Vec<(NewFile, PathBuf)>,
}

impl Pending<'_> {
    /// Adds a file that is written from front to back.
    fn add(
        &mut self,
        ending: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Error> {
        let failed = |source| Error::Write {
            path: self.target.path(ending),
            source,
        };
        self.add_file(ending, |file| {
            let mut out = BufWriter::with_capacity(256 * 1024, file);
            write(&mut out).and_then(|()| out.flush()).map_err(failed)
        })
    }

    /// Adds a file that is written in any order.
    fn add_file(
        &mut self,
        ending: &str,
        write: impl FnOnce(&File) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let path = self.target.path(ending);
        if self.files.iter().any(|(_, other)| *other == path) {
            // The kernel, of another format.
            return Ok(());
        }
        if path.is_dir() {
            // Known now, before another file has got its name.
            let source = io::ErrorKind::IsADirectory.into();
            return Err(Error::Write { path, source });
        }
        match NewFile::create(self.target.dir) {
            Ok(file) => {
                write(file.file())?;
                self.files.push((file, path));
                Ok(())
            }
            Err(source) => Err(Error::Write { path, source }),
        }
    }

    fn copy(&mut self, ending: &str, content: &Content) -> Result<(), Error> {
        self.add(ending, |out| content.copy_to(out))
    }

    fn publish(self) -> Result<Vec<PathBuf>, Error> {
        let mut paths = Vec::new();
        for (file, path) in self.files {
            match file.persist(&path) {
                Ok(()) => paths.push(path),
                Err(source) => return Err(Error::Write { path, source }),
            }
        }
        Ok(paths)
    }
}

#[cfg(test)]
mod tests;
