//! Mount points that a read-only root lacks: nobody can make them later.

use crate::compose::Composed;
use crate::compose::oci::Mount;
use crate::tree::{Error, Meta, Node, Tree, path};

/// Makes the destinations of an entry's mounts in its root where they lack:
/// as the kind of thing that is mounted there.
pub(super) fn make_all(root: &mut Tree, system: &Tree, composed: &Composed) -> Result<(), Error> {
    for mount in &composed.config.mounts {
        if root.resolve(&mount.destination).is_some()
            || covered(&mount.destination, &composed.config.mounts)
        {
            continue;
        }
        let node = if is_file(mount, system, composed) {
            Node::file(Meta::root(0o644), "")
        } else {
            Node::dir(Meta::root(0o755))
        };
        match root.add(&mount.destination, node) {
            // The runtime will say so, with the entry's name.
            Err(Error::NotDir { .. } | Error::Loop { .. } | Error::Escape { .. }) => {}
            other => other?,
        }
    }
    Ok(())
}

/// Whether another mount lies on the way: the destination is made in that.
fn covered(destination: &str, mounts: &[Mount]) -> bool {
    let inside = |other: &Mount| {
        let other = other.destination.trim_end_matches('/');
        !other.is_empty()
            && destination
                .strip_prefix(other)
                .is_some_and(|rest| rest.len() > 1 && rest.starts_with('/'))
    };
    mounts.iter().any(inside)
}

/// Whether a file is mounted. What a source is that comes to be only at run
/// time (below `/run`, say) its name has to tell.
fn is_file(mount: &Mount, system: &Tree, composed: &Composed) -> bool {
    let bind = mount.kind == "bind" || mount.options.iter().any(|o| o == "bind" || o == "rbind");
    if !bind || composed.runtime.mkdir.contains(&mount.source) {
        return false;
    }
    match system.resolve(&mount.source) {
        Some(Node::Leaf(_)) => true,
        Some(Node::Dir(_)) => false,
        None => {
            let name = path::components(mount.source.as_bytes()).next_back();
            name.is_some_and(|name| name.get(1..).is_some_and(|rest| rest.contains(&b'.')))
        }
    }
}
