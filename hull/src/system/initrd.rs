//! Initrds, read as the kernel does it: archives one behind another, zeros
//! between them, compressed or not.
//!
//! Linux, `Documentation/driver-api/early-userspace/buffer-format.rst` and
//! `init/initramfs.c`. Nothing is unpacked onto the disk by its name, and
//! names that lead outside are refused.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::layer::spool::Spool;
use crate::tree::path::{self, show};
use crate::tree::{self, Content, Device, Kind, Leaf, Meta, Node, Tree, Xattrs};

/// What is wrong with an initrd.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read, or not be unpacked.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// Something stands in it that the kernel would not unpack.
    #[error(
        "at byte {at}: neither an archive (cpio, newc) nor one that is compressed by gzip, zstd \
         or lz4 (legacy frames)"
    )]
    Unknown {
        /// Where, in bytes from the begin of what is unpacked at once.
        at: u64,
    },
    /// An entry is broken, or more than is taken.
    #[error("entry {entry:?}: {what}")]
    Entry {
        /// Its name, or where it begins.
        entry: String,
        /// What is wrong.
        what: String,
    },
    /// An entry cannot stand where it wants to.
    #[error("entry {0}")]
    Place(#[from] tree::Error),
}

/// What a legacy frame of LZ4 begins with.
pub(super) const LZ4_MAGIC: [u8; 4] = 0x184c_2102_u32.to_le_bytes();
/// No block of one is longer when it is unpacked, in bytes.
const LZ4_BLOCK: usize = 8 << 20;
/// An initrd may become so many times as large as it is,
const MAX_RATIO: u64 = 100;
/// or this large, in bytes.
const ALWAYS_TAKEN: u64 = 1 << 30;
/// More entries than this, no system has.
const MAX_ENTRIES: usize = 1_000_000;
/// Of an entry, in bytes: the magic number, and thirteen fields of eight digits.
const HEADER: usize = 6 + 13 * 8;
/// The entry that ends an archive.
const TRAILER: &[u8] = b"TRAILER!!!";

/// Reads the initrd that is `len` bytes of `file`, from `offset` on. What is
/// compressed goes into nameless files in `spool`.
///
/// # Errors
/// It is broken or hostile, or cannot be read.
pub fn read(file: &Arc<File>, offset: u64, len: u64, spool: &Path) -> Result<Tree, Error> {
    let whole = Part {
        file: Arc::clone(file),
        at: offset,
        end: offset + len,
    };
    let mut reader = Reader {
        tree: Tree::new(),
        spool,
        left: len.saturating_mul(MAX_RATIO).max(ALWAYS_TAKEN),
        entries: 0,
    };
    reader.segments(whole, offset)?;
    Ok(reader.tree)
}

/// A part of a file that is read from front to back.
struct Part {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.end.saturating_sub(self.at);
        let want = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let n = self.file.read_at(&mut buffer[..want], self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Part {
    /// Goes on to what is not zero; whether there is something.
    fn skip_zeros(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 4096];
        loop {
            let begin = self.at;
            let n = self.read(&mut buffer)?;
            if n == 0 {
                return Ok(false);
            }
            if let Some(zeros) = buffer[..n].iter().position(|&b| b != 0) {
                self.at = begin + zeros as u64;
                return Ok(true);
            }
        }
    }

    /// The next bytes, without going on; fewer at the end.
    fn peek(&self) -> io::Result<[u8; 6]> {
        let mut magic = [0; 6];
        let left = usize::try_from(self.end - self.at).unwrap_or(magic.len());
        let want = left.min(magic.len());
        self.file.read_at(&mut magic[..want], self.at)?;
        Ok(magic)
    }
}

/// What comes next.
#[derive(Clone, Copy)]
enum Next {
    Entry,
    Gzip,
    Zstd,
    Lz4,
    Unknown,
}

impl Next {
    fn of(magic: [u8; 6]) -> Self {
        match magic {
            // Without and with sums of the contents, which are not looked at.
            [b'0', b'7', b'0', b'7', b'0', b'1' | b'2'] => Self::Entry,
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [a, b, c, d, ..] if [a, b, c, d] == LZ4_MAGIC => Self::Lz4,
            _ => Self::Unknown,
        }
    }
}

/// Files of an archive that may have more names, by inode and device.
type Linked = HashMap<[u32; 3], Shared>;

/// A file with several names, of which one brings the content.
struct Shared {
    names: Vec<Vec<u8>>,
    leaf: Arc<Leaf>,
}

struct Reader<'a> {
    tree: Tree,
    spool: &'a Path,
    /// So much may still be unpacked, in bytes.
    left: u64,
    entries: usize,
}

