//! Where an image comes from: a name in the local store or in a registry,
//! `oci:DIR[:TAG]`, `docker-archive:FILE` or `dir:DIR`.

mod archive;
pub mod archived;
pub mod image;
pub mod layout;
mod remote;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use oci_spec::image::{ImageConfiguration, ImageConfigurationBuilder, Os};

pub use image::{Image, Manifest, Rootfs};
use layout::Layout;
pub use remote::Remote;

use crate::arch::Arch;
use crate::digest::Digest;
use crate::layer;
use crate::lock;
use crate::reference::{BadReference, Reference};
use crate::registry;
use crate::signature;
use crate::store::Store;
use crate::tree::scan;

/// Why an image could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing of this name and architecture.
    #[error(
        "image {name:?} for {arch} is not in the store {store}{hint}; bring it there with \
         `hull image pull {name}` from a registry, or with `hull image import {name} FROM`, FROM \
         being oci:DIR[:TAG], docker-archive:FILE or dir:DIR"
    )]
    NotFound {
        /// As it was asked for.
        name: String,
        /// For which architecture.
        arch: Arch,
        /// Where it was looked for.
        store: PathBuf,
        /// What is there of that name, if anything.
        hint: String,
    },
    /// Nor does a registry give it.
    #[error("image {name:?} for {arch} is not in the store{hint}; {source}")]
    NotPulled {
        /// As it was asked for.
        name: String,
        /// For which architecture.
        arch: Arch,
        /// What is there of that name, if anything.
        hint: String,
        /// Why.
        source: Box<registry::Error>,
    },
    /// A registry that was to be asked again does not answer as it should.
    #[error(transparent)]
    Registry(Box<registry::Error>),
    /// The lock file does not say which image is meant.
    #[error(transparent)]
    Lock(#[from] lock::Error),
    /// The policy does not take it.
    #[error(transparent)]
    Policy(#[from] signature::Error),
    /// The text names no image.
    #[error(transparent)]
    Name(#[from] BadReference),
    /// A layout has several images, or none that fits.
    #[error("{name}: {why}")]
    Choice {
        /// As it was asked for.
        name: String,
        /// What there is.
        why: String,
    },
    /// A layout has the image, but not for this architecture.
    #[error("{name}: there is no image for {wanted} in the layout")]
    NoArch {
        /// As it was asked for.
        name: String,
        /// The architecture that was asked for, in OCI's words.
        wanted: &'static str,
    },
    /// The image is for another architecture.
    #[error("image {name:?} is for {found}, not for {wanted}")]
    Arch {
        /// The image.
        name: String,
        /// Its architecture, in OCI's words.
        found: String,
        /// The one that was asked for, in OCI's words.
        wanted: &'static str,
    },
    /// What an image outside the store consists of is missing or broken.
    #[error("image {name:?}: {source}")]
    In {
        /// As it was asked for.
        name: String,
        /// What is wrong.
        source: Box<Self>,
    },
    /// A file cannot be read, or is not the JSON that it should be.
    #[error("{path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A blob's bytes are not those that it is named for.
    #[error("{path}: the content has the digest {found}, not {expected}")]
    Digest {
        /// The blob.
        path: PathBuf,
        /// As it should be.
        expected: Digest,
        /// As it is.
        found: Digest,
    },
    /// Well formed, but not something that we can use.
    #[error("{what}: {why}")]
    Unsupported {
        /// What.
        what: String,
        /// Why.
        why: String,
    },
    /// A layer is broken or hostile.
    #[error("image {image:?}: {source}")]
    Layer {
        /// The image.
        image: String,
        /// What is wrong.
        source: Box<layer::Error>,
    },
    /// A folder cannot be listed.
    #[error(transparent)]
    Scan(#[from] scan::Error),
}

/// An image as the YAML and the command line name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A name in the local store.
    Name(Reference),
    /// An OCI image layout.
    Oci {
        /// The folder.
        dir: PathBuf,
        /// The image in it; may be left out where there is only one.
        tag: Option<String>,
    },
    /// What `docker save` wrote.
    DockerArchive(PathBuf),
    /// A folder that is the root filesystem itself.
    Dir(PathBuf),
}

impl FromStr for Source {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let place = |path: &str| {
            if path.is_empty() {
                return Err(Error::Unsupported {
                    what: format!("{text:?}"),
                    why: "there is no path behind the colon".to_owned(),
                });
            }
            Ok(PathBuf::from(path))
        };
        if let Some(rest) = text.strip_prefix("oci:") {
            let (dir, tag) = layout_and_tag(rest);
            let (dir, tag) = (place(dir)?, tag.map(str::to_owned));
            return Ok(Self::Oci { dir, tag });
        }
        if let Some(rest) = text.strip_prefix("docker-archive:") {
            return Ok(Self::DockerArchive(place(rest)?));
        }
        if let Some(rest) = text.strip_prefix("dir:") {
            return Ok(Self::Dir(place(rest)?));
        }
        Ok(Self::Name(text.parse()?))
    }
}

/// `DIR[:TAG]` in its parts. Both may have colons (a tag may be a whole
/// reference), so the folder is the longest text before a colon that is one.
fn layout_and_tag(text: &str) -> (&str, Option<&str>) {
    let split = |at| (&text[..at], Some(&text[at + 1..]));
    if Path::new(text).exists() {
        return (text, None);
    }
    let mut colons = text.rmatch_indices(':').map(|(at, _)| at);
    if let Some(at) = colons.find(|&at| Path::new(&text[..at]).is_dir()) {
        return split(at);
    }
    // There is no folder: the error is to name what was most likely meant.
    match text.rfind(':') {
        Some(at) if !text[at..].contains('/') => split(at),
        _ => (text, None),
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(reference) => f.write_str(&reference.familiar()),
            Self::Oci { dir, tag: None } => write!(f, "oci:{}", dir.display()),
            Self::Oci { dir, tag: Some(t) } => write!(f, "oci:{}:{t}", dir.display()),
            Self::DockerArchive(path) => write!(f, "docker-archive:{}", path.display()),
            Self::Dir(path) => write!(f, "dir:{}", path.display()),
        }
    }
}

