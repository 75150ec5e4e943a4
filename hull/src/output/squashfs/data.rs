//! The files' contents: whole blocks, and ends of files that share a block.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::Arc;

use super::super::rootfs::{Fields, Out, too_large};
use super::block::Packer;
use super::{BLOCK, NONE_32};
use crate::parallel::threads;
use crate::tree::path::show;
use crate::tree::{Content, Leaf, Node, Tree};

/// In a block's size: it is not compressed.
const PLAIN: u32 = 1 << 24;
/// Blocks for each compressor that are read before they are written.
const AHEAD: usize = 4;

/// Where a file's content lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FileData {
    /// Its first block.
    pub(super) start: u64,
    /// Each block's size as stored; 0 is a block of zeros, which is not.
    pub(super) sizes: Vec<u32>,
    /// The block that holds its end, and where in it.
    pub(super) fragment: Option<(u32, u32)>,
    /// In bytes.
    pub(super) len: u64,
    /// Bytes in blocks of zeros.
    pub(super) holes: u64,
}

impl FileData {
    /// The fragment, in the inode's words.
    pub(super) fn fragment_fields(&self) -> (u32, u32) {
        self.fragment.unwrap_or((NONE_32, 0))
    }
}

/// All files of a tree, written.
pub(super) struct Contents {
    files: Vec<FileData>,
    by_leaf: HashMap<*const Leaf, usize>,
    /// Each fragment block: place and stored size.
    pub(super) fragments: Vec<(u64, u32)>,
}

impl Contents {
    /// Writes the content of each file of `tree` once, however many names it
    /// has.
    pub(super) fn write(tree: &Tree, packer: &Packer, out: &mut Out<'_>) -> io::Result<Self> {
        let mut writer = Writer {
            contents: Self {
                files: Vec::new(),
                by_leaf: HashMap::new(),
                fragments: Vec::new(),
            },
            packer,
            out,
            batch: Vec::new(),
            limit: AHEAD * threads(),
            tail: Vec::with_capacity(BLOCK),
            tails: 0,
        };
        for (path, node) in tree.walk() {
            if let Node::Leaf(leaf) = node
                && let Some(content) = leaf.as_file()
                && !writer.contents.by_leaf.contains_key(&Arc::as_ptr(leaf))
            {
                let index = writer
                    .file(content)
                    .map_err(|e| io::Error::other(format!("{}: {e}", show(&path))))?;
                writer.contents.by_leaf.insert(Arc::as_ptr(leaf), index);
            }
        }
        writer.finish()
    }

    /// Where the content of `leaf` is.
    pub(super) fn of(&self, leaf: &Arc<Leaf>) -> Option<&FileData> {
        self.files.get(*self.by_leaf.get(&Arc::as_ptr(leaf))?)
    }

    /// The entries of the fragment table.
    pub(super) fn fragment_entries(&self) -> Vec<u8> {
        let mut entries = Fields::default();
        for (at, size) in &self.fragments {
            entries = entries.u64(*at).u32(*size).u32(0);
        }
        entries.0
    }
}

/// What a block is of.
enum Owner {
    File(usize),
    Fragments,
}

struct Writer<'a, 'b> {
    contents: Contents,
    packer: &'a Packer,
    out: &'a mut Out<'b>,
    /// Blocks that are read and not yet written; one without bytes is a hole.
    batch: Vec<(Owner, Vec<u8>)>,
    limit: usize,
    /// Ends of files, until they are a block.
    tail: Vec<u8>,
    /// Fragment blocks so far, those in the batch counted.
    tails: u32,
}

impl Writer<'_, '_> {
    fn file(&mut self, content: &Content) -> io::Result<usize> {
        let index = self.contents.files.len();
        self.contents.files.push(FileData {
            len: content.len(),
            ..FileData::default()
        });
        let mut from = content.open()?;
        let mut left = content.len();
        while left >= BLOCK as u64 {
            let block = read(&mut from, BLOCK)?;
            left -= BLOCK as u64;
            self.block(Owner::File(index), block)?;
        }
        if left > 0 {
            let end = read(&mut from, usize::try_from(left).map_err(io::Error::other)?)?;
            self.end_of_file(index, &end)?;
        }
        Ok(index)
    }

    fn end_of_file(&mut self, index: usize, end: &[u8]) -> io::Result<()> {
        if self.tail.len() + end.len() > BLOCK {
            self.flush_tail()?;
        }
        let offset = u32::try_from(self.tail.len()).map_err(io::Error::other)?;
        self.tail.extend_from_slice(end);
        self.contents.files[index].fragment = Some((self.tails, offset));
        Ok(())
    }

    fn flush_tail(&mut self) -> io::Result<()> {
        self.tails = self
            .tails
            .checked_add(1)
            .ok_or_else(|| too_large("fragments"))?;
        let block = std::mem::replace(&mut self.tail, Vec::with_capacity(BLOCK));
        self.block(Owner::Fragments, block)
    }

    fn block(&mut self, owner: Owner, mut block: Vec<u8>) -> io::Result<()> {
        if matches!(owner, Owner::File(_)) && is_zero(&block) {
            block = Vec::new();
        }
        self.batch.push((owner, block));
        if self.batch.len() >= self.limit {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let (owners, blocks): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.batch).into_iter().unzip();
        let packed = self.packer.pack_all(&blocks)?;
        for ((owner, block), packed) in owners.into_iter().zip(&blocks).zip(packed) {
            let plain = if packed.is_some() { 0 } else { PLAIN };
            let bytes = packed.as_deref().unwrap_or(block);
            let at = self.out.at;
            let size = match bytes.len() {
                0 => 0,
                len => u32::try_from(len).map_err(io::Error::other)? | plain,
            };
            self.out.put(bytes)?;
            match owner {
                Owner::Fragments => self.contents.fragments.push((at, size)),
                Owner::File(index) => {
                    let file = &mut self.contents.files[index];
                    if file.sizes.is_empty() {
                        file.start = at;
                    }
                    if size == 0 {
                        file.holes += BLOCK as u64;
                    }
                    file.sizes.push(size);
                }
            }
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<Contents> {
        if !self.tail.is_empty() {
            self.flush_tail()?;
        }
        self.flush()?;
        Ok(self.contents)
    }
}

fn read(from: &mut dyn Read, len: usize) -> io::Result<Vec<u8>> {
    let mut block = vec![0; len];
    from.read_exact(&mut block)?;
    Ok(block)
}

/// Whether all bytes are zero.
fn is_zero(bytes: &[u8]) -> bool {
    // Compared with itself, one byte on: `memcmp` is as quick as it gets.
    bytes.first() == Some(&0) && bytes[1..] == bytes[..bytes.len() - 1]
}
