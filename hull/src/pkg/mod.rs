//! A package folder becomes an OCI image: what its `build.yml` names is laid
//! into one tree. `docs/pkg.md` describes the file.
//!
//! The same input gives the same image: every entry is from the epoch, and
//! the store sorts.

mod debs;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use oci_spec::image::{Config, ConfigBuilder};

use crate::arch::Arch;
use crate::spec::recipe::{Binary, Recipe};
use crate::spec::{File, FileContent, Place};
use crate::tree::{self, Content, Meta, Node, Tree};
use crate::{assemble, deb};

/// The file in a package folder that says what becomes of it.
pub const BUILD_YML: &str = "build.yml";

/// Where a package's parts come from.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The package folder: the `source` of its files is relative to it.
    pub dir: &'a Path,
    /// The folder that holds Debian packages as files.
    pub debs: Option<&'a Path>,
    /// The folder of the guest's programs; see `hull build --guest`.
    pub guest: Option<&'a Path>,
    /// For which architecture.
    pub arch: Arch,
}

/// What is in the way of an image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The package is not for this architecture.
    #[error("{dir}: the package is for {allowed} only, not for {arch}")]
    Arch {
        /// The package folder.
        dir: PathBuf,
        /// What was asked for.
        arch: Arch,
        /// What `arches` says.
        allowed: String,
    },
    /// A program of ours is not where it should be.
    #[error("{place}: binaries: {path}: {source}; `make build` makes the guest's programs")]
    Binary {
        /// Where it is named.
        place: Place,
        /// Where it was looked for.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
    /// There is no folder of the guest's programs.
    #[error(transparent)]
    Guest(#[from] assemble::Error),
    /// A file of the folder cannot be read.
    #[error("{place}: files: {path}: {source}")]
    Source {
        /// Where it is named.
        place: Place,
        /// Where it was looked for.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
    /// `metadata` is for system images.
    #[error(
        "{place}: files: metadata is of a system image; allowed: contents, source, symlink, directory"
    )]
    Metadata {
        /// Where it is named.
        place: Place,
    },
    /// Debian packages are named, and no folder that holds them.
    #[error("{place}: debs: give the folder that holds the package files: --debs DIR")]
    NoDebs {
        /// Where they are named.
        place: Place,
    },
    /// None or several files are the Debian package.
    #[error(
        "{place}: debs: {name} for {arch}: {found} in {dir}; exactly one must be there (apt-get download {name}:{arch})"
    )]
    DebFile {
        /// Where it is named.
        place: Place,
        /// The package.
        name: String,
        /// The architecture, in Debian's words.
        arch: &'static str,
        /// How many there are.
        found: String,
        /// The folder.
        dir: PathBuf,
    },
    /// A Debian package is broken, or is not what its name says.
    #[error(transparent)]
    Deb(#[from] deb::Error),
    /// The folder of the packages, or the file that they are unpacked to,
    /// cannot be read or written.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
    /// Something cannot be put where it is to go.
    #[error("{what}: {source}")]
    Place {
        /// What it is.
        what: String,
        /// Why not.
        source: tree::Error,
    },
    /// The image's configuration cannot be made.
    #[error("image configuration: {0}")]
    Config(#[from] oci_spec::OciSpecError),
}

/// The image: its configuration and its one layer. Debian packages come
/// first, then programs, links and files, so that each can replace what the
/// ones before it brought.
///
/// # Errors
/// A part is not there, is broken, or cannot be put where it is to go.
pub fn build(recipe: &Recipe, origin: &Origin<'_>) -> Result<(Config, Tree), Error> {
    check_arch(recipe, origin)?;
    let mut tree = Tree::new();
    debs::unpack(&mut tree, recipe, origin)?;
    for binary in &recipe.binaries {
        add_binary(&mut tree, binary, origin)?;
    }
    for (path, target) in &recipe.links {
        tree.add(path, Node::symlink(target))
            .map_err(placing("links"))?;
    }
    for file in &recipe.files {
        add_file(&mut tree, file, origin)?;
    }
    Ok((config(recipe)?, tree))
}

fn check_arch(recipe: &Recipe, origin: &Origin<'_>) -> Result<(), Error> {
    if recipe.arches.is_empty() || recipe.arches.contains(&origin.arch) {
        return Ok(());
    }
    let allowed: Vec<&str> = recipe.arches.iter().map(|arch| arch.uname()).collect();
    Err(Error::Arch {
        dir: origin.dir.to_owned(),
        arch: origin.arch,
        allowed: allowed.join(", "),
    })
}

fn add_binary(tree: &mut Tree, binary: &Binary, origin: &Origin<'_>) -> Result<(), Error> {
    let folder = assemble::guest::folder(origin.guest, origin.arch)?;
    let path = folder.join(&binary.name.value);
    let content = Content::of_file(&path).map_err(|source| Error::Binary {
        place: binary.name.place.clone(),
        path,
        source,
    })?;
    tree.add(&binary.path, Node::file(Meta::root(0o755), content))
        .map_err(placing("binaries"))
}

fn add_file(tree: &mut Tree, file: &File, origin: &Origin<'_>) -> Result<(), Error> {
    let meta = Meta {
        uid: file.uid,
        gid: file.gid,
        ..Meta::root(file.mode)
    };
    let node = match &file.content {
        FileContent::Directory => Node::dir(meta),
        FileContent::Symlink(target) => Node::symlink(target),
        FileContent::Contents(text) => Node::file(meta, text.as_str()),
        FileContent::Metadata(_) => {
            return Err(Error::Metadata {
                place: file.place.clone(),
            });
        }
        FileContent::Source { path, optional } => {
            let path = origin.dir.join(path);
            match Content::of_readable_file(&path) {
                Ok(content) => Node::file(meta, content),
                Err(_) if *optional => return Ok(()),
                Err(source) => {
                    return Err(Error::Source {
                        place: file.place.clone(),
                        path,
                        source,
                    });
                }
            }
        }
    };
    tree.add(&file.path, node)
        .map_err(placing(&format!("{}: files", file.place)))
}

fn placing(what: &str) -> impl Fn(tree::Error) -> Error {
    move |source| Error::Place {
        what: what.to_owned(),
        source,
    }
}

/// What the image's containers run with.
fn config(recipe: &Recipe) -> Result<Config, Error> {
    let some = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    let mut config = ConfigBuilder::default().build()?;
    config.set_entrypoint(some(&recipe.entrypoint));
    config.set_cmd(some(&recipe.cmd));
    config.set_env(some(&recipe.env));
    config.set_working_dir(recipe.workdir.clone());
    config.set_stop_signal(recipe.stop_signal.clone());
    if !recipe.labels.is_empty() {
        let labels = recipe.labels.clone();
        config.set_labels(Some(labels.into_iter().collect::<HashMap<_, _>>()));
    }
    Ok(config)
}

#[cfg(test)]
mod tests;
