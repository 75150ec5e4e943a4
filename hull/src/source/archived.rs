//! A tar that holds images under their names: of an OCI layout, or what
//! `docker save` writes.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use oci_spec::image::{Descriptor, ImageIndex};
use serde::Deserialize;

use super::Error;
use super::layout::{json, ref_name};
use crate::tree::{Content, Node, Tree};

/// The annotation in which containerd and Docker keep a whole name.
const CONTAINERD_NAME: &str = "io.containerd.image.name";
/// Neither file is larger than this, in bytes.
const MAX_JSON: u64 = 4 << 20;

/// The images of a tar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Archived {
    /// Of an OCI layout: each one's tag there, and its name.
    Layout(Vec<(String, String)>),
    /// Of `docker save`: their names.
    Docker(Vec<String>),
}

/// Which images the members of the tar at `path` are.
///
/// # Errors
/// There are none, or they have no names.
pub fn images(path: &Path, members: &Tree) -> Result<Archived, Error> {
    if let Some(content) = member(members, "index.json") {
        let index: ImageIndex = json(&small(path, content)?, path)?;
        let named = index.manifests().iter().filter_map(names);
        let named: Vec<_> = named.collect();
        if !named.is_empty() {
            return Ok(Archived::Layout(named));
        }
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Saved {
        #[serde(default)]
        repo_tags: Option<Vec<String>>,
    }
    let why = match member(members, "manifest.json") {
        None => "it holds neither an OCI layout (index.json) nor what `docker save` writes",
        Some(content) => {
            let saved: Vec<Saved> = json(&small(path, content)?, path)?;
            let tags = saved.into_iter().flat_map(|s| s.repo_tags);
            let tags: Vec<String> = tags.flatten().collect();
            if !tags.is_empty() {
                return Ok(Archived::Docker(tags));
            }
            "its images have no names; `hull image import NAME docker-archive:FILE` gives one"
        }
    };
    Err(Error::Unsupported {
        what: path.display().to_string(),
        why: why.to_owned(),
    })
}

fn names(descriptor: &Descriptor) -> Option<(String, String)> {
    let tag = ref_name(descriptor)?.to_owned();
    let annotations = descriptor.annotations().as_ref();
    let name = annotations.and_then(|all| all.get(CONTAINERD_NAME));
    Some((tag.clone(), name.cloned().unwrap_or(tag)))
}

fn member<'t>(members: &'t Tree, name: &str) -> Option<&'t Content> {
    members.get(name).and_then(Node::as_file)
}

fn small(path: &Path, content: &Content) -> Result<Vec<u8>, Error> {
    let read = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    if content.len() > MAX_JSON {
        let why = format!("a file of JSON larger than {MAX_JSON} bytes");
        return Err(read(io::Error::other(why)));
    }
    content.read().map_err(read)
}

/// Writes the members of an OCI layout, and no others, to the folder `dir`.
///
/// # Errors
/// It cannot be written.
pub fn lay_out(members: &Tree, dir: &Path) -> Result<(), Error> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Read { path, source }
    };
    let blobs = dir.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).map_err(at(&blobs))?;
    let write = |content: &Content, path: &Path| -> io::Result<()> {
        let mut out = BufWriter::new(File::create_new(path)?);
        content.copy_to(&mut out)?;
        out.flush()
    };
    for name in ["index.json", "oci-layout"] {
        if let Some(content) = member(members, name) {
            let path = dir.join(name);
            write(content, &path).map_err(at(&path))?;
        }
    }
    let folder = members.get_dir("blobs/sha256");
    for (name, node) in folder.iter().flat_map(|dir| dir.entries.iter()) {
        let name = String::from_utf8_lossy(name);
        let is_digest = name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit());
        if let (true, Some(content)) = (is_digest, node.as_file()) {
            let path = blobs.join(&*name);
            write(content, &path).map_err(at(&path))?;
        }
    }
    Ok(())
}
