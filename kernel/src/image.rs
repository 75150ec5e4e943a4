//! The kernel image: for which machine it is, and its form.

use crate::Error;
use crate::compression::Compression;

/// A machine that Hullkit builds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// 64-bit PC.
    X86_64,
    /// 64-bit Arm.
    Aarch64,
}

impl Machine {
    /// The machine of a Debian architecture; OCI's names are the same.
    #[must_use]
    pub fn from_debian(architecture: &str) -> Option<Self> {
        match architecture {
            "amd64" => Some(Self::X86_64),
            "arm64" => Some(Self::Aarch64),
            _ => None,
        }
    }

    /// The machine that a kernel image is for, told by its first bytes (1 KiB
    /// of them are enough); none where it is packed as a whole, or no kernel.
    #[must_use]
    pub fn of_image(image: &[u8]) -> Option<Self> {
        if image.get(0x1fe..0x200) == Some(b"\x55\xaa") && image.get(0x202..0x206) == Some(b"HdrS")
        {
            Some(Self::X86_64)
        } else if image.get(0x38..0x3c) == Some(b"ARM\x64") {
            Some(Self::Aarch64)
        } else {
            None
        }
    }

    /// The name in an OCI image: `amd64`, `arm64`.
    #[must_use]
    pub const fn oci(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }
}

/// Turns the image at `path` of a package into one that boot loaders and
/// `qemu -kernel` take, and says for which machine it is.
///
/// - x86: a bzImage stays as it is, signature included
///   (`Documentation/arch/x86/boot.rst`).
/// - arm64: an Image stays as it is; one that is compressed as a whole
///   (Ubuntu), or that unpacks itself under EFI (`CONFIG_EFI_ZBOOT`, Fedora),
///   becomes the Image in it, since QEMU before 8.1 takes no other
///   (`Documentation/arch/arm64/booting.rst`).
pub(crate) fn bootable(path: &str, bytes: Vec<u8>) -> Result<(Machine, Vec<u8>), Error> {
    if let Some(machine) = Machine::of_image(&bytes) {
        return Ok((machine, bytes));
    }
    let broken = |reason: &str| Error::Image {
        path: path.to_owned(),
        reason: reason.to_owned(),
    };
    let payload = match efi_zboot(&bytes) {
        Some(payload) => payload.ok_or_else(|| broken("its EFI payload is cut short"))?,
        None => &bytes,
    };
    let how = Compression::of_bytes(payload);
    if how == Compression::None {
        return Err(broken(
            "neither a bzImage nor an arm64 Image, nor gzip, xz or zstd around one",
        ));
    }
    let image = how.unpack(payload).map_err(|source| Error::Unpack {
        path: path.to_owned(),
        source,
    })?;
    match Machine::of_image(&image) {
        Some(machine) => Ok((machine, image)),
        None => Err(broken("unpacks to neither a bzImage nor an arm64 Image")),
    }
}

/// The payload of an image that unpacks itself under EFI: `MZ`, at 4 `zimg`,
/// at 8 the payload's offset, at 12 its length (`zboot-header.S`). The inner
/// option is none where these point outside.
fn efi_zboot(image: &[u8]) -> Option<Option<&[u8]>> {
    if !image.starts_with(b"MZ") || image.get(4..8) != Some(b"zimg") {
        return None;
    }
    let number = |at: usize| {
        let bytes = image.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    let payload = || {
        let (start, length) = (number(8)?, number(12)?);
        image.get(start..start.checked_add(length)?)
    };
    Some(payload())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arm64() -> Vec<u8> {
        let mut image = vec![0; 256];
        image[0x38..0x3c].copy_from_slice(b"ARM\x64");
        image
    }

    #[test]
    fn plain_images_stay() {
        let mut x86 = vec![0; 1024];
        x86[0x1fe..0x200].copy_from_slice(b"\x55\xaa");
        x86[0x202..0x206].copy_from_slice(b"HdrS");
        assert_eq!(bootable("x", x86.clone()).unwrap(), (Machine::X86_64, x86));
        assert_eq!(bootable("x", arm64()).unwrap(), (Machine::Aarch64, arm64()));
    }

    #[test]
    fn packed_images_are_unpacked() {
        let packed = zstd::encode_all(&arm64()[..], 1).unwrap();
        assert_eq!(
            bootable("x", packed.clone()).unwrap(),
            (Machine::Aarch64, arm64())
        );

        let mut zboot = b"MZ\0\0zimg".to_vec();
        zboot.extend(64u32.to_le_bytes());
        zboot.extend(u32::try_from(packed.len()).unwrap().to_le_bytes());
        zboot.resize(64, 0);
        zboot.extend(&packed);
        assert_eq!(
            bootable("x", zboot.clone()).unwrap(),
            (Machine::Aarch64, arm64())
        );

        zboot.pop();
        let error = bootable("boot/vmlinuz-1", zboot).unwrap_err().to_string();
        assert_eq!(
            error,
            "kernel image boot/vmlinuz-1: its EFI payload is cut short"
        );
    }

    #[test]
    fn anything_else_is_an_error() {
        assert!(bootable("x", Vec::new()).is_err());
        assert!(bootable("x", b"\x7fELF".repeat(300)).is_err());
        let error = bootable("x", zstd::encode_all(&[0; 99][..], 1).unwrap()).unwrap_err();
        assert!(error.to_string().contains("unpacks to neither"), "{error}");
    }
}
