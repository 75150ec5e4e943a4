//! A layer's entries, read and put on top of a tree.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use tar::EntryType;

use super::sparse::Sparse;
use super::spool::Spool;
use super::{Error, Layer};
use crate::cache;
use crate::digest::{Digest, Hashing};
use crate::tree::path::{self, components, join, show, split};
use crate::tree::{Content, Device, Kind, Meta, Node, Tree, Xattrs};

/// What a file in a layer begins with that takes away its namesake below.
const WHITEOUT: &[u8] = b".wh.";
/// The file that takes away all that its folder has below.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Other marks of AUFS, which mean nothing to us.
const AUFS: &[u8] = b".wh..wh.";

/// A compressed layer may become so many times as large as it is,
const MAX_RATIO: u64 = 100;
/// or this large, in bytes. More is made to fill disks, and is refused.
const ALWAYS_TAKEN: u64 = 1 << 30;
/// The sparse files of a layer may be this large together, in bytes.
const MAX_SPARSE: u64 = 64 << 30;
/// More entries than this, no layer has.
const MAX_ENTRIES: usize = 1_000_000;
/// What stands before an entry (long names, pax records) is not longer than
/// this together, in bytes. It is read into memory.
const MAX_HEADERS: u64 = 4 << 20;

/// An entry of a layer.
enum Item {
    Node(Box<Node>),
    HardLink(Vec<u8>),
    /// Takes away what is below at its path.
    Whiteout,
    /// Takes away what is below in its folder, which is its path.
    Opaque,
}

/// Puts `layer`, whose bytes are `tar`, on top of `tree`.
pub(super) fn apply(
    layer: &Layer,
    tar: &Plain,
    tree: &mut Tree,
    spool: &Path,
) -> Result<(), Error> {
    let items = entries(layer, tar, spool)?;
    let place = |source| Error::Place {
        layer: layer.name.clone(),
        source,
    };
    // Whiteouts mean the layers below, wherever in the layer they stand.
    for (path, item) in &items {
        match item {
            Item::Whiteout => drop(tree.remove(path).map_err(place)?),
            Item::Opaque => {
                if let Some(dir) = tree.get_dir_mut(path) {
                    dir.entries.clear();
                }
            }
            Item::Node(_) | Item::HardLink(_) => {}
        }
    }
    for (path, item) in items {
        match item {
            Item::Node(node) => tree.add(&path, *node).map_err(place)?,
            Item::HardLink(target) => tree.link(&path, target).map_err(place)?,
            Item::Whiteout | Item::Opaque => {}
        }
    }
    Ok(())
}

/// A part of a file that holds a plain tar.
pub(super) struct Plain {
    pub(super) file: Arc<File>,
    pub(super) offset: u64,
    pub(super) len: u64,
}

impl Plain {
    pub(super) fn content(&self) -> Content {
        Content::Range {
            file: Arc::clone(&self.file),
            offset: self.offset,
            len: self.len,
        }
    }
}

/// Checks the layer's digests and unpacks it where it is compressed.
pub(super) fn plain(layer: &Layer, spool: &Path) -> Result<Plain, Error> {
    let read = |source| Error::Read {
        layer: layer.name.clone(),
        source,
    };
    let mut magic = [0; 4];
    let seen = read_up_to(&mut raw(layer), &mut magic).map_err(read)?;
    match Compression::of(&magic[..seen]) {
        Compression::None => in_place(layer),
        packed => match cached(layer)? {
            Some(plain) => Ok(plain),
            None => unpack(layer, &packed, spool),
        },
    }
}

/// The layer's bytes as they lie on disk.
fn raw(layer: &Layer) -> Part<'_> {
    Part {
        file: &layer.file,
        start: layer.offset,
        at: 0,
        len: layer.len,
        budget: None,
    }
}

fn check(layer: &Layer, expected: Option<Digest>, found: Digest) -> Result<(), Error> {
    match expected {
        Some(expected) if expected != found => Err(Error::Digest {
            layer: layer.name.clone(),
            expected,
            found,
        }),
        _ => Ok(()),
    }
}

/// A layer that is a tar itself: its bytes have to hash to both digests.
fn in_place(layer: &Layer) -> Result<Plain, Error> {
    if layer.digest.is_some() || layer.diff_id.is_some() {
        let mut all = Hashing::new(io::sink());
        io::copy(&mut raw(layer), &mut all).map_err(|source| Error::Read {
            layer: layer.name.clone(),
            source,
        })?;
        let (found, ..) = all.finish();
        check(layer, layer.digest, found)?;
        check(layer, layer.diff_id, found)?;
    }
    Ok(Plain {
        file: Arc::clone(&layer.file),
        offset: layer.offset,
        len: layer.len,
    })
}

