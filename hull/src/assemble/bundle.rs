//! An entry's bundle: `config.json`, `runtime.json` and the root filesystem
//! (`docs/hull.md`, "What is in a system").

use hullkit_bundle::layout;

use super::Error;
use super::mountpoint;
use crate::compose::Composed;
use crate::spec::Entry;
use crate::tree::{Dir, Meta, Node, Tree, owners};

/// Puts the bundle of `entry` into `system`; `image` is its root filesystem.
/// Entries with the same image share its files, which become hard links.
pub(super) fn add(
    system: &mut Tree,
    entry: &Entry,
    composed: &Composed,
    image: &Tree,
) -> Result<(), Error> {
    let dir = format!(
        "{}/{}/{}",
        layout::CONTAINERS,
        entry.section.as_str(),
        entry.bundle_name()
    );
    let mut root = image.clone();
    if composed.readonly {
        mountpoint::make_all(&mut root, system, composed)?;
    }
    if let Some(first) = composed.first_id {
        owners::shift(&mut root.root, first);
    }
    let texts = [
        (layout::CONFIG_JSON, composed.config_json()),
        (layout::RUNTIME_JSON, composed.runtime_json()),
    ];
    for (name, text) in texts {
        let file = Node::file(Meta::root(0o644), text.as_str());
        system.add(format!("{dir}/{name}"), file)?;
    }
    let layers = if composed.readonly {
        vec![(layout::ROOTFS, root.root)]
    } else {
        let empty = || Dir::new(Meta::root(0o755));
        vec![
            (layout::LOWER, root.root),
            (layout::TMP, empty()),
            (layout::ROOTFS, empty()),
        ]
    };
    for (name, root) in layers {
        system.add(format!("{dir}/{name}"), Node::Dir(root))?;
    }
    Ok(())
}
