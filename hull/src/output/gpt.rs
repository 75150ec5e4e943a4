//! A GUID partition table (UEFI specification 2.10, chapter 5), with a
//! protective master boot record before it.
//!
//! Identifiers are derived from what the disk holds, so that the same image is
//! the same bytes, and two images are told apart.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::rootfs::Fields;

/// In bytes.
pub(super) const SECTOR: u64 = 512;
/// Partitions begin and end at a multiple of this.
pub(super) const ALIGN: u64 = 1 << 20;
/// A table's entries, in number and bytes.
const ENTRIES: u32 = 128;
const ENTRY: u32 = 128;
const TABLE_SECTORS: u64 = (ENTRIES as u64) * (ENTRY as u64) / SECTOR;
const HEADER: u32 = 92;

/// An identifier, as it stands on the disk.
pub(super) type Guid = [u8; 16];

/// C12A7328-F81F-11D2-BA4B-00A0C93EC93B
pub(super) const EFI_SYSTEM: Guid =
    *b"\x28\x73\x2a\xc1\x1f\xf8\xd2\x11\xba\x4b\x00\xa0\xc9\x3e\xc9\x3b";
/// 21686148-6449-6E6F-744E-656564454649
pub(super) const BIOS_BOOT: Guid = *b"Hah!IdontNeedEFI";
/// Root of an x86-64 system: 4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709
pub(super) const ROOT_X86_64: Guid =
    *b"\xe3\xbc\x68\x4f\xcd\xe8\xb1\x4d\x96\xe7\xfb\xca\xf9\x84\xb7\x09";
/// Root of an arm64 system: B921B045-1DF0-41C3-AF44-4C6F280D3FAE
pub(super) const ROOT_ARM64: Guid =
    *b"\x45\xb0\x21\xb9\xf0\x1d\xc3\x41\xaf\x44\x4c\x6f\x28\x0d\x3f\xae";

/// A partition to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Partition<'a> {
    pub(super) kind: Guid,
    pub(super) name: &'a str,
    /// Where it begins, in bytes; a multiple of [`ALIGN`].
    pub(super) at: u64,
    /// In bytes; a multiple of [`SECTOR`].
    pub(super) len: u64,
    /// Read-only (bit 60), so that nobody mounts it to write.
    pub(super) read_only: bool,
}

/// Where partitions can begin.
pub(super) const FIRST: u64 = ALIGN;

/// The size of a disk whose partitions end at `end`: room for the second
/// table.
pub(super) fn disk_size(end: u64) -> u64 {
    (end + (TABLE_SECTORS + 1) * SECTOR).next_multiple_of(ALIGN)
}

/// Writes both tables and the boot record, `boot_code` (at most 440 bytes) in
/// it, onto the disk `file` of `size` bytes. `seed` is what identifiers are
/// made of.
///
/// # Errors
/// The file cannot be written.
pub(super) fn write(
    file: &File,
    size: u64,
    partitions: &[Partition<'_>],
    boot_code: &[u8],
    seed: &[u8; 32],
) -> io::Result<()> {
    let last = size / SECTOR - 1;
    let mut entries = Fields::default();
    for (number, partition) in (1_u8..).zip(partitions) {
        entries = entries
            .bytes(&partition.kind)
            .bytes(&guid(seed, number))
            .u64(partition.at / SECTOR)
            .u64((partition.at + partition.len) / SECTOR - 1)
            .u64(u64::from(partition.read_only) << 60);
        let mut name: Vec<u8> = partition
            .name
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        name.resize(72, 0);
        entries = entries.bytes(&name);
    }
    let entries = entries.zeros_to((ENTRIES * ENTRY) as usize).0;
    // (this header's sector, the other's, the table's)
    let copies = [(1, last, 2), (last, 1, last - TABLE_SECTORS)];
    for (own, other, table) in copies {
        let header = header(own, other, table, last, &entries, &guid(seed, 0));
        file.write_all_at(&header, own * SECTOR)?;
        file.write_all_at(&entries, table * SECTOR)?;
    }
    file.write_all_at(&boot_record(last, boot_code, seed), 0)
}

fn header(own: u64, other: u64, table: u64, last: u64, entries: &[u8], disk: &Guid) -> Vec<u8> {
    let with_checksum = |checksum: u32| {
        Fields::default()
            .bytes(b"EFI PART")
            .u32(0x0001_0000)
            .u32(HEADER)
            .u32(checksum)
            .u32(0)
            .u64(own)
            .u64(other)
            .u64(2 + TABLE_SECTORS)
            .u64(last - TABLE_SECTORS - 1)
            .bytes(disk)
            .u64(table)
            .u32(ENTRIES)
            .u32(ENTRY)
            .u32(crc32(entries))
            .0
    };
    let checksum = crc32(&with_checksum(0));
    Fields(with_checksum(checksum)).zeros_to(512).0
}

/// One partition over the whole disk, of the type that says "see the GPT".
/// Some BIOSes boot only from a disk with an active partition.
fn boot_record(last: u64, boot_code: &[u8], seed: &[u8; 32]) -> Vec<u8> {
    let sectors = u32::try_from(last).unwrap_or(u32::MAX);
    let active = if boot_code.is_empty() { 0 } else { 0x80 };
    Fields(boot_code.to_vec())
        .zeros_to(440)
        .bytes(&seed[28..])
        .zeros_to(446)
        .bytes(&[active, 0, 2, 0, 0xee, 0xff, 0xff, 0xff])
        .u32(1)
        .u32(sectors)
        .zeros_to(510)
        .u16(0xaa55)
        .0
}

/// The identifier `number` (0 is the disk's) made of `seed`: a random one's
/// form (RFC 9562, version 8).
pub(super) fn guid(seed: &[u8; 32], number: u8) -> Guid {
    let mut guid: Guid = std::array::from_fn(|i| seed[i] ^ seed[16 + i % 12]);
    guid[0] ^= number;
    // Bytes 6 and 7 are a little-endian number on the disk.
    guid[7] = (guid[7] & 0x0f) | 0x80;
    guid[8] = (guid[8] & 0x3f) | 0x80;
    guid
}

/// The checksum of ISO 3309, as GPT has it.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_checksum_is_the_standards() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn sgdisk_has_nothing_to_say() {
        let disk = tempfile::NamedTempFile::new().unwrap();
        let size = disk_size(FIRST + 40 * ALIGN);
        disk.as_file().set_len(size).unwrap();
        let partition = |kind, name, at, len| Partition {
            kind,
            name,
            at,
            len,
            read_only: true,
        };
        let partitions = [
            partition(EFI_SYSTEM, "EFI system", FIRST, 34 * ALIGN),
            partition(ROOT_X86_64, "root", FIRST + 34 * ALIGN, 6 * ALIGN - 4096),
        ];
        let seed = std::array::from_fn(|i| u8::try_from(i).unwrap() * 7);
        write(disk.as_file(), size, &partitions, b"code", &seed).unwrap();
        let run = |option: &str| {
            let output = Command::new("/usr/sbin/sgdisk")
                .arg(option)
                .arg(disk.path())
                .output()
                .expect("sgdisk (build/deps.sh test installs it)");
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let verified = run("-v");
        assert!(verified.contains("No problems found"), "{verified}");
        let printed = run("-p");
        assert!(printed.contains("EF00  EFI system"), "{printed}");
        assert!(printed.contains("8304  root"), "{printed}");
    }
}