/// The layer as it was unpacked before.
fn cached(layer: &Layer) -> Result<Option<Plain>, Error> {
    let (Some(cache), Some(diff_id)) = (&layer.cache, layer.diff_id) else {
        return Ok(None);
    };
    let Some(Content::Range { file, offset, len }) = cache.get(cache::Kind::Layer, diff_id) else {
        return Ok(None);
    };
    if layer.digest.is_some() {
        let mut packed = Hashing::new(io::sink());
        io::copy(&mut raw(layer), &mut packed).map_err(|source| Error::Read {
            layer: layer.name.clone(),
            source,
        })?;
        check(layer, layer.digest, packed.finish().0)?;
    }
    Ok(Some(Plain { file, offset, len }))
}

fn unpack(layer: &Layer, compression: &Compression, spool: &Path) -> Result<Plain, Error> {
    let read = |source| Error::Read {
        layer: layer.name.clone(),
        source,
    };
    let mut packed = Hashing::new(BufReader::with_capacity(128 * 1024, raw(layer)));
    let limit = layer.len.saturating_mul(MAX_RATIO).max(ALWAYS_TAKEN);
    let entry = match (&layer.cache, layer.diff_id) {
        (Some(cache), Some(diff_id)) => cache.begin(cache::Kind::Layer, diff_id).ok(),
        _ => None,
    };
    let file = match &entry {
        Some(entry) => entry.file().try_clone(),
        None => tempfile::tempfile_in(spool),
    };
    let mut unpacked = Hashing::new(Spool::of(file.map_err(read)?, limit));
    compression
        .unpack(&mut packed, &mut unpacked)
        .map_err(read)?;
    // What a decoder leaves unread behind its last frame counts too.
    io::copy(&mut packed, &mut io::sink()).map_err(read)?;
    if layer.digest.is_some() {
        check(layer, layer.digest, packed.finish().0)?;
    }
    let (diff_id, len, file) = unpacked.finish();
    check(layer, layer.diff_id, diff_id)?;
    let file = file.finish().map_err(read)?;
    if let Some(entry) = entry {
        entry.finish(len).map_err(read)?;
        // One too many in the cache is not worth an error.
        let _ = layer.cache.as_ref().map(|c| c.trim(cache::Kind::Layer));
    }
    Ok(Plain {
        file: Arc::new(file),
        offset: 0,
        len,
    })
}

/// How a layer is compressed, as its first bytes tell.
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    pub(super) fn of_file(file: &File) -> io::Result<Self> {
        let mut magic = [0; 4];
        let seen = file.read_at(&mut magic, 0)?;
        Ok(Self::of(&magic[..seen]))
    }

    fn of(magic: &[u8]) -> Self {
        match magic {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] => Self::Zstd,
            // A skippable frame, as seekable zstd files begin with.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Self::Zstd,
            _ => Self::None,
        }
    }

    fn unpack(&self, from: &mut dyn Read, to: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::None => copy(from, to)?,
            Self::Gzip => copy(&mut flate2::read::MultiGzDecoder::new(from), to)?,
            Self::Zstd => copy(&mut zstd::Decoder::new(from)?, to)?,
        }
        to.flush()
    }
}

/// As `io::copy`, in larger pieces.
fn copy(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<()> {
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            n => to.write_all(&buffer[..n])?,
        }
    }
}

fn read_up_to(from: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}

/// All entries of the tar, in its order.
fn entries(layer: &Layer, tar: &Plain, spool: &Path) -> Result<Vec<(Vec<u8>, Item)>, Error> {
    let read = |source| Error::Read {
        layer: layer.name.clone(),
        source,
    };
    let budget = Cell::new(u64::MAX);
    let mut archive = tar::Archive::new(BufReader::with_capacity(
        8 * 1024,
        Part {
            file: &tar.file,
            start: tar.offset,
            at: 0,
            len: tar.len,
            budget: Some(&budget),
        },
    ));
    let mut items = Vec::new();
    let mut sparse = MAX_SPARSE;
    let mut all = archive.entries_with_seek().map_err(read)?;
    loop {
        budget.set(MAX_HEADERS);
        let Some(entry) = all.next() else {
            return Ok(items);
        };
        budget.set(u64::MAX);
        let mut entry = entry
            .map_err(|e| not_a_tar(e, items.is_empty()))
            .map_err(read)?;
        if items.len() == MAX_ENTRIES {
            let many = format!("more than {MAX_ENTRIES} entries are refused");
            return Err(read(io::Error::other(many)));
        }
        let named = sparse_records(&mut entry).map_err(read)?;
        let raw = match named.as_ref().and_then(|named| named.name.clone()) {
            Some(name) => name,
            None => entry.path_bytes().into_owned(),
        };
        let mut one = One {
            layer,
            tar,
            spool,
            raw: &raw,
            left: &mut sparse,
        };
        if let Some(item) = one.read(&mut entry, named)? {
            items.push(item);
        }
    }
}

