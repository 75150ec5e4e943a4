//! The virtual root filesystem: what an image holds, without unpacking it
//! anywhere. Nothing here touches the disk, so nothing in it can reach outside.
//!
//! A tree is folders ([`Dir`]) with sorted entries; everything else is a
//! [`Leaf`] behind an `Arc`, and two entries with the same `Arc` are hard links
//! of each other. Cloning a tree shares its leaves, and so does putting one
//! image into a system image several times.

pub mod content;
pub mod dedup;
pub mod node;
pub mod owners;
pub mod path;
pub mod scan;

use std::collections::btree_map;

pub use content::Content;
pub use node::{Device, Dir, Entries, Kind, Leaf, Meta, Node, Xattrs};
pub use path::PathError;

use path::{components, join, show, split};

/// What cannot be done to a tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The path cannot be one.
    #[error("{path:?}: {source} is refused")]
    Path {
        /// As it was given.
        path: String,
        /// Why.
        source: PathError,
    },
    /// A part of the path is neither a folder nor a link to one.
    #[error("{path:?}: {at:?} is not a folder")]
    NotDir {
        /// The whole path.
        path: String,
        /// The part.
        at: String,
    },
    /// A symbolic link in the path leads above the root.
    #[error("{path:?}: the link {at:?} leads out of the root")]
    Escape {
        /// The whole path.
        path: String,
        /// The link.
        at: String,
    },
    /// More symbolic links than the kernel follows.
    #[error("{path:?}: too many symbolic links")]
    Loop {
        /// The whole path.
        path: String,
    },
    /// A hard link to something that is not there, or to a folder.
    #[error("{path:?}: hard link to {target:?}, which is not a file in the tree")]
    LinkTarget {
        /// The link.
        path: String,
        /// Its target.
        target: String,
    },
    /// The root cannot be anything but a folder.
    #[error("the root cannot be replaced by a file")]
    Root,
}

/// Symbolic links followed in one path, as the kernel's limit has it.
const MAX_LINKS: usize = 40;

/// A root filesystem.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The root folder.
    pub root: Dir,
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree {
    /// An empty root, 0755, root's.
    #[must_use]
    pub fn new() -> Self {
        Self {
            root: Dir::new(Meta::root(0o755)),
        }
    }

    /// What stands at `path`, without following a link at its end or on the
    /// way.
    #[must_use]
    pub fn get(&self, path: impl AsRef<[u8]>) -> Option<&Node> {
        let mut parts = components(path.as_ref());
        let mut node = self.root.entries.get(parts.next()?)?;
        for part in parts {
            node = node.as_dir()?.entries.get(part)?;
        }
        Some(node)
    }

    /// The folder at `path`, without following links; empty is the root.
    #[must_use]
    pub fn get_dir(&self, path: impl AsRef<[u8]>) -> Option<&Dir> {
        let path = path.as_ref();
        if components(path).next().is_none() {
            return Some(&self.root);
        }
        self.get(path)?.as_dir()
    }

    /// The folder at `path`, to be changed, without following links.
    pub fn get_dir_mut(&mut self, path: impl AsRef<[u8]>) -> Option<&mut Dir> {
        let mut dir = &mut self.root;
        for part in components(path.as_ref()) {
            match dir.entries.get_mut(part)? {
                Node::Dir(next) => dir = next,
                Node::Leaf(_) => return None,
            }
        }
        Some(dir)
    }

    /// What stands at `path` when links are followed inside this root, as a
    /// process does that has it as its root.
    #[must_use]
    pub fn resolve(&self, path: impl AsRef<[u8]>) -> Option<&Node> {
        let place = self.follow(path.as_ref(), Climb::Stay).ok()?;
        self.get(&place)
    }

    /// Puts `node` at `path`, in place of what is there; a folder put on a
    /// folder only gives it its metadata, and its entries are merged in the
    /// same way. Folders on the way are made (0755, root's) where they lack;
    /// symbolic links on the way are followed inside the root.
    ///
    /// # Errors
    /// The path is refused, or leads through a file or out of the root.
    pub fn add(&mut self, path: impl AsRef<[u8]>, node: Node) -> Result<(), Error> {
        let path = clean(path.as_ref())?;
        let Some((folder, name)) = split(&path) else {
            let Node::Dir(dir) = node else {
                return Err(Error::Root);
            };
            merge(&mut self.root, dir);
            return Ok(());
        };
        let folder = self.make_dirs(folder, &path)?;
        put(folder, name, node);
        Ok(())
    }

    /// Makes `path` another name of the leaf at `target`, links on the way to
    /// both followed inside the root.
    ///
    /// # Errors
    /// As [`Self::add`]; or the target is not there, or is a folder.
    pub fn link(&mut self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Result<(), Error> {
        let (path, target) = (path.as_ref(), clean(target.as_ref())?);
        let place = split(&target)
            .map(|(folder, name)| Ok(join(&self.follow(folder, Climb::Refuse)?, name)))
            .transpose()?;
        let Some(Node::Leaf(leaf)) = place.and_then(|place| self.get(&place)) else {
            return Err(Error::LinkTarget {
                path: show(path),
                target: show(&target),
            });
        };
        let node = Node::Leaf(leaf.clone());
        self.add(path, node)
    }

    /// Takes away what stands at `path` (links on the way followed inside the
    /// root, not the one at its end) and returns it.
    ///
    /// # Errors
    /// The path is refused.
    pub fn remove(&mut self, path: impl AsRef<[u8]>) -> Result<Option<Node>, Error> {
        let path = clean(path.as_ref())?;
        let Some((folder, name)) = split(&path) else {
            return Ok(None);
        };
        let Ok(folder) = self.follow(folder, Climb::Refuse) else {
            return Ok(None);
        };
        Ok(self
            .get_dir_mut(&folder)
            .and_then(|dir| dir.entries.remove(name)))
    }

    /// All entries below the root, each folder before what is in it, names in
    /// byte order.
    pub fn walk(&self) -> Walk<'_> {
        Walk::new(&self.root)
    }

    /// The folder at the cleaned path `folder`, made where it lacks.
    fn make_dirs(&mut self, folder: &[u8], whole: &[u8]) -> Result<&mut Dir, Error> {
        let place = if self.get_dir(folder).is_some() {
            folder.to_vec()
        } else {
            self.follow(folder, Climb::Refuse)
                .map_err(|e| e.of(whole))?
        };
        if place.len() > path::PATH_MAX {
            return Err(Error::Path {
                path: show(whole),
                source: PathError::TooLong,
            });
        }
        let mut dir = &mut self.root;
        for part in components(&place) {
            let next = dir
                .entries
                .entry(part.into())
                .or_insert_with(|| Node::dir(Meta::root(0o755)));
            match next {
                Node::Dir(next) => dir = next,
                Node::Leaf(_) => {
                    return Err(Error::NotDir {
                        path: show(whole),
                        at: show(part),
                    });
                }
            }
        }
        Ok(dir)
    }

    /// Where `path` really is, its last component followed too. What lacks is
    /// taken as a folder yet to be made.
    fn follow(&self, path: &[u8], climb: Climb) -> Result<Vec<u8>, Error> {
        let mut todo: Vec<Box<[u8]>> = components(path).rev().map(Box::from).collect();
        let mut place = Vec::new();
        let mut links = 0;
        while let Some(part) = todo.pop() {
            if &*part == b".." {
                match split(&place) {
                    Some((folder, _)) => place.truncate(folder.len()),
                    None if climb == Climb::Stay => {}
                    None => {
                        return Err(Error::Escape {
                            path: show(path),
                            at: show(path),
                        });
                    }
                }
                continue;
            }
            let next = join(&place, &part);
            let Some(target) = self.get(&next).and_then(Node::as_symlink) else {
                place = next;
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                return Err(Error::Loop { path: show(path) });
            }
            if target.starts_with(b"/") {
                place.clear();
            }
            todo.extend(components(target).rev().map(Box::from));
        }
        Ok(place)
    }
}

