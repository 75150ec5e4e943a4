//! The step that gives the process a terminal of the container's own, and who
//! owns what it reads and writes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::channel::Message;
use super::child::{Done, Failure};
use super::mounts;
use super::proc_guard::Guest;
use super::tree::{Tree, Want};
use crate::sys::resolve::open_in_root;
use crate::sys::terminal::{self, Size};
use crate::sys::{file, mount};

/// 1. A new pseudo terminal of the container's devpts.
/// 2. Its inner side becomes `/dev/console`, where that is asked for: by the
///    descriptor, so that no name in the container can turn it elsewhere
///    (CVE-2025-52565).
/// 3. The outer side goes to the parent.
/// 4. The inner side becomes the session's terminal, and 0, 1 and 2.
pub(super) fn open(
    tree: &Tree,
    console: bool,
    size: Option<Size>,
    uid: u32,
    channel: BorrowedFd<'_>,
) -> Done {
    let outer = outer_side(tree)?;
    let inner = terminal::open_peer(outer.as_fd()).map_err(Failure::in_part("its inner side"))?;
    if let Some(size) = size {
        terminal::set_size(outer.as_fd(), size).map_err(Failure::in_part("its size"))?;
    }
    if console {
        bind_console(tree, inner.as_fd())?;
    }
    if uid != 0 {
        file::give_to(inner.as_fd(), uid).map_err(Failure::in_part("its owner"))?;
    }
    Message::Terminal.send_with(channel, outer.as_fd())?;
    terminal::make_controlling(inner.as_fd()).map_err(Failure::in_part("the session's"))?;
    for number in 0..3 {
        file::duplicate_to(inner.as_fd(), number)?;
    }
    Ok(())
}

/// Opens without waiting, because what is there may be anything, and looks at
/// what was opened before it is used.
fn outer_side(tree: &Tree) -> Result<OwnedFd, Failure> {
    let none = "the container has no devpts at /dev/pts";
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_NONBLOCK;
    let outer =
        open_in_root(tree.root(), c"/dev/pts/ptmx", flags, 0).map_err(Failure::in_part(none))?;
    let fd = outer.as_fd();
    if !file::filesystem(fd)?.is_devpts() || !file::stat(fd)?.is_char_device(5, 2) {
        return Err(Failure::own(libc::ENODEV, none));
    }
    file::set_waiting(fd, true)?;
    Ok(outer)
}

fn bind_console(tree: &Tree, inner: BorrowedFd<'_>) -> Done {
    let copy = mount::clone_tree(Some(inner), c"", false)?;
    let place = mounts::place(tree, c"/dev/console", Want::File, Guest::Other)?;
    mount::attach(copy.as_fd(), place.fd.as_fd()).map_err(Failure::in_part("on /dev/console"))
}

/// Pipes belong to whoever made them; who is somebody else could not open them
/// anew, as `/dev/stdout`. Nothing but pipes is given away. Where the kernel
/// does not let us, as in a user namespace that lacks their owner, they stay.
pub(super) fn give_pipes(uid: u32) -> Done {
    give_pipe(io::stdin().as_fd(), uid)?;
    give_pipe(io::stdout().as_fd(), uid)?;
    give_pipe(io::stderr().as_fd(), uid)
}

fn give_pipe(fd: BorrowedFd<'_>, uid: u32) -> Done {
    let stat = file::stat(fd)?;
    if stat.mode & libc::S_IFMT != libc::S_IFIFO || stat.uid == uid {
        return Ok(());
    }
    match file::give_to(fd, uid) {
        Err(e) if !matches!(e.raw_os_error(), Some(libc::EPERM | libc::EINVAL)) => Err(e.into()),
        _ => Ok(()),
    }
}
