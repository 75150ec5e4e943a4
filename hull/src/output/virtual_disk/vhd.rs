//! Microsoft's VHD, fixed and dynamic ("Virtual Hard Disk Image Format
//! Specification", version 1.0).

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use super::super::gpt::guid;
use super::super::region::Region;
use super::{Raw, number};

const SECTOR: u64 = 512;
/// A dynamic disk's unit.
const BLOCK: usize = 2 << 20;
/// "A block of zeros", and "no further structure".
const UNUSED: u32 = u32::MAX;
const NONE: u64 = u64::MAX;

/// The kinds of disk, by the footer's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Kind {
    /// The disk, and a footer.
    Fixed = 2,
    /// A table of the blocks that are not zero.
    Dynamic = 3,
}

/// Writes `raw`, whose size is a multiple of 1 MiB (Azure wants that), into
/// `out`, which is empty. `seed` identifies the disk.
///
/// # Errors
/// Reading or writing failed, or the disk is too large.
pub(in super::super) fn write(
    raw: Raw<'_>,
    kind: Kind,
    seed: &[u8; 32],
    out: &File,
) -> io::Result<()> {
    match kind {
        Kind::Fixed => {
            let mut block = vec![0; BLOCK];
            let mut disk = Region::new(out, 0);
            for index in 0..raw.blocks(BLOCK) {
                raw.read(index, &mut block)?;
                let left = usize::try_from(raw.size - index * BLOCK as u64).unwrap_or(BLOCK);
                disk.write_all(&block[..left.min(BLOCK)])?;
            }
            disk.flush()?;
            out.write_all_at(&footer(raw.size, kind, seed)?, raw.size)
        }
        Kind::Dynamic => dynamic(raw, seed, out),
    }
}

fn dynamic(raw: Raw<'_>, seed: &[u8; 32], out: &File) -> io::Result<()> {
    let footer = footer(raw.size, Kind::Dynamic, seed)?;
    let table_at = 3 * SECTOR;
    let entries = raw.blocks(BLOCK);
    out.write_all_at(&footer, 0)?;
    out.write_all_at(&header(table_at, entries)?, SECTOR)?;
    let mut table = Vec::new();
    let mut at = (table_at + entries * 4).next_multiple_of(SECTOR);
    let mut block = vec![0; BLOCK];
    for index in 0..entries {
        if !raw.read(index, &mut block)? {
            table.extend(UNUSED.to_be_bytes());
            continue;
        }
        table.extend(number(at / SECTOR)?.to_be_bytes());
        // All of its sectors are there.
        let bitmap = [0xff; BLOCK / 512 / 8];
        out.write_all_at(&bitmap, at)?;
        at += bitmap.len() as u64;
        out.write_all_at(&block, at)?;
        at += BLOCK as u64;
    }
    table.resize(table.len().next_multiple_of(512), 0xff);
    out.write_all_at(&table, table_at)?;
    out.write_all_at(&footer, at)
}

fn footer(size: u64, kind: Kind, seed: &[u8; 32]) -> io::Result<Vec<u8>> {
    let (cylinders, heads, sectors) = geometry(size);
    let next = match kind {
        Kind::Fixed => NONE,
        Kind::Dynamic => SECTOR,
    };
    let mut footer = Vec::new();
    let mut put = |bytes: &[u8]| footer.extend_from_slice(bytes);
    put(b"conectix");
    put(&2_u32.to_be_bytes());
    put(&0x0001_0000_u32.to_be_bytes());
    put(&next.to_be_bytes());
    // Made in 2000, by who takes the size below for what it says and not the
    // geometry, which is rounded.
    put(&0_u32.to_be_bytes());
    put(b"win ");
    put(&0x000a_0000_u32.to_be_bytes());
    put(b"Wi2k");
    put(&size.to_be_bytes());
    put(&size.to_be_bytes());
    put(&cylinders.to_be_bytes());
    put(&[heads, sectors]);
    put(&(kind as u32).to_be_bytes());
    put(&[0; 4]);
    put(&guid(seed, 0));
    footer.resize(512, 0);
    Ok(with_checksum(footer, 64))
}

fn header(table_at: u64, entries: u64) -> io::Result<Vec<u8>> {
    let mut header = Vec::new();
    let mut put = |bytes: &[u8]| header.extend_from_slice(bytes);
    put(b"cxsparse");
    put(&NONE.to_be_bytes());
    put(&table_at.to_be_bytes());
    put(&0x0001_0000_u32.to_be_bytes());
    put(&number(entries)?.to_be_bytes());
    put(&number(BLOCK as u64)?.to_be_bytes());
    header.resize(1024, 0);
    Ok(with_checksum(header, 36))
}

/// Puts the complement of the sum of all bytes at `at`.
fn with_checksum(mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
    let sum: u32 = bytes.iter().map(|byte| u32::from(*byte)).sum();
    bytes[at..at + 4].copy_from_slice(&(!sum).to_be_bytes());
    bytes
}

/// Cylinders, heads and sectors: the specification's appendix.
fn geometry(size: u64) -> (u16, u8, u8) {
    let total = (size / SECTOR).min(65535 * 16 * 255);
    let (sectors, heads, tracks) = if total >= 65535 * 16 * 63 {
        (255, 16, total / 255)
    } else {
        let of = |sectors: u64| {
            (
                sectors,
                (total / sectors).div_ceil(1024).max(4),
                total / sectors,
            )
        };
        let fits = |(_, heads, tracks): (u64, u64, u64)| heads <= 16 && tracks < heads * 1024;
        let last = of(63);
        [of(17), (31, 16, total / 31)]
            .into_iter()
            .find(|form| fits(*form))
            .unwrap_or((63, 16, last.2))
    };
    let byte = |value: u64| u8::try_from(value).unwrap_or(u8::MAX);
    let cylinders = u16::try_from(tracks / heads).unwrap_or(u16::MAX);
    (cylinders, byte(heads), byte(sectors))
}
