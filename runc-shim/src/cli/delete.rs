//! `delete`.

use std::path::Path;

use super::{Outcome, hooks};
use crate::cgroup;
use crate::error::Error;
use crate::resctrl;
use crate::state::{Folder, Status};

/// Removes what is left of a container: its cgroup with whatever still lives
/// in it, then its folder. With `force`, a container that runs too; and one
/// that is not there is deleted.
pub(super) fn delete(root: &Path, id: &str, force: bool) -> Outcome {
    let folder = match Folder::open(root, id).and_then(Folder::lock) {
        Err(Error::NotFound) if force => return Ok(None),
        other => other?,
    };
    let state = folder.read()?;
    let found = folder.status(&state);
    if !matches!(found, Status::Creating | Status::Stopped) && !force {
        return Err(Error::WrongState {
            found,
            wanted: "stopped",
        });
    }
    if state.cgroup.is_empty() {
        // It has no group to be killed with; its pid namespace goes with it.
        folder.kill(&state)?;
    }
    cgroup::remove(&state.cgroup)?;
    // A class that does not go is told of when the container is gone.
    let classes = resctrl::remove(&state.resctrl);
    folder.remove()?;
    classes?;
    hooks::run_all("poststop", &state.hooks.poststop, &state, Status::Stopped)?;
    Ok(None)
}
