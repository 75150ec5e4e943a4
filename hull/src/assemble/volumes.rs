//! Volumes: folders that outlive a container (`docs/hull.md`, "What is in a
//! system").

use hullkit_bundle::layout;
use tempfile::TempDir;

use super::images::Images;
use super::{Error, System};
use crate::arch::Arch;
use crate::reference::Reference;
use crate::source::{Finder, Image};
use crate::spec::{Located, Spec, Volume, VolumeFormat};
use crate::store::Store;
use crate::tree::scan::scan;
use crate::tree::{Dir, Meta, Node};

/// Puts all volumes in: `lower`, `merged`, and `tmp` for those that
/// containers may write to.
pub(super) fn add_all(
    system: &mut System,
    spec: &Spec,
    images: &Images,
    finder: &Finder<'_>,
) -> Result<(), Error> {
    for volume in &spec.volumes {
        let content = content(system, volume, images, finder)?;
        let dir = format!("{}/{}", layout::VOLUMES, volume.name);
        let empty = || Dir::new(Meta::root(0o755));
        let mut parts = vec![(layout::LOWER, content), (layout::MERGED, empty())];
        if !volume.readonly {
            parts.push((layout::TMP, empty()));
        }
        for (name, part) in parts {
            system.tree.add(format!("{dir}/{name}"), Node::Dir(part))?;
        }
    }
    Ok(())
}

fn content(
    system: &mut System,
    volume: &Volume,
    images: &Images,
    finder: &Finder<'_>,
) -> Result<Dir, Error> {
    match (&volume.image, volume.format) {
        (None, _) => Ok(Dir::new(Meta::root(0o755))),
        (Some(image), VolumeFormat::Filesystem) => Ok(images.get(image)?.tree.root.clone()),
        (Some(image), VolumeFormat::Oci) => {
            let dir = oci_layout(volume, image, finder)?;
            let mut tree = scan(dir.path()).map_err(crate::source::Error::from)?;
            for lock in ["gc.lock", "index.lock"] {
                tree.remove(lock)?;
            }
            tree.root.meta = Meta::root(0o755);
            // Its files are read when the image is written.
            system.scratch.push(dir);
            Ok(tree.root)
        }
    }
}

/// The image as an OCI layout: a store with only this image.
fn oci_layout(
    volume: &Volume,
    named: &Located<String>,
    finder: &Finder<'_>,
) -> Result<TempDir, Error> {
    let dir = TempDir::new_in(finder.spool).map_err(|source| Error::Read {
        path: finder.spool.to_owned(),
        source,
    })?;
    let store = Store::new(dir.path());
    for arch in platforms(volume, finder.arch)? {
        let finder = Finder {
            arch,
            ..finder.clone()
        };
        let image: Image = finder.find(&named.value).map_err(|source| Error::Image {
            place: named.place.clone(),
            source: Box::new(source),
        })?;
        // An image that has no name in a registry goes by the volume's.
        let name: Reference = named
            .value
            .parse()
            .or_else(|_| volume.name.parse())
            .map_err(crate::source::Error::from)?;
        store.import(&name, arch, &image)?;
    }
    Ok(dir)
}

fn platforms(volume: &Volume, default: Arch) -> Result<Vec<Arch>, Error> {
    if volume.platforms.is_empty() {
        return Ok(vec![default]);
    }
    let parse = |platform: &String| {
        let arch = platform.strip_prefix("linux/").unwrap_or(platform);
        arch.parse().map_err(|source| Error::Platform {
            place: volume.place.clone(),
            source,
        })
    };
    volume.platforms.iter().map(parse).collect()
}