/// Finds images.
#[derive(Clone, Debug)]
pub struct Finder<'a> {
    /// The local store.
    pub store: &'a Store,
    /// For which architecture.
    pub arch: Arch,
    /// A folder for nameless files.
    pub spool: &'a Path,
    /// What is done about an image that is not in the store; `None`: it is
    /// missing.
    pub remote: Option<&'a Remote>,
}

impl<'a> Finder<'a> {
    /// Finds what is on this machine.
    #[must_use]
    pub fn local(store: &'a Store, arch: Arch, spool: &'a Path) -> Self {
        Self {
            store,
            arch,
            spool,
            remote: None,
        }
    }

    /// The image that `text` names.
    ///
    /// # Errors
    /// It is not there, broken, or for another architecture.
    pub fn find(&self, text: &str) -> Result<Image, Error> {
        let place = match text.parse()? {
            Source::Name(reference) => return self.named(text, &reference),
            place => place,
        };
        self.at_place(text, place).map_err(|error| match error {
            // These know no more than a path.
            Error::Read { .. }
            | Error::Digest { .. }
            | Error::Scan(_)
            | Error::Unsupported { .. } => Error::In {
                name: text.to_owned(),
                source: Box::new(error),
            },
            other => other,
        })
    }

    fn at_place(&self, text: &str, place: Source) -> Result<Image, Error> {
        match place {
            Source::Name(reference) => self.named(text, &reference),
            Source::Oci { dir, tag } => {
                self.admit_place("oci", &dir)?;
                self.in_layout(text, dir, tag.as_deref())
            }
            Source::DockerArchive(path) => {
                self.admit_place("docker-archive", &path)?;
                archive::open(text, &path, self.arch, self.spool)
            }
            Source::Dir(path) => {
                self.admit_place("dir", &path)?;
                self.folder(text, &path)
            }
        }
    }

    fn in_store(&self, name: &str, reference: &Reference) -> Result<Image, Error> {
        if let Some(image) = self.store.find(name, reference, self.arch)? {
            return Ok(image);
        }
        Err(Error::NotFound {
            name: name.to_owned(),
            arch: self.arch,
            store: self.store.dir().to_owned(),
            hint: self.hint(reference),
        })
    }

    /// For which other architectures the store has an image, for an error.
    fn hint(&self, reference: &Reference) -> String {
        match self.store.arches(reference).unwrap_or_default().as_slice() {
            [] => String::new(),
            others => format!(" (only for {})", others.join(", ")),
        }
    }

    fn in_layout(&self, name: &str, dir: PathBuf, tag: Option<&str>) -> Result<Image, Error> {
        let layout = Layout {
            dir,
            trusted: false,
        };
        let index = layout.index()?.ok_or_else(|| Error::Choice {
            name: name.to_owned(),
            why: "there is no OCI image layout (no index.json)".to_owned(),
        })?;
        let named: Vec<_> = index
            .manifests()
            .iter()
            .filter(|m| tag.is_none() || layout::ref_name(m) == tag)
            .cloned()
            .collect();
        let found = layout.manifests(&named, self.arch)?;
        match found.as_slice() {
            [one] => layout.image(name, one, self.arch),
            [] if named.is_empty() => Err(Error::Choice {
                name: name.to_owned(),
                why: "there is no image of that tag in the layout".to_owned(),
            }),
            [] => Err(Error::NoArch {
                name: name.to_owned(),
                wanted: self.arch.oci(),
            }),
            _ => Err(Error::Choice {
                name: name.to_owned(),
                why: "there are several images in the layout; name one as oci:DIR:TAG".to_owned(),
            }),
        }
    }

    fn folder(&self, name: &str, dir: &Path) -> Result<Image, Error> {
        let tree = scan::scan(dir)?;
        let config = empty_config(self.arch);
        Ok(Image {
            name: name.to_owned(),
            id: format!("dir:{}", dir.display()),
            raw_config: sorted_json(&config),
            config,
            manifest: None,
            rootfs: Rootfs::Tree(tree),
        })
    }
}

/// The configuration of an image that brings none.
#[must_use]
pub fn empty_config(arch: Arch) -> ImageConfiguration {
    ImageConfigurationBuilder::default()
        .architecture(arch.oci())
        .os(Os::Linux)
        .build()
        .unwrap_or_default()
}

/// JSON with its keys in order: the types have hash maps inside, whose order
/// changes from run to run.
pub(crate) fn sorted_json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_value(value)
        .map(|value| value.to_string().into_bytes())
        .unwrap_or_default()
}

fn check_arch(name: &str, config: &ImageConfiguration, arch: Arch) -> Result<(), Error> {
    let found = config.architecture().to_string();
    if found == arch.oci() {
        return Ok(());
    }
    Err(Error::Arch {
        name: name.to_owned(),
        found,
        wanted: arch.oci(),
    })
}

#[cfg(test)]
mod tests;
