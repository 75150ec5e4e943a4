//! What a container gets into its namespaces, and where these are bound to.

use std::path::Path;

use hullkit_bundle::runtime::Interface;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::unistd::Pid;

use crate::Error;
use crate::mount_point::make_file;
use crate::net::Links;

const NONE: Option<&str> = None;

/// Gives the container of the process `pid` a network interface.
pub(super) fn give_interface(links: &Links, wanted: &Interface, pid: Pid) -> Result<(), Error> {
    let name = wanted.name.as_str();
    let refused = |reason: &str| Error::Bundle {
        object: format!("interface {name:?}"),
        reason: reason.to_owned(),
    };
    if name.is_empty() {
        return Err(refused("it has no name"));
    }
    let added = Error::os("make interface", name);
    let moved = Error::os("move interface", name);
    match (wanted.add.as_str(), wanted.peer.as_str()) {
        ("", "") => links.move_to(name, pid).map_err(moved),
        ("veth", "") => Err(refused("a veth needs a peer")),
        ("" | "veth", peer) => add_veth(links, name, peer, pid).map_err(added),
        (kind, _) if wanted.create_in_root => {
            links.add(name, kind, None).map_err(added)?;
            links.move_to(name, pid).map_err(moved)
        }
        (kind, _) => links.add(name, kind, Some(pid)).map_err(added),
    }
}

/// Makes a veth pair, in place of one that the last run of the container left:
/// the kernel takes away what was in a network namespace some time after its
/// end.
fn add_veth(links: &Links, name: &str, peer: &str, pid: Pid) -> Result<(), Errno> {
    match links.add_veth(name, peer, pid) {
        Err(Errno::EEXIST) => {
            links.delete(peer)?;
            links.add_veth(name, peer, pid)
        }
        result => result,
    }
}

/// Binds a namespace of the process `pid` (its file below `/proc/PID/ns`) to
/// `path`.
pub(super) fn bind(namespace: &str, path: &Path, pid: Pid) -> Result<(), Error> {
    make_file(path)?;
    let source = format!("/proc/{pid}/ns/{namespace}");
    mount(Some(source.as_str()), path, NONE, MsFlags::MS_BIND, NONE)
        .map_err(Error::path("bind namespace to", path))
}
