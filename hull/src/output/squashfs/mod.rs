//! A tree as a squashfs, version 4.0: compressed, mounted, never unpacked.
//!
//! Linux, `Documentation/filesystems/squashfs.rst` and `fs/squashfs`. Data
//! comes first, in the order of the walk, compressed by all processors; then
//! inodes, folders and the tables. The same tree gives the same bytes.

mod block;
mod data;
mod inode;
mod table;

use std::fs::File;
use std::io;

use super::Compression;
use super::rootfs::{ALIGN, Fields, Out, Written, too_large};
use crate::tree::Tree;
use block::{Packer, Stream};
use data::Contents;
use inode::Inodes;

const MAGIC: u32 = 0x7371_7368;
/// Bytes of a file that are compressed together: what a read of one byte
/// unpacks.
const BLOCK: usize = 128 * 1024;
/// Of the superblock.
const SUPERBLOCK: usize = 96;
/// Where data begins, at the least: behind superblock and mark.
const FIRST_DATA: u64 = 4096;
/// "There is none", of a table or an index.
const NONE_64: u64 = u64::MAX;
const NONE_32: u32 = u32::MAX;

/// How a squashfs is written.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Of everything in it.
    pub compression: Compression,
    /// Where data begins, in bytes; 4096 where it is less. What lies between
    /// superblock and data is free for others (an ISO's descriptors).
    pub data_at: u64,
    /// When it was made, in seconds since the epoch.
    pub time: u32,
}

/// Writes `tree` into `file`, from its beginning.
///
/// # Errors
/// A file cannot be read (the error names it) or written.
pub fn write(tree: &Tree, file: &File, options: &Options) -> io::Result<Written> {
    let packer = Packer::new(options.compression);
    let mut out = Out::new(file, options.data_at.max(FIRST_DATA));
    let contents = Contents::write(tree, &packer, &mut out)?;
    let inodes = Inodes::build(tree, &contents, &packer)?;

    let inode_table = out.at;
    out.put(&inodes.inodes)?;
    let dir_table = out.at;
    out.put(&inodes.dirs)?;
    let fragment_table = table::put(&mut out, &packer, &contents.fragment_entries())?;
    let ids: Vec<u8> = inodes.ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    let id_table = table::put(&mut out, &packer, &ids)?;
    let xattr_table = inodes.xattrs.put(&mut out, &packer)?;
    let bytes_used = out.at;
    out.pad(ALIGN)?;

    let none = options.compression == Compression::None;
    let superblock = Fields::default()
        .u32(MAGIC)
        .u32(inodes.count)
        .u32(options.time)
        .u32(u32::try_from(BLOCK).map_err(io::Error::other)?)
        .u32(u32::try_from(contents.fragments.len()).map_err(|_| too_large("fragments"))?)
        .u16(packer.id())
        .u16(u16::try_from(BLOCK.ilog2()).map_err(io::Error::other)?)
        .u16(flags(none, packer.options().is_some()))
        .u16(u16::try_from(inodes.ids.len()).map_err(|_| too_large("owners"))?)
        .u16(4)
        .u16(0)
        .u64(inodes.root)
        .u64(bytes_used)
        .u64(id_table)
        .u64(xattr_table.unwrap_or(NONE_64))
        .u64(inode_table)
        .u64(dir_table)
        .u64(if contents.fragments.is_empty() {
            NONE_64
        } else {
            fragment_table
        })
        // No export over NFS.
        .u64(NONE_64);
    debug_assert_eq!(superblock.0.len(), SUPERBLOCK);
    let superblock = superblock.bytes(packer.options().unwrap_or_default());
    out.finish(&superblock.0, 0)
}

/// Nothing compressed (inodes, data, fragments, attributes, ids); options of
/// the compressor behind the superblock.
fn flags(uncompressed: bool, options: bool) -> u16 {
    const UNCOMPRESSED: u16 = 0x1 | 0x2 | 0x8 | 0x100 | 0x800;
    const COMPRESSOR_OPTIONS: u16 = 0x400;
    let mut flags = 0;
    if uncompressed {
        flags |= UNCOMPRESSED;
    }
    if options {
        flags |= COMPRESSOR_OPTIONS;
    }
    flags
}

/// A place in a table of metadata blocks: the block, counted in bytes from the
/// table's begin, and the place in the unpacked block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    block: u32,
    offset: u16,
}

impl Position {
    /// As inodes and attributes are referred to.
    fn reference(self) -> u64 {
        u64::from(self.block) << 16 | u64::from(self.offset)
    }
}

/// All of `bytes` as metadata blocks, and where each block begins.
fn metadata(bytes: &[u8], packer: &Packer) -> io::Result<(Vec<u8>, Vec<u64>)> {
    let mut stream = Stream::new(packer);
    stream.put(bytes)?;
    stream.finish()
}

#[cfg(test)]
mod tests;
