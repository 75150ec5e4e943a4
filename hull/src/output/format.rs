//! The formats of the result, by LinuxKit's names.

use std::fmt;
use std::str::FromStr;

use crate::arch::Arch;

/// A form of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// The kernel, an initrd that is the system, the command line.
    KernelInitrd,
    /// The same in one tar.
    TarKernelInitrd,
    /// The kernel, a squashfs that is the system, the initrd that mounts it,
    /// the command line.
    KernelSquashfs,
    /// The kernel, an erofs that is the system, the initrd that mounts it, the
    /// command line.
    KernelErofs,
    /// The kernel, an ISO that is the system, the initrd that mounts it, the
    /// command line.
    KernelIso,
    /// The root, with the kernel and its command line in `boot/`.
    Tar,
    /// An image for containers.
    Docker,
    /// An EFI program that is the system.
    Uki,
    /// A CD that a BIOS boots.
    IsoBios,
    /// A CD that an EFI boots.
    IsoEfi,
    /// A CD with an EFI program that has the system as its initrd.
    IsoEfiInitrd,
    /// A disk.
    RawBios,
    /// A disk.
    RawEfi,
    /// A disk.
    RawHybrid,
    /// A disk in QEMU's form.
    Qcow2Bios,
    /// A disk in QEMU's form.
    Qcow2Efi,
    /// A disk in VMware's form.
    Vmdk,
    /// A disk in Microsoft's form, of fixed size.
    Vhd,
    /// A disk in Microsoft's form.
    DynamicVhd,
    /// A disk for Google's cloud.
    Gcp,
    /// A disk for Amazon's cloud.
    Aws,
}

/// What starts the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// A BIOS.
    Bios,
    /// An EFI.
    Efi,
    /// Either.
    Both,
}

impl Firmware {
    /// Whether a BIOS is among them.
    #[must_use]
    pub fn has_bios(self) -> bool {
        self != Self::Efi
    }

    /// Whether an EFI is among them.
    #[must_use]
    pub fn has_efi(self) -> bool {
        self != Self::Bios
    }

    /// Either where the machine has either.
    fn any(arch: Arch) -> Self {
        match arch {
            Arch::X86_64 => Self::Both,
            Arch::Aarch64 => Self::Efi,
        }
    }
}

/// A format's name, the endings of its files, and for which machines it is.
struct Row {
    format: Format,
    name: &'static str,
    endings: &'static [&'static str],
    only: Option<Arch>,
}

const fn row(format: Format, name: &'static str, endings: &'static [&'static str]) -> Row {
    Row {
        format,
        name,
        endings,
        only: None,
    }
}

/// For machines that have a BIOS.
const fn bios(format: Format, name: &'static str, endings: &'static [&'static str]) -> Row {
    Row {
        only: Some(Arch::X86_64),
        ..row(format, name, endings)
    }
}

const TABLE: &[Row] = &[
    row(
        Format::KernelInitrd,
        "kernel+initrd",
        &["-kernel", "-initrd.img", "-cmdline"],
    ),
    row(
        Format::TarKernelInitrd,
        "tar-kernel-initrd",
        &["-initrd.tar"],
    ),
    row(
        Format::KernelSquashfs,
        "kernel+squashfs",
        &[
            "-kernel",
            "-squashfs.img",
            "-squashfs-initrd.img",
            "-cmdline",
        ],
    ),
    row(
        Format::KernelErofs,
        "kernel+erofs",
        &["-kernel", "-erofs.img", "-erofs-initrd.img", "-cmdline"],
    ),
    row(
        Format::KernelIso,
        "kernel+iso",
        &["-kernel", ".iso", "-iso-initrd.img", "-cmdline"],
    ),
    row(Format::Tar, "tar", &[".tar"]),
    row(Format::Docker, "docker", &["-docker.tar"]),
    row(Format::Uki, "uki", &[".efi"]),
    bios(Format::IsoBios, "iso-bios", &[".iso"]),
    row(Format::IsoEfi, "iso-efi", &["-efi.iso"]),
    row(Format::IsoEfiInitrd, "iso-efi-initrd", &["-efi-initrd.iso"]),
    bios(Format::RawBios, "raw-bios", &["-bios.img"]),
    row(Format::RawEfi, "raw-efi", &["-efi.img"]),
    bios(Format::RawHybrid, "raw-hybrid", &["-hybrid.img"]),
    bios(Format::Qcow2Bios, "qcow2-bios", &[".qcow2"]),
    row(Format::Qcow2Efi, "qcow2-efi", &["-efi.qcow2"]),
    row(Format::Vmdk, "vmdk", &[".vmdk"]),
    row(Format::Vhd, "vhd", &[".vhd"]),
    row(Format::DynamicVhd, "dynamic-vhd", &[".vhd"]),
    row(Format::Gcp, "gcp", &[".img.tar.gz"]),
    row(Format::Aws, "aws", &[".raw"]),
];

impl Format {
    fn row(self) -> Option<&'static Row> {
        TABLE.iter().find(|row| row.format == self)
    }

    /// What the names of its files end with.
    #[must_use]
    pub fn endings(self) -> &'static [&'static str] {
        self.row().map_or(&[], |row| row.endings)
    }

    /// Whether something in it starts the kernel.
    #[must_use]
    pub fn starts_kernel(self) -> bool {
        !matches!(
            self,
            Self::KernelInitrd
                | Self::TarKernelInitrd
                | Self::KernelSquashfs
                | Self::KernelErofs
                | Self::KernelIso
                | Self::Tar
                | Self::Docker
        )
    }

    /// What starts it, where it is a disk for `arch`.
    pub(super) fn disk(self, arch: Arch) -> Option<Firmware> {
        match self {
            Self::RawBios | Self::Qcow2Bios => Some(Firmware::Bios),
            Self::RawEfi | Self::Qcow2Efi => Some(Firmware::Efi),
            Self::RawHybrid => Some(Firmware::Both),
            Self::Vmdk | Self::Vhd | Self::DynamicVhd | Self::Gcp | Self::Aws => {
                Some(Firmware::any(arch))
            }
            _ => None,
        }
    }

    /// Whether an EFI program is made for it, which needs the EFI stub.
    #[must_use]
    pub fn needs_stub(self, arch: Arch) -> bool {
        let program = [Self::Uki, Self::IsoEfi, Self::IsoEfiInitrd].contains(&self);
        program || self.disk(arch).is_some_and(Firmware::has_efi)
    }

    /// The one architecture that it is for, if it is not for all.
    #[must_use]
    pub fn only(self) -> Option<Arch> {
        self.row().and_then(|row| row.only)
    }

    /// All names, for people.
    #[must_use]
    pub fn names() -> String {
        let names: Vec<&str> = TABLE.iter().map(|row| row.name).collect();
        names.join(", ")
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().map_or("", |row| row.name))
    }
}

/// A name of no format of ours.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("format {0:?} is not known; there are {names}", names = Format::names())]
pub struct UnknownFormat(pub String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        TABLE
            .iter()
            .find(|row| row.name == name)
            .map(|row| row.format)
            .ok_or_else(|| UnknownFormat(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_as_it_is_shown() {
        for row in TABLE {
            assert_eq!(row.name.parse(), Ok(row.format));
            assert_eq!(row.format.to_string(), row.name);
        }
    }
}
