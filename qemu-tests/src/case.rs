//! What a case is: YAML, a machine, and a function that asks the guest.

use anyhow::Result;
use hull::arch::Arch;
use hull::run::{Accel, Firmware};

use crate::guest::Guest;

/// A kernel on an architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The machine.
    pub arch: Arch,
    /// The tag of `hullkit/kernel`.
    pub kernel: &'static str,
}

/// Debian 12's kernel from backports, our default.
pub const X86_6_12: Target = Target {
    arch: Arch::X86_64,
    kernel: "6.12",
};
/// Debian 12's own kernel.
pub const X86_6_1: Target = Target {
    arch: Arch::X86_64,
    kernel: "6.1",
};
/// The default kernel on the other architecture.
pub const ARM_6_12: Target = Target {
    arch: Arch::Aarch64,
    kernel: "6.12",
};
/// The older kernel on the other architecture.
pub const ARM_6_1: Target = Target {
    arch: Arch::Aarch64,
    kernel: "6.1",
};

/// Where nothing depends on kernel or architecture.
pub const DEFAULT: &[Target] = &[X86_6_12];
/// Where the kernel matters.
pub const KERNELS: &[Target] = &[X86_6_12, X86_6_1];
/// Where the architecture matters.
pub const ARCHES: &[Target] = &[X86_6_12, ARM_6_12];
/// Where both matter.
pub const EVERYWHERE: &[Target] = &[X86_6_12, X86_6_1, ARM_6_12, ARM_6_1];

impl Target {
    /// As tests are named: `x86_64-6.12`.
    #[must_use]
    pub fn name(self) -> String {
        format!("{}-{}", self.arch, self.kernel)
    }
}

/// Files that replace files of the built image: (path without leading slash,
/// content).
pub type Tamper = &'static [(&'static str, &'static str)];

/// Files that a case makes itself, and that are laid over the built image:
/// (path without leading slash, content); a path that ends with a slash is a
/// folder.
pub type Made = Vec<(String, Vec<u8>)>;

/// The machine that a case boots.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// Whether there is a network card.
    pub network: bool,
    /// A TCP port of the guest that the harness reaches
    /// ([`Guest::forwarded`]).
    pub forward: Option<u16>,
    /// RAM.
    pub mebibytes: u32,
    /// Processors.
    pub processors: u32,
    /// What runs it.
    pub accel: Accel,
    /// More of the kernel's command line.
    pub cmdline: &'static str,
    /// More of QEMU's command line.
    pub qemu: &'static [&'static str],
    /// What is wrong with the image.
    pub tamper: Tamper,
    /// What is made for it.
    pub made: Option<fn() -> Made>,
    /// Whether the image is the harness's base (kernel and agent) and the
    /// case's YAML; else the YAML alone, as it stands.
    pub base: bool,
    /// What `hull build` makes of it.
    pub format: &'static str,
    /// What boots a disk, where its name does not tell.
    pub firmware: Option<Firmware>,
    /// Whether the root's disk is there from the start.
    pub disk: bool,
}

impl Machine {
    /// What a case gets that asks for nothing.
    pub const PLAIN: Self = Self {
        network: true,
        forward: None,
        mebibytes: 512,
        processors: 1,
        accel: Accel::Tcg,
        cmdline: "",
        qemu: &[],
        tamper: &[],
        made: None,
        base: true,
        format: "kernel+initrd",
        firmware: None,
        disk: true,
    };
}

/// Who boots it.
#[derive(Clone, Copy, Debug)]
pub enum Boot {
    /// Its YAML is part of the image that the shared cases of a target have in
    /// common, and so is the guest: names are its own, and it leaves others'
    /// entries alone.
    Shared,
    /// It has a guest for itself.
    Own(Machine),
}

/// A case.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// `folder::promise`.
    pub name: &'static str,
    /// Its entries, appended to the harness's own YAML ([`crate::image`]).
    pub yaml: &'static str,
    /// Its machine.
    pub boot: Boot,
    /// Where it is run.
    pub targets: &'static [Target],
    /// Asks, and fails with what is wrong.
    pub check: fn(&Guest) -> Result<()>,
}

impl Case {
    /// A case that shares its guest, on [`DEFAULT`].
    #[must_use]
    pub const fn shared(
        name: &'static str,
        yaml: &'static str,
        check: fn(&Guest) -> Result<()>,
    ) -> Self {
        Self {
            name,
            yaml,
            boot: Boot::Shared,
            targets: DEFAULT,
            check,
        }
    }

    /// A case with a plain guest of its own, on [`DEFAULT`].
    #[must_use]
    pub const fn own(
        name: &'static str,
        yaml: &'static str,
        check: fn(&Guest) -> Result<()>,
    ) -> Self {
        Self {
            boot: Boot::Own(Machine::PLAIN),
            ..Self::shared(name, yaml, check)
        }
    }

    /// On another machine, of its own.
    #[must_use]
    pub const fn machine(self, machine: Machine) -> Self {
        Self {
            boot: Boot::Own(machine),
            ..self
        }
    }

    /// On these targets.
    #[must_use]
    pub const fn on(self, targets: &'static [Target]) -> Self {
        Self { targets, ..self }
    }
}
