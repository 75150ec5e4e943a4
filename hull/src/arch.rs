//! The architectures that images are built for, and their names.

use std::fmt;
use std::str::FromStr;

/// An architecture of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arch {
    /// `amd64` to OCI, `x86_64` to the kernel and to QEMU.
    X86_64,
    /// `arm64` to OCI, `aarch64` to the kernel and to QEMU.
    Aarch64,
}

impl Arch {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::X86_64, Self::Aarch64];

    /// The architecture of this machine; x86_64 where it is none of ours.
    #[must_use]
    pub fn host() -> Self {
        std::env::consts::ARCH.parse().unwrap_or(Self::X86_64)
    }

    /// The name in OCI images and Debian packages.
    #[must_use]
    pub const fn oci(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }

    /// The name that `uname -m`, QEMU and `out/guest` use.
    #[must_use]
    pub const fn uname(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.uname())
    }
}

/// A name of no architecture of ours.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("architecture {0:?} is not supported; there are x86_64 (amd64) and aarch64 (arm64)")]
pub struct UnknownArch(pub String);

impl FromStr for Arch {
    type Err = UnknownArch;

    fn from_str(name: &str) -> Result<Self, UnknownArch> {
        Self::ALL
            .into_iter()
            .find(|arch| name == arch.oci() || name == arch.uname())
            .ok_or_else(|| UnknownArch(name.to_owned()))
    }
}