/// What `..` at the root does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Climb {
    /// Stays there, as in the kernel.
    Stay,
    /// Is an error: only a hostile archive writes through such a link.
    Refuse,
}

impl Error {
    /// The same, for the whole path that was to be reached.
    fn of(self, whole: &[u8]) -> Self {
        match self {
            Self::Escape { at, .. } => Self::Escape {
                path: show(whole),
                at,
            },
            Self::Loop { .. } => Self::Loop { path: show(whole) },
            other => other,
        }
    }
}

fn clean(raw: &[u8]) -> Result<Vec<u8>, Error> {
    path::inside(raw).map_err(|source| Error::Path {
        path: show(raw),
        source,
    })
}

/// Puts `node` into `folder` as `name`; see [`Tree::add`].
fn put(folder: &mut Dir, name: &[u8], node: Node) {
    match (folder.entries.get_mut(name), node) {
        (Some(Node::Dir(old)), Node::Dir(new)) => merge(old, new),
        (Some(old), new) => *old = new,
        (None, new) => {
            folder.entries.insert(name.into(), new);
        }
    }
}

fn merge(old: &mut Dir, new: Dir) {
    old.meta = new.meta;
    for (name, node) in new.entries {
        put(old, &name, node);
    }
}

/// The entries of a folder that are still to come.
type Rest<'a> = btree_map::Iter<'a, Box<[u8]>, Node>;

/// Iterator of [`Tree::walk`]: (path, entry).
pub struct Walk<'a> {
    stack: Vec<(Vec<u8>, Rest<'a>)>,
}

impl<'a> Walk<'a> {
    /// Over what is below `dir`; paths are relative to it.
    #[must_use]
    pub fn new(dir: &'a Dir) -> Self {
        Self {
            stack: vec![(Vec::new(), dir.entries.iter())],
        }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = (Vec<u8>, &'a Node);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (folder, entries) = self.stack.last_mut()?;
            let Some((name, node)) = entries.next() else {
                self.stack.pop();
                continue;
            };
            let path = join(folder, name);
            if let Node::Dir(dir) = node {
                self.stack.push((path.clone(), dir.entries.iter()));
            }
            return Some((path, node));
        }
    }
}

#[cfg(test)]
mod tests;
