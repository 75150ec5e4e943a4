//! A tree as an initrd: archives one behind another, each compressed by
//! itself, which the kernel unpacks in their order.
//!
//! So they are compressed by all processors, and what did not change since
//! the last build is taken from the cache. What is compressed with what is a
//! question of size: programs have much in common, and so have modules. All
//! names of a file are in one archive, because a hard link cannot lead into
//! another.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::Path;
use std::sync::Arc;

use hullkit_bundle::layout;

use super::compress::{self, Compression, Effort};
use super::cpio::{self, Entry, Item};
use crate::atomic::NewFile;
use crate::cache::{self, Cache};
use crate::digest::{Digest, Hashing};
use crate::parallel;
use crate::tree::path::components;
use crate::tree::{Content, Dir, Leaf, Meta, Node, Tree};

/// A file of at least this size, in bytes, is most likely a program.
const PROGRAM: u64 = 64 << 10;
/// An archive ends after this many bytes, where a name says so.
const USUAL: u64 = 8 << 20;
/// It is not larger than this, unless it is one file.
const LARGEST: u64 = 16 << 20;
/// Modules are compressed hardest: by several threads, in smaller parts, and
/// only if all of them are not more than this. They change with the kernel.
const MODULES: u64 = 32 << 20;
/// What is smaller than this, in bytes, is compressed sooner than found.
const WORTH_KEEPING: usize = 64 << 10;
/// So many archives are compressed before they are written.
const AHEAD: usize = 64;
/// Part of what an archive is kept by: to be raised when the same input gives
/// other bytes.
const RECIPE: u32 = 1;

/// How an initrd is made.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// How it is compressed. Without compression it is a single archive.
    pub compression: Compression,
    /// The memory that it needs, in MiB, which stands in its first file.
    pub mebibytes: u64,
    /// What was compressed before.
    pub cache: Option<&'a Cache>,
    /// A folder for files without names.
    pub spool: &'a Path,
}

/// Writes `tree` as an initrd: between two files that tell `/init` whether all
/// of it fitted into memory; `/init` is the first of the rest, to be there to
/// say so.
///
/// # Errors
/// A file is too large for the format or cannot be read (the error names it),
/// or `out` fails.
pub fn write(tree: &Tree, options: &Options<'_>, out: &mut dyn Write) -> io::Result<()> {
    let text = format!("{}\n", options.mebibytes);
    let frame = Frame {
        begin: Node::file(Meta::root(0o400), text.as_str()),
        end: Node::file(Meta::root(0o400), ""),
    };
    if options.compression == Compression::None {
        return cpio::write(&frame.whole(tree), out);
    }
    let segments = frame.segments(tree);
    for some in segments.chunks(AHEAD) {
        for packed in parallel::map(some, |segment| segment.pack(options)) {
            packed?.copy_to(out)?;
        }
    }
    // Too much in the cache is not worth an error.
    let _ = options.cache.map(|cache| cache.trim(cache::Kind::Segment));
    Ok(())
}

/// The first file and the last.
struct Frame {
    begin: Node,
    end: Node,
}

/// What is compressed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Programs,
    Modules,
    Rest,
}

/// A leaf or a folder, with all of its names.
struct Unit<'a> {
    paths: Vec<Vec<u8>>,
    item: Item<'a>,
    class: Class,
}

impl Frame {
    fn begin<'a>(&'a self, tree: &'a Tree) -> Vec<Entry<'a>> {
        vec![
            (b".".to_vec(), Item::Dir(&tree.root.meta)),
            (inside(layout::INITRD_BEGIN), Item::from(&self.begin)),
        ]
    }

