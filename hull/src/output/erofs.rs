//! A tree as an erofs, uncompressed: a read costs nothing but the disk.
//!
//! Linux, `Documentation/filesystems/erofs.rst` and `fs/erofs/erofs_fs.h`.
//! Inodes come first, each with the end of its content behind it where that
//! fits, then whole blocks. The same tree gives the same bytes.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use super::rootfs::{ALIGN, Fields, Out, Written, too_large};
use crate::tree::path::show;
use crate::tree::{Content, Device, Dir, Kind, Leaf, Meta, Node, Tree, Xattrs};

const MAGIC: u32 = 0xe0f5_e1e2;
const SUPERBLOCK_AT: u64 = 1024;
const BLOCK: usize = 4096;
const BLOCK_64: u64 = BLOCK as u64;
/// The block with which the inodes begin.
const META: u64 = 1;
/// Inodes are counted in units of this.
const SLOT: u64 = 32;
/// An inode in its long form, the only one here.
const INODE: usize = 64;
/// A folder's entry, without its name.
const ENTRY: usize = 12;
/// Inodes tell when their content was changed.
const COMPAT_MTIME: u32 = 2;

const S_IFREG: u32 = 0o100_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFLNK: u32 = 0o120_000;
const S_IFCHR: u32 = 0o020_000;
const S_IFBLK: u32 = 0o060_000;
const S_IFIFO: u32 = 0o010_000;

/// Writes `tree` into `file`, from its beginning; `time` is when it was made,
/// in seconds since the epoch.
///
/// # Errors
/// A file cannot be read (the error names it) or written.
pub fn write(tree: &Tree, file: &File, time: u32) -> io::Result<Written> {
    let plan = Plan::new(tree)?;
    let mut out = Out::new(file, plan.data_at());
    for item in &plan.items {
        plan.write(item, &mut out)
            .map_err(|e| io::Error::other(format!("{}: {e}", show(item.name))))?;
    }
    out.pad(ALIGN)?;
    let blocks = u32::try_from(out.at / BLOCK_64).map_err(|_| too_large("an erofs"))?;
    let root = plan.items.first().map_or(0, Item::nid);
    let mut uuid = out.digest();
    // The form of a random identifier (RFC 9562, version 8).
    uuid[6] = (uuid[6] & 0x0f) | 0x80;
    uuid[8] = (uuid[8] & 0x3f) | 0x80;
    let superblock = Fields::default()
        .u32(MAGIC)
        .u32(0)
        .u32(COMPAT_MTIME)
        .u8(u8::try_from(BLOCK.ilog2()).map_err(io::Error::other)?)
        .u8(0)
        .u16(u16::try_from(root).map_err(io::Error::other)?)
        .u64(plan.items.len() as u64)
        .u64(u64::from(time))
        .u32(0)
        .u32(blocks)
        .u32(u32::try_from(META).map_err(io::Error::other)?)
        .u32(0)
        .bytes(&uuid[..16])
        .zeros_to(128);
    out.finish(&superblock.0, SUPERBLOCK_AT)
}

/// An inode to be.
struct Item<'a> {
    name: &'a [u8],
    node: What<'a>,
    links: u32,
    xattrs: Vec<u8>,
    /// Of its content, in bytes.
    len: u64,
    /// From the begin of the inodes, in bytes.
    at: u64,
    /// Its first whole block.
    block: u64,
    /// How much of its content is behind it, and not in a block.
    inline: usize,
}

enum What<'a> {
    /// A folder: itself, and what is in it with `.` and `..`, sorted.
    Dir(&'a Dir, Vec<(&'a [u8], usize, u8)>),
    Leaf(&'a Leaf),
}

impl Item<'_> {
    fn nid(&self) -> u64 {
        self.at / SLOT
    }

    fn meta(&self) -> &Meta {
        match &self.node {
            What::Dir(dir, _) => &dir.meta,
            What::Leaf(leaf) => &leaf.meta,
        }
    }

    /// Content in whole blocks, in bytes.
    fn in_blocks(&self) -> u64 {
        self.len - self.inline as u64
    }
}

struct Plan<'a> {
    items: Vec<Item<'a>>,
    /// Where the inodes end, in bytes from their begin.
    meta_end: u64,
}

impl<'a> Plan<'a> {
    fn new(tree: &'a Tree) -> io::Result<Self> {
        let mut plan = Self {
            items: Vec::new(),
            meta_end: 0,
        };
        plan.collect(tree)?;
        plan.place()?;
        Ok(plan)
    }

