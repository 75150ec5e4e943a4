//! Compressed blocks: of data, and of metadata.

use std::io::{self, Write};
use std::thread;

use super::super::compress::{GZIP_LEVEL, LZ4_LEVEL, ZSTD_LEVEL};
use super::super::rootfs::too_large;
use super::{Compression, Position};
use crate::parallel::threads;

/// A metadata block holds so much, unpacked.
const METADATA: usize = 8192;
/// In a metadata block's header: it is not compressed.
const METADATA_PLAIN: u16 = 0x8000;
/// What LZ4's readers want to know behind the superblock: version 1, high
/// compression; as a metadata block that is not compressed.
const LZ4_OPTIONS: &[u8] = &[8, 0x80, 1, 0, 0, 0, 1, 0, 0, 0];

/// Compresses blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packer(Compression);

impl Packer {
    pub(super) fn new(how: Compression) -> Self {
        Self(how)
    }

    /// The compressor's number. Without compression none is asked for.
    pub(super) fn id(self) -> u16 {
        match self.0 {
            Compression::None | Compression::Gzip => 1,
            Compression::Lz4 => 5,
            Compression::Zstd => 6,
        }
    }

    /// What stands behind the superblock.
    pub(super) fn options(self) -> Option<&'static [u8]> {
        (self.0 == Compression::Lz4).then_some(LZ4_OPTIONS)
    }

    /// `bytes` compressed; `None` where that is no gain.
    pub(super) fn pack(self, bytes: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let packed = match self.0 {
            Compression::None => return Ok(None),
            Compression::Gzip => {
                let level = flate2::Compression::new(GZIP_LEVEL);
                let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), level);
                zlib.write_all(bytes)?;
                zlib.finish()?
            }
            Compression::Zstd => zstd::bulk::compress(bytes, ZSTD_LEVEL)?,
            Compression::Lz4 => {
                let mode = lz4::block::CompressionMode::HIGHCOMPRESSION(LZ4_LEVEL);
                lz4::block::compress(bytes, Some(mode), false)?
            }
        };
        Ok((packed.len() < bytes.len()).then_some(packed))
    }

    /// The same for many blocks, by all processors, in their order.
    pub(super) fn pack_all(self, blocks: &[Vec<u8>]) -> io::Result<Vec<Option<Vec<u8>>>> {
        if self.0 == Compression::None || blocks.len() < 2 {
            return blocks.iter().map(|block| self.pack(block)).collect();
        }
        let share = blocks.len().div_ceil(threads());
        thread::scope(|scope| {
            let workers: Vec<_> = blocks
                .chunks(share)
                .map(|share| {
                    scope.spawn(move || share.iter().map(|block| self.pack(block)).collect())
                })
                .collect();
            let mut all = Vec::with_capacity(blocks.len());
            for worker in workers {
                let packed: io::Result<Vec<_>> = worker
                    .join()
                    .map_err(|_| io::Error::other("a compressor panicked"))?;
                all.extend(packed?);
            }
            Ok(all)
        })
    }
}

/// A stream of metadata blocks.
pub(super) struct Stream<'a> {
    packer: &'a Packer,
    done: Vec<u8>,
    starts: Vec<u64>,
    block: Vec<u8>,
}

impl<'a> Stream<'a> {
    pub(super) fn new(packer: &'a Packer) -> Self {
        Self {
            packer,
            done: Vec::new(),
            starts: Vec::new(),
            block: Vec::with_capacity(METADATA),
        }
    }

    /// Where the next byte goes.
    pub(super) fn position(&self) -> io::Result<Position> {
        Ok(Position {
            block: u32::try_from(self.done.len()).map_err(|_| too_large("metadata"))?,
            offset: u16::try_from(self.block.len()).map_err(io::Error::other)?,
        })
    }

    pub(super) fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let n = bytes.len().min(METADATA - self.block.len());
            self.block.extend_from_slice(&bytes[..n]);
            bytes = &bytes[n..];
            if self.block.len() == METADATA {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.starts.push(self.done.len() as u64);
        let packed = self.packer.pack(&self.block)?;
        let plain = if packed.is_some() { 0 } else { METADATA_PLAIN };
        let bytes = packed.as_deref().unwrap_or(&self.block);
        let len = u16::try_from(bytes.len()).map_err(io::Error::other)?;
        self.done.extend((len | plain).to_le_bytes());
        self.done.extend_from_slice(bytes);
        self.block.clear();
        Ok(())
    }

    /// The blocks, and where each begins.
    pub(super) fn finish(mut self) -> io::Result<(Vec<u8>, Vec<u64>)> {
        if !self.block.is_empty() {
            self.flush()?;
        }
        Ok((self.done, self.starts))
    }
}
