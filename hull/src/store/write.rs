//! What changes the store: adding, removing, collecting what nobody names.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};
use oci_spec::image::{
    Config, Descriptor, DescriptorBuilder, ImageConfigurationBuilder, ImageIndex,
    ImageIndexBuilder, ImageManifestBuilder, MediaType, Os, PlatformBuilder, RootFsBuilder,
};

use super::{Error, FROM_INDEX, Freed, Listed, Store, arch_of, means, name_of};
use crate::arch::Arch;
use crate::atomic::{self, NewFile};
use crate::digest::{Digest, Hashing};
use crate::layer::{self, Layer, write_tar};
use crate::reference::Reference;
use crate::source::layout::{REF_NAME, sha256};
use crate::source::{self, Image, Manifest, Rootfs, sorted_json};
use crate::tree::Tree;

/// A blob that was stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blob {
    digest: Digest,
    len: u64,
}

impl Store {
    /// Stores an image made of `layers`, the lowest first, as plain tars:
    /// what is read from here often is not worth compressing. `config` is what
    /// its containers run with. An image of the same name and architecture is
    /// replaced. Returns the manifest's digest.
    ///
    /// # Errors
    /// A file in the layers cannot be read, or the store not be written.
    pub fn put_image(
        &self,
        name: &Reference,
        arch: Arch,
        config: Config,
        layers: &[Tree],
    ) -> Result<Digest, Error> {
        let _shared = self.lock(FlockArg::LockShared)?;
        let blobs = layers
            .iter()
            .map(|tree| self.put_tree(name, tree))
            .collect::<Result<Vec<_>, _>>()?;
        let diff_ids = blobs.iter().map(|blob| blob.digest.to_string());
        let rootfs = RootFsBuilder::default()
            .typ("layers")
            .diff_ids(diff_ids.collect::<Vec<_>>())
            .build()
            .map_err(broken(name))?;
        let config = ImageConfigurationBuilder::default()
            .architecture(arch.oci())
            .os(Os::Linux)
            .config(config)
            .rootfs(rootfs)
            .build()
            .map_err(broken(name))?;
        self.put_parts(name, arch, &sorted_json(&config), &blobs)
    }

    /// Stores `image` under `name`, layers as they are, all digests checked.
    /// Returns the manifest's digest, which stays the same where the image
    /// came with a manifest.
    ///
    /// # Errors
    /// The image is broken or hostile, or the store cannot be written.
    pub fn import(&self, name: &Reference, arch: Arch, image: &Image) -> Result<Digest, Error> {
        let layers = match &image.rootfs {
            Rootfs::Tree(tree) => {
                let config = image.runtime_config();
                return self.put_image(name, arch, config, std::slice::from_ref(tree));
            }
            Rootfs::Layers(layers) => layers,
        };
        let _shared = self.lock(FlockArg::LockShared)?;
        // Reads and checks everything, entries included.
        image.tree(self.dir())?;
        let blobs = layers
            .iter()
            .map(|layer| self.put_layer(name, layer))
            .collect::<Result<Vec<_>, _>>()?;
        match &image.manifest {
            None => self.put_parts(name, arch, &image.raw_config, &blobs),
            Some(manifest) => {
                self.put_bytes(&image.raw_config)?;
                self.put_manifest(name, arch, manifest, None)
            }
        }
    }

    /// Takes a name out of the store, for one architecture or for all, and
    /// what nobody else needs of it from the disk.
    ///
    /// # Errors
    /// There is no such image, or the store cannot be written.
    pub fn remove(&self, name: &Reference, arch: Option<Arch>) -> Result<Vec<Listed>, Error> {
        if !self.gc_lock().exists() {
            return Err(self.not_found(name));
        }
        let _alone = self.lock(FlockArg::LockExclusive)?;
        let mut removed = Vec::new();
        self.change_index(|index| {
            let mut kept = Vec::new();
            for manifest in index.manifests() {
                let meant = arch.is_none_or(|arch| arch.oci() == arch_of(manifest))
                    && means(manifest, name);
                if meant {
                    removed.push(self.listed_in_any_state(manifest)?);
                } else {
                    kept.push(manifest.clone());
                }
            }
            index.set_manifests(kept);
            Ok(())
        })?;
        if removed.is_empty() {
            return Err(self.not_found(name));
        }
        self.collect()?;
        Ok(removed)
    }

    /// The error that there is no such image.
    #[must_use]
    pub fn not_found(&self, name: &Reference) -> Error {
        Error::NotFound {
            name: name.familiar(),
            store: self.dir().to_owned(),
        }
    }

