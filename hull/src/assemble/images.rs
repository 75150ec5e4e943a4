//! The images that a YAML names: each found once, and unpacked once.

use std::collections::HashMap;

use super::Error;
use crate::parallel;
use crate::source::{self, Finder, Image};
use crate::spec::{Located, Spec};
use crate::tree::Tree;

/// An image and its files.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) image: Image,
    pub(super) tree: Tree,
}

/// By reference, as written.
#[derive(Debug, Default)]
pub(super) struct Images(HashMap<String, Loaded>);

impl Images {
    /// Finds and unpacks all images of `spec`.
    pub(super) fn load(spec: &Spec, finder: &Finder<'_>) -> Result<Self, Error> {
        let mut found: Vec<(&Located<String>, Image)> = Vec::new();
        for named in references(spec) {
            if found.iter().all(|(other, _)| other.value != named.value) {
                let image = finder
                    .find(&named.value)
                    .map_err(|source| at(named, source))?;
                found.push((named, image));
            }
        }
        let trees = parallel::map(&found, |(named, image)| {
            image.tree(finder.spool).map_err(|source| at(named, source))
        });
        let mut images = HashMap::new();
        for ((named, image), tree) in found.into_iter().zip(trees) {
            let loaded = Loaded { image, tree: tree? };
            images.insert(named.value.clone(), loaded);
        }
        Ok(Self(images))
    }

    /// The image that `named` names; all of the spec's are there.
    pub(super) fn get(&self, named: &Located<String>) -> Result<&Loaded, Error> {
        self.0.get(&named.value).ok_or_else(|| {
            at(
                named,
                source::Error::Unsupported {
                    what: named.value.clone(),
                    why: "the image was not looked for".to_owned(),
                },
            )
        })
    }

    /// What makes an image the same, whatever it is called: for `metadata`.
    pub(super) fn id(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|loaded| loaded.image.id.as_str())
    }
}

fn at(named: &Located<String>, source: source::Error) -> Error {
    Error::Image {
        place: named.place.clone(),
        source: Box::new(source),
    }
}

/// All references, in the order of the YAML.
pub(crate) fn references(spec: &Spec) -> impl Iterator<Item = &Located<String>> {
    let volumes = spec.volumes.iter().filter_map(|v| v.image.as_ref());
    spec.kernel
        .image
        .iter()
        .chain(&spec.init)
        .chain(spec.entries().map(|entry| &entry.image))
        .chain(volumes)
}

/// Whether an `init` image is LinuxKit's own: its init, runc or containerd,
/// whose place ours takes. A link at `/sbin/init` is a busybox, not an init.
pub(super) fn is_linuxkits_own(tree: &Tree) -> bool {
    let file = |path: &str| tree.get(path).is_some_and(|node| node.as_file().is_some());
    file("sbin/init") || file("usr/bin/containerd") || file("usr/bin/runc")
}
