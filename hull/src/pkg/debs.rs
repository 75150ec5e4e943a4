//! Debian packages, unpacked into a tree. Their scripts are not run: what
//! they would do is for the recipe's `files` and `links` to say.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Error, Origin, placing};
use crate::deb::{self, Entry, Package};
use crate::spec::Located;
use crate::spec::recipe::Recipe;
use crate::tree::{Content, Device, Kind, Meta, Node, Tree};

/// What no container needs, and is left out unasked.
const NEVER: [&str; 8] = [
    "usr/share/bash-completion",
    "usr/share/bug",
    "usr/share/doc",
    "usr/share/doc-base",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
];

/// Unpacks what `debs` names, in its order.
pub(super) fn unpack(tree: &mut Tree, recipe: &Recipe, origin: &Origin<'_>) -> Result<(), Error> {
    let Some(first) = recipe.debs.first() else {
        return Ok(());
    };
    let dir = origin.debs.ok_or_else(|| Error::NoDebs {
        place: first.place.clone(),
    })?;
    let mut spool = Spool::new()?;
    for name in &recipe.debs {
        let path = find(dir, name, origin)?;
        let mut package = Package::open(&path)?;
        check(&path, &package, name, origin)?;
        let what = path.display().to_string();
        for entry in package.entries()? {
            let entry = entry?;
            if !excluded(&recipe.exclude, &entry.path) {
                add(tree, entry, &mut spool, &what)?;
            }
        }
    }
    spool.finish()
}

/// The one file of `dir` that holds the package `name`: `NAME_VERSION_ARCH.deb`.
fn find(dir: &Path, name: &Located<String>, origin: &Origin<'_>) -> Result<PathBuf, Error> {
    let arch = origin.arch.oci();
    let reading = |source| Error::Io {
        doing: "reading",
        path: dir.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(reading)? {
        let entry = entry.map_err(reading)?;
        let file = entry.file_name();
        let mut parts = file
            .to_str()
            .and_then(|file| file.strip_suffix(".deb"))
            .into_iter()
            .flat_map(|stem| stem.split('_'));
        let named = parts.next() == Some(&name.value);
        if named
            && parts
                .next_back()
                .is_some_and(|of| of == arch || of == "all")
        {
            found.push(entry.path());
        }
    }
    match (found.pop(), found.len()) {
        (Some(only), 0) => Ok(only),
        (last, others) => Err(Error::DebFile {
            place: name.place.clone(),
            name: name.value.clone(),
            arch,
            found: last.map_or_else(|| "none is".to_owned(), |_| format!("{} are", others + 1)),
            dir: dir.to_owned(),
        }),
    }
}

/// That the package is what its file's name says.
fn check(
    path: &Path,
    package: &Package,
    name: &Located<String>,
    origin: &Origin<'_>,
) -> Result<(), Error> {
    let control = package.control();
    let reason = if control.package != name.value {
        format!("it is the package {}", control.package)
    } else if ![origin.arch.oci(), "all"].contains(&control.architecture.as_str()) {
        format!("it is for {}", control.architecture)
    } else {
        return Ok(());
    };
    Err(Error::Deb(deb::Error::Control {
        path: path.to_owned(),
        reason,
    }))
}

/// Whether `path` is one of `excludes` or [`NEVER`], or lies below one.
fn excluded(excludes: &[String], path: &Path) -> bool {
    NEVER
        .into_iter()
        .chain(excludes.iter().map(String::as_str))
        .any(|exclude| path.starts_with(exclude.trim_matches('/')))
}

fn add(tree: &mut Tree, mut entry: Entry<'_>, spool: &mut Spool, what: &str) -> Result<(), Error> {
    let path = entry.path.as_os_str().as_bytes().to_vec();
    let meta = Meta {
        uid: entry.uid,
        gid: entry.gid,
        ..Meta::root(entry.mode)
    };
    let node = match &entry.kind {
        deb::Kind::HardLink(target) => {
            return tree
                .link(path, target.as_os_str().as_bytes())
                .map_err(placing(what));
        }
        deb::Kind::Dir => Node::dir(meta),
        deb::Kind::Symlink(target) => Node::symlink(target.as_os_str().as_bytes()),
        deb::Kind::CharDevice(major, minor) => Node::leaf(meta, Kind::Char(device(*major, *minor))),
        deb::Kind::BlockDevice(major, minor) => {
            Node::leaf(meta, Kind::Block(device(*major, *minor)))
        }
        deb::Kind::Fifo => Node::leaf(meta, Kind::Fifo),
        deb::Kind::File => Node::file(meta, spool.take(&mut entry, what)?),
    };
    tree.add(path, node).map_err(placing(what))
}

fn device(major: u32, minor: u32) -> Device {
    Device { major, minor }
}

/// The files of the packages, one behind the other in a file without a name,
/// so that they need no memory until the layer is written.
struct Spool {
    file: Arc<File>,
    out: BufWriter<Arc<File>>,
    len: u64,
}

impl Spool {
    fn new() -> Result<Self, Error> {
        let file = Arc::new(tempfile::tempfile().map_err(spooling)?);
        Ok(Self {
            out: BufWriter::with_capacity(1 << 18, Arc::clone(&file)),
            file,
            len: 0,
        })
    }

    fn take(&mut self, entry: &mut Entry<'_>, what: &str) -> Result<Content, Error> {
        let expected = entry.size;
        let len = io::copy(entry, &mut self.out).map_err(|source| Error::Io {
            doing: "unpacking",
            path: what.into(),
            source,
        })?;
        if len != expected {
            return Err(Error::Io {
                doing: "unpacking",
                path: what.into(),
                source: io::ErrorKind::UnexpectedEof.into(),
            });
        }
        let offset = self.len;
        self.len += len;
        Ok(Content::Range {
            file: Arc::clone(&self.file),
            offset,
            len,
        })
    }

    fn finish(mut self) -> Result<(), Error> {
        self.out.flush().map_err(spooling)
    }
}

fn spooling(source: io::Error) -> Error {
    Error::Io {
        doing: "writing a temporary file in",
        path: std::env::temp_dir(),
        source,
    }
}
