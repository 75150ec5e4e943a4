//! Compression of an initrd, in the forms that the kernel unpacks.

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

/// How an initrd is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// LZ4: unpacked fastest.
    Lz4,
    /// Zstandard: smallest.
    #[default]
    Zstd,
    /// Gzip: any kernel takes it.
    Gzip,
}

impl Compression {
    const ALL: [Self; 4] = [Self::None, Self::Lz4, Self::Zstd, Self::Gzip];

    const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name of no compression of ours.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("compression {0:?} is not known; there are none, lz4, zstd and gzip")]
pub struct UnknownCompression(pub String);

impl FromStr for Compression {
    type Err = UnknownCompression;

    fn from_str(name: &str) -> Result<Self, UnknownCompression> {
        Self::ALL
            .into_iter()
            .find(|one| one.as_str() == name)
            .ok_or_else(|| UnknownCompression(name.to_owned()))
    }
}

/// Level 12 takes twice as long for 1 % less, level 6 leaves 12 % more.
pub(super) const ZSTD_LEVEL: i32 = 9;
/// Takes 20 times as long as level 9, for 11 % less.
const ZSTD_MOST: i32 = 19;
/// The window, as a power of two of bytes: what the kernel allocates to unpack
/// an archive that is as large or larger.
const ZSTD_WINDOW: u32 = 23;
/// What is larger, in bytes, is compressed by several threads.
const ZSTD_ALONE: u64 = 16 << 20;
pub(super) const GZIP_LEVEL: u32 = 7;
pub(super) const LZ4_LEVEL: i32 = 9;

/// What size is worth. Only Zstandard makes a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effort {
    /// Less than time.
    Usual,
    /// More than time: for what seldom changes, and is kept.
    Most,
}

/// The libraries whose version can be told, of those that compress.
pub(super) fn versions() -> String {
    let zstd = zstd::zstd_safe::version_number();
    format!(
        "hull {} zstd {zstd} lz4 {}",
        env!("CARGO_PKG_VERSION"),
        lz4::version()
    )
}

/// Calls `write` with a writer whose bytes, of which there are `len`, land
/// compressed in `out`. The same input gives the same bytes on every machine.
///
/// # Errors
/// What `write` gives, or `out` failed.
pub(super) fn compressed(
    how: Compression,
    effort: Effort,
    len: u64,
    out: &mut dyn Write,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    match how {
        Compression::None => write(out),
        Compression::Gzip => {
            // No name and no time in its header.
            let level = flate2::Compression::new(GZIP_LEVEL);
            let mut gzip = flate2::write::GzEncoder::new(out, level);
            write(&mut gzip)?;
            gzip.finish().map(drop)
        }
        Compression::Zstd => {
            let level = match effort {
                Effort::Usual => ZSTD_LEVEL,
                Effort::Most => ZSTD_MOST,
            };
            let mut zstd = zstd::Encoder::new(out, level)?;
            if len > ZSTD_ALONE {
                // With one worker or many the bytes are the same; with none
                // they are not.
                zstd.multithread(2)?;
            }
            zstd.window_log(ZSTD_WINDOW)?;
            zstd.set_pledged_src_size(Some(len))?;
            zstd.include_checksum(false)?;
            write(&mut zstd)?;
            zstd.finish().map(drop)
        }
        Compression::Lz4 => {
            let mut lz4 = Lz4Legacy::new(out);
            write(&mut lz4)?;
            lz4.finish()
        }
    }
}

/// The legacy LZ4 format, the only one that the kernel unpacks: a magic
/// number, then blocks of 8 MiB, each with its compressed length in front.
///
/// `lz4_Frame_format.md`, "Legacy frame"; Linux, `lib/decompress_unlz4.c`.
struct Lz4Legacy<'a> {
    out: &'a mut dyn Write,
    block: Vec<u8>,
    begun: bool,
}

const LZ4_LEGACY_MAGIC: u32 = 0x184c_2102;
const LZ4_LEGACY_BLOCK: usize = 8 << 20;

impl<'a> Lz4Legacy<'a> {
    fn new(out: &'a mut dyn Write) -> Self {
        Self {
            out,
            block: Vec::new(),
            begun: false,
        }
    }

    fn put_block(&mut self) -> io::Result<()> {
        if !self.begun {
            self.out.write_all(&LZ4_LEGACY_MAGIC.to_le_bytes())?;
            self.begun = true;
        }
        let mode = lz4::block::CompressionMode::HIGHCOMPRESSION(LZ4_LEVEL);
        let packed = lz4::block::compress(&self.block, Some(mode), false)?;
        let len = u32::try_from(packed.len()).map_err(io::Error::other)?;
        self.out.write_all(&len.to_le_bytes())?;
        self.out.write_all(&packed)?;
        self.block.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        if !self.block.is_empty() || !self.begun {
            self.put_block()?;
        }
        Ok(())
    }
}

impl Write for Lz4Legacy<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = bytes.len().min(LZ4_LEGACY_BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..n]);
        if self.block.len() == LZ4_LEGACY_BLOCK {
            self.put_block()?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
