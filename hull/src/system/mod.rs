//! System images read back: what one holds, and what two have not in common.
//!
//! Whatever the image is, it becomes a [`Tree`]; contents stay where they are.
//! A kernel and its command line stand in it as the format `tar` has them, at
//! `boot/kernel` and `boot/cmdline`.

pub mod compare;
pub mod initrd;
pub mod sizes;

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::layer::{self, Layer};
use crate::source::{self, Finder, Source};
use crate::tree::{Content, Meta, Node, Tree};

/// An image that was read.
#[derive(Clone, Debug)]
pub struct System {
    /// What it is.
    pub form: Form,
    /// All that it holds.
    pub tree: Tree,
}

/// What an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `PREFIX-kernel`, `PREFIX-initrd.img` and `PREFIX-cmdline`, or a tar of
    /// them.
    KernelInitrd,
    /// An initrd alone.
    Initrd,
    /// A tar, compressed or not.
    Tar,
    /// An OCI image, or a folder.
    Image,
}

impl Form {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KernelInitrd => "kernel+initrd",
            Self::Initrd => "initrd",
            Self::Tar => "tar",
            Self::Image => "image",
        }
    }
}

/// What can be read, for errors.
const READABLE: &str = "what can be read is the PREFIX of a kernel+initrd, an initrd, a tar \
                        (also of tar-kernel-initrd), dir:DIR, oci:DIR[:TAG], docker-archive:FILE \
                        and the name of an image in the store";

