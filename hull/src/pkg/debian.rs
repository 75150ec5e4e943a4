//! Debian packages, unpacked into a tree without dpkg and without root.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{Error, Inputs};
use crate::deb::{Entry, Kind, Package};
use crate::spec::Located;
use crate::spec::recipe::Recipe;
use crate::tree::{Content, Meta, Node, Tree};

/// The largest file that is taken from a package, in bytes.
const MAX_FILE: u64 = 256 << 20;

/// What no container needs.
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

/// Unpacks the packages that `recipe` names, in its order.
pub(super) fn unpack_all(
    recipe: &Recipe,
    inputs: Inputs<'_>,
    tree: &mut Tree,
) -> Result<(), Error> {
    let Some(first) = recipe.debs.first() else {
        return Ok(());
    };
    let dir = inputs.debs.ok_or_else(|| Error::NoDebs {
        place: first.place.clone(),
    })?;
    let exclude: Vec<PathBuf> = NEVER
        .iter()
        .map(PathBuf::from)
        .chain(
            recipe
                .exclude
                .iter()
                .map(|path| PathBuf::from(path.trim_matches('/'))),
        )
        .collect();
    for package in &recipe.debs {
        unpack(&find(package, dir, inputs)?, &exclude, tree)?;
    }
    Ok(())
}

/// The one file of `package` in `dir`: `NAME_VERSION_ARCH.deb`, where the
/// architecture may be `all`.
fn find(package: &Located<String>, dir: &Path, inputs: Inputs<'_>) -> Result<PathBuf, Error> {
    let arch = inputs.arch.oci();
    let wrong = |found: String, advice| Error::DebFile {
        place: package.place.clone(),
        found,
        package: package.value.clone(),
        arch,
        dir: dir.to_owned(),
        advice,
    };
    let entries = fs::read_dir(dir).map_err(|source| Error::Read {
        place: package.place.clone(),
        path: dir.to_owned(),
        source,
    })?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| is_file_of(name, &package.value, arch))
        })
        .collect();
    match (found.pop(), found.len()) {
        (Some(one), 0) => Ok(one),
        (None, _) => Err(wrong(
            "no file".to_owned(),
            "fetch it with `apt-get download NAME:ARCH`, or `make images` for our own packages",
        )),
        (Some(_), others) => Err(wrong(
            format!("{} files", others + 1),
            "keep the version that is wanted",
        )),
    }
}

/// Whether `file` is called as apt calls a file of this package.
fn is_file_of(file: &OsStr, package: &str, arch: &str) -> bool {
    let Some(stem) = file.to_str().and_then(|name| name.strip_suffix(".deb")) else {
        return false;
    };
    let mut parts = stem.split('_');
    parts.next() == Some(package)
        && parts.next().is_some()
        && parts.next().is_some_and(|of| of == arch || of == "all")
        && parts.next().is_none()
}

fn unpack(path: &Path, exclude: &[PathBuf], tree: &mut Tree) -> Result<(), Error> {
    let mut package = Package::open(path)?;
    for entry in package.entries()? {
        let mut entry = entry?;
        if exclude.iter().any(|prefix| entry.path.starts_with(prefix)) {
            continue;
        }
        let wrong = |entry: &Entry<'_>, reason: String| Error::DebEntry {
            package: path.to_owned(),
            entry: entry.path.clone(),
            reason,
        };
        let place = entry.path.as_os_str().as_bytes().to_vec();
        let added = match node(&mut entry)? {
            Some(node) => tree.add(&place, node),
            None => match &entry.kind {
                Kind::HardLink(target) => tree.link(&place, target.as_os_str().as_bytes()),
                _ => {
                    return Err(wrong(
                        &entry,
                        "a device or pipe; an image has none".to_owned(),
                    ));
                }
            },
        };
        added.map_err(|e| wrong(&entry, e.to_string()))?;
    }
    Ok(())
}

/// What the entry becomes in a tree, its times left behind so that the image
/// is the same each time; `None` for a hard link, a device or a pipe.
fn node(entry: &mut Entry<'_>) -> Result<Option<Node>, Error> {
    let meta = Meta {
        uid: entry.uid,
        gid: entry.gid,
        ..Meta::root(entry.mode)
    };
    Ok(match &entry.kind {
        Kind::File => {
            let bytes = entry.contents(MAX_FILE)?;
            Some(Node::file(meta, Content::from(bytes)))
        }
        Kind::Dir => Some(Node::dir(meta)),
        Kind::Symlink(target) => Some(Node::symlink(target.as_os_str().as_bytes())),
        Kind::HardLink(_) | Kind::CharDevice(..) | Kind::BlockDevice(..) | Kind::Fifo => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_names() {
        let is = |file: &str| is_file_of(OsStr::new(file), "libc6", "amd64");
        assert!(is("libc6_2.36-9+deb12u13_amd64.deb"));
        assert!(is("libc6_1%3a2_all.deb"));
        assert!(!is("libc6-dev_2.36_amd64.deb"));
        assert!(!is("libc6_2.36_arm64.deb"));
        assert!(!is("libc6_2.36_amd64.deb.part"));
        assert!(!is("libc6_amd64.deb"));
    }
}
