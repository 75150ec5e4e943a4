//! Images out of the store: as an OCI layout, and as what `docker load` takes.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use oci_spec::image::{
    Descriptor, DescriptorBuilder, ImageIndex, ImageIndexBuilder, ImageManifest, MediaType, Os,
    PlatformBuilder,
};
use serde_json::json;

use crate::arch::Arch;
use crate::atomic::{self, NewFile};
use crate::digest::{Digest, Hashing};
use crate::layer::{self, Layer, write_tar};
use crate::reference::Reference;
use crate::source::layout::{self, Layout, REF_NAME};
use crate::source::{self, Image, Rootfs, sorted_json};
use crate::tree::{Content, Meta, Node, Tree};

/// Why an image could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be written, or a blob not be read.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The image, or the layout that it is to go into, is broken.
    #[error(transparent)]
    Source(#[from] source::Error),
    /// A layer cannot be unpacked.
    #[error(transparent)]
    Layer(#[from] Box<layer::Error>),
    /// A file of the store is not what it is named for.
    #[error("blob {expected} of the store has the digest {found}")]
    Digest {
        /// As it is named.
        expected: Digest,
        /// As it is.
        found: Digest,
    },
}

/// Writes images of one name to the OCI layout in `dir`, each under `tag`: one
/// as it is, several below an index. A layout that is there keeps its others.
///
/// # Errors
/// The layout cannot be written.
pub fn to_layout(images: &[(Arch, Image)], dir: &Path, tag: &str) -> Result<Digest, Error> {
    let layout = Layout {
        dir: dir.to_owned(),
        trusted: false,
    };
    let blobs = dir.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).map_err(at(&blobs))?;
    let mut manifests = Vec::new();
    for (arch, image) in images {
        manifests.push(blobs_of(&layout, *arch, image)?);
    }
    let mut top = match manifests.as_slice() {
        [one] => one.clone(),
        _ => {
            let bytes = sorted_json(&index(manifests)?);
            put(&layout, &bytes)?;
            Descriptor::new(
                MediaType::ImageIndex,
                bytes.len() as u64,
                layout::to_oci(Digest::of(&bytes)),
            )
        }
    };
    let digest = layout::sha256(&top)?;
    top.set_annotations(Some(HashMap::from([(REF_NAME.to_owned(), tag.to_owned())])));
    let mut all = layout
        .index()?
        .map_or_else(Vec::new, |i| i.manifests().clone());
    all.retain(|other| layout::ref_name(other) != Some(tag));
    all.push(top);
    all.sort_by_key(|one| layout::ref_name(one).map(ToOwned::to_owned));
    let path = dir.join("oci-layout");
    atomic::write(&path, br#"{"imageLayoutVersion":"1.0.0"}"#).map_err(at(&path))?;
    let path = dir.join("index.json");
    atomic::write(&path, &sorted_json(&index(all)?)).map_err(at(&path))?;
    Ok(digest)
}

/// Copies an image's blobs; the descriptor of its manifest.
fn blobs_of(layout: &Layout, arch: Arch, image: &Image) -> Result<Descriptor, Error> {
    let (Some(manifest), Rootfs::Layers(layers)) = (&image.manifest, &image.rootfs) else {
        return Err(unfit(&image.name, "it has no manifest"));
    };
    let path = layout.blob(manifest.digest);
    let parsed: ImageManifest = layout::json(&manifest.bytes, &path)?;
    put(layout, &manifest.bytes)?;
    put(layout, &image.raw_config)?;
    for (descriptor, layer) in parsed.layers().iter().zip(layers) {
        copy(layout, layout::sha256(descriptor)?, layer)?;
    }
    let platform = PlatformBuilder::default()
        .architecture(arch.oci())
        .os(Os::Linux)
        .build()
        .map_err(|e| unfit(&image.name, &e.to_string()))?;
    DescriptorBuilder::default()
        .media_type(manifest.media_type.as_str())
        .digest(layout::to_oci(manifest.digest))
        .size(manifest.bytes.len() as u64)
        .platform(platform)
        .build()
        .map_err(|e| unfit(&image.name, &e.to_string()))
}

fn index(manifests: Vec<Descriptor>) -> Result<ImageIndex, Error> {
    ImageIndexBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageIndex)
        .manifests(manifests)
        .build()
        .map_err(|e| unfit("index.json", &e.to_string()))
}

