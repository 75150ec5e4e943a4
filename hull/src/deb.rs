//! Reads Debian binary packages (`deb(5)`, format 2.x) without dpkg and
//! without unpacking them to disk.
//!
//! ```no_run
//! # fn main() -> Result<(), hull::deb::Error> {
//! let mut package = hull::deb::Package::open("busybox.deb".as_ref())?;
//! println!("{}", package.control().package);
//! for entry in package.entries()? {
//!     let mut entry = entry?;
//!     if entry.kind == hull::deb::Kind::File {
//!         let bytes = entry.contents(1 << 20)?;
//!         println!("{}: {} bytes", entry.path.display(), bytes.len());
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! A package is outside input. Everything that is held in memory has a bound,
//! paths that leave the package's root are errors, and every error names the
//! package's file.

mod ar;
mod control;

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use ar::{Member, Members};
pub use control::Control;

/// The largest `control.tar`, unpacked, in bytes.
const MAX_CONTROL_TAR: u64 = 64 << 20;
/// The largest `control` file in it, in bytes.
const MAX_CONTROL: u64 = 1 << 20;
/// The largest `data.tar`, unpacked, in bytes. It is streamed: the bound is on
/// time, not on memory.
const MAX_DATA_TAR: u64 = 16 << 30;
/// The longest path or link target, in bytes (`PATH_MAX` of Linux).
const MAX_PATH: u64 = 4096;
/// What an xz decoder may take, in KiB: `xz -9` needs 65 MiB.
const MAX_XZ_KIB: u32 = 128 << 10;
/// What a zstd decoder may take, as the logarithm of its window in bytes.
const MAX_ZSTD_WINDOW_LOG: u32 = 27;

/// Why a package could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be opened or read, or its compression is broken.
    #[error("{path}: reading {what}: {source}", path = path.display())]
    Read {
        /// The package's file.
        path: PathBuf,
        /// The part of it.
        what: String,
        /// What went wrong.
        source: io::Error,
    },
    /// The file is not a Debian package of format 2.
    #[error("{path}: not a Debian package: {reason}", path = path.display())]
    NotDeb {
        /// The package's file.
        path: PathBuf,
        /// What is missing or wrong.
        reason: String,
    },
    /// The `control` file is not what it should be.
    #[error("{path}: control: {reason}", path = path.display())]
    Control {
        /// The package's file.
        path: PathBuf,
        /// What is missing or wrong, with the line.
        reason: String,
    },
    /// An entry of `data.tar` is not acceptable.
    #[error("{path}: entry `{entry}`: {reason}", path = path.display())]
    Entry {
        /// The package's file.
        path: PathBuf,
        /// The entry's path in the package.
        entry: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// An open package: its control file read, its data not yet.
pub struct Package {
    path: PathBuf,
    control: Control,
    data: tar::Archive<Stream>,
}

/// Decompressed bytes.
type Stream = Box<dyn Read + Send>;

impl fmt::Debug for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Package")
            .field("path", &self.path)
            .field("control", &self.control)
            .finish_non_exhaustive()
    }
}

impl Package {
    /// Opens the package at `path` and reads its control file.
    ///
    /// # Errors
    /// The file cannot be read, is not a Debian package, or its control file
    /// is not valid.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            what: "the file".to_owned(),
            source,
        })?;
        Self::from_reader(path, file)
    }

    /// Like [`Package::open`], from an open file; `path` is for messages.
    ///
    /// # Errors
    /// As [`Package::open`].
    pub fn from_reader<R>(path: &Path, mut file: R) -> Result<Self, Error>
    where
        R: Read + Seek + Send + 'static,
    {
        let members = Members::find(path, &mut file)?;
        let control = read_control(path, &mut file, &members.control)?;
        let data = members.data;
        let read_error = |source| Error::Read {
            path: path.to_owned(),
            what: data.name.clone(),
            source,
        };
        file.seek(SeekFrom::Start(data.start)).map_err(read_error)?;
        let stream = decompress(file.take(data.size), data.compression).map_err(read_error)?;
        Ok(Self {
            path: path.to_owned(),
            control,
            data: tar::Archive::new(Box::new(Bounded::new(stream, MAX_DATA_TAR))),
        })
    }

    /// The control file.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The entries of `data.tar`, in its order; each must be read before the
    /// next one is asked for. The package's own root folder is left out.
    ///
    /// # Errors
    /// The entries have been asked for before.
    pub fn entries(&mut self) -> Result<Entries<'_>, Error> {
        let inner = self.data.entries().map_err(|source| Error::Read {
            path: self.path.clone(),
            what: "data.tar".to_owned(),
            source,
        })?;
        // Raw: the `tar` crate would read a long name of any length into
        // memory, and dpkg's tar has GNU's long names only.
        Ok(Entries {
            package: &self.path,
            inner: inner.raw(true),
            failed: false,
        })
    }
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file; its contents are read from the entry.
    File,
    /// A folder.
    Dir,
    /// A symbolic link with its target, as written.
    Symlink(PathBuf),
    /// Another name of the file at this path of the package.
    HardLink(PathBuf),
    /// A character device: major and minor number.
    CharDevice(u32, u32),
    /// A block device: major and minor number.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
}