    /// Removes the blobs that no image needs, and what killed programs left.
    pub(super) fn collect(&self) -> Result<Freed, Error> {
        let mut freed = Freed::default();
        let mut needed = BTreeSet::new();
        let index = self.layout.index()?.unwrap_or_default();
        for manifest in index.manifests() {
            needed.insert(sha256(manifest)?.hex());
            needed.extend(self.parts(manifest)?.iter().map(|part| part.0.hex()));
        }
        for dir in [self.dir().join("blobs/sha256"), self.signatures()] {
            if dir.exists() {
                freed.all_but(&needed, &dir)?;
            }
        }
        Ok(freed)
    }

    /// The configuration and the layers of the image that `descriptor` is the
    /// manifest of: digest and size in bytes.
    pub(super) fn parts(&self, descriptor: &Descriptor) -> Result<BTreeMap<Digest, u64>, Error> {
        let manifest = self.layout.manifest(descriptor)?.0;
        let mut parts = BTreeMap::new();
        for part in std::iter::once(manifest.config()).chain(manifest.layers()) {
            parts.insert(sha256(part)?, part.size());
        }
        Ok(parts)
    }

    fn put_tree(&self, name: &Reference, tree: &Tree) -> Result<Blob, Error> {
        self.put_blob(|out| {
            write_tar(tree, out).map_err(|source| Error::Layer {
                name: name.familiar(),
                source,
            })
        })
    }

    fn put_layer(&self, name: &Reference, layer: &Layer) -> Result<Blob, Error> {
        let blob = self.put_blob(|out| {
            copy(layer, out).map_err(|source| Error::Layer {
                name: name.familiar(),
                source,
            })
        })?;
        match layer.digest {
            Some(expected) if expected != blob.digest => Err(Error::Source(source::Error::Layer {
                image: name.familiar(),
                source: Box::new(layer::Error::Digest {
                    layer: layer.name.clone(),
                    expected,
                    found: blob.digest,
                }),
            })),
            _ => Ok(blob),
        }
    }

    pub(super) fn put_bytes(&self, bytes: &[u8]) -> Result<Blob, Error> {
        let digest = Digest::of(bytes);
        let path = self.layout.blob(digest);
        if !path.exists() {
            atomic::write(&path, bytes).map_err(io("writing", &path))?;
        }
        Ok(Blob {
            digest,
            len: bytes.len() as u64,
        })
    }

    /// Stores what `write` writes. The disk has it before it has a name.
    fn put_blob(
        &self,
        write: impl FnOnce(&mut dyn Write) -> Result<(), Error>,
    ) -> Result<Blob, Error> {
        let dir = self.dir().join("blobs/sha256");
        let file = NewFile::create(&dir).map_err(io("writing to", &dir))?;
        let mut out = io::BufWriter::with_capacity(256 * 1024, Hashing::new(file));
        write(&mut out)?;
        let hashing = out
            .into_inner()
            .map_err(|e| io("writing to", &dir)(e.into_error()))?;
        let (digest, len, file) = hashing.finish();
        let path = self.layout.blob(digest);
        if !path.exists() {
            file.sync().map_err(io("writing", &path))?;
            file.persist(&path).map_err(io("writing", &path))?;
        }
        Ok(Blob { digest, len })
    }

    /// Makes and stores the manifest of an image whose layers are stored.
    fn put_parts(
        &self,
        name: &Reference,
        arch: Arch,
        config: &[u8],
        layers: &[Blob],
    ) -> Result<Digest, Error> {
        let config = self.put_bytes(config)?;
        let layers = layers
            .iter()
            .map(|&blob| self.descriptor(name, blob))
            .collect::<Result<Vec<_>, _>>()?;
        let manifest = ImageManifestBuilder::default()
            .schema_version(2u32)
            .media_type(MediaType::ImageManifest)
            .config(describe(MediaType::ImageConfig, config))
            .layers(layers)
            .build()
            .map_err(broken(name))?;
        let bytes = sorted_json(&manifest);
        let manifest = Manifest {
            digest: Digest::of(&bytes),
            media_type: MediaType::ImageManifest.to_string(),
            bytes,
        };
        self.put_manifest(name, arch, &manifest, None)
    }