fn put(layout: &Layout, bytes: &[u8]) -> Result<(), Error> {
    let path = layout.blob(Digest::of(bytes));
    atomic::write(&path, bytes).map_err(at(&path))
}

fn copy(layout: &Layout, expected: Digest, layer: &Layer) -> Result<(), Error> {
    let path = layout.blob(expected);
    if path.metadata().is_ok_and(|meta| meta.len() == layer.len) {
        return Ok(());
    }
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut out = Hashing::new(NewFile::create(dir).map_err(at(&path))?);
    content(layer).copy_to(&mut out).map_err(at(&path))?;
    let (found, _, file) = out.finish();
    if found != expected {
        return Err(Error::Digest { expected, found });
    }
    file.sync().map_err(at(&path))?;
    file.persist(&path).map_err(at(&path))
}

fn content(layer: &Layer) -> Content {
    Content::Range {
        file: std::sync::Arc::clone(&layer.file),
        offset: layer.offset,
        len: layer.len,
    }
}

/// Writes an image as `docker save` does, layers unpacked, to a file, or to
/// standard output where that is `-`.
///
/// # Errors
/// A layer cannot be unpacked, or the file not be written.
pub fn to_docker_archive(
    image: &Image,
    name: &Reference,
    file: &Path,
    spool: &Path,
) -> Result<(), Error> {
    to_tar(&archive(image, name, spool)?, file)
}

/// Writes a tree as a tar to a file, or to standard output where that is `-`.
///
/// # Errors
/// It cannot be written.
pub fn to_tar(tree: &Tree, file: &Path) -> Result<(), Error> {
    if file == Path::new("-") {
        let mut out = io::stdout().lock();
        write_tar(tree, &mut out).map_err(at(file))?;
        return out.flush().map_err(at(file));
    }
    let dir = match file.parent() {
        Some(dir) if dir != Path::new("") => dir,
        _ => Path::new("."),
    };
    let new = NewFile::create(dir).map_err(at(file))?;
    let mut out = io::BufWriter::with_capacity(256 * 1024, new);
    write_tar(tree, &mut out).map_err(at(file))?;
    let new = out.into_inner().map_err(|e| at(file)(e.into_error()))?;
    new.sync().map_err(at(file))?;
    new.persist(file).map_err(at(file))
}

/// The archive's members.
fn archive(image: &Image, name: &Reference, spool: &Path) -> Result<Tree, Error> {
    let Rootfs::Layers(layers) = &image.rootfs else {
        return Err(unfit(&image.name, "it has no layers"));
    };
    let mut tree = Tree::new();
    let mut add = |path: &str, content: Content| {
        tree.add(path, Node::file(Meta::root(0o644), content))
            .map_err(|e| unfit(&image.name, &e.to_string()))
    };
    let mut members = Vec::new();
    for (layer, diff_id) in layers.iter().zip(image.config.rootfs().diff_ids()) {
        let member = format!("{}.tar", diff_id.trim_start_matches("sha256:"));
        if !members.contains(&member) {
            add(&member, layer.unpacked(spool).map_err(Box::new)?)?;
        }
        members.push(member);
    }
    let config = format!("{}.json", Digest::of(&image.raw_config).hex());
    add(&config, image.raw_config.clone().into())?;
    let tags: Vec<_> = name.tag().map(|_| name.familiar()).into_iter().collect();
    let manifest = json!([{"Config": config, "RepoTags": tags, "Layers": members}]);
    add("manifest.json", manifest.to_string().into_bytes().into())?;
    Ok(tree)
}

fn unfit(what: &str, why: &str) -> Error {
    Error::Source(source::Error::Unsupported {
        what: what.to_owned(),
        why: why.to_owned(),
    })
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { path, source }
}
