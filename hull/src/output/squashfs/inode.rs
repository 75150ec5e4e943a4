//! Inodes and folders.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use super::super::rootfs::{Fields, too_large};
use super::block::{Packer, Stream};
use super::data::{Contents, FileData};
use super::table::XattrTable;
use super::{NONE_32, Position};
use crate::tree::path::show;
use crate::tree::{Device, Dir, Kind, Leaf, Meta, Node, Tree};

/// The types of inode in their short form; the long one's number is
/// [`LONG`] more.
const DIR: u16 = 1;
const FILE: u16 = 2;
const SYMLINK: u16 = 3;
const BLOCK_DEVICE: u16 = 4;
const CHAR_DEVICE: u16 = 5;
const FIFO: u16 = 6;
const LONG: u16 = 7;

/// A folder's listing is longer than it is by so much, for `.` and `..`.
const DOTS: u32 = 3;
/// Entries below one header of a listing.
const RUN: usize = 256;

/// Inode table, folder table, and what they refer to.
pub(super) struct Inodes {
    pub(super) inodes: Vec<u8>,
    pub(super) dirs: Vec<u8>,
    /// Reference of the root's inode.
    pub(super) root: u64,
    pub(super) count: u32,
    /// Owners and groups.
    pub(super) ids: Vec<u32>,
    pub(super) xattrs: XattrTable,
}

impl Inodes {
    pub(super) fn build(tree: &Tree, contents: &Contents, packer: &Packer) -> io::Result<Self> {
        let mut builder = Builder {
            contents,
            inodes: Stream::new(packer),
            dirs: Stream::new(packer),
            count: 0,
            names: count_names(tree),
            written: HashMap::new(),
            ids: Vec::new(),
            by_id: HashMap::new(),
            xattrs: XattrTable::default(),
        };
        let number = builder.number()?;
        // The root's parent has the number that no inode has.
        let parent = count_inodes(tree) + 1;
        let root = builder.dir(&tree.root, number, parent)?;
        Ok(Self {
            inodes: builder.inodes.finish()?.0,
            dirs: builder.dirs.finish()?.0,
            root: root.place.reference(),
            count: builder.count,
            ids: builder.ids,
            xattrs: builder.xattrs,
        })
    }
}

/// How many names each file has.
fn count_names(tree: &Tree) -> HashMap<*const Leaf, u32> {
    let mut names = HashMap::new();
    for (_, node) in tree.walk() {
        if let Node::Leaf(leaf) = node {
            *names.entry(Arc::as_ptr(leaf)).or_insert(0) += 1;
        }
    }
    names
}

fn count_inodes(tree: &Tree) -> u32 {
    let dirs = tree.walk().filter(|(_, node)| node.as_dir().is_some());
    let all = 1 + dirs.count() + count_names(tree).len();
    u32::try_from(all).unwrap_or(u32::MAX - 1)
}

/// An inode that has been written.
#[derive(Clone, Copy)]
struct Written {
    place: Position,
    number: u32,
    kind: u16,
}

struct Builder<'a> {
    contents: &'a Contents,
    inodes: Stream<'a>,
    dirs: Stream<'a>,
    count: u32,
    names: HashMap<*const Leaf, u32>,
    written: HashMap<*const Leaf, Written>,
    ids: Vec<u32>,
    by_id: HashMap<u32, u16>,
    xattrs: XattrTable,
}

