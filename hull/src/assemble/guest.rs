//! The guest's own programs: PID 1 and the OCI runtime.

use std::path::{Path, PathBuf};

use hullkit_bundle::layout;

use super::Error;
use crate::arch::Arch;
use crate::tree::{Content, Meta, Node, Tree};

/// The programs: file in the guest folder, place in the image.
const PROGRAMS: [(&str, &str); 2] = [("init", layout::INIT), ("runc-shim", layout::RUNTIME)];

/// The folder of the guest's programs for `arch`: `given` (`--guest` or
/// `HULL_GUEST`, unless empty) or a folder of the architecture's name in it, else
/// `../guest/ARCH` beside this program, as the Makefile lays them out.
///
/// # Errors
/// The programs are in none of these places.
pub(crate) fn folder(given: Option<&Path>, arch: Arch) -> Result<PathBuf, Error> {
    let candidates = match given.filter(|dir| !dir.as_os_str().is_empty()) {
        Some(dir) => vec![dir.join(arch.uname()), dir.to_owned()],
        None => {
            let own = std::env::current_exe().and_then(std::fs::canonicalize);
            let root = own
                .as_deref()
                .ok()
                .and_then(Path::parent)
                .and_then(Path::parent);
            root.map(|out| out.join("guest").join(arch.uname()))
                .into_iter()
                .collect()
        }
    };
    candidates
        .iter()
        .find(|dir| dir.join(PROGRAMS[0].0).is_file())
        .cloned()
        .ok_or_else(|| Error::NoGuest {
            arch,
            looked: candidates
                .iter()
                .map(|dir| dir.display().to_string())
                .collect::<Vec<_>>()
                .join(", "),
        })
}

/// One of our programs, where it is at hand.
pub(super) fn file(given: Option<&Path>, arch: Arch, name: &str) -> Option<Content> {
    let path = folder(given, arch).ok()?.join(name);
    Content::of_file(&path).ok()
}

/// Puts them into `tree`.
pub(super) fn install(tree: &mut Tree, given: Option<&Path>, arch: Arch) -> Result<(), Error> {
    let folder = folder(given, arch)?;
    for (name, place) in PROGRAMS {
        let path = folder.join(name);
        let content = Content::of_file(&path).map_err(|source| Error::Read { path, source })?;
        tree.add(place, Node::file(Meta::root(0o755), content))?;
    }
    tree.add(layout::HULLCTL, Node::symlink(layout::INIT))?;
    Ok(())
}
