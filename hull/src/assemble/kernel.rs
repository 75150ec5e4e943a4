//! The kernel image: the kernel, its modules, microcode.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use super::images::Images;
use super::{Error, System};
use crate::layer::Layer;
use crate::source::Finder;
use crate::spec::{Located, Spec};
use crate::tree::{Content, Node, Tree};

/// Takes the kernel out of its image, and puts its tar into the root.
pub(super) fn add(
    system: &mut System,
    spec: &Spec,
    images: &Images,
    finder: &Finder<'_>,
) -> Result<(), Error> {
    let kernel = &spec.kernel;
    system.cmdline.clone_from(&kernel.cmdline);
    let Some(named) = &kernel.image else {
        return Ok(());
    };
    let image = &images.get(named)?.tree;
    system.kernel = Some(file(image, named, &kernel.binary)?);
    if let Some(path) = &kernel.ucode {
        system.ucode = Some(file(image, named, path)?);
    }
    if let Some(path) = &kernel.tar {
        let tar = file(image, named, path)?;
        let layer = as_layer(&tar, named, path, finder)?;
        // On its own first: its folders then merge into what is there, links
        // such as /lib to /usr/lib included.
        let mut modules = Tree::new();
        modules.root.meta = system.tree.root.meta.clone();
        layer
            .apply(&mut modules, finder.spool)
            .map_err(|source| Error::KernelTar {
                place: named.place.clone(),
                source: Box::new(source),
            })?;
        super::merge(&mut system.tree, &modules)?;
    }
    Ok(())
}

fn file(image: &Tree, named: &Located<String>, path: &str) -> Result<Content, Error> {
    let content = image.resolve(path).and_then(Node::as_file);
    content.cloned().ok_or_else(|| Error::KernelFile {
        place: named.place.clone(),
        image: named.value.clone(),
        path: path.to_owned(),
    })
}

/// A file that is a tar, as a layer: in place where it lies in a larger one.
fn as_layer(
    tar: &Content,
    named: &Located<String>,
    path: &str,
    finder: &Finder<'_>,
) -> Result<Layer, Error> {
    let read = |source| Error::Read {
        path: path.into(),
        source,
    };
    let (file, offset) = match tar {
        Content::Range { file, offset, .. } => (Arc::clone(file), *offset),
        Content::Path { path, .. } => (Arc::new(File::open(path.as_path()).map_err(read)?), 0),
        Content::Bytes(bytes) => {
            let mut file = tempfile::tempfile_in(finder.spool).map_err(read)?;
            file.write_all(bytes).map_err(read)?;
            (Arc::new(file), 0)
        }
    };
    let name = format!("{} {path}", named.value);
    Ok(Layer::of_tar(name, file, offset, tar.len()))
}