impl Reader<'_> {
    /// All that the file has, compressed or not.
    fn segments(&mut self, mut part: Part, begin: u64) -> Result<(), Error> {
        while part.skip_zeros()? {
            match Next::of(part.peek()?) {
                Next::Entry => part = self.archives(part)?,
                Next::Unknown => {
                    return Err(Error::Unknown {
                        at: part.at - begin,
                    });
                }
                packed => {
                    let (unpacked, behind) = self.unpack(packed, part)?;
                    part = behind;
                    let mut rest = self.archives(unpacked)?;
                    if rest.skip_zeros()? {
                        return Err(Error::Unknown { at: rest.at });
                    }
                }
            }
        }
        Ok(())
    }

    /// Unpacks what begins at `part`; returns it, and what is behind it.
    fn unpack(&mut self, packed: Next, part: Part) -> Result<(Part, Part), Error> {
        let mut from = BufReader::with_capacity(128 * 1024, part);
        let mut out = Spool::new(self.spool, self.left)?;
        match packed {
            Next::Gzip => {
                io::copy(&mut flate2::bufread::GzDecoder::new(&mut from), &mut out)?;
            }
            Next::Zstd => {
                let mut zstd = zstd::Decoder::with_buffer(&mut from)?.single_frame();
                io::copy(&mut zstd, &mut out)?;
            }
            Next::Lz4 => unpack_lz4(&mut from, &mut out)?,
            Next::Entry | Next::Unknown => {}
        }
        let file = out.finish()?;
        let end = file.metadata()?.len();
        self.left = self.left.saturating_sub(end);
        let unread = from.buffer().len() as u64;
        let mut behind = from.into_inner();
        behind.at -= unread;
        let unpacked = Part {
            file: Arc::new(file),
            at: 0,
            end,
        };
        Ok((unpacked, behind))
    }

    /// Archives up to the end, or to what is none.
    fn archives(&mut self, mut part: Part) -> Result<Part, Error> {
        let mut linked = Linked::new();
        while part.skip_zeros()? && matches!(Next::of(part.peek()?), Next::Entry) {
            let entry = Entry::read(&mut part)?;
            if entry.name == TRAILER {
                linked.clear();
                continue;
            }
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                let many = format!("more than {MAX_ENTRIES} entries are refused");
                return Err(entry.broken(many));
            }
            self.put(&entry, &mut linked)?;
        }
        Ok(part)
    }

    fn put(&mut self, entry: &Entry, linked: &mut Linked) -> Result<(), Error> {
        let path =
            path::inside(&entry.name).map_err(|e| entry.broken(format!("{e} is refused")))?;
        let node = entry.node()?;
        if path.is_empty() && node.as_dir().is_none() {
            return Err(entry.broken("the root cannot be replaced"));
        }
        match node {
            Node::Leaf(leaf) if entry.links > 1 && leaf.as_file().is_some() => {
                self.put_linked(entry, path, leaf, linked)
            }
            node => Ok(self.tree.add(path, node)?),
        }
    }

    /// A name of a file that has several: one of them brings the content.
    fn put_linked(
        &mut self,
        entry: &Entry,
        path: Vec<u8>,
        leaf: Arc<Leaf>,
        linked: &mut Linked,
    ) -> Result<(), Error> {
        let has_content = !entry.content.is_empty();
        match linked.get_mut(&entry.file) {
            None => {
                self.tree.add(&path, Node::Leaf(Arc::clone(&leaf)))?;
                let names = vec![path];
                linked.insert(entry.file, Shared { names, leaf });
            }
            Some(shared) if !has_content => {
                self.tree.add(&path, Node::Leaf(Arc::clone(&shared.leaf)))?;
                shared.names.push(path);
            }
            Some(shared) => {
                if shared
                    .leaf
                    .as_file()
                    .is_some_and(|content| !content.is_empty())
                {
                    return Err(entry.broken("a second content of one file is refused"));
                }
                shared.names.push(path);
                shared.leaf = leaf;
                for name in &shared.names {
                    self.tree.add(name, Node::Leaf(Arc::clone(&shared.leaf)))?;
                }
            }
        }
        Ok(())
    }
}

/// The blocks of legacy frames, up to the end or a length of 0.
fn unpack_lz4(from: &mut impl BufRead, out: &mut impl Write) -> io::Result<()> {
    let mut packed = Vec::new();
    let mut block = vec![0; LZ4_BLOCK];
    while !from.fill_buf()?.is_empty() {
        let word = word(from)?;
        if word == LZ4_MAGIC {
            continue;
        }
        let len = u32::from_le_bytes(word);
        if len == 0 {
            break;
        }
        // What does not shrink grows by 1/255.
        if len as usize > LZ4_BLOCK + LZ4_BLOCK / 255 + 16 {
            let what = format!("a block of lz4 with {len} bytes, which no block has");
            return Err(io::Error::other(what));
        }
        packed.resize(len as usize, 0);
        from.read_exact(&mut packed)?;
        let most = i32::try_from(LZ4_BLOCK).ok();
        let n = lz4::block::decompress_to_buffer(&packed, most, &mut block)?;
        out.write_all(&block[..n])?;
    }
    Ok(())
}

