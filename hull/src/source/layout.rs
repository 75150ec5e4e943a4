//! An OCI image layout on disk, read.
//!
//! OCI image specification, `image-layout.md`, `image-index.md`, `manifest.md`.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oci_spec::image::{
    Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType, Sha256Digest,
};

use super::image::{Image, Manifest, Rootfs};
use super::{Error, check_arch};
use crate::arch::Arch;
use crate::cache::Cache;
use crate::digest::Digest;
use crate::layer::Layer;

/// The annotation that names an image in an index.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// No index, manifest or configuration is larger than this, in bytes.
const MAX_JSON: u64 = 4 << 20;
/// Indexes in indexes in indexes: nobody makes more.
const MAX_DEPTH: usize = 4;

/// A folder in the form of an OCI image layout.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The folder.
    pub dir: PathBuf,
    /// The layers were checked when they got here.
    pub trusted: bool,
}

impl Layout {
    /// The list of images; `None` where there is no layout at all.
    ///
    /// # Errors
    /// It cannot be read, or is broken.
    pub fn index(&self) -> Result<Option<ImageIndex>, Error> {
        let path = self.dir.join("index.json");
        let bytes = match open(&path).and_then(|file| read_small(file, MAX_JSON)) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::Read { path, source }),
        };
        json(&bytes, &path).map(Some)
    }

    /// Where a blob lies.
    #[must_use]
    pub fn blob(&self, digest: Digest) -> PathBuf {
        self.dir.join("blobs/sha256").join(digest.hex())
    }

    /// The manifests for `arch` among `candidates`, descending into indexes.
    ///
    /// # Errors
    /// An index is missing or broken.
    pub fn manifests(
        &self,
        candidates: &[Descriptor],
        arch: Arch,
    ) -> Result<Vec<Descriptor>, Error> {
        let mut found = Vec::new();
        self.collect(candidates, arch, 0, &mut found)?;
        Ok(found)
    }

    fn collect(
        &self,
        candidates: &[Descriptor],
        arch: Arch,
        depth: usize,
        found: &mut Vec<Descriptor>,
    ) -> Result<(), Error> {
        for candidate in candidates {
            if is_index(candidate.media_type()) {
                if depth == MAX_DEPTH {
                    return Err(Error::Unsupported {
                        what: self.dir.display().to_string(),
                        why: "indexes are nested too deeply".to_owned(),
                    });
                }
                let (bytes, path) = self.small_blob(candidate)?;
                let index: ImageIndex = json(&bytes, &path)?;
                self.collect(index.manifests(), arch, depth + 1, found)?;
            } else if is_for(candidate, arch) {
                found.push(candidate.clone());
            }
        }
        Ok(())
    }

    /// The image that `descriptor` is the manifest of.
    ///
    /// # Errors
    /// A part of it is missing or broken, or it is for another architecture.
    pub fn image(&self, name: &str, descriptor: &Descriptor, arch: Arch) -> Result<Image, Error> {
        let (manifest, bytes) = self.manifest(descriptor)?;
        let (raw_config, config_path) = self.small_blob(manifest.config())?;
        let config: ImageConfiguration = json(&raw_config, &config_path)?;
        check_arch(name, &config, arch)?;
        let diff_ids = config.rootfs().diff_ids();
        if diff_ids.len() != manifest.layers().len() {
            return Err(Error::Unsupported {
                what: name.to_owned(),
                why: format!(
                    "its manifest has {} layers, its configuration {}",
                    manifest.layers().len(),
                    diff_ids.len()
                ),
            });
        }
        let layers = manifest
            .layers()
            .iter()
            .zip(diff_ids)
            .map(|(layer, diff_id)| self.layer(layer, diff_id))
            .collect::<Result<_, _>>()?;
        let digest = sha256(descriptor)?;
        Ok(Image {
            name: name.to_owned(),
            id: digest.to_string(),
            config,
            raw_config,
            manifest: Some(Manifest {
                digest,
                media_type: descriptor.media_type().to_string(),
                bytes,
            }),
            rootfs: Rootfs::Layers(layers),
        })
    }

    /// The manifest that `descriptor` names, and its bytes.
    ///
    /// # Errors
    /// It is missing or broken.
    pub fn manifest(&self, descriptor: &Descriptor) -> Result<(ImageManifest, Vec<u8>), Error> {
        let (bytes, path) = self.small_blob(descriptor)?;
        Ok((json(&bytes, &path)?, bytes))
    }

    fn layer(&self, descriptor: &Descriptor, diff_id: &str) -> Result<Layer, Error> {
        let digest = sha256(descriptor)?;
        let path = self.blob(digest);
        let read = |source| Error::Read {
            path: path.clone(),
            source,
        };
        let file = open(&path).map_err(read)?;
        let len = file.metadata().map_err(read)?.len();
        if len != descriptor.size() {
            return Err(wrong_size(&path, descriptor, len));
        }
        let diff_id = diff_id.parse::<Digest>().map_err(|e| Error::Unsupported {
            what: path.display().to_string(),
            why: e.to_string(),
        })?;
        // What we stored ourselves as a plain tar was hashed on its way in.
        let known = self.trusted && diff_id == digest;
        Ok(Layer {
            name: digest.to_string(),
            file: Arc::new(file),
            offset: 0,
            len,
            digest: (!self.trusted).then_some(digest),
            diff_id: (!known).then_some(diff_id),
            cache: self.trusted.then(|| Cache::below(&self.dir)),
        })
    }

    /// A blob that is JSON: its bytes, checked, and its path.
    fn small_blob(&self, descriptor: &Descriptor) -> Result<(Vec<u8>, PathBuf), Error> {
        let expected = sha256(descriptor)?;
        let path = self.blob(expected);
        let bytes = match open(&path).and_then(|file| read_small(file, MAX_JSON)) {
            Ok(bytes) => bytes,
            Err(source) => return Err(Error::Read { path, source }),
        };
        let found = Digest::of(&bytes);
        if found != expected {
            return Err(Error::Digest {
                path,
                expected,
                found,
            });
        }
        if bytes.len() as u64 != descriptor.size() {
            return Err(wrong_size(&path, descriptor, bytes.len() as u64));
        }
        Ok((bytes, path))
    }
}

