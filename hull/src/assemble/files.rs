//! `files`: what the YAML itself puts into the root.

use std::path::PathBuf;

use super::images::Images;
use super::{Error, System};
use crate::spec::{File, FileContent, Spec};
use crate::tree::path::{components, join};
use crate::tree::{Content, Meta, Node, Tree};

/// Puts them in, in order.
pub(super) fn add_all(system: &mut System, spec: &Spec, images: &Images) -> Result<(), Error> {
    for file in &spec.files {
        let Some(node) = node(file, spec, images)? else {
            continue;
        };
        let placed =
            leading_dirs(&mut system.tree, file).and_then(|()| system.tree.add(&file.path, node));
        placed.map_err(|source| Error::Place {
            place: file.place.clone(),
            source,
        })?;
    }
    Ok(())
}

/// The entry itself; `None` for an optional file that cannot be read.
fn node(file: &File, spec: &Spec, images: &Images) -> Result<Option<Node>, Error> {
    let meta = owned(file, file.mode);
    let content = match &file.content {
        FileContent::Directory => return Ok(Some(Node::dir(meta))),
        FileContent::Symlink(target) => return Ok(Some(Node::symlink(target))),
        FileContent::Contents(text) => Content::from(text.as_str()),
        FileContent::Metadata(form) => {
            let resolve = |name: &str| images.id(name).unwrap_or(name).to_owned();
            Content::from(spec.metadata(*form, &resolve).as_str())
        }
        FileContent::Source { path, optional } => {
            let path = home(path);
            match Content::of_readable_file(&path) {
                Ok(content) => content,
                Err(_) if *optional => return Ok(None),
                Err(source) => {
                    return Err(Error::FileSource {
                        place: file.place.clone(),
                        path,
                        source,
                    });
                }
            }
        }
    };
    Ok(Some(Node::file(meta, content)))
}

/// `~/` is the home folder.
fn home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(path),
    }
}

/// Makes the folders on the way that lack: with the file's mode plus search
/// bits, and its owner, as LinuxKit does.
fn leading_dirs(tree: &mut Tree, file: &File) -> Result<(), crate::tree::Error> {
    let parts: Vec<_> = components(file.path.as_bytes()).collect();
    let (_, folders) = parts.split_last().unwrap_or((&&b""[..], &[]));
    let mut place = Vec::new();
    for part in folders {
        place = join(&place, part);
        if tree.resolve(&place).is_none() {
            // Whoever may read may also search.
            let mode = file.mode | (file.mode & 0o444) >> 2;
            tree.add(&place, Node::dir(owned(file, mode)))?;
        }
    }
    Ok(())
}

fn owned(file: &File, mode: u32) -> Meta {
    Meta {
        uid: file.uid,
        gid: file.gid,
        ..Meta::root(mode)
    }
}
