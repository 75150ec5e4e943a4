//! What can be made again, kept because making it takes time: unpacked layers
//! and compressed parts of initrds.
//!
//! An entry is named for what it is made of, written without a name, and
//! given its name when it is whole. It is hashed whenever it is looked up: one
//! that is not what it was is removed, and as good as none. So programs may use
//! a cache at once, without locks, and nothing in it has to be synced.

use std::fs::{File, FileTimes};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::atomic::NewFile;
use crate::digest::{Digest, Hashing};
use crate::tree::Content;

/// The cache is kept below this many bytes for each kind of entry.
const MOST: [(Kind, u64); 2] = [(Kind::Layer, 16 << 30), (Kind::Segment, 4 << 30)];
/// What stands behind a segment.
type Seal = [u8; 32];

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A layer's tar, named for its digest.
    Layer,
    /// Anything that was made of something else, named for what it was made
    /// of; its own digest stands behind it.
    Segment,
}

/// The cache of a store.
#[derive(Clone, Debug)]
pub struct Cache {
    dir: PathBuf,
}

/// An entry that is being written.
#[derive(Debug)]
pub struct Entry<'a> {
    cache: &'a Cache,
    kind: Kind,
    key: Digest,
    file: NewFile,
}

impl Kind {
    const fn folder(self) -> &'static str {
        match self {
            Self::Layer => "layers",
            Self::Segment => "segments",
        }
    }
}

impl Cache {
    /// The cache of the store in `dir`.
    #[must_use]
    pub fn below(dir: &Path) -> Self {
        Self {
            dir: dir.join("cache"),
        }
    }

    fn folder(&self, kind: Kind) -> PathBuf {
        self.dir.join(kind.folder())
    }

    /// The entry, if it is there and is what it should be.
    #[must_use]
    pub fn get(&self, kind: Kind, key: Digest) -> Option<Content> {
        let path = self.folder(kind).join(key.hex());
        let file = File::open(&path).ok()?;
        let Some(len) = checked(kind, key, &file) else {
            // Somebody else may have done so, and have put a good one there;
            // then that is made again, too.
            let _ = std::fs::remove_file(&path);
            return None;
        };
        // For `trim`; who may not say so does not own the store.
        let _ = file.set_times(FileTimes::new().set_modified(SystemTime::now()));
        Some(Content::Range {
            file: Arc::new(file),
            offset: 0,
            len,
        })
    }

    /// Begins an entry.
    ///
    /// # Errors
    /// The store cannot be written: there is no caching then.
    pub fn begin(&self, kind: Kind, key: Digest) -> io::Result<Entry<'_>> {
        let dir = self.folder(kind);
        std::fs::create_dir_all(&dir)?;
        Ok(Entry {
            cache: self,
            kind,
            key,
            file: NewFile::create(&dir)?,
        })
    }

    /// Removes what was not used for longest, where there is too much.
    ///
    /// # Errors
    /// The cache cannot be read.
    pub fn trim(&self, kind: Kind) -> io::Result<()> {
        let most = MOST.iter().find(|(of, _)| *of == kind).map_or(0, |m| m.1);
        let mut entries = Vec::new();
        for entry in self.folder(kind).read_dir()? {
            let entry = entry?;
            // Gone, since it was listed.
            let Ok(meta) = entry.metadata() else { continue };
            entries.push((meta.modified()?, size(&meta), entry.path()));
        }
        let mut all: u64 = entries.iter().map(|(_, size, _)| size).sum();
        entries.sort();
        for (_, size, path) in entries {
            if all <= most {
                break;
            }
            // Somebody else may have done so.
            let _ = std::fs::remove_file(path);
            all -= size;
        }
        Ok(())
    }

    /// The folders of the entries.
    pub(crate) fn folders(&self) -> impl Iterator<Item = PathBuf> {
        MOST.iter().map(|(kind, _)| self.folder(*kind))
    }

    /// What is there and broken; it would not be used.
    pub(crate) fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for (kind, _) in MOST {
            for entry in self.folder(kind).read_dir().into_iter().flatten().flatten() {
                let key = format!("sha256:{}", entry.file_name().display()).parse();
                let good = key.is_ok_and(|key| {
                    File::open(entry.path()).is_ok_and(|file| checked(kind, key, &file).is_some())
                });
                if !good {
                    broken.push(format!(
                        "cache entry {}: broken, and not used; `hull image gc` removes it",
                        entry.path().display()
                    ));
                }
            }
        }
        broken.sort();
        broken
    }
}

impl Entry<'_> {
    /// It is whole: gives it its name. It can be read even where that fails.
    ///
    /// # Errors
    /// It cannot be sealed: the disk is full.
    pub fn finish(mut self, len: u64) -> io::Result<Content> {
        let file = self.file.file().try_clone()?;
        if self.kind == Kind::Segment {
            let seal = seal(self.key, &file, len)?;
            self.file.file().write_all_at(&seal, len)?;
        }
        self.file.flush()?;
        let path = self.cache.folder(self.kind).join(self.key.hex());
        // What cannot be kept is made again.
        let _ = self.file.persist(&path);
        Ok(Content::Range {
            file: Arc::new(file),
            offset: 0,
            len,
        })
    }

    /// The file, to be written from its begin.
    #[must_use]
    pub fn file(&self) -> &File {
        self.file.file()
    }
}

/// How long what is in an entry is; `None` where it is broken.
fn checked(kind: Kind, key: Digest, file: &File) -> Option<u64> {
    let whole = file.metadata().ok()?.len();
    match kind {
        Kind::Layer => {
            (hashed(Hashing::new(io::sink()), file, whole).ok()? == key).then_some(whole)
        }
        Kind::Segment => {
            let mut found = Seal::default();
            let len = whole.checked_sub(found.len() as u64)?;
            file.read_exact_at(&mut found, len).ok()?;
            (seal(key, file, len).ok()? == found).then_some(len)
        }
    }
}

/// What tells that an entry is whole, and what it should be.
fn seal(key: Digest, file: &File, len: u64) -> io::Result<Seal> {
    let mut hash = Hashing::new(io::sink());
    hash.write_all(key.to_string().as_bytes())?;
    Ok(hashed(hash, file, len)?.bytes())
}

fn hashed(mut hash: Hashing<io::Sink>, file: &File, len: u64) -> io::Result<Digest> {
    let content = Content::Range {
        file: Arc::new(file.try_clone()?),
        offset: 0,
        len,
    };
    content.copy_to(&mut hash)?;
    Ok(hash.finish().0)
}

/// What a file takes of the disk, holes not counted.
fn size(meta: &std::fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    meta.blocks() * 512
}