    /// Lists all inodes, the root first.
    fn collect(&mut self, tree: &'a Tree) -> io::Result<()> {
        let mut known: HashMap<*const Leaf, usize> = HashMap::new();
        let mut open = vec![(&tree.root, self.add_dir(b"/", &tree.root)?, 0)];
        while let Some((dir, own, parent)) = open.pop() {
            let mut entries: Vec<(&[u8], usize, u8)> = vec![(b".", own, 2), (b"..", parent, 2)];
            let mut folders = 0;
            for (name, node) in &dir.entries {
                match node {
                    Node::Dir(child) => {
                        let index = self.add_dir(name, child)?;
                        folders += 1;
                        open.push((child, index, own));
                        entries.push((name, index, 2));
                    }
                    Node::Leaf(leaf) => {
                        let index = match known.get(&Arc::as_ptr(leaf)) {
                            Some(&index) => index,
                            None => self.add_leaf(name, leaf)?,
                        };
                        known.insert(Arc::as_ptr(leaf), index);
                        self.items[index].links += 1;
                        entries.push((name, index, kind(&leaf.kind)));
                    }
                }
            }
            entries.sort_unstable();
            let item = &mut self.items[own];
            item.links = 2 + folders;
            item.len = listing_len(&entries);
            item.node = What::Dir(dir, entries);
        }
        Ok(())
    }

    fn add_dir(&mut self, name: &'a [u8], dir: &'a Dir) -> io::Result<usize> {
        self.add(name, What::Dir(dir, Vec::new()), 0, &dir.meta.xattrs)
    }

    fn add_leaf(&mut self, name: &'a [u8], leaf: &'a Leaf) -> io::Result<usize> {
        let len = match &leaf.kind {
            Kind::File(content) => content.len(),
            Kind::Symlink(target) => target.len() as u64,
            _ => 0,
        };
        self.add(name, What::Leaf(leaf), len, &leaf.meta.xattrs)
    }

    fn add(
        &mut self,
        name: &'a [u8],
        node: What<'a>,
        len: u64,
        xattrs: &Xattrs,
    ) -> io::Result<usize> {
        self.items.push(Item {
            name,
            node,
            links: 0,
            xattrs: xattr_body(xattrs)?,
            len,
            at: 0,
            block: 0,
            inline: 0,
        });
        Ok(self.items.len() - 1)
    }

    /// Gives each inode its place, and its content the blocks. The root is
    /// first, because its number has to be a small one; no inode has number 0.
    fn place(&mut self) -> io::Result<()> {
        let mut at = SLOT;
        for item in &mut self.items {
            let fixed = INODE + item.xattrs.len();
            let tail = usize::try_from(item.len % BLOCK_64).map_err(io::Error::other)?;
            item.inline = if fixed + tail <= BLOCK { tail } else { 0 };
            let size = (fixed + item.inline) as u64;
            // What is behind an inode must be in one block with it.
            if at % BLOCK_64 + size > BLOCK_64 {
                at = at.next_multiple_of(BLOCK_64);
            }
            item.at = at;
            at = (at + size).next_multiple_of(SLOT);
        }
        self.meta_end = at;
        let mut block = self.data_at() / BLOCK_64;
        for item in &mut self.items {
            let blocks = item.in_blocks().div_ceil(BLOCK_64);
            item.block = if blocks == 0 { 0 } else { block };
            block += blocks;
        }
        Ok(())
    }

    /// Where whole blocks begin, in bytes.
    fn data_at(&self) -> u64 {
        META * BLOCK_64 + self.meta_end.next_multiple_of(BLOCK_64)
    }

    fn write(&self, item: &Item<'_>, out: &mut Out<'_>) -> io::Result<()> {
        let inode = inode(item)?.bytes(&item.xattrs);
        let at = META * BLOCK_64 + item.at;
        out.put_at(&inode.0, at)?;
        let inline_at = at + inode.0.len() as u64;
        match &item.node {
            What::Dir(_, entries) => {
                let listing = self.listing(entries);
                put_content(&mut &*listing, item, inline_at, out)
            }
            What::Leaf(leaf) => match &leaf.kind {
                Kind::Symlink(target) => put_content(&mut &**target, item, inline_at, out),
                Kind::File(content) => put_file(content, item, inline_at, out),
                _ => Ok(()),
            },
        }
    }

    /// A folder's content: blocks of entries, each with its names behind them.
    fn listing(&self, entries: &[(&[u8], usize, u8)]) -> Vec<u8> {
        let mut listing = Vec::new();
        for block in blocks(entries) {
            listing.resize(listing.len().next_multiple_of(BLOCK), 0);
            let mut names = block.len() * ENTRY;
            let mut fields = Fields::default();
            for (name, index, kind) in block {
                let nid = self.items.get(*index).map_or(0, Item::nid);
                let offset = u16::try_from(names).unwrap_or(u16::MAX);
                fields = fields.u64(nid).u16(offset).u8(*kind).u8(0);
                names += name.len();
            }
            listing.extend(fields.0);
            listing.extend(block.iter().flat_map(|(name, ..)| *name));
        }
        listing
    }
}