/// What the pax records say of a file, where it is sparse.
fn sparse_records(entry: &mut tar::Entry<'_, impl Read>) -> io::Result<Option<Sparse>> {
    let Some(records) = entry.pax_extensions()? else {
        return Ok(None);
    };
    let records: Vec<_> = records.collect::<io::Result<_>>()?;
    Sparse::read(records.iter().map(|r| (r.key_bytes(), r.value_bytes())))
}

/// The tar reader's word for a header that is none, in one line: it quotes the
/// file's bytes. A file that is something else altogether fails at its first.
/// The kernel's errors, and ours of what is too large, stay as they are.
fn not_a_tar(error: io::Error, first: bool) -> io::Error {
    match (error.raw_os_error(), first) {
        (Some(_), _) => error,
        _ if error.kind() == io::ErrorKind::FileTooLarge => error,
        (None, true) => io::Error::new(error.kind(), "not a tar archive"),
        (None, false) => io::Error::new(error.kind(), error.to_string().escape_debug().to_string()),
    }
}

/// The reading of one entry.
struct One<'a> {
    layer: &'a Layer,
    tar: &'a Plain,
    spool: &'a Path,
    /// Its name as it stands there.
    raw: &'a [u8],
    /// So much may the sparse files still hold, in bytes.
    left: &'a mut u64,
}

