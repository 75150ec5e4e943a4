//! What `runtime.json` asks around a container.

use nix::unistd::Pid;

use crate::Error;
use crate::plan::Bundle;

/// Whether something is to be done between create and start
/// ([`after_create`]); if not, the runtime's fast path is taken.
#[must_use]
pub fn needs_pid(bundle: &Bundle) -> bool {
    !bundle.runtime.interfaces.is_empty() || bundle.runtime.bind_ns.iter().next().is_some()
}

/// Before the container is created: overlay, cgroups, mounts, folders.
/// A second call, before a restart, finds some of it done.
///
/// # Errors
/// The step that failed, and on what.
pub fn prepare(_bundle: &Bundle) -> Result<(), Error> {
    Ok(())
}

/// Between create and start: namespaces bound to paths, interfaces moved.
///
/// # Errors
/// The step that failed, and on what.
pub fn after_create(_bundle: &Bundle, _pid: Pid) -> Result<(), Error> {
    Ok(())
}

/// After the container's end, before it may be prepared again: unmounts what
/// [`prepare`] mounted in the bundle's folder (overlay, tmpfs, what is below
/// the container's root), so that the next start begins with the image again,
/// whatever the last run left in its root. Mounts elsewhere stay, as in
/// LinuxKit, and are not mounted twice. Called for services and for entries
/// of `onboot` and `onshutdown` alike, once for each prepared start, also
/// where the start failed half way; must not fail on what is not there.
///
/// # Errors
/// The step that failed, and on what.
pub fn release(_bundle: &Bundle) -> Result<(), Error> {
    Ok(())
}