    /// A stored layer's descriptor, its compression told by its first bytes.
    fn descriptor(&self, name: &Reference, blob: Blob) -> Result<Descriptor, Error> {
        let path = self.layout.blob(blob.digest);
        let file = File::open(&path).map_err(io("reading", &path))?;
        let kind = layer::media_type(&file).map_err(|source| Error::Layer {
            name: name.familiar(),
            source,
        })?;
        Ok(describe(kind, blob))
    }

    /// Stores a manifest, and puts it into the index in place of what had this
    /// name and architecture. `from` is the index of the registry that led to it.
    pub(super) fn put_manifest(
        &self,
        name: &Reference,
        arch: Arch,
        manifest: &Manifest,
        from: Option<Digest>,
    ) -> Result<Digest, Error> {
        let blob = self.put_bytes(&manifest.bytes)?;
        let platform = PlatformBuilder::default()
            .architecture(arch.oci())
            .os(Os::Linux)
            .build()
            .map_err(broken(name))?;
        let mut annotations = HashMap::from([(REF_NAME.to_owned(), name.to_string())]);
        annotations.extend(from.map(|index| (FROM_INDEX.to_owned(), index.to_string())));
        let descriptor = DescriptorBuilder::default()
            .media_type(manifest.media_type.as_str())
            .digest(source::layout::to_oci(manifest.digest))
            .size(blob.len)
            .platform(platform)
            .annotations(annotations)
            .build()
            .map_err(broken(name))?;
        self.change_index(|index| {
            let mut manifests = index.manifests().clone();
            let same = |old: &Descriptor| name_of(old).as_ref() == Some(name);
            manifests.retain(|old| !(same(old) && arch_of(old) == arch.oci()));
            manifests.push(descriptor);
            manifests.sort_by_key(|m| {
                (
                    source::layout::ref_name(m).map(ToOwned::to_owned),
                    arch_of(m),
                )
            });
            index.set_manifests(manifests);
            Ok(())
        })?;
        Ok(blob.digest)
    }

    fn change_index(
        &self,
        change: impl FnOnce(&mut ImageIndex) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let lock = self.dir().join("index.lock");
        let _alone = flock(&lock, FlockArg::LockExclusive)?;
        let mut index = match self.layout.index()? {
            Some(index) => index,
            None => empty_index(),
        };
        change(&mut index)?;
        let path = self.dir().join("index.json");
        atomic::write(&path, &sorted_json(&index)).map_err(io("writing", &path))
    }

    /// Makes the layout where it lacks, and holds its blobs.
    pub(super) fn lock(&self, how: FlockArg) -> Result<Flock<File>, Error> {
        let blobs = self.dir().join("blobs/sha256");
        std::fs::create_dir_all(&blobs).map_err(io("making", &blobs))?;
        let lock = flock(&self.gc_lock(), how)?;
        let mark = self.dir().join("oci-layout");
        if !mark.exists() {
            let text = br#"{"imageLayoutVersion":"1.0.0"}"#;
            atomic::write(&mark, text).map_err(io("writing", &mark))?;
        }
        Ok(lock)
    }
}

fn empty_index() -> ImageIndex {
    let mut index = ImageIndexBuilder::default()
        .schema_version(2u32)
        .manifests(Vec::new())
        .build()
        .unwrap_or_default();
    index.set_media_type(Some(MediaType::ImageIndex));
    index
}

fn describe(kind: MediaType, blob: Blob) -> Descriptor {
    Descriptor::new(kind, blob.len, source::layout::to_oci(blob.digest))
}

/// Opens a file, which is made if need be, and locks it.
pub(super) fn flock(path: &Path, how: FlockArg) -> Result<Flock<File>, Error> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        .map_err(io("opening", path))?;
    Flock::lock(file, how).map_err(|(_, e)| io("locking", path)(e.into()))
}

fn copy(layer: &Layer, out: &mut dyn Write) -> io::Result<()> {
    let mut buffer = vec![0; 128 * 1024];
    let (mut at, end) = (layer.offset, layer.offset + layer.len);
    while at < end {
        let want = usize::try_from(end - at).map_or(buffer.len(), |left| left.min(buffer.len()));
        let n = layer.file.read_at(&mut buffer[..want], at)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        out.write_all(&buffer[..n])?;
        at += n as u64;
    }
    Ok(())
}

pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io {
        doing,
        path,
        source,
    }
}

/// The builders of `oci-spec` fail where a field was forgotten.
fn broken<E: std::fmt::Display>(name: &Reference) -> impl FnOnce(E) -> Error {
    let what = name.familiar();
    move |why| {
        Error::Source(source::Error::Unsupported {
            what,
            why: why.to_string(),
        })
    }
}