impl One<'_> {
    fn broken(&self, what: impl std::fmt::Display) -> Error {
        Error::Entry {
            layer: self.layer.name.clone(),
            entry: show(self.raw),
            what: what.to_string(),
        }
    }

    fn clean(&self, raw: &[u8]) -> Result<Vec<u8>, Error> {
        path::relative(raw).map_err(|source| Error::Path {
            layer: self.layer.name.clone(),
            entry: show(self.raw),
            source,
        })
    }

    fn read(
        &mut self,
        entry: &mut tar::Entry<'_, impl Read>,
        sparse: Option<Sparse>,
    ) -> Result<Option<(Vec<u8>, Item)>, Error> {
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            return Ok(None);
        }
        let path = self.clean(self.raw)?;
        if let Some((folder, name)) = split(&path) {
            if components(folder).any(|part| part.starts_with(AUFS)) {
                return Ok(None);
            }
            if components(folder).any(|part| part.starts_with(WHITEOUT)) {
                return Err(self.broken("a folder with the name of a whiteout"));
            }
            if name.starts_with(WHITEOUT) {
                return self.whiteout(folder, name);
            }
        }
        let item = match kind {
            EntryType::Link => {
                let target = entry.link_name_bytes().unwrap_or_default();
                Item::HardLink(self.clean(&target)?)
            }
            _ => {
                let meta = self.meta(entry)?;
                Item::Node(Box::new(self.node(entry, kind, meta, sparse)?))
            }
        };
        if path.is_empty() && !matches!(&item, Item::Node(node) if node.as_dir().is_some()) {
            return Err(self.broken("the root cannot be replaced"));
        }
        Ok(Some((path, item)))
    }

    fn whiteout(&self, folder: &[u8], name: &[u8]) -> Result<Option<(Vec<u8>, Item)>, Error> {
        if name == OPAQUE {
            return Ok(Some((folder.to_vec(), Item::Opaque)));
        }
        if name.starts_with(AUFS) {
            return Ok(None);
        }
        match &name[WHITEOUT.len()..] {
            b"" | b"." | b".." => Err(self.broken("a whiteout of nothing")),
            hidden => Ok(Some((join(folder, hidden), Item::Whiteout))),
        }
    }

    fn meta(&self, entry: &mut tar::Entry<'_, impl Read>) -> Result<Meta, Error> {
        let header = entry.header();
        let id = |id: io::Result<u64>| {
            id.map_err(|e| self.broken(e))
                .and_then(|id| u32::try_from(id).map_err(|_| self.broken("an id above 2^32")))
        };
        let mut meta = Meta {
            mode: header.mode().map_err(|e| self.broken(e))? & 0o7777,
            uid: id(header.uid())?,
            gid: id(header.gid())?,
            mtime: header.mtime().unwrap_or(0),
            xattrs: Xattrs::new(),
        };
        self.extend(entry, &mut meta)?;
        Ok(meta)
    }

    /// What the entry's pax records add to its header.
    fn extend(&self, entry: &mut tar::Entry<'_, impl Read>, meta: &mut Meta) -> Result<(), Error> {
        let records = entry.pax_extensions().map_err(|e| self.broken(e))?;
        for record in records.into_iter().flatten() {
            let record = record.map_err(|e| self.broken(e))?;
            let (key, value) = (record.key_bytes(), record.value_bytes());
            if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                meta.xattrs.insert(name.into(), value.into());
            } else if key == b"mtime" {
                // Whole seconds are all that the kernel takes from an initrd.
                let whole = value.split(|&b| b == b'.').next().unwrap_or_default();
                let seconds = std::str::from_utf8(whole).ok().and_then(|s| s.parse().ok());
                meta.mtime = seconds.unwrap_or(0);
            }
        }
        Ok(())
    }

    fn node(
        &mut self,
        entry: &mut tar::Entry<'_, impl Read>,
        kind: EntryType,
        meta: Meta,
        sparse: Option<Sparse>,
    ) -> Result<Node, Error> {
        let is_file = matches!(kind, EntryType::Regular | EntryType::Continuous);
        if let Some(sparse) = sparse.filter(|_| is_file) {
            let size = sparse.size;
            let content = self.spooled(size, |out| sparse.unpack(entry, out))?;
            return Ok(Node::file(meta, content));
        }
        Ok(match kind {
            EntryType::Directory => Node::dir(meta),
            // As tar(1) of old marked folders.
            EntryType::Regular if self.raw.ends_with(b"/") => Node::dir(meta),
            EntryType::Regular | EntryType::Continuous => Node::file(meta, self.content(entry)?),
            EntryType::GNUSparse => {
                let size = entry.size();
                let copy = |out: &mut Spool| io::copy(entry, out).map(drop);
                Node::file(meta, self.spooled(size, copy)?)
            }
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default();
                if target.is_empty() || target.contains(&0) || target.len() > path::PATH_MAX {
                    return Err(self.broken("a symbolic link with an impossible target"));
                }
                Node::leaf(meta, Kind::Symlink(target.into()))
            }
            EntryType::Char => Node::leaf(meta, Kind::Char(self.device(entry)?)),
            EntryType::Block => Node::leaf(meta, Kind::Block(self.device(entry)?)),
            EntryType::Fifo => Node::leaf(meta, Kind::Fifo),
            other => {
                let kind = char::from(other.as_byte()).escape_default();
                return Err(self.broken(format!("unknown kind '{kind}'")));
            }
        })
    }

    fn content(&self, entry: &tar::Entry<'_, impl Read>) -> Result<Content, Error> {
        let (begin, len) = (entry.raw_file_position(), entry.size());
        if begin.checked_add(len).is_none_or(|end| end > self.tar.len) {
            return Err(self.broken("the layer ends in the middle of it"));
        }
        Ok(Content::Range {
            file: Arc::clone(&self.tar.file),
            offset: self.tar.offset + begin,
            len,
        })
    }

    /// A sparse file has no range of its own in the layer.
    fn spooled(
        &mut self,
        size: u64,
        fill: impl FnOnce(&mut Spool) -> io::Result<()>,
    ) -> Result<Content, Error> {
        *self.left = self.left.checked_sub(size).ok_or_else(|| {
            self.broken(format!(
                "the sparse files of the layer are larger than {MAX_SPARSE} bytes together, which \
                 is refused"
            ))
        })?;
        let mut out = Spool::new(self.spool, size).map_err(|e| self.broken(e))?;
        fill(&mut out).map_err(|e| self.broken(e))?;
        let file = out.finish().map_err(|e| self.broken(e))?;
        let len = file.metadata().map_err(|e| self.broken(e))?.len();
        Ok(Content::Range {
            file: Arc::new(file),
            offset: 0,
            len,
        })
    }

    fn device(&self, entry: &tar::Entry<'_, impl Read>) -> Result<Device, Error> {
        let number = |n: io::Result<Option<u32>>| {
            n.map_err(|e| self.broken(e))?
                .ok_or_else(|| self.broken("a device without a number"))
        };
        Ok(Device {
            major: number(entry.header().device_major())?,
            minor: number(entry.header().device_minor())?,
        })
    }
}

/// A part of a file, read by its own position.
struct Part<'a> {
    file: &'a File,
    start: u64,
    at: u64,
    len: u64,
    /// So many bytes may still be read.
    budget: Option<&'a Cell<u64>>,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.budget.is_some_and(|budget| budget.get() == 0) {
            let what = "the headers of an entry are longer than";
            let what = format!("{what} {MAX_HEADERS} bytes, which is refused");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
        }
        let left = self.len.saturating_sub(self.at);
        let want = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let n = self
            .file
            .read_at(&mut buffer[..want], self.start + self.at)?;
        self.at += n as u64;
        if let Some(budget) = self.budget {
            budget.set(budget.get().saturating_sub(n as u64));
        }
        Ok(n)
    }
}

impl Seek for Part<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}