/// The name that an index gives to an image.
#[must_use]
pub fn ref_name(descriptor: &Descriptor) -> Option<&str> {
    let annotations = descriptor.annotations().as_ref()?;
    annotations.get(REF_NAME).map(String::as_str)
}

/// A descriptor's digest, which has to be SHA-256.
///
/// # Errors
/// It is another kind of digest.
pub fn sha256(descriptor: &Descriptor) -> Result<Digest, Error> {
    let digest = descriptor.digest().to_string();
    digest.parse().map_err(|_| Error::Unsupported {
        what: digest,
        why: "only sha256 digests are supported".to_owned(),
    })
}

/// A digest as the specification's types have it.
///
/// # Panics
/// Never: 64 hexadecimal digits are a digest.
#[must_use]
pub fn to_oci(digest: Digest) -> oci_spec::image::Digest {
    let digest: Sha256Digest = digest.hex().parse().expect("64 hexadecimal digits");
    digest.into()
}

/// A blob is not as long as its descriptor says.
fn wrong_size(path: &Path, descriptor: &Descriptor, found: u64) -> Error {
    Error::Unsupported {
        what: path.display().to_string(),
        why: format!("{found} bytes long, not {}", descriptor.size()),
    }
}

/// Parses JSON that was found at `path`.
///
/// # Errors
/// It is not what it should be.
pub(crate) fn json<T: serde::de::DeserializeOwned>(bytes: &[u8], path: &Path) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|e| Error::Read {
        path: path.to_owned(),
        source: e.into(),
    })
}

/// Opens a file of a layout. A pipe or a device in its place could keep us
/// waiting forever.
fn open(path: &Path) -> io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    File::open(path)
}

/// Reads all of `from`, which must not be longer than `max`.
pub(super) fn read_small(from: impl Read, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::other(format!("larger than {max} bytes")));
    }
    Ok(bytes)
}

/// Whether a descriptor's type is that of a list of images.
pub(crate) fn is_index(kind: &MediaType) -> bool {
    match kind {
        MediaType::ImageIndex => true,
        other => other.to_string() == "application/vnd.docker.distribution.manifest.list.v2+json",
    }
}

/// Whether a manifest may be for `arch`: it says so, or says nothing.
pub(crate) fn is_for(descriptor: &Descriptor, arch: Arch) -> bool {
    descriptor.platform().as_ref().is_none_or(|platform| {
        platform.architecture().to_string() == arch.oci() && platform.os().to_string() == "linux"
    })
}