/// The next four bytes; behind the end stand zeros, as padding is allowed to.
fn word(from: &mut impl Read) -> io::Result<[u8; 4]> {
    let mut bytes = Vec::with_capacity(4);
    from.take(4).read_to_end(&mut bytes)?;
    let mut word = [0; 4];
    word[..bytes.len()].copy_from_slice(&bytes);
    Ok(word)
}

/// An entry as it stands in an archive.
struct Entry {
    name: Vec<u8>,
    /// With the kind.
    mode: u32,
    uid: u32,
    gid: u32,
    mtime: u32,
    links: u32,
    /// Tells the names of one file: inode and device.
    file: [u32; 3],
    device: Device,
    content: Content,
}

impl Entry {
    /// Reads what begins at `part` with the magic number, and goes on behind it.
    fn read(part: &mut Part) -> Result<Self, Error> {
        let begin = part.at;
        let broken = |what: &str| Error::Entry {
            entry: format!("at byte {begin}"),
            what: what.to_owned(),
        };
        let cut = |_| broken("the archive ends in the middle of it");
        let mut header = [0; HEADER];
        part.read_exact(&mut header).map_err(cut)?;
        let fields = fields(&header).ok_or_else(|| broken("a field is no hexadecimal number"))?;
        let [inode, mode, uid, gid, links, mtime, size, device @ ..] = fields;
        let [own_major, own_minor, major, minor, name_len, _sum] = device;
        let name_len = name_len as usize;
        if !(2..=path::PATH_MAX + 1).contains(&name_len) {
            return Err(broken("a name that is empty or too long"));
        }
        let mut name = vec![0; name_len];
        part.read_exact(&mut name).map_err(cut)?;
        if name.pop() != Some(0) {
            return Err(broken("a name without an end"));
        }
        let content_at = begin + (HEADER + name_len).next_multiple_of(4) as u64;
        let end = content_at + u64::from(size);
        if end > part.end {
            return Err(Error::Entry {
                entry: show(&name),
                what: "the archive ends in the middle of it".to_owned(),
            });
        }
        part.at = part.end.min(begin + (end - begin).next_multiple_of(4));
        Ok(Self {
            name,
            mode,
            uid,
            gid,
            mtime,
            links,
            file: [inode, own_major, own_minor],
            device: Device { major, minor },
            content: Content::Range {
                file: Arc::clone(&part.file),
                offset: content_at,
                len: size.into(),
            },
        })
    }

    fn broken(&self, what: impl Into<String>) -> Error {
        Error::Entry {
            entry: show(&self.name),
            what: what.into(),
        }
    }

    fn node(&self) -> Result<Node, Error> {
        let meta = Meta {
            mode: self.mode & 0o7777,
            uid: self.uid,
            gid: self.gid,
            mtime: self.mtime.into(),
            xattrs: Xattrs::new(),
        };
        Ok(match self.mode & 0o170_000 {
            0o040_000 => Node::dir(meta),
            0o100_000 => Node::file(meta, self.content.clone()),
            0o120_000 => Node::leaf(meta, Kind::Symlink(self.target()?)),
            0o020_000 => Node::leaf(meta, Kind::Char(self.device)),
            0o060_000 => Node::leaf(meta, Kind::Block(self.device)),
            0o010_000 => Node::leaf(meta, Kind::Fifo),
            other => return Err(self.broken(format!("unknown kind {other:#o}"))),
        })
    }

    fn target(&self) -> Result<Box<[u8]>, Error> {
        let len = self.content.len();
        let target = match usize::try_from(len) {
            Ok(len @ 1..=path::PATH_MAX) => {
                let bytes = self.content.read()?;
                (bytes.len() == len && !bytes.contains(&0)).then_some(bytes)
            }
            _ => None,
        };
        let target =
            target.ok_or_else(|| self.broken("a symbolic link with an impossible target"))?;
        Ok(target.into())
    }
}

/// The fields behind the magic number.
fn fields(header: &[u8; HEADER]) -> Option<[u32; 13]> {
    let mut fields = [0; 13];
    for (field, digits) in fields.iter_mut().zip(header[6..].chunks_exact(8)) {
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        *field = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(fields)
}

#[cfg(test)]
mod tests;
