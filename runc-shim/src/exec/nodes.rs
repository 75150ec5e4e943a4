//! Steps that make files in the root: device nodes and links.

use std::ffi::CStr;
use std::io;
use std::os::fd::AsFd;

use super::child::{Done, Failure};
use super::tree::{Tree, Want};
use crate::plan::Node;
use crate::sys::{file, mount};

/// Makes a device node. One that is there already must be the right one.
pub(super) fn make(tree: &Tree, node: &Node, bind: bool) -> Done {
    if bind && node.mode & libc::S_IFMT != libc::S_IFIFO {
        return bind_host_node(tree, node);
    }
    let (parent, name) = tree.make_parent(&node.path)?;
    match file::mknodat(
        Some(parent.as_fd()),
        &name,
        node.mode,
        node.major,
        node.minor,
    ) {
        Ok(()) => {}
        Err(e) if e.raw_os_error() == Some(libc::EEXIST) => return check(tree, node),
        Err(e) => return Err(e.into()),
    }
    if (node.uid, node.gid) != (0, 0) {
        file::chownat(Some(parent.as_fd()), &name, node.uid, node.gid)?;
    }
    Ok(())
}

fn check(tree: &Tree, node: &Node) -> Done {
    let there = file::stat(tree.open(&node.path)?.as_fd())?;
    let same_kind = (there.mode ^ node.mode) & libc::S_IFMT == 0;
    let fifo = node.mode & libc::S_IFMT == libc::S_IFIFO;
    if same_kind && (fifo || there.device == (node.major, node.minor)) {
        return Ok(());
    }
    Err(Failure::own(libc::EEXIST, "something else is there"))
}

/// Binds the host's node of the same path, because a user namespace may not
/// make one.
fn bind_host_node(tree: &Tree, node: &Node) -> Done {
    let tree_fd =
        mount::clone_tree(None, &node.path, false).map_err(Failure::in_part("the host's node"))?;
    let there = file::stat(tree_fd.as_fd())?;
    if (there.mode ^ node.mode) & libc::S_IFMT != 0 || there.device != (node.major, node.minor) {
        return Err(Failure::own(
            libc::ENODEV,
            "the host's node is another device",
        ));
    }
    let place = tree.place(&node.path, Want::File)?;
    mount::attach(tree_fd.as_fd(), place.fd.as_fd())?;
    Ok(())
}

/// Makes a symbolic link, unless something is there.
pub(super) fn link(tree: &Tree, target: &CStr, path: &CStr) -> Done {
    let (parent, name) = tree.make_parent(path)?;
    match file::symlinkat(target, Some(parent.as_fd()), &name) {
        Err(e) if e.raw_os_error() != Some(libc::EEXIST) => Err(e.into()),
        _ => Ok(()),
    }
}

/// Whether a path names something that can be executed.
pub(super) fn is_program(path: &CStr) -> io::Result<()> {
    let fd = file::openat(None, path, libc::O_PATH, 0)?;
    if file::stat(fd.as_fd())?.is_dir() {
        return Err(io::Error::from_raw_os_error(libc::EISDIR));
    }
    file::can_execute(path)
}