/// One entry of `data.tar`. It is also the reader of its contents.
pub struct Entry<'a> {
    /// Relative to the root, without `.` and `..`; never empty.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky (`0o7777`).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last change, in seconds since the Unix epoch.
    pub mtime: u64,
    /// Length of the contents in bytes; 0 if not a file.
    pub size: u64,
    package: &'a Path,
    inner: tar::Entry<'a, Stream>,
}

impl Entry<'_> {
    /// Reads the contents whole.
    ///
    /// # Errors
    /// They are longer than `max` bytes, cut short, or cannot be read.
    pub fn contents(&mut self, max: u64) -> Result<Vec<u8>, Error> {
        if self.size > max {
            return Err(Error::Entry {
                path: self.package.to_owned(),
                entry: self.path.display().to_string(),
                reason: format!("{} bytes, at most {max} are accepted", self.size),
            });
        }
        // Grown as it comes: a short file can claim any size in its header.
        let mut bytes = Vec::new();
        let read = self.inner.read_to_end(&mut bytes);
        let whole = read.and_then(|n| match n as u64 == self.size {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        });
        whole.map_err(|source| Error::Read {
            path: self.package.to_owned(),
            what: self.path.display().to_string(),
            source,
        })?;
        bytes.shrink_to_fit();
        Ok(bytes)
    }
}

impl Read for Entry<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buf)
    }
}

/// Iterator over the entries of a package: [`Package::entries`].
pub struct Entries<'a> {
    package: &'a Path,
    inner: tar::Entries<'a, Stream>,
    failed: bool,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.read_next().transpose();
        self.failed = matches!(next, Some(Err(_)));
        next
    }
}

impl<'a> Entries<'a> {
    /// The next entry that is not part of another one's name.
    fn read_next(&mut self) -> Result<Option<Entry<'a>>, Error> {
        let mut long = LongNames::default();
        loop {
            let Some(mut inner) = self.next_raw()? else {
                return match long.is_empty() {
                    true => Ok(None),
                    false => Err(self.broken("@LongLink", "names no entry")),
                };
            };
            match inner.header().entry_type() {
                tar::EntryType::GNULongName => long.path = Some(self.long_name(&mut inner)?),
                tar::EntryType::GNULongLink => long.link = Some(self.long_name(&mut inner)?),
                _ => match self.entry(inner, std::mem::take(&mut long))? {
                    Some(entry) => return Ok(Some(entry)),
                    None => continue,
                },
            }
        }
    }

    fn next_raw(&mut self) -> Result<Option<tar::Entry<'a, Stream>>, Error> {
        self.inner.next().transpose().map_err(|source| Error::Read {
            path: self.package.to_owned(),
            what: "data.tar".to_owned(),
            source,
        })
    }

    /// The contents of a GNU long name entry, without the closing NUL.
    fn long_name(&self, inner: &mut tar::Entry<'a, Stream>) -> Result<Vec<u8>, Error> {
        let mut name = Vec::new();
        let read = inner.take(MAX_PATH + 1).read_to_end(&mut name);
        read.map_err(|source| Error::Read {
            path: self.package.to_owned(),
            what: "data.tar".to_owned(),
            source,
        })?;
        if name.len() as u64 > MAX_PATH {
            return Err(self.broken("@LongLink", "the name is longer than 4096 bytes"));
        }
        let end = name
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(name.len());
        name.truncate(end);
        Ok(name)
    }

    /// The typed entry; none if it is the package's root.
    fn entry(
        &self,
        inner: tar::Entry<'a, Stream>,
        long: LongNames,
    ) -> Result<Option<Entry<'a>>, Error> {
        let header = inner.header();
        let name = long
            .path
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let shown = String::from_utf8_lossy(&name).into_owned();
        let path = relative(&name).map_err(|reason| self.broken(&shown, reason))?;
        let number = |source: io::Error| self.broken(&shown, &source.to_string());

        let link = || {
            let short = header.link_name_bytes().map(std::borrow::Cow::into_owned);
            let link = long.link.clone().or(short).unwrap_or_default();
            match link.is_empty() || link.contains(&0) {
                true => Err(self.broken(&shown, "a link without a valid target")),
                false => Ok(link),
            }
        };
        let device = || -> io::Result<(u32, u32)> {
            let numbers = (header.device_major()?, header.device_minor()?);
            Ok((numbers.0.unwrap_or(0), numbers.1.unwrap_or(0)))
        };
        let kind = match header.entry_type() {
            tar::EntryType::Regular | tar::EntryType::Continuous => Kind::File,
            tar::EntryType::Directory => Kind::Dir,
            tar::EntryType::Symlink => Kind::Symlink(OsStr::from_bytes(&link()?).into()),
            tar::EntryType::Link => {
                let target = relative(&link()?).map_err(|reason| self.broken(&shown, reason))?;
                Kind::HardLink(target)
            }
            tar::EntryType::Char => device()
                .map(|(a, b)| Kind::CharDevice(a, b))
                .map_err(number)?,
            tar::EntryType::Block => device()
                .map(|(a, b)| Kind::BlockDevice(a, b))
                .map_err(number)?,
            tar::EntryType::Fifo => Kind::Fifo,
            other => {
                let reason = format!(
                    "type {:?} is not one that dpkg knows",
                    other.as_byte() as char
                );
                return Err(self.broken(&shown, &reason));
            }
        };
        if path.as_os_str().is_empty() {
            return match kind {
                Kind::Dir => Ok(None),
                _ => Err(self.broken(&shown, "the root is not a folder")),
            };
        }
        let id = |id: u64| u32::try_from(id).map_err(|_| self.broken(&shown, "an id over 32 bits"));
        Ok(Some(Entry {
            mode: header.mode().map_err(number)? & 0o7777,
            uid: id(header.uid().map_err(number)?)?,
            gid: id(header.gid().map_err(number)?)?,
            mtime: header.mtime().map_err(number)?,
            size: if kind == Kind::File { inner.size() } else { 0 },
            path,
            kind,
            package: self.package,
            inner,
        }))
    }

    fn broken(&self, entry: &str, reason: &str) -> Error {
        Error::Entry {
            path: self.package.to_owned(),
            entry: entry.to_owned(),
            reason: reason.to_owned(),
        }
    }
}

