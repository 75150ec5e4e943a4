//! A folder of this machine, listed into a tree.

use std::collections::HashMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Content, Device, Dir, Kind, Leaf, Meta, Node, Tree, Xattrs};

/// A file or folder could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct Error {
    /// Which.
    pub path: PathBuf,
    /// The kernel's word.
    pub source: io::Error,
}

/// Lists `dir` into a tree. Contents stay where they are until they are read.
///
/// Whoever owns the files here, in the tree all are root's, from the epoch:
/// what is made of it must not depend on who checked it out, and when. Of
/// extended attributes only `security.capability` and `user.*` are taken.
/// Sockets are left out.
///
/// # Errors
/// Something in it cannot be read.
pub fn scan(dir: &Path) -> Result<Tree, Error> {
    let at = |source| Error {
        path: dir.to_owned(),
        source,
    };
    let meta = std::fs::metadata(dir).map_err(at)?;
    if !meta.is_dir() {
        return Err(at(io::Error::from(io::ErrorKind::NotADirectory)));
    }
    let mut root = Dir::new(root_owned(dir, &meta)?);
    fill(&mut root, dir, &mut HashMap::new())?;
    Ok(Tree { root })
}

/// Leaves with several names, by device and inode.
type Linked = HashMap<(u64, u64), Arc<Leaf>>;

fn fill(into: &mut Dir, dir: &Path, linked: &mut Linked) -> Result<(), Error> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| Error { path, source }
    };
    for entry in std::fs::read_dir(dir).map_err(at(dir))? {
        let entry = entry.map_err(at(dir))?;
        let path = entry.path();
        let meta = entry.metadata().map_err(at(&path))?;
        let node = if meta.is_dir() {
            let mut sub = Dir::new(root_owned(&path, &meta)?);
            fill(&mut sub, &path, linked)?;
            Node::Dir(sub)
        } else if let Some(leaf) = linked.get(&(meta.dev(), meta.ino())) {
            Node::Leaf(Arc::clone(leaf))
        } else {
            let Some(leaf) = leaf(&path, &meta)? else {
                continue;
            };
            let leaf = Arc::new(leaf);
            if meta.nlink() > 1 {
                linked.insert((meta.dev(), meta.ino()), Arc::clone(&leaf));
            }
            Node::Leaf(leaf)
        };
        into.entries
            .insert(entry.file_name().as_bytes().into(), node);
    }
    Ok(())
}

fn leaf(path: &Path, meta: &Metadata) -> Result<Option<Leaf>, Error> {
    let kind = meta.file_type();
    let kind = if kind.is_file() {
        Kind::File(Content::Path {
            path: Arc::new(path.to_owned()),
            len: meta.len(),
        })
    } else if kind.is_symlink() {
        let target = std::fs::read_link(path).map_err(|source| Error {
            path: path.to_owned(),
            source,
        })?;
        return Ok(Some(Leaf {
            meta: Meta::root(0o777),
            kind: Kind::Symlink(target.as_os_str().as_bytes().into()),
        }));
    } else if kind.is_char_device() {
        Kind::Char(device(meta))
    } else if kind.is_block_device() {
        Kind::Block(device(meta))
    } else if kind.is_fifo() {
        Kind::Fifo
    } else {
        return Ok(None);
    };
    Ok(Some(Leaf {
        meta: root_owned(path, meta)?,
        kind,
    }))
}

fn device(meta: &Metadata) -> Device {
    let number = meta.rdev();
    #[allow(clippy::cast_possible_truncation, reason = "both are 32 bits in Linux")]
    Device {
        major: nix::sys::stat::major(number) as u32,
        minor: nix::sys::stat::minor(number) as u32,
    }
}

fn root_owned(path: &Path, meta: &Metadata) -> Result<Meta, Error> {
    Ok(Meta {
        xattrs: xattrs(path).map_err(|source| Error {
            path: path.to_owned(),
            source,
        })?,
        ..Meta::root(meta.mode() & 0o7777)
    })
}

fn xattrs(path: &Path) -> io::Result<Xattrs> {
    let mut all = Xattrs::new();
    let names = match xattr::list(path) {
        Ok(names) => names,
        // A filesystem without attributes.
        Err(e) if e.kind() == io::ErrorKind::Unsupported => return Ok(all),
        Err(e) => return Err(e),
    };
    for name in names {
        let bytes = name.as_bytes();
        if bytes != b"security.capability" && !bytes.starts_with(b"user.") {
            continue;
        }
        if let Some(value) = xattr::get(path, &name)? {
            all.insert(bytes.into(), value.into());
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_links_and_modes_are_kept_owners_and_times_are_not() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        let here = |name: &str| dir.path().join(name);
        std::fs::create_dir(here("d")).unwrap();
        std::fs::write(here("d/f"), "text").unwrap();
        std::fs::set_permissions(here("d/f"), PermissionsExt::from_mode(0o4750)).unwrap();
        std::fs::hard_link(here("d/f"), here("g")).unwrap();
        symlink("../nowhere", here("l")).unwrap();
        let tree = scan(dir.path()).unwrap();
        let (Some(Node::Leaf(f)), Some(Node::Leaf(g))) = (tree.get("d/f"), tree.get("g")) else {
            panic!("not listed");
        };
        assert!(Arc::ptr_eq(f, g));
        assert_eq!(f.meta, Meta::root(0o4750));
        assert_eq!(f.as_file().unwrap().read().unwrap(), b"text");
        assert_eq!(
            tree.get("l").unwrap().as_symlink(),
            Some(&b"../nowhere"[..])
        );
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error = scan(Path::new("/nowhere/at/all")).unwrap_err();
        assert!(error.to_string().starts_with("/nowhere/at/all: "));
    }
}
