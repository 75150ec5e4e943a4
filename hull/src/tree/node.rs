//! What stands in a tree: folders, and leaves that hard links may share.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Content;

/// A folder's entries, by name.
pub type Entries = BTreeMap<Box<[u8]>, Node>;

/// Extended attributes, by full name (`security.capability`).
pub type Xattrs = BTreeMap<Box<[u8]>, Box<[u8]>>;

/// Permissions, owner, time, attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Meta {
    /// Permission bits with set-id and sticky bits (0o7777 at most).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last change of the content, in seconds since the Unix epoch.
    pub mtime: u64,
    /// Extended attributes.
    pub xattrs: Xattrs,
}

impl Meta {
    /// Root's, from the epoch, with these permissions.
    #[must_use]
    pub fn root(mode: u32) -> Self {
        Self {
            mode,
            ..Self::default()
        }
    }
}

/// An entry of a tree.
#[derive(Clone, Debug)]
pub enum Node {
    /// A folder.
    Dir(Dir),
    /// Anything else. Two entries with the same `Arc` are hard links.
    Leaf(Arc<Leaf>),
}

/// A folder.
#[derive(Clone, Debug)]
pub struct Dir {
    /// Its own metadata.
    pub meta: Meta,
    /// What is in it.
    pub entries: Entries,
}

/// What is not a folder. Never changed in place, only replaced, so that one
/// leaf can stand in many places and trees.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Its metadata.
    pub meta: Meta,
    /// What it is.
    pub kind: Kind,
}

/// The kinds of leaf.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A regular file.
    File(Content),
    /// A symbolic link, to these bytes.
    Symlink(Box<[u8]>),
    /// A character device.
    Char(Device),
    /// A block device.
    Block(Device),
    /// A named pipe.
    Fifo,
}

/// A device's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

impl Dir {
    /// An empty folder.
    #[must_use]
    pub fn new(meta: Meta) -> Self {
        Self {
            meta,
            entries: Entries::new(),
        }
    }
}

impl Node {
    /// An empty folder.
    #[must_use]
    pub fn dir(meta: Meta) -> Self {
        Self::Dir(Dir::new(meta))
    }

    /// A regular file.
    #[must_use]
    pub fn file(meta: Meta, content: impl Into<Content>) -> Self {
        Self::leaf(meta, Kind::File(content.into()))
    }

    /// A symbolic link; Linux gives them all permissions.
    #[must_use]
    pub fn symlink(target: impl AsRef<[u8]>) -> Self {
        Self::leaf(Meta::root(0o777), Kind::Symlink(target.as_ref().into()))
    }

    /// Any leaf.
    #[must_use]
    pub fn leaf(meta: Meta, kind: Kind) -> Self {
        Self::Leaf(Arc::new(Leaf { meta, kind }))
    }

    /// Its metadata.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        match self {
            Self::Dir(dir) => &dir.meta,
            Self::Leaf(leaf) => &leaf.meta,
        }
    }

    /// The folder, if it is one.
    #[must_use]
    pub fn as_dir(&self) -> Option<&Dir> {
        match self {
            Self::Dir(dir) => Some(dir),
            Self::Leaf(_) => None,
        }
    }

    /// The content, if it is a regular file.
    #[must_use]
    pub fn as_file(&self) -> Option<&Content> {
        match self {
            Self::Leaf(leaf) => leaf.as_file(),
            Self::Dir(_) => None,
        }
    }

    /// The target, if it is a symbolic link.
    #[must_use]
    pub fn as_symlink(&self) -> Option<&[u8]> {
        match self {
            Self::Leaf(leaf) => match &leaf.kind {
                Kind::Symlink(target) => Some(target),
                _ => None,
            },
            Self::Dir(_) => None,
        }
    }
}

impl Leaf {
    /// The content, if it is a regular file.
    #[must_use]
    pub fn as_file(&self) -> Option<&Content> {
        match &self.kind {
            Kind::File(content) => Some(content),
            _ => None,
        }
    }
}
