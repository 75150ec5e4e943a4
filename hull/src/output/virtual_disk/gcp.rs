//! What Google's cloud imports: `disk.raw`, of whole GiB, sparse in a tar of
//! the old GNU form, compressed by gzip.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use super::super::compress::GZIP_LEVEL;
use super::super::rootfs::Fields;
use super::Raw;

const GIB: u64 = 1 << 30;
const SECTOR: u64 = 512;
const BLOCK: usize = 65536;
/// Pieces in the header, and in each block of more of them.
const IN_HEADER: usize = 4;
const IN_BLOCK: usize = 21;

/// Writes `raw` into `out`, which is empty.
///
/// # Errors
/// Reading or writing failed.
pub(in super::super) fn write(raw: Raw<'_>, out: &File) -> io::Result<()> {
    let size = raw.size.next_multiple_of(GIB);
    let used = raw.used(BLOCK)?;
    let mut pieces = join(&used, raw.size);
    // Where the file ends.
    pieces.push((size, 0));
    let level = flate2::Compression::new(GZIP_LEVEL);
    let mut gzip = flate2::write::GzEncoder::new(BufWriter::new(out), level);
    gzip.write_all(&headers(&pieces, size))?;
    let mut block = vec![0; BLOCK];
    let mut written = 0;
    for index in used {
        raw.read(index, &mut block)?;
        let left = usize::try_from(raw.size - index * BLOCK as u64).unwrap_or(BLOCK);
        let len = left.min(BLOCK);
        gzip.write_all(&block[..len])?;
        written += len as u64;
    }
    let end = written.next_multiple_of(SECTOR) - written + 2 * SECTOR;
    gzip.write_all(&vec![0; usize::try_from(end).map_err(io::Error::other)?])?;
    gzip.finish()?.flush()
}

/// Blocks that lie one behind the other, as pieces: begin and length.
fn join(used: &[u64], size: u64) -> Vec<(u64, u64)> {
    let mut pieces: Vec<(u64, u64)> = Vec::new();
    for index in used {
        let at = index * BLOCK as u64;
        let len = (size - at).min(BLOCK as u64);
        match pieces.last_mut() {
            Some((begin, before)) if *begin + *before == at => *before += len,
            _ => pieces.push((at, len)),
        }
    }
    pieces
}

/// The header of a sparse file (GNU tar, "Storing Sparse Files", old GNU
/// format).
fn headers(pieces: &[(u64, u64)], size: u64) -> Vec<u8> {
    let stored = pieces.iter().map(|(_, len)| len).sum();
    let (first, rest) = pieces.split_at(pieces.len().min(IN_HEADER));
    let header = |checksum: &[u8]| {
        Fields(b"disk.raw".to_vec())
            .zeros_to(100)
            .bytes(b"0000644\x000000000\x000000000\0")
            .bytes(&octal(stored))
            .bytes(&octal(0))
            .bytes(checksum)
            .bytes(b"S")
            .zeros_to(257)
            .bytes(b"ustar  \0")
            .bytes(b"root")
            .zeros_to(297)
            .bytes(b"root")
            .zeros_to(386)
            .bytes(&map(first))
            .zeros_to(482)
            .u8(u8::from(!rest.is_empty()))
            .bytes(&octal(size))
            .zeros_to(512)
            .0
    };
    let sum: u32 = header(b"        ")
        .iter()
        .map(|byte| u32::from(*byte))
        .sum();
    let mut all = header(format!("{sum:06o}\0 ").as_bytes());
    let mut blocks = rest.chunks(IN_BLOCK).peekable();
    while let Some(block) = blocks.next() {
        let more = blocks.peek().is_some();
        let block = Fields(map(block)).zeros_to(504).u8(u8::from(more));
        all.extend(block.zeros_to(512).0);
    }
    all
}

fn map(pieces: &[(u64, u64)]) -> Vec<u8> {
    let both = pieces
        .iter()
        .flat_map(|(at, len)| [octal(*at), octal(*len)]);
    both.flatten().collect()
}

/// 11 digits and a zero; beyond 8 GiB the number itself, marked by its first
/// bit.
fn octal(value: u64) -> [u8; 12] {
    let mut field = [0; 12];
    if value < 1 << 33 {
        field[..11].copy_from_slice(format!("{value:011o}").as_bytes());
    } else {
        field[0] = 0x80;
        field[4..].copy_from_slice(&value.to_be_bytes());
    }
    field
}
