//! Mounts whose files belong to others than on their filesystem. The kernel
//! lets only the owner of the filesystem's user namespace map ids, so the
//! runtime makes these mounts, detached, before the container's process is
//! born, which then puts them in their places.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::id_maps;
use crate::error::Error;
use crate::plan::{Plan, Step};
use crate::spec::{IdMap, Mount, MountKind};
use crate::sys::clone::{self, Side, clone};
use crate::sys::{mount, process, socket};

/// Detached mounts by their place in the configuration.
#[derive(Debug, Default)]
pub(super) struct Mapped(pub(super) Vec<(usize, OwnedFd)>);

impl Mapped {
    /// Makes those that a plan wants.
    pub(super) fn make(plan: &Plan) -> Result<Self, Error> {
        let mut list = Vec::new();
        for step in &plan.steps {
            if let Step::Mount { index, mount, .. } = step
                && let Some(map) = &mount.id_map
            {
                list.push((*index, mapped(mount, map)?));
            }
        }
        Ok(Self(list))
    }

    /// The one of this place.
    pub(super) fn take(&mut self, index: usize) -> Option<OwnedFd> {
        let at = self.0.iter().position(|(place, _)| *place == index)?;
        Some(self.0.swap_remove(at).1)
    }
}

fn mapped(mount: &Mount, map: &IdMap) -> Result<OwnedFd, Error> {
    let MountKind::Bind { source, recursive } = &mount.kind else {
        return Err(Error::Unsupported(
            "ids are mapped for bind mounts only".to_owned(),
        ));
    };
    let name = source.to_string_lossy();
    let tree = mount::clone_tree(None, source, *recursive).map_err(Error::io("bind", &name))?;
    let namespace = user_namespace(map)?;
    mount::map_ids(tree.as_fd(), namespace.as_fd(), map.recursive).map_err(|error| {
        if error.raw_os_error() == Some(libc::EINVAL) {
            return Error::Unsupported(format!(
                "map the ids of {name}: its filesystem cannot do that with this kernel"
            ));
        }
        Error::io("map the ids of", &name)(error)
    })?;
    Ok(tree)
}

/// A user namespace that stands for a map: that of a process which does nothing
/// else, and ends.
fn user_namespace(map: &IdMap) -> Result<OwnedFd, Error> {
    let failed = |doing| Error::io(doing, "a user namespace for a mount");
    let (ours, theirs) = socket::pair().map_err(failed("make"))?;
    let options = clone::Options {
        namespaces: u64::from(libc::CLONE_NEWUSER.unsigned_abs()),
        ..clone::Options::default()
    };
    match clone(&options).map_err(failed("make"))? {
        Side::Child => {
            drop(ours);
            let _until_it_closes = socket::receive(theirs.as_fd(), &mut [0]);
            process::exit_now(0)
        }
        Side::Parent { pid, pidfd } => {
            let result = id_maps::write(pid, &map.uids, &map.gids).and_then(|()| {
                let path = format!("/proc/{pid}/ns/user");
                File::open(&path).map_err(Error::io("open", path))
            });
            drop(theirs);
            drop(ours);
            let ended: io::Result<_> = process::wait(pidfd.as_fd());
            ended.map_err(failed("leave"))?;
            result.map(OwnedFd::from)
        }
    }
}