/// A folder's entries in portions that fit a block.
fn blocks<'s, 'n>(
    entries: &'s [(&'n [u8], usize, u8)],
) -> impl Iterator<Item = &'s [(&'n [u8], usize, u8)]> {
    let mut rest = entries;
    std::iter::from_fn(move || {
        let mut size = 0;
        let fits = rest.iter().take_while(|(name, ..)| {
            size += ENTRY + name.len();
            size <= BLOCK
        });
        let (block, behind) = rest.split_at(fits.count());
        rest = behind;
        (!block.is_empty()).then_some(block)
    })
}

fn listing_len(entries: &[(&[u8], usize, u8)]) -> u64 {
    let mut len = 0;
    for block in blocks(entries) {
        let size: usize = block.iter().map(|(name, ..)| ENTRY + name.len()).sum();
        len = u64::next_multiple_of(len, BLOCK_64) + size as u64;
    }
    len
}

/// Writes what fits behind the inode there, and the rest into blocks.
fn put_content(
    from: &mut dyn Read,
    item: &Item<'_>,
    inline_at: u64,
    out: &mut Out<'_>,
) -> io::Result<()> {
    let mut left = item.in_blocks();
    let mut buffer = vec![0; 16 * BLOCK];
    while left > 0 {
        let len = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        from.read_exact(&mut buffer[..len])?;
        out.put_sparse(&buffer[..len])?;
        left -= len as u64;
    }
    out.pad(BLOCK_64)?;
    let mut tail = vec![0; item.inline];
    from.read_exact(&mut tail)?;
    out.put_at(&tail, inline_at)
}

fn put_file(
    content: &Content,
    item: &Item<'_>,
    inline_at: u64,
    out: &mut Out<'_>,
) -> io::Result<()> {
    put_content(&mut content.open()?, item, inline_at, out)
}

/// The inode's own 64 bytes.
fn inode(item: &Item<'_>) -> io::Result<Fields> {
    /// The long form; content in blocks, or its end behind the inode.
    const PLAIN: u16 = 1;
    const INLINE: u16 = 1 | 2 << 1;
    let meta = item.meta();
    let block = u32::try_from(item.block).map_err(|_| too_large("an erofs"))?;
    let (kind, place) = match &item.node {
        What::Dir(..) => (S_IFDIR, block),
        What::Leaf(leaf) => match &leaf.kind {
            Kind::File(_) => (S_IFREG, block),
            Kind::Symlink(_) => (S_IFLNK, block),
            Kind::Char(device) => (S_IFCHR, encode(*device)),
            Kind::Block(device) => (S_IFBLK, encode(*device)),
            Kind::Fifo => (S_IFIFO, 0),
        },
    };
    // Counted in units of four bytes, the header of 12 as one.
    let xattrs = match item.xattrs.len() {
        0 => 0,
        len => (len - 12) / 4 + 1,
    };
    Ok(Fields::default()
        .u16(if item.inline > 0 { INLINE } else { PLAIN })
        .u16(u16::try_from(xattrs).map_err(|_| too_large("attributes"))?)
        .u16(u16::try_from(kind | meta.mode & 0o7777).map_err(io::Error::other)?)
        .u16(0)
        .u64(item.len)
        .u32(place)
        .u32(u32::try_from(item.nid()).map_err(|_| too_large("inodes"))?)
        .u32(meta.uid)
        .u32(meta.gid)
        .u64(meta.mtime)
        .u32(0)
        .u32(item.links)
        .zeros_to(INODE))
}

/// Extended attributes as they stand behind the inode.
fn xattr_body(xattrs: &Xattrs) -> io::Result<Vec<u8>> {
    /// The namespaces that the format has numbers for.
    const NAMESPACES: [(&[u8], u8); 3] = [(b"user.", 1), (b"trusted.", 4), (b"security.", 6)];
    let mut body = Fields::default();
    for (name, value) in xattrs {
        let found = NAMESPACES
            .iter()
            .find_map(|(prefix, number)| Some((*number, name.strip_prefix(*prefix)?)));
        let Some((number, name)) = found else {
            continue;
        };
        if body.0.is_empty() {
            // None that several inodes share.
            body = body.zeros_to(12);
        }
        body = body
            .u8(u8::try_from(name.len()).map_err(|_| too_large("an attribute's name"))?)
            .u8(number)
            .u16(u16::try_from(value.len()).map_err(|_| too_large("an attribute"))?)
            .bytes(name)
            .bytes(value);
        let len = body.0.len().next_multiple_of(4);
        body = body.zeros_to(len);
    }
    Ok(body.0)
}