/// GNU's long names: entries that come before the one that they name.
#[derive(Default)]
struct LongNames {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl LongNames {
    fn is_empty(&self) -> bool {
        self.path.is_none() && self.link.is_none()
    }
}

/// A path of the package as a relative one without `.`; empty for the root.
fn relative(name: &[u8]) -> Result<PathBuf, &'static str> {
    if name.contains(&0) {
        return Err("a NUL in the path");
    }
    let mut path = PathBuf::new();
    for part in Path::new(OsStr::from_bytes(name)).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return Err("an absolute path"),
            Component::ParentDir => return Err("a path with `..`"),
        }
    }
    Ok(path)
}

/// How a member is compressed, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    None,
    Gzip,
    Xz,
    Zstd,
}

impl Compression {
    /// From what follows `control.tar` or `data.tar`.
    fn from_suffix(suffix: &str) -> Option<Self> {
        match suffix {
            "" => Some(Self::None),
            ".gz" => Some(Self::Gzip),
            ".xz" => Some(Self::Xz),
            ".zst" => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// The reader of what `file` holds compressed.
fn decompress(file: impl Read + Send + 'static, compression: Compression) -> io::Result<Stream> {
    let file = BufReader::with_capacity(1 << 16, file);
    Ok(match compression {
        Compression::None => Box::new(file),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
        Compression::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(file, true, MAX_XZ_KIB)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(file)?;
            decoder.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}

/// A reader that fails after so many bytes, unlike [`Read::take`], which would
/// make a cut look like an end.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R> Bounded<R> {
    fn new(inner: R, max: u64) -> Self {
        Self { inner, left: max }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.left = self.left.checked_sub(n as u64).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::FileTooLarge,
                "unpacks to more than is accepted",
            )
        })?;
        Ok(n)
    }
}

/// Reads the file `control` of the member `control.tar`.
fn read_control(
    path: &Path,
    file: &mut (impl Read + Seek),
    member: &Member,
) -> Result<Control, Error> {
    let read_error = |source| Error::Read {
        path: path.to_owned(),
        what: member.name.clone(),
        source,
    };
    let control_error = |reason| Error::Control {
        path: path.to_owned(),
        reason,
    };

    // The member is read whole, so that the decoder need not borrow the file.
    file.seek(SeekFrom::Start(member.start))
        .map_err(read_error)?;
    let mut packed = Vec::new();
    file.take(member.size.min(MAX_CONTROL_TAR))
        .read_to_end(&mut packed)
        .map_err(read_error)?;
    let stream = decompress(io::Cursor::new(packed), member.compression).map_err(read_error)?;
    let mut archive = tar::Archive::new(Bounded::new(stream, MAX_CONTROL_TAR));
    for entry in archive.entries().map_err(read_error)?.raw(true) {
        let mut entry = entry.map_err(read_error)?;
        if !matches!(entry.path_bytes().as_ref(), b"./control" | b"control") {
            continue;
        }
        if entry.size() > MAX_CONTROL {
            return Err(control_error(format!("longer than {MAX_CONTROL} bytes")));
        }
        let mut text = Vec::new();
        entry.read_to_end(&mut text).map_err(read_error)?;
        let text = String::from_utf8(text).map_err(|_| control_error("not UTF-8".to_owned()))?;
        return Control::parse(&text).map_err(control_error);
    }
    Err(control_error(format!("no such file in {}", member.name)))
}

#[cfg(test)]
mod tests;
