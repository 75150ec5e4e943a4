//! Archives in the form that the kernel unpacks: `newc`.
//!
//! Linux, `Documentation/driver-api/early-userspace/buffer-format.rst`.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use crate::tree::path::show;
use crate::tree::{Device, Kind, Leaf, Meta, Node, Tree};

const S_IFREG: u32 = 0o100_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFLNK: u32 = 0o120_000;
const S_IFCHR: u32 = 0o020_000;
const S_IFBLK: u32 = 0o060_000;
const S_IFIFO: u32 = 0o010_000;

/// The entry that ends the archive.
const TRAILER: &[u8] = b"TRAILER!!!";
/// The archive's length is a multiple of this, so that another can follow.
const BLOCK: u64 = 512;

/// What an entry of an archive is; a folder without what is in it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Item<'a> {
    Dir(&'a Meta),
    Leaf(&'a Arc<Leaf>),
}

impl<'a> From<&'a Node> for Item<'a> {
    fn from(node: &'a Node) -> Self {
        match node {
            Node::Dir(dir) => Self::Dir(&dir.meta),
            Node::Leaf(leaf) => Self::Leaf(leaf),
        }
    }
}

/// An entry: its path, and what it is.
pub(super) type Entry<'a> = (Vec<u8>, Item<'a>);

/// Writes all that is in `tree` as one archive.
///
/// # Errors
/// A file is too large for the format or cannot be read (the error names it),
/// or `out` fails.
pub fn write_tree(tree: &Tree, out: &mut dyn Write) -> io::Result<()> {
    let entries: Vec<Entry<'_>> = tree
        .walk()
        .map(|(path, node)| (path, Item::from(node)))
        .collect();
    write(&entries, out)
}

/// Writes `entries` as one archive.
///
/// Inode numbers count from 1 in the order of the archive, so that the same
/// entries give the same bytes. Extended attributes have no place in this
/// format.
///
/// # Errors
/// As [`write_tree`].
pub(super) fn write(entries: &[Entry<'_>], out: &mut dyn Write) -> io::Result<()> {
    let mut cpio = Cpio::new(entries, out);
    for (path, item) in entries {
        cpio.entry(path, *item)?;
    }
    cpio.end()
}

/// The names of a file that has several.
struct Links {
    count: u32,
    left: u32,
    /// Given when the first is written.
    inode: Option<u32>,
}

fn count_links(entries: &[Entry<'_>]) -> HashMap<*const Leaf, Links> {
    let mut links = HashMap::new();
    for (_, item) in entries {
        if let Item::Leaf(leaf) = item
            && leaf.as_file().is_some()
            && Arc::strong_count(leaf) > 1
        {
            let links = links.entry(Arc::as_ptr(leaf)).or_insert(Links {
                count: 0,
                left: 0,
                inode: None,
            });
            links.count += 1;
            links.left += 1;
        }
    }
    links
}

struct Cpio<'a> {
    out: Counted<'a>,
    links: HashMap<*const Leaf, Links>,
    next_inode: u32,
}

/// The fields of an entry's header.
struct Header<'a> {
    inode: u32,
    kind: u32,
    links: u32,
    meta: &'a Meta,
    size: u32,
    device: Device,
}

