//! Image layers: tar streams, plain or compressed, in and out of a tree.
//!
//! The format is that of the OCI image specification, `layer.md`.

mod read;
mod sparse;
pub(crate) mod spool;
mod write;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use oci_spec::image::MediaType;

use crate::cache::Cache;
use crate::digest::Digest;
use crate::parallel;
use crate::tree::{self, Content, PathError};

pub use write::write_tar;

/// A layer as it lies on disk.
#[derive(Clone, Debug)]
pub struct Layer {
    /// How errors name it: its digest, or the archive's file and member.
    pub name: String,
    /// The file that holds it.
    pub file: Arc<File>,
    /// Where in the file it begins, in bytes.
    pub offset: u64,
    /// How many bytes of the file it is.
    pub len: u64,
    /// What these bytes must hash to, where nobody has checked that yet.
    pub digest: Option<Digest>,
    /// What the uncompressed tar must hash to, where that is known.
    pub diff_id: Option<Digest>,
    /// Where it is kept unpacked, if its `diff_id` is known.
    pub cache: Option<Cache>,
}

impl Layer {
    /// A plain tar of `len` bytes at `offset` in `file`, which reads as a layer
    /// that nobody names a digest of.
    #[must_use]
    pub fn of_tar(name: String, file: Arc<File>, offset: u64, len: u64) -> Self {
        Self {
            name,
            file,
            offset,
            len,
            digest: None,
            diff_id: None,
            cache: None,
        }
    }
}

/// What is wrong with a layer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read, or not be unpacked.
    #[error("layer {layer}: {source}")]
    Read {
        /// The layer's name.
        layer: String,
        /// Why.
        source: io::Error,
    },
    /// Its bytes are not those that its image names.
    #[error("layer {layer}: the content has the digest {found}, not {expected}")]
    Digest {
        /// The layer's name.
        layer: String,
        /// As the image says.
        expected: Digest,
        /// As it is.
        found: Digest,
    },
    /// An entry has a name that leads outside.
    #[error("layer {layer}: entry {entry:?}: {source} is refused")]
    Path {
        /// The layer's name.
        layer: String,
        /// The entry's, as it stands there.
        entry: String,
        /// Why.
        source: PathError,
    },
    /// An entry cannot stand where it wants to.
    #[error("layer {layer}: entry {source}")]
    Place {
        /// The layer's name.
        layer: String,
        /// Which, and why.
        source: tree::Error,
    },
    /// An entry is broken, or of a kind that we do not know.
    #[error("layer {layer}: entry {entry:?}: {what}")]
    Entry {
        /// The layer's name.
        layer: String,
        /// The entry's.
        entry: String,
        /// What is wrong.
        what: String,
    },
}

impl Layer {
    /// Puts the layer on top of `tree`. Contents stay on disk: in the layer's
    /// file, or unpacked into a nameless file in `spool`.
    ///
    /// # Errors
    /// The layer is broken, hostile, or not the one that its image names;
    /// `tree` is then of no use any more.
    pub fn apply(&self, tree: &mut tree::Tree, spool: &Path) -> Result<(), Error> {
        read::apply(self, &read::plain(self, spool)?, tree, spool)
    }

    /// The tree of `layers`, the lowest first: they are unpacked at the same
    /// time, and put on each other in their order.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn apply_all(layers: &[Self], spool: &Path) -> Result<tree::Tree, Error> {
        let mut tree = tree::Tree::new();
        let plain = parallel::map(layers, |layer| read::plain(layer, spool));
        for (layer, plain) in layers.iter().zip(plain) {
            read::apply(layer, &plain?, &mut tree, spool)?;
        }
        Ok(tree)
    }

    /// The layer as a plain tar: a part of its own file, or unpacked into a
    /// nameless file in `spool`. Its digests are checked.
    ///
    /// # Errors
    /// It cannot be read, or is not the one that its image names.
    pub fn unpacked(&self, spool: &Path) -> Result<Content, Error> {
        let plain = read::plain(self, spool)?;
        Ok(plain.content())
    }
}

/// The media type of the layer that is `file`, as its first bytes tell.
///
/// # Errors
/// It cannot be read.
pub fn media_type(file: &File) -> io::Result<MediaType> {
    Ok(match read::Compression::of_file(file)? {
        read::Compression::None => MediaType::ImageLayer,
        read::Compression::Gzip => MediaType::ImageLayerGzip,
        read::Compression::Zstd => MediaType::ImageLayerZstd,
    })
}

#[cfg(test)]
mod tests;
