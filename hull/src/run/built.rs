//! What `hull build` wrote, by its file names: how a machine boots it.

use std::io;
use std::path::{Path, PathBuf};

use super::{Boot, Drive, DriveFormat, Firmware, QemuCommand};
use crate::arch::Arch;

/// File name endings of systems whose root is a disk beside kernel and initrd.
const ROOT_DISKS: [&str; 2] = ["-squashfs.img", "-erofs.img"];

impl QemuCommand {
    /// A machine that boots `path`: a disk, an ISO or an EFI program that was
    /// built, a root filesystem with the kernel beside it, or else the
    /// `PREFIX` of `PREFIX-kernel`, `PREFIX-initrd.img` and `PREFIX-cmdline`.
    /// `firmware` is for disks whose name does not tell.
    ///
    /// # Errors
    /// A file is missing or cannot be read, or the firmware is not installed.
    pub fn of_built(arch: Arch, path: &Path, firmware: Option<Firmware>) -> io::Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some(ending) = ROOT_DISKS.iter().find(|ending| name.ends_with(*ending)) {
            let prefix = strip(path, ending);
            let initrd = ending.replace(".img", "-initrd.img");
            let root = disk(present(path.to_owned())?, DriveFormat::Raw);
            return Ok(Self::of_kernel(arch, &prefix, &initrd)?.drive(root));
        }
        let firmware = firmware.unwrap_or_else(|| firmware_of(arch, &name));
        let media = match name.rsplit('.').next() {
            Some("efi") => return Self::of_program(arch, path),
            Some("iso") => Media::Cd,
            Some("img" | "raw") => Media::Disk(DriveFormat::Raw),
            Some("qcow2") => Media::Disk(DriveFormat::Qcow2),
            Some("vmdk") => Media::Disk(DriveFormat::Vmdk),
            Some("vhd") => Media::Disk(DriveFormat::Vhd),
            _ => return Self::of_prefix(arch, path),
        };
        let path = present(path.to_owned())?;
        // A kernel and its ISO: the ISO has nothing to boot.
        let beside = strip(&path, ".iso");
        if media == Media::Cd && with_ending(&beside, "-iso-initrd.img").exists() {
            return Ok(Self::of_kernel(arch, &beside, "-iso-initrd.img")?.cd(path));
        }
        let command = Self::of_firmware(arch, firmware)?;
        Ok(match media {
            Media::Cd => command.cd(path),
            Media::Disk(format) => command.drive(disk(path, format)),
        })
    }

    /// A machine that boots `PREFIX-kernel` with `PREFIX-initrd.img` and the
    /// text of `PREFIX-cmdline`.
    ///
    /// # Errors
    /// A file is missing or cannot be read.
    pub fn of_prefix(arch: Arch, prefix: &Path) -> io::Result<Self> {
        Self::of_kernel(arch, prefix, "-initrd.img")
    }

    fn of_kernel(arch: Arch, prefix: &Path, initrd: &str) -> io::Result<Self> {
        let file = |ending: &str| present(with_ending(prefix, ending));
        let cmdline = std::fs::read_to_string(file("-cmdline")?)?;
        Ok(Self::new(arch, file("-kernel")?)
            .initrd(file(initrd)?)
            .cmdline(cmdline.trim()))
    }

    /// A machine whose EFI starts the program at `path`.
    fn of_program(arch: Arch, path: &Path) -> io::Result<Self> {
        let mut command = Self::of_firmware(arch, Firmware::Efi)?;
        if let Boot::Firmware { program, .. } = &mut command.boot {
            *program = Some(present(path.to_owned())?);
        }
        Ok(command)
    }

    /// A machine that boots what its firmware finds.
    ///
    /// # Errors
    /// The firmware is not installed.
    pub fn of_firmware(arch: Arch, firmware: Firmware) -> io::Result<Self> {
        let flash = match (firmware, arch) {
            (Firmware::Bios, Arch::X86_64) => None,
            (Firmware::Bios, Arch::Aarch64) => {
                return Err(io::Error::other("an aarch64 machine has no BIOS, only EFI"));
            }
            (Firmware::Efi, _) => Some(find_efi(arch)?),
        };
        let boot = Boot::Firmware {
            flash,
            program: None,
        };
        Ok(Self::booting(arch, boot))
    }
}

/// Where the kernel lies that is built with `path`, if one is.
#[must_use]
pub fn kernel_beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut endings = ROOT_DISKS.iter().chain(&[".iso"]);
    let ending = endings.find(|ending| name.ends_with(**ending));
    with_ending(&strip(path, ending.unwrap_or(&"")), "-kernel")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Media {
    Disk(DriveFormat),
    Cd,
}

fn disk(file: PathBuf, format: DriveFormat) -> Drive {
    Drive {
        file,
        format,
        readonly: true,
    }
}

/// `-efi` before the suffix says EFI, and so does every arm64 machine.
fn firmware_of(arch: Arch, name: &str) -> Firmware {
    let stem = name.split_once('.').map_or(name, |(stem, _)| stem);
    let efi = ["-efi", "-efi-initrd"]
        .iter()
        .any(|end| stem.ends_with(end));
    match arch {
        Arch::X86_64 if !efi => Firmware::Bios,
        _ => Firmware::Efi,
    }
}

/// EFI for virtual machines: code and variables, where distributions put them.
fn find_efi(arch: Arch) -> io::Result<(PathBuf, PathBuf)> {
    let (places, package) = match arch {
        Arch::X86_64 => (
            [
                (
                    "/usr/share/OVMF/OVMF_CODE_4M.fd",
                    "/usr/share/OVMF/OVMF_VARS_4M.fd",
                ),
                (
                    "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
                    "/usr/share/edk2/x64/OVMF_VARS.4m.fd",
                ),
                (
                    "/usr/share/edk2/ovmf/OVMF_CODE.fd",
                    "/usr/share/edk2/ovmf/OVMF_VARS.fd",
                ),
            ],
            "ovmf",
        ),
        Arch::Aarch64 => (
            [
                (
                    "/usr/share/AAVMF/AAVMF_CODE.fd",
                    "/usr/share/AAVMF/AAVMF_VARS.fd",
                ),
                (
                    "/usr/share/edk2/aarch64/QEMU_CODE.fd",
                    "/usr/share/edk2/aarch64/QEMU_VARS.fd",
                ),
                (
                    "/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw",
                    "/usr/share/edk2/aarch64/vars-template-pflash.raw",
                ),
            ],
            "qemu-efi-aarch64",
        ),
    };
    places
        .iter()
        .map(|(code, vars)| (PathBuf::from(code), PathBuf::from(vars)))
        .find(|(code, vars)| code.exists() && vars.exists())
        .ok_or_else(|| {
            io::Error::other(format!(
                "there is no EFI firmware for {arch} (on Debian: apt-get install {package})"
            ))
        })
}

fn present(path: PathBuf) -> io::Result<PathBuf> {
    match path.metadata() {
        Ok(_) => Ok(path),
        Err(e) => Err(io::Error::new(e.kind(), format!("{}: {e}", path.display()))),
    }
}

fn with_ending(prefix: &Path, ending: &str) -> PathBuf {
    let mut path = prefix.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

/// `path` without the ending of its name.
fn strip(path: &Path, ending: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(name.strip_suffix(ending).unwrap_or(&name))
}