impl<'a> Cpio<'a> {
    fn new(entries: &[Entry<'_>], out: &'a mut dyn Write) -> Self {
        Self {
            out: Counted { out, written: 0 },
            links: count_links(entries),
            next_inode: 1,
        }
    }

    fn entry(&mut self, path: &[u8], item: Item<'_>) -> io::Result<()> {
        let written = match item {
            Item::Dir(meta) => self.dir(path, meta),
            Item::Leaf(leaf) => self.leaf(path, leaf),
        };
        written.map_err(|e| io::Error::other(format!("{}: {e}", show(path))))
    }

    fn inode(&mut self) -> u32 {
        let inode = self.next_inode;
        self.next_inode += 1;
        inode
    }

    fn dir(&mut self, path: &[u8], meta: &Meta) -> io::Result<()> {
        let inode = self.inode();
        let header = Header {
            links: 2,
            ..Header::new(inode, S_IFDIR, meta)
        };
        self.header(path, &header)
    }

    fn leaf(&mut self, path: &[u8], leaf: &Arc<Leaf>) -> io::Result<()> {
        let (kind, device) = match &leaf.kind {
            Kind::File(_) => return self.file(path, leaf),
            Kind::Symlink(target) => return self.symlink(path, &leaf.meta, target),
            Kind::Char(device) => (S_IFCHR, *device),
            Kind::Block(device) => (S_IFBLK, *device),
            Kind::Fifo => (S_IFIFO, NO_DEVICE),
        };
        let inode = self.inode();
        let header = Header {
            device,
            ..Header::new(inode, kind, &leaf.meta)
        };
        self.header(path, &header)
    }

    fn symlink(&mut self, path: &[u8], meta: &Meta, target: &[u8]) -> io::Result<()> {
        let inode = self.inode();
        let header = Header {
            size: u32::try_from(target.len()).map_err(|_| too_large())?,
            ..Header::new(inode, S_IFLNK, meta)
        };
        self.header(path, &header)?;
        self.out.write_all(target)?;
        self.out.pad(4)
    }

    /// The last of a file's names carries the content, as cpio(1) has it.
    fn file(&mut self, path: &[u8], leaf: &Arc<Leaf>) -> io::Result<()> {
        let Kind::File(content) = &leaf.kind else {
            return Ok(());
        };
        let size = u32::try_from(content.len()).map_err(|_| too_large())?;
        let fresh = self.next_inode;
        let (inode, links, last) = match self.links.get_mut(&Arc::as_ptr(leaf)) {
            None => (fresh, 1, true),
            Some(links) => {
                links.left -= 1;
                let inode = *links.inode.get_or_insert(fresh);
                (inode, links.count, links.left == 0)
            }
        };
        if inode == fresh {
            self.next_inode += 1;
        }
        let header = Header {
            links,
            size: if last { size } else { 0 },
            ..Header::new(inode, S_IFREG, &leaf.meta)
        };
        self.header(path, &header)?;
        if last {
            content.copy_to(&mut self.out)?;
            self.out.pad(4)?;
        }
        Ok(())
    }

    fn header(&mut self, path: &[u8], header: &Header<'_>) -> io::Result<()> {
        let Header {
            inode,
            kind,
            links,
            meta,
            size,
            device: Device { major, minor },
        } = header;
        let Meta { mode, uid, gid, .. } = meta;
        let mode = kind | mode;
        let mtime = u32::try_from(meta.mtime).unwrap_or(u32::MAX);
        let name = path.len() + 1;
        write!(
            self.out,
            "070701{inode:08x}{mode:08x}{uid:08x}{gid:08x}{links:08x}{mtime:08x}{size:08x}\
             {zero:08x}{zero:08x}{major:08x}{minor:08x}{name:08x}{zero:08x}",
            zero = 0
        )?;
        self.out.write_all(path)?;
        self.out.write_all(b"\0")?;
        self.out.pad(4)
    }

    fn end(mut self) -> io::Result<()> {
        let meta = Meta::default();
        self.header(TRAILER, &Header::new(0, 0, &meta))?;
        self.out.pad(BLOCK)
    }
}

const NO_DEVICE: Device = Device { major: 0, minor: 0 };

impl<'a> Header<'a> {
    fn new(inode: u32, kind: u32, meta: &'a Meta) -> Self {
        Self {
            inode,
            kind,
            links: 1,
            meta,
            size: 0,
            device: NO_DEVICE,
        }
    }
}

fn too_large() -> io::Error {
    io::Error::other("4 GiB or larger, which an initrd cannot hold")
}

/// Counts what it writes, for the padding.
struct Counted<'a> {
    out: &'a mut dyn Write,
    written: u64,
}

impl Counted<'_> {
    fn pad(&mut self, to: u64) -> io::Result<()> {
        let over = self.written % to;
        if over != 0 {
            for _ in over..to {
                self.write_all(b"\0")?;
            }
        }
        Ok(())
    }
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.written += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests;