/// The type in a folder's entry.
fn kind(kind: &Kind) -> u8 {
    match kind {
        Kind::File(_) => 1,
        Kind::Char(_) => 3,
        Kind::Block(_) => 4,
        Kind::Fifo => 5,
        Kind::Symlink(_) => 7,
    }
}

/// A device's number as the kernel's `new_encode_dev` has it.
fn encode(device: Device) -> u32 {
    let Device { major, minor } = device;
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use proptest::prelude::*;
    use tempfile::NamedTempFile;

    use super::*;

    fn run(program: &str, args: &[&str], image: &Path) -> String {
        let output = Command::new(program)
            .args(args)
            .arg(image)
            .output()
            .unwrap_or_else(|e| panic!("{program} (build/deps.sh test installs it): {e}"));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{program} {args:?}: {text}{errors}"
        );
        text
    }

    /// fsck.erofs finds no fault, and unpacks what was packed.
    fn check(tree: &Tree) {
        let image = NamedTempFile::new().unwrap();
        let written = write(tree, image.as_file(), 7).unwrap();
        assert_eq!(written.end, image.as_file().metadata().unwrap().len());
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("r");
        let extract = format!("--extract={}", root.display());
        run("fsck.erofs", &[&extract, "--no-preserve"], image.path());
        for (path, node) in tree.walk() {
            let place = root.join(show(&path));
            if let Some(content) = node.as_file() {
                assert!(
                    std::fs::read(&place).unwrap() == content.read().unwrap(),
                    "{place:?}"
                );
            } else if let Some(target) = node.as_symlink() {
                let read = std::fs::read_link(&place).unwrap();
                assert_eq!(read.as_os_str().as_encoded_bytes(), target);
            } else {
                assert!(node.as_dir().is_none() || place.is_dir(), "{place:?}");
            }
        }
    }

    #[test]
    fn every_size_of_content_and_folder() {
        let mut tree = Tree::new();
        let sizes = [
            0, 1, 100, 4000, 4032, 4033, 4095, 4096, 4097, 8191, 8192, 200_000,
        ];
        for size in sizes {
            let content: Vec<u8> = (0..=250).cycle().take(size).collect();
            let node = Node::file(Meta::root(0o644), content);
            tree.add(format!("sizes/{size}"), node).unwrap();
        }
        for count in [1, 2, 90, 150, 700] {
            for n in 0..count {
                let name = format!("folders/{count}/a-name-of-some-length-{n}");
                tree.add(name, Node::file(Meta::root(0o600), "x")).unwrap();
            }
        }
        tree.add("link", Node::symlink("sizes/100")).unwrap();
        tree.link("again", "sizes/4097").unwrap();
        check(&tree);
    }

    #[test]
    fn metadata_is_read_back() {
        let mut tree = Tree::new();
        let mut meta = Meta {
            mode: 0o4751,
            uid: 70_000,
            gid: 5,
            mtime: 86_400,
            xattrs: Xattrs::new(),
        };
        meta.xattrs
            .insert((*b"user.note").into(), (*b"hello").into());
        let pinned = meta.clone();
        tree.add("f", Node::file(meta, "text")).unwrap();
        tree.link("g", "f").unwrap();
        let device = Device {
            major: 5,
            minor: 300,
        };
        let node = Node::leaf(Meta::root(0o620), Kind::Char(device));
        tree.add("c", node).unwrap();
        let image = NamedTempFile::new().unwrap();
        let first = write(&tree, image.as_file(), 0).unwrap();
        let shown = run("dump.erofs", &["--path=/f"], image.path());
        for part in ["Links: 2", "Uid: 70000", "Gid: 5", "0751", "1970-01-02"] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert!(shown.contains("Xattr size: 28"), "{shown}");
        let again = NamedTempFile::new().unwrap();
        assert_eq!(write(&tree, again.as_file(), 0).unwrap(), first);
        let bytes = |file: &NamedTempFile| std::fs::read(file.path()).unwrap();
        assert!(bytes(&image) == bytes(&again));
        // A content of the same length makes another mark.
        tree.add("f", Node::file(pinned, "Text")).unwrap();
        let other = write(&tree, again.as_file(), 0).unwrap();
        assert_ne!(other.mark, first.mark);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn any_tree_is_unpacked(
            files in prop::collection::btree_map(
                prop::collection::vec("[a-z]{1,3}", 1..4),
                prop::collection::vec(any::<u8>(), 0..9000),
                0..40,
            ),
        ) {
            let mut tree = Tree::new();
            for (path, content) in &files {
                // A file where another wants a folder is left out.
                let _ = tree.add(path.join("/"), Node::file(Meta::root(0o644), content.clone()));
            }
            check(&tree);
        }
    }
}
