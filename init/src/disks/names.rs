//! The names of a disk below `/dev/disk`, as udev has them.

use std::fmt::Write as _;

/// One name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// `by-uuid`, `by-label`, …
    pub by: &'static str,
    /// The link's name.
    pub name: String,
}

impl Name {
    /// A name from what stands on the disk.
    #[must_use]
    pub fn new(by: &'static str, text: &str) -> Self {
        let name = encode(text);
        Self { by, name }
    }
}

/// What may stand in a file's name stands for itself, the rest as `\x20`, like
/// udev's `ID_FS_LABEL_ENC`. A name of dots only is no name either.
#[must_use]
pub fn encode(text: &str) -> String {
    let dots = text.chars().all(|c| c == '.');
    let mut name = String::with_capacity(text.len());
    for c in text.chars() {
        let plain = c.is_ascii_alphanumeric() || "#+-.:=@_".contains(c);
        if (plain || !(c.is_ascii() || c.is_control())) && !dots {
            name.push(c);
        } else {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                // Writing to a string does not fail.
                let _infallible = write!(name, "\\x{byte:02x}");
            }
        }
    }
    name
}

/// A part of an id: blanks become `_`, several of them one.
#[must_use]
pub fn id(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    encode(&words.join("_"))
}

/// What a disk's place in the machine is called: by the last bus with addresses
/// of its own on the way to it, `pci-0000:00:04.0`, and what is behind that.
///
/// `path` is the device's below `/sys/devices`:
/// `pci0000:00/0000:00:04.0/virtio1/block/vda`.
#[must_use]
pub fn place(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').collect();
    let bus = parts
        .iter()
        .rposition(|part| is_pci(part) || is_platform(part))?;
    let address = parts.get(bus).copied()?;
    let mut name = match is_pci(address) {
        true => format!("pci-{address}"),
        false => format!("platform-{address}"),
    };
    for part in parts
        .get(bus + 1..)?
        .iter()
        .take_while(|part| **part != "block")
    {
        if let Some(port) = part.strip_prefix("ata").filter(|port| is_number(port)) {
            let _infallible = write!(name, "-ata-{port}");
        } else if is_scsi(part) && !name.contains("-ata-") {
            // The host's number is that of its turn; the rest is its own.
            let unit = part.split_once(':').map_or("", |(_, unit)| unit);
            let _infallible = write!(name, "-scsi-0:{unit}");
        } else if let Some((_, unit)) = part.strip_prefix("nvme").and_then(|p| p.split_once('n')) {
            let _infallible = write!(name, "-nvme-{unit}");
        }
    }
    // An NVMe disk stands below its controller without a `block` between.
    if let Some((_, unit)) = parts
        .last()
        .and_then(|last| last.strip_prefix("nvme"))
        .and_then(|rest| rest.split_once('n'))
        .filter(|(_, unit)| is_number(unit) && !name.contains("-nvme-"))
    {
        let _infallible = write!(name, "-nvme-{unit}");
    }
    Some(encode(&name))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `0000:00:04.0`.
fn is_pci(part: &str) -> bool {
    let hex = |text: &str, length| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let fields: Vec<&str> = part.split([':', '.']).collect();
    matches!(fields.as_slice(), [domain, bus, slot, function]
        if hex(domain, 4) && hex(bus, 2) && hex(slot, 2) && hex(function, 1))
}

/// `a003e00.virtio_mmio`.
fn is_platform(part: &str) -> bool {
    part.split_once('.').is_some_and(|(address, name)| {
        !address.is_empty()
            && address.bytes().all(|byte| byte.is_ascii_hexdigit())
            && name.starts_with(|c: char| c.is_ascii_alphabetic())
    })
}

/// `2:0:0:1`.
fn is_scsi(part: &str) -> bool {
    let fields: Vec<&str> = part.split(':').collect();
    fields.len() == 4 && fields.iter().all(|field| is_number(field))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn as_udev_has_them() {
        assert_eq!(encode("my data/1"), "my\\x20data\\x2f1");
        assert_eq!(encode("straße_1.0"), "straße_1.0");
        assert_eq!(encode(".."), "\\x2e\\x2e");
        assert_eq!(id("QEMU  HARDDISK "), "QEMU_HARDDISK");
    }

    #[test]
    fn places() {
        for (path, name) in [
            (
                "pci0000:00/0000:00:04.0/virtio1/block/vda",
                "pci-0000:00:04.0",
            ),
            (
                "pci0000:00/0000:00:1f.2/ata3/host2/target2:0:0/2:0:0:0/block/sda",
                "pci-0000:00:1f.2-ata-3",
            ),
            (
                "pci0000:00/0000:00:05.0/virtio2/host4/target4:0:1/4:0:1:7/block/sdb",
                "pci-0000:00:05.0-scsi-0:0:1:7",
            ),
            (
                "pci0000:00/0000:00:02.0/0000:01:00.0/nvme/nvme0/nvme0n1",
                "pci-0000:01:00.0-nvme-1",
            ),
            (
                "platform/a003e00.virtio_mmio/virtio3/block/vdb",
                "platform-a003e00.virtio_mmio",
            ),
        ] {
            assert_eq!(place(path).as_deref(), Some(name), "{path}");
        }
        assert_eq!(place("virtual/block/loop0"), None);
    }

    proptest! {
        #[test]
        fn a_name_is_one_file(text: String) {
            let name = encode(&text);
            prop_assert!(!name.contains('/') && !name.contains('\0'));
            prop_assert!(name != "." && name != "..");
            let _either = place(&text);
        }
    }
}
