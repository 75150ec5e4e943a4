//! An image that has been found: its configuration and its layers.

use std::path::Path;

use oci_spec::image::{Config, ImageConfiguration};

use super::Error;
use crate::digest::Digest;
use crate::layer::Layer;
use crate::tree::Tree;

/// An image of one architecture, ready to be read.
#[derive(Clone, Debug)]
pub struct Image {
    /// How it was asked for.
    pub name: String,
    /// What makes two images the same, whatever they are called: the digest of
    /// the manifest, or of the configuration, or the folder's path.
    pub id: String,
    /// The configuration.
    pub config: ImageConfiguration,
    /// The configuration's bytes as they were found: what Docker adds to the
    /// specification (health checks) is only here.
    pub raw_config: Vec<u8>,
    /// The manifest, where the image came with one.
    pub manifest: Option<Manifest>,
    /// The files.
    pub rootfs: Rootfs,
}

/// A manifest as it was found.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Of `bytes`.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// The JSON.
    pub bytes: Vec<u8>,
}

/// An image's files.
#[derive(Clone, Debug)]
pub enum Rootfs {
    /// Layers, the lowest first.
    Layers(Vec<Layer>),
    /// All there is, already listed.
    Tree(Tree),
}

impl Image {
    /// What a container of this image runs with by default.
    #[must_use]
    pub fn runtime_config(&self) -> Config {
        self.config.config().clone().unwrap_or_default()
    }

    /// The root filesystem. What has to be unpacked goes into nameless files
    /// in `spool`.
    ///
    /// # Errors
    /// A layer is broken, hostile, or not the one that the image names.
    pub fn tree(&self, spool: &Path) -> Result<Tree, Error> {
        match &self.rootfs {
            Rootfs::Tree(tree) => Ok(tree.clone()),
            Rootfs::Layers(layers) => {
                Layer::apply_all(layers, spool).map_err(|source| Error::Layer {
                    image: self.name.clone(),
                    source: Box::new(source),
                })
            }
        }
    }
}
