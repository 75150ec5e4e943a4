//! `docker-archive:FILE`: what `docker save` writes.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use oci_spec::image::ImageConfiguration;
use serde::Deserialize;

use super::image::{Image, Rootfs};
use super::layout::json;
use super::{Error, check_arch};
use crate::arch::Arch;
use crate::digest::Digest;
use crate::layer::Layer;
use crate::tree::{Content, Node, Tree};

/// An image in the archive's `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    layers: Vec<String>,
}

/// No JSON in the archive is larger than this, in bytes.
const MAX_JSON: u64 = 4 << 20;

/// Reads the one image for `arch` out of the archive.
pub(super) fn open(name: &str, path: &Path, arch: Arch, spool: &Path) -> Result<Image, Error> {
    let members = members(name, path, spool)?;
    let manifest = content(&members, path, "manifest.json")?;
    let saved: Vec<Saved> = json(&small(manifest, path, "manifest.json")?, path)?;
    let mut images = Vec::new();
    let mut other = None;
    for saved in &saved {
        match image(name, &members, path, saved, arch) {
            Ok(image) => images.push(image),
            Err(error @ Error::Arch { .. }) => other = Some(error),
            Err(error) => return Err(error),
        }
    }
    match (images.len(), other) {
        (1, _) => Ok(images.remove(0)),
        (0, Some(other)) => Err(other),
        (count, _) => Err(Error::Unsupported {
            what: name.to_owned(),
            why: format!("it holds {count} images; save one alone"),
        }),
    }
}

/// The archive is a tar, and so reads as a layer.
fn members(name: &str, path: &Path, spool: &Path) -> Result<Tree, Error> {
    let read = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(read)?;
    let len = file.metadata().map_err(read)?.len();
    let archive = Layer::of_tar(path.display().to_string(), Arc::new(file), 0, len);
    let mut members = Tree::new();
    archive
        .apply(&mut members, spool)
        .map_err(|source| Error::Layer {
            image: name.to_owned(),
            source: Box::new(source),
        })?;
    Ok(members)
}

fn image(
    name: &str,
    members: &Tree,
    path: &Path,
    saved: &Saved,
    arch: Arch,
) -> Result<Image, Error> {
    let raw_config = small(content(members, path, &saved.config)?, path, &saved.config)?;
    let found = Digest::of(&raw_config);
    if let Some(expected) = digest_in(&saved.config)
        && expected != found
    {
        return Err(Error::Digest {
            path: path.join(&saved.config),
            expected,
            found,
        });
    }
    let config: ImageConfiguration = json(&raw_config, &path.join(&saved.config))?;
    check_arch(name, &config, arch)?;
    let diff_ids = config.rootfs().diff_ids();
    if diff_ids.len() != saved.layers.len() {
        return Err(Error::Unsupported {
            what: name.to_owned(),
            why: "its manifest and its configuration differ in their layers".to_owned(),
        });
    }
    let layers = saved.layers.iter().zip(diff_ids);
    let layers = layers
        .map(|(layer, diff_id)| self::layer(members, path, layer, diff_id))
        .collect::<Result<_, _>>()?;
    Ok(Image {
        name: name.to_owned(),
        id: found.to_string(),
        config,
        raw_config,
        manifest: None,
        rootfs: Rootfs::Layers(layers),
    })
}

fn layer(members: &Tree, path: &Path, member: &str, diff_id: &str) -> Result<Layer, Error> {
    let Content::Range { file, offset, len } = content(members, path, member)? else {
        return Err(missing(path, member));
    };
    let diff_id = diff_id.parse().map_err(|e| Error::Unsupported {
        what: path.join(member).display().to_string(),
        why: format!("{e}"),
    })?;
    Ok(Layer {
        name: path.join(member).display().to_string(),
        file: Arc::clone(file),
        offset: *offset,
        len: *len,
        digest: None,
        diff_id: Some(diff_id),
        cache: None,
    })
}

/// A member, through the links by which old versions of Docker share layers.
fn content<'a>(members: &'a Tree, path: &Path, member: &str) -> Result<&'a Content, Error> {
    members
        .resolve(member)
        .and_then(Node::as_file)
        .ok_or_else(|| missing(path, member))
}

fn missing(path: &Path, member: &str) -> Error {
    Error::Read {
        path: path.join(member),
        source: std::io::Error::new(std::io::ErrorKind::NotFound, "not in the archive"),
    }
}

fn small(content: &Content, path: &Path, member: &str) -> Result<Vec<u8>, Error> {
    let read = |source| Error::Read {
        path: path.join(member),
        source,
    };
    if content.len() > MAX_JSON {
        return Err(read(std::io::Error::other(format!(
            "larger than {MAX_JSON} bytes"
        ))));
    }
    content.read().map_err(read)
}

/// The digest that a configuration's name is, as `HEX.json` or
/// `blobs/sha256/HEX`.
fn digest_in(member: &str) -> Option<Digest> {
    let name = member.rsplit('/').next()?;
    let digits = name.strip_suffix(".json").unwrap_or(name);
    format!("sha256:{digits}").parse().ok()
}