impl Builder<'_> {
    fn number(&mut self) -> io::Result<u32> {
        self.count = self
            .count
            .checked_add(1)
            .ok_or_else(|| too_large("inodes"))?;
        Ok(self.count)
    }

    fn id(&mut self, id: u32) -> io::Result<u16> {
        if let Some(&index) = self.by_id.get(&id) {
            return Ok(index);
        }
        let index = u16::try_from(self.ids.len()).map_err(|_| too_large("owners"))?;
        self.ids.push(id);
        self.by_id.insert(id, index);
        Ok(index)
    }

    /// What every inode begins with.
    fn header(&mut self, kind: u16, meta: &Meta, number: u32) -> io::Result<Fields> {
        Ok(Fields::default()
            .u16(kind)
            .u16(u16::try_from(meta.mode & 0o7777).map_err(io::Error::other)?)
            .u16(self.id(meta.uid)?)
            .u16(self.id(meta.gid)?)
            .u32(u32::try_from(meta.mtime).unwrap_or(u32::MAX))
            .u32(number))
    }

    fn put(&mut self, inode: &Fields, kind: u16, number: u32) -> io::Result<Written> {
        let place = self.inodes.position()?;
        self.inodes.put(&inode.0)?;
        Ok(Written {
            place,
            number,
            kind,
        })
    }

    /// What is in the folder, then the folder.
    fn dir(&mut self, dir: &Dir, number: u32, parent: u32) -> io::Result<Written> {
        let mut entries = Vec::with_capacity(dir.entries.len());
        let mut folders = 0;
        for (name, node) in &dir.entries {
            let written = match node {
                Node::Dir(child) => {
                    folders += 1;
                    let child_number = self.number()?;
                    self.dir(child, child_number, number)
                }
                Node::Leaf(leaf) => self.leaf(leaf),
            };
            let written = written.map_err(|e| io::Error::other(format!("{}: {e}", show(name))))?;
            entries.push((&**name, written));
        }
        let (listing, len) = self.listing(&entries)?;
        let (links, size) = (2 + folders, len + DOTS);
        let xattr = self.xattrs.index(&dir.meta.xattrs)?;
        let inode = match (u16::try_from(size), xattr) {
            (Ok(size), None) => self
                .header(DIR, &dir.meta, number)?
                .u32(listing.block)
                .u32(links)
                .u16(size)
                .u16(listing.offset)
                .u32(parent),
            _ => self
                .header(DIR + LONG, &dir.meta, number)?
                .u32(links)
                .u32(size)
                .u32(listing.block)
                .u32(parent)
                // No index: a listing is read from its begin.
                .u16(0)
                .u16(listing.offset)
                .u32(xattr.unwrap_or(NONE_32)),
        };
        self.put(&inode, DIR, number)
    }

    /// Writes a folder's entries; returns where, and how many bytes.
    fn listing(&mut self, entries: &[(&[u8], Written)]) -> io::Result<(Position, u32)> {
        let place = self.dirs.position()?;
        let mut len = 0;
        let mut rest = entries;
        while let Some((_, first)) = rest.first() {
            let run = rest.iter().take(RUN).take_while(|(_, entry)| {
                entry.place.block == first.place.block && distance(first, entry).is_ok()
            });
            let (run, behind) = rest.split_at(run.count());
            let mut bytes = Fields::default()
                .u32(u32::try_from(run.len() - 1).map_err(io::Error::other)?)
                .u32(first.place.block)
                .u32(first.number);
            for (name, entry) in run {
                let name_len = u16::try_from(name.len() - 1).map_err(io::Error::other)?;
                bytes = bytes
                    .u16(entry.place.offset)
                    .bytes(&distance(first, entry)?.to_le_bytes())
                    .u16(entry.kind)
                    .u16(name_len)
                    .bytes(name);
            }
            self.dirs.put(&bytes.0)?;
            len += bytes.0.len();
            rest = behind;
        }
        let len = u32::try_from(len).ok().filter(|len| *len < u32::MAX - DOTS);
        Ok((place, len.ok_or_else(|| too_large("a folder"))?))
    }

    fn leaf(&mut self, leaf: &Arc<Leaf>) -> io::Result<Written> {
        let key = Arc::as_ptr(leaf);
        if let Some(written) = self.written.get(&key) {
            return Ok(*written);
        }
        let number = self.number()?;
        let links = self.names.get(&key).copied().unwrap_or(1);
        let xattr = self.xattrs.index(&leaf.meta.xattrs)?;
        let meta = &leaf.meta;
        let (kind, inode) = match &leaf.kind {
            Kind::File(_) => {
                let data = self.contents.of(leaf).cloned().unwrap_or_default();
                (FILE, self.file(meta, number, &data, links, xattr)?)
            }
            Kind::Symlink(target) => {
                let len = u32::try_from(target.len()).map_err(|_| too_large("a link"))?;
                let inode = self.header(SYMLINK + long(xattr), meta, number)?;
                (SYMLINK, inode.u32(links).u32(len).bytes(target))
            }
            Kind::Block(device) => {
                let inode = self.header(BLOCK_DEVICE + long(xattr), meta, number)?;
                (BLOCK_DEVICE, inode.u32(links).u32(encode(*device)))
            }
            Kind::Char(device) => {
                let inode = self.header(CHAR_DEVICE + long(xattr), meta, number)?;
                (CHAR_DEVICE, inode.u32(links).u32(encode(*device)))
            }
            Kind::Fifo => {
                let inode = self.header(FIFO + long(xattr), meta, number)?;
                (FIFO, inode.u32(links))
            }
        };
        let inode = match xattr {
            Some(index) if kind != FILE => inode.u32(index),
            _ => inode,
        };
        let written = self.put(&inode, kind, number)?;
        self.written.insert(key, written);
        Ok(written)
    }

    fn file(
        &mut self,
        meta: &Meta,
        number: u32,
        data: &FileData,
        links: u32,
        xattr: Option<u32>,
    ) -> io::Result<Fields> {
        let (fragment, offset) = data.fragment_fields();
        let short = (u32::try_from(data.start), u32::try_from(data.len));
        let inode = match short {
            (Ok(start), Ok(len)) if links == 1 && xattr.is_none() && data.holes == 0 => self
                .header(FILE, meta, number)?
                .u32(start)
                .u32(fragment)
                .u32(offset)
                .u32(len),
            _ => self
                .header(FILE + LONG, meta, number)?
                .u64(data.start)
                .u64(data.len)
                .u64(data.holes)
                .u32(links)
                .u32(fragment)
                .u32(offset)
                .u32(xattr.unwrap_or(NONE_32)),
        };
        Ok(data
            .sizes
            .iter()
            .fold(inode, |inode, size| inode.u32(*size)))
    }
}

fn long(xattr: Option<u32>) -> u16 {
    xattr.map_or(0, |_| LONG)
}

/// How far the entry's inode number is from the header's.
fn distance(first: &Written, entry: &Written) -> io::Result<i16> {
    let distance = i64::from(entry.number) - i64::from(first.number);
    i16::try_from(distance).map_err(io::Error::other)
}

/// A device's number as the kernel's `new_encode_dev` has it.
pub(super) fn encode(device: Device) -> u32 {
    let Device { major, minor } = device;
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}