    fn end(&self) -> Entry<'_> {
        (inside(layout::INITRD_END), Item::from(&self.end))
    }

    /// All of it in one archive, in the tree's order.
    fn whole<'a>(&'a self, tree: &'a Tree) -> Vec<Entry<'a>> {
        let mut entries = self.begin(tree);
        let all = || tree.walk().map(|(path, node)| (path, Item::from(node)));
        entries.extend(all().filter(is_init));
        entries.extend(all().filter(|entry| !is_init(entry)));
        entries.push(self.end());
        entries
    }

    /// All of it in parts.
    fn segments<'a>(&'a self, tree: &'a Tree) -> Vec<Segment<'a>> {
        let mut units = units(tree);
        let modules = units.iter().filter(|unit| unit.class == Class::Modules);
        let hardest = modules.map(Unit::size).sum::<u64>() <= MODULES;
        // The order within a class stays.
        units.sort_by_key(|unit| (!unit.is_init(), unit.class as u8));
        let mut cutter = Cutter {
            tree,
            folders: HashSet::new(),
            hardest,
            done: vec![Segment {
                full: true,
                ..Segment::new(Class::Rest, false, self.begin(tree))
            }],
        };
        for unit in units {
            cutter.add(unit);
        }
        let mut segments = cutter.done;
        match segments.last_mut() {
            Some(last) if last.class == Class::Rest && !last.full => {
                last.entries.push(self.end());
            }
            _ => segments.push(Segment::new(Class::Rest, false, vec![self.end()])),
        }
        segments
    }
}

/// An absolute path as the archive has it.
fn inside(path: &str) -> Vec<u8> {
    path.trim_start_matches('/').as_bytes().to_vec()
}

fn is_init((path, item): &Entry<'_>) -> bool {
    *path == inside(layout::INIT) && matches!(item, Item::Leaf(_))
}

/// All that is in `tree`, in its order.
fn units(tree: &Tree) -> Vec<Unit<'_>> {
    let mut units: Vec<Unit<'_>> = Vec::new();
    let mut several: HashMap<*const Leaf, usize> = HashMap::new();
    for (path, node) in tree.walk() {
        if let Node::Leaf(leaf) = node
            && leaf.as_file().is_some()
            && Arc::strong_count(leaf) > 1
        {
            let unit = *several.entry(Arc::as_ptr(leaf)).or_insert(units.len());
            if let Some(unit) = units.get_mut(unit) {
                unit.paths.push(path);
                continue;
            }
        }
        units.push(Unit {
            class: class(&path, node),
            paths: vec![path],
            item: Item::from(node),
        });
    }
    units
}

fn class(path: &[u8], node: &Node) -> Class {
    let modules = inside(layout::MODULES);
    let below = |folder: &[u8]| {
        path.strip_prefix(folder)
            .is_some_and(|p| p.starts_with(b"/"))
    };
    match node.as_file() {
        None => Class::Rest,
        Some(_) if below(&modules) || below(&[b"usr/", &modules[..]].concat()) => Class::Modules,
        Some(content) if content.len() >= PROGRAM => Class::Programs,
        Some(_) => Class::Rest,
    }
}

impl Unit<'_> {
    /// About what it takes in an archive, in bytes.
    fn size(&self) -> u64 {
        let names: usize = self.paths.iter().map(|path| 112 + path.len()).sum();
        let content = match self.item {
            Item::Leaf(leaf) => leaf.as_file().map_or(0, Content::len),
            Item::Dir(_) => 0,
        };
        names as u64 + content
    }

    fn is_init(&self) -> bool {
        let mut paths = self.paths.iter();
        paths.any(|path| is_init(&(path.clone(), self.item)))
    }

    /// Whether an archive may end behind it. That names decide makes that
    /// a file which grew shifts the ends of few archives, and not of all.
    fn may_be_last(&self) -> bool {
        let first = self.paths.first().map_or(&b""[..], Vec::as_slice);
        Digest::of(first).bytes()[0].is_multiple_of(8)
    }
}

/// Cuts a row of units into archives.
struct Cutter<'a> {
    tree: &'a Tree,
    /// Those that are in an archive already.
    folders: HashSet<Vec<u8>>,
    hardest: bool,
    done: Vec<Segment<'a>>,
}