/// Why an image cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of it is missing, or not readable.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is something that cannot be read here.
    #[error("{path}: {what} cannot be read; {READABLE}")]
    Form {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The initrd is broken or hostile.
    #[error("initrd {path}: {source}")]
    Initrd {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: initrd::Error,
    },
    /// The tar is broken or hostile.
    #[error("{0}")]
    Tar(#[source] layer::Error),
    /// It is neither a file nor an image.
    #[error("there is no file {name:?} and no \"{name}-initrd.img\"; {source}")]
    NotThere {
        /// As it was asked for.
        name: String,
        /// Why it is no image either.
        source: Box<source::Error>,
    },
    /// The image cannot be had.
    #[error(transparent)]
    Image(#[from] source::Error),
}

/// Reads the image that `name` means: a file, the prefix of several, or what
/// `finder` finds. What has to be unpacked goes into nameless files in `spool`.
///
/// # Errors
/// There is none, or it is broken, hostile, or of a form that cannot be read.
pub fn open(name: &str, finder: &Finder<'_>, spool: &Path) -> Result<System, Error> {
    let source = name.parse::<Source>();
    let is_name = !matches!(&source, Ok(source) if !matches!(source, Source::Name(_)));
    let path = Path::new(name);
    if is_name && path.is_dir() {
        let what = "a folder without dir: or oci: in front of its name";
        return Err(form(path, what));
    }
    if is_name && path.exists() {
        return of_file(path, spool);
    }
    if is_name && beside(path, "-initrd.img").exists() {
        return of_prefix(path, spool);
    }
    let found = finder.find(name).and_then(|image| image.tree(spool));
    match found {
        Ok(tree) => Ok(System {
            form: Form::Image,
            tree,
        }),
        Err(source) if is_name => Err(Error::NotThere {
            name: name.to_owned(),
            source: Box::new(source),
        }),
        Err(source) => Err(source.into()),
    }
}

fn form(path: &Path, what: &'static str) -> Error {
    Error::Form {
        path: path.to_owned(),
        what,
    }
}

fn beside(prefix: &Path, ending: &str) -> PathBuf {
    let mut path = prefix.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

fn of_prefix(prefix: &Path, spool: &Path) -> Result<System, Error> {
    let path = beside(prefix, "-initrd.img");
    let (file, len) = open_file(&path)?;
    let mut tree = of_initrd(&path, &file, 0, len, spool)?;
    for (ending, place) in [("-kernel", KERNEL), ("-cmdline", CMDLINE)] {
        let path = beside(prefix, ending);
        if path.exists() {
            let content = Content::of_file(&path).map_err(|source| Error::Read { path, source })?;
            put(&mut tree, place, content);
        }
    }
    Ok(System {
        form: Form::KernelInitrd,
        tree,
    })
}

const KERNEL: &str = "boot/kernel";
const CMDLINE: &str = "boot/cmdline";

/// Puts what stands beside an initrd into its tree. A `boot` that is a file
/// leaves no place for it, and boots nothing.
fn put(tree: &mut Tree, place: &str, content: Content) {
    let _ = tree.add(place, Node::file(Meta::root(0o644), content));
}

fn open_file(path: &Path) -> Result<(Arc<File>, u64), Error> {
    let open = || {
        let file = File::open(path)?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        Ok((Arc::new(file), meta.len()))
    };
    open().map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })
}

fn of_initrd(
    path: &Path,
    file: &Arc<File>,
    offset: u64,
    len: u64,
    spool: &Path,
) -> Result<Tree, Error> {
    initrd::read(file, offset, len, spool).map_err(|source| Error::Initrd {
        path: path.to_owned(),
        source,
    })
}

fn of_file(path: &Path, spool: &Path) -> Result<System, Error> {
    let (file, len) = open_file(path)?;
    let guess = Guess::of(&file).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    match guess {
        Guess::Initrd => Ok(System {
            form: Form::Initrd,
            tree: of_initrd(path, &file, 0, len, spool)?,
        }),
        Guess::Tar => of_tar(path, file, len, spool),
        Guess::Other(what) => Err(form(path, what)),
    }
}

fn of_tar(path: &Path, file: Arc<File>, len: u64, spool: &Path) -> Result<System, Error> {
    let tar = Layer::of_tar(path.display().to_string(), file, 0, len);
    let mut tree = Tree::new();
    tar.apply(&mut tree, spool).map_err(Error::Tar)?;
    if !is_kernel_and_initrd(&tree) {
        let form = Form::Tar;
        return Ok(System { form, tree });
    }
    let part = |name| tree.get(name).and_then(Node::as_file).cloned();
    let Some(Content::Range { file, offset, len }) = part("initrd.img") else {
        return Err(form(path, "a tar whose initrd.img is no file"));
    };
    let mut whole = of_initrd(path, &file, offset, len, spool)?;
    for (name, place) in [("kernel", KERNEL), ("cmdline", CMDLINE)] {
        if let Some(content) = part(name) {
            put(&mut whole, place, content);
        }
    }
    Ok(System {
        form: Form::KernelInitrd,
        tree: whole,
    })
}

/// Whether it is what the format `tar-kernel-initrd` makes.
fn is_kernel_and_initrd(tree: &Tree) -> bool {
    let names = tree.root.entries.keys();
    names
        .map(AsRef::as_ref)
        .eq([&b"cmdline"[..], b"initrd.img", b"kernel"])
}

/// What a file seems to be, by its first bytes.
enum Guess {
    Initrd,
    Tar,
    Other(&'static str),
}

impl Guess {
    /// As much as tells all forms from each other, in bytes.
    const SEEN: usize = 1028;

    fn of(file: &File) -> io::Result<Self> {
        let from = || Begin { file, at: 0 };
        let begin = first(from())?;
        let inner = match begin.get(..4) {
            Some([0x1f, 0x8b, ..]) => first(flate2::read::GzDecoder::new(from()))?,
            Some([0x28, 0xb5, 0x2f, 0xfd]) => first(zstd::Decoder::new(from())?)?,
            _ => return Ok(Self::of_bytes(&begin)),
        };
        Ok(match Self::of_bytes(&inner) {
            Self::Other(_) => Self::Other("a compressed file that is neither initrd nor tar"),
            known => known,
        })
    }

    fn of_bytes(begin: &[u8]) -> Self {
        let at = |offset: usize, magic: &[u8]| {
            begin
                .get(offset..)
                .is_some_and(|rest| rest.starts_with(magic))
        };
        if at(0, b"07070") || at(0, &initrd::LZ4_MAGIC) {
            Self::Initrd
        } else if at(257, b"ustar") {
            Self::Tar
        } else if at(0, b"hsqs") {
            Self::Other("a squashfs (or an ISO)")
        } else if at(1024, &[0xe2, 0xe1, 0xf5, 0xe0]) {
            Self::Other("an erofs")
        } else if at(0, b"MZ") {
            Self::Other("an EFI program")
        } else if at(510, &[0x55, 0xaa]) || at(0, b"QFI\xfb") || at(0, b"KDMV") {
            Self::Other("a disk")
        } else {
            Self::Other("a file that is neither initrd nor tar")
        }
    }
}

/// The first bytes of what is read.
fn first(from: impl Read) -> io::Result<Vec<u8>> {
    let mut begin = Vec::new();
    from.take(Guess::SEEN as u64).read_to_end(&mut begin)?;
    Ok(begin)
}

/// A file from its begin, without moving its own position.
struct Begin<'a> {
    file: &'a File,
    at: u64,
}

impl Read for Begin<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(buffer, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}
