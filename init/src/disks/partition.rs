//! A partition's own name and number, from the table of its disk.

use super::{Disk, label, uuid};

/// What the table says of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// GPT: its GUID; MBR: the disk's signature and the partition's number.
    pub uuid: Option<String>,
    /// GPT: its name.
    pub label: Option<String>,
}

/// Looks up partition `number` (from 1) in the table of `disk`, whose blocks
/// have `block` bytes.
pub fn look_up<D: Disk + ?Sized>(disk: &D, block: u64, number: u32) -> Option<Found> {
    gpt(disk, block, number).or_else(|| mbr(disk, number))
}

/// UEFI specification, 5.3.
fn gpt<D: Disk + ?Sized>(disk: &D, block: u64, number: u32) -> Option<Found> {
    (disk.bytes(block)? == *b"EFI PART").then_some(())?;
    let first = u64::from_le_bytes(disk.bytes(block.checked_add(72)?)?);
    let count = u32::from_le_bytes(disk.bytes(block.checked_add(80)?)?);
    let size = u32::from_le_bytes(disk.bytes(block.checked_add(84)?)?);
    let index = number.checked_sub(1).filter(|index| *index < count)?;
    let offset = u64::from(index).checked_mul(u64::from(size))?;
    let entry = first.checked_mul(block)?.checked_add(offset)?;
    let guid: [u8; 16] = disk.bytes(entry.checked_add(16)?)?;
    let name: [u8; 72] = disk.bytes(entry.checked_add(56)?)?;
    Some(Found {
        uuid: uuid(mixed_endian(guid)),
        label: utf16(&name),
    })
}

/// A GUID's first three fields are little-endian.
fn mixed_endian(guid: [u8; 16]) -> [u8; 16] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = guid;
    let [i, j, k, l, m, n, o, p] = rest;
    [d, c, b, a, f, e, h, g, i, j, k, l, m, n, o, p]
}

fn utf16(bytes: &[u8; 72]) -> Option<String> {
    let (pairs, _) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|pair| u16::from_le_bytes(*pair));
    let text: String = char::decode_utf16(units.take_while(|unit| *unit != 0))
        .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    label(text.as_bytes())
}

/// The signature at 440, as Linux and blkid have it.
fn mbr<D: Disk + ?Sized>(disk: &D, number: u32) -> Option<Found> {
    (disk.bytes(510)? == [0x55, 0xaa]).then_some(())?;
    let signature = u32::from_le_bytes(disk.bytes(440)?);
    (signature != 0).then(|| Found {
        uuid: Some(format!("{signature:08x}-{number:02x}")),
        label: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn disk(block: usize) -> Vec<u8> {
        let mut disk = vec![0; 4 * block];
        let mut put = |offset: usize, bytes: &[u8]| {
            disk[offset..offset + bytes.len()].copy_from_slice(bytes);
        };
        put(510, &[0x55, 0xaa]);
        put(440, &0x1234_abcd_u32.to_le_bytes());
        put(block, b"EFI PART");
        put(block + 72, &2u64.to_le_bytes());
        put(block + 80, &128u32.to_le_bytes());
        put(block + 84, &128u32.to_le_bytes());
        let entry = 2 * block + 128;
        let guid: Vec<u8> = (0..16).collect();
        put(entry + 16, &guid);
        let name: Vec<u8> = "Dätä".encode_utf16().flat_map(u16::to_le_bytes).collect();
        put(entry + 56, &name);
        disk
    }

    #[test]
    fn gpt_in_blocks_of_either_size() {
        for block in [512, 4096] {
            let disk = disk(block);
            let found = look_up(disk.as_slice(), block as u64, 2).unwrap();
            let uuid = "03020100-0504-0706-0809-0a0b0c0d0e0f";
            assert_eq!(found.uuid.as_deref(), Some(uuid));
            assert_eq!(found.label.as_deref(), Some("Dätä"));
            // An entry without anything is a table's all the same.
            assert_eq!(
                look_up(disk.as_slice(), block as u64, 1),
                Some(Found::default())
            );
        }
    }

    #[test]
    fn mbr_where_there_is_no_gpt() {
        let mut disk = disk(512);
        disk[512] = 0;
        let found = look_up(disk.as_slice(), 512, 11).unwrap();
        assert_eq!(found.uuid.as_deref(), Some("1234abcd-0b"));
    }

    proptest! {
        #[test]
        fn a_bad_table_is_survived(
            first: u64, count: u32, size: u32, number: u32, block: u64,
        ) {
            let mut disk = disk(512);
            disk[584..592].copy_from_slice(&first.to_le_bytes());
            disk[592..596].copy_from_slice(&count.to_le_bytes());
            disk[596..600].copy_from_slice(&size.to_le_bytes());
            let _either = look_up(disk.as_slice(), 512, number);
            let _either = look_up(disk.as_slice(), block, number);
        }
    }
}