impl<'a> Cutter<'a> {
    fn add(&mut self, unit: Unit<'a>) {
        let (class, size) = (unit.class, unit.size());
        let small = if class == Class::Modules { 2 } else { 1 };
        let fits = |last: &&mut Segment<'_>| {
            last.class == class && !last.full && last.size + size <= LARGEST / small
        };
        let may_be_last = unit.may_be_last();
        let mut entries = Vec::new();
        self.entries(unit, &mut entries);
        if entries.is_empty() {
            return;
        }
        match self.done.last_mut().filter(fits) {
            Some(last) => last.entries.append(&mut entries),
            None => self.done.push(Segment::new(class, self.hardest, entries)),
        }
        if let Some(last) = self.done.last_mut() {
            last.size += size;
            last.full = last.size >= USUAL / small && may_be_last;
        }
    }

    /// The unit's names, and the folders that they lie in, where these are in
    /// no archive yet.
    fn entries(&mut self, unit: Unit<'a>, entries: &mut Vec<Entry<'a>>) {
        for path in unit.paths {
            let mut dir: &Dir = &self.tree.root;
            let mut at = Vec::new();
            for part in components(&path) {
                let Some(Node::Dir(next)) = dir.entries.get(part) else {
                    break;
                };
                if !at.is_empty() {
                    at.push(b'/');
                }
                at.extend_from_slice(part);
                if self.folders.insert(at.clone()) {
                    entries.push((at.clone(), Item::Dir(&next.meta)));
                }
                dir = next;
            }
            if let Item::Leaf(_) = unit.item {
                entries.push((path, unit.item));
            }
        }
    }
}

/// What becomes one archive.
struct Segment<'a> {
    entries: Vec<Entry<'a>>,
    /// About, in bytes.
    size: u64,
    class: Class,
    effort: Effort,
    /// Nothing more is to be added.
    full: bool,
}

impl<'a> Segment<'a> {
    fn new(class: Class, hardest: bool, entries: Vec<Entry<'a>>) -> Self {
        let effort = match class {
            Class::Modules if hardest => Effort::Most,
            _ => Effort::Usual,
        };
        Self {
            entries,
            size: 0,
            class,
            effort,
            full: false,
        }
    }

    /// The archive, compressed: from the cache if it is there.
    fn pack(&self, options: &Options<'_>) -> io::Result<Content> {
        if self.size > LARGEST {
            // One large file, which is read twice in place of being kept in
            // memory.
            let mut hash = self.hash(options)?;
            let recipe = hash.len();
            cpio::write(&self.entries, &mut hash)?;
            let (key, len, _) = hash.finish();
            let write = |out: &mut dyn Write| cpio::write(&self.entries, out);
            return self.kept(key, len - recipe, options, &write);
        }
        let mut archive = Vec::new();
        cpio::write(&self.entries, &mut archive)?;
        let write = |out: &mut dyn Write| out.write_all(&archive);
        let len = archive.len() as u64;
        if archive.len() < WORTH_KEEPING {
            let mut packed = Vec::new();
            compress::compressed(options.compression, self.effort, len, &mut packed, write)?;
            return Ok(packed.into());
        }
        let mut hash = self.hash(options)?;
        hash.write_all(&archive)?;
        self.kept(hash.finish().0, len, options, &write)
    }

    /// All that its compressed form depends on, but for its bytes.
    fn hash(&self, options: &Options<'_>) -> io::Result<Hashing<io::Sink>> {
        let mut hash = Hashing::new(io::sink());
        let Options { compression, .. } = options;
        let versions = compress::versions();
        let recipe = format!("{RECIPE} {compression} {:?} {versions}\n", self.effort);
        hash.write_all(recipe.as_bytes())?;
        Ok(hash)
    }

    /// What `write` writes, compressed: kept from before, or now.
    fn kept(
        &self,
        key: Digest,
        len: u64,
        options: &Options<'_>,
        write: &Writer<'_>,
    ) -> io::Result<Content> {
        let found = options.cache.and_then(|c| c.get(cache::Kind::Segment, key));
        if let Some(found) = found {
            return Ok(found);
        }
        let pack = |file: &File| -> io::Result<u64> {
            let mut out = BufWriter::with_capacity(128 * 1024, file);
            compress::compressed(options.compression, self.effort, len, &mut out, write)?;
            out.flush()?;
            drop(out);
            let mut file = file;
            file.stream_position()
        };
        let keep = |cache: &Cache| {
            let entry = cache.begin(cache::Kind::Segment, key)?;
            let len = pack(entry.file())?;
            entry.finish(len)
        };
        if let Some(Ok(kept)) = options.cache.map(keep) {
            return Ok(kept);
        }
        // Where the store takes nothing more, it is for this time alone.
        let file = NewFile::create(options.spool)?.file().try_clone()?;
        let len = pack(&file)?;
        Ok(Content::Range {
            file: Arc::new(file),
            offset: 0,
            len,
        })
    }
}

/// What writes an archive.
type Writer<'a> = dyn Fn(&mut dyn Write) -> io::Result<()> + 'a;

#[cfg(test)]
mod tests;
