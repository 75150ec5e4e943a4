//! Spec and images become one system: the tree of the root filesystem, the
//! kernel, its command line.

mod bundle;
pub mod decompress;
mod files;
pub(crate) mod guest;
mod images;
mod kernel;
mod mountpoint;
mod skeleton;
mod volumes;

use std::io;
use std::path::{Path, PathBuf};

use hullkit_bundle::layout;
use tempfile::TempDir;

use crate::arch::{Arch, UnknownArch};
use crate::compose;
use crate::layer;
use crate::source::{self, Finder};
use crate::spec::{Place, Problems, Spec};
use crate::store;
use crate::tree::{self, Content, Node, Tree, dedup};
use images::Images;
pub(crate) use images::references;

/// All that an output format needs.
#[derive(Debug)]
pub struct System {
    /// The root filesystem.
    pub tree: Tree,
    /// The kernel; none where the YAML names no kernel image.
    pub kernel: Option<Content>,
    /// The kernel's command line.
    pub cmdline: String,
    /// Our own `/init`, whatever the tree has; none where the image brings one
    /// and ours is not at hand.
    pub init: Option<Content>,
    /// What a BIOS starts; only for x86_64.
    pub bios_loader: Option<Content>,
    /// Microcode, a cpio to be put before the initrd.
    pub ucode: Option<Content>,
    /// Worth a word to people, a line each.
    pub notes: Vec<String>,
    /// Folders that hold contents of the tree.
    scratch: Vec<TempDir>,
}

/// Why a system could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An image could not be had.
    #[error("{place}: {source}")]
    Image {
        /// Where the YAML names it.
        place: Place,
        /// Why.
        source: Box<source::Error>,
    },
    /// The entries do not compose.
    #[error(transparent)]
    Compose(#[from] Problems),
    /// The kernel image lacks a file.
    #[error(
        "{place}: image {image:?} has no file {path:?}; the kernel's keys binary, tar (none: \
         there is no tar) and ucode name its files"
    )]
    KernelFile {
        /// Where the YAML names the image.
        place: Place,
        /// The image.
        image: String,
        /// The file.
        path: String,
    },
    /// The kernel's tar is broken or hostile.
    #[error("{place}: {source}")]
    KernelTar {
        /// Where the YAML names the image.
        place: Place,
        /// What is wrong.
        source: Box<layer::Error>,
    },
    /// The guest's programs are not there.
    #[error(
        "the guest's programs (init, runc-shim) for {arch} are not in {looked}; `make build` \
         builds them, --guest DIR or HULL_GUEST names their folder"
    )]
    NoGuest {
        /// For which architecture.
        arch: Arch,
        /// Where they were looked for.
        looked: String,
    },
    /// An item of `files` cannot be read.
    #[error("{place}: files: {path}: {source}; `optional: true` leaves it out")]
    FileSource {
        /// Where the YAML names it.
        place: Place,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An item of `files` cannot stand where it wants to.
    #[error("{place}: files: {source}")]
    Place {
        /// Where the YAML names it.
        place: Place,
        /// Why.
        source: tree::Error,
    },
    /// A volume's platform is none of ours.
    #[error("{place}: platforms: {source}")]
    Platform {
        /// Where the YAML names the volume.
        place: Place,
        /// Why.
        source: UnknownArch,
    },
    /// Images do not fit onto each other.
    #[error("the root filesystem: {0}")]
    Tree(#[from] tree::Error),
    /// A file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Equal files cannot be compared.
    #[error("comparing the containers' files: {0}")]
    Compare(io::Error),
    /// A volume in the form of an OCI layout could not be made.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// An image could not be read.
    #[error(transparent)]
    Source(#[from] source::Error),
}

/// Puts the system together that `spec` describes. `guest` is the folder of
/// the guest's programs, where it is not in its usual place.
///
/// # Errors
/// An image is missing or broken, or the entries do not fit their images.
pub fn assemble(spec: &Spec, finder: &Finder<'_>, guest: Option<&Path>) -> Result<System, Error> {
    let images = Images::load(spec, finder)?;
    let composed = compose::all(spec, finder.arch, |entry| {
        Ok::<_, Error>(compose::Image::from(&images.get(&entry.image)?.image))
    })?;
    let mut system = System {
        tree: skeleton::tree()?,
        kernel: None,
        cmdline: String::new(),
        init: guest::file(guest, finder.arch, "init"),
        bios_loader: guest::file(guest, Arch::X86_64, "bios-loader.o"),
        ucode: None,
        notes: spec.warnings.iter().map(ToString::to_string).collect(),
        scratch: Vec::new(),
    };
    kernel::add(&mut system, spec, &images, finder)?;
    init(&mut system, spec, &images, finder.arch, guest)?;
    volumes::add_all(&mut system, spec, &images, finder)?;
    for (entry, composed) in spec.entries().zip(&composed) {
        let image = images.get(&entry.image)?;
        bundle::add(&mut system.tree, entry, composed, &image.tree)?;
        let warnings = composed.warnings.iter().map(ToString::to_string);
        system.notes.extend(warnings);
    }
    files::add_all(&mut system, spec, &images)?;
    // Nobody writes to a container's root through its files: it is read-only,
    // or an overlay's lower.
    if let Some(containers) = system.tree.get_dir_mut(layout::CONTAINERS) {
        dedup::share_equal_files(containers).map_err(Error::Compare)?;
    }
    Ok(system)
}

/// Unpacks the `init` images, LinuxKit's own left out, and puts our programs
/// in unless an image brings an `/init`.
fn init(
    system: &mut System,
    spec: &Spec,
    images: &Images,
    arch: Arch,
    guest: Option<&Path>,
) -> Result<(), Error> {
    let mut has_init = false;
    for named in &spec.init {
        let image = &images.get(named)?.tree;
        if images::is_linuxkits_own(image) {
            system.notes.push(format!(
                "{}: init: {} is left out: it holds LinuxKit's init, runc or containerd, whose \
                 place our init takes",
                named.place, named.value
            ));
            continue;
        }
        has_init |= image.get(layout::INIT).is_some();
        merge(&mut system.tree, image)?;
        if image.get(skeleton::RESOLV_CONF).is_some() {
            let link = Node::symlink(layout::RESOLV_CONF);
            system.tree.add(skeleton::RESOLV_CONF, link)?;
        }
    }
    if has_init {
        return Ok(());
    }
    guest::install(&mut system.tree, guest, arch)
}

/// Puts `image` over `tree`. A folder of the image goes where a link of the
/// tree leads, if that is a folder: `/lib` of one, `/usr/lib` of the other.
fn merge(tree: &mut Tree, image: &Tree) -> Result<(), tree::Error> {
    for (path, node) in image.walk() {
        match node {
            Node::Leaf(_) => tree.add(&path, node.clone())?,
            Node::Dir(dir) => {
                let led = tree.get(&path).and_then(Node::as_symlink).is_some()
                    && tree.resolve(&path).is_some_and(|n| n.as_dir().is_some());
                if !led {
                    tree.add(&path, Node::dir(dir.meta.clone()))?;
                }
            }
        }
    }
    Ok(())
}
