//! Resource limits that every process of the machine inherits.

use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};

use crate::Error;

/// As many open files as `fs.nr_open` lets a process have, and no limit on
/// processes: containers have their own limits and cgroups (LinuxKit's
/// values, which its images rely on).
const LIMITS: [(Resource, &str, u64); 2] = [
    (Resource::RLIMIT_NOFILE, "open files", 1_048_576),
    (Resource::RLIMIT_NPROC, "processes", RLIM_INFINITY),
];

/// Raises them.
///
/// # Errors
/// The kernel's word.
pub(super) fn raise() -> Result<(), Error> {
    for (resource, name, value) in LIMITS {
        setrlimit(resource, value, value).map_err(Error::os("set limit of", name))?;
    }
    Ok(())
}
