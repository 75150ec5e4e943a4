//! Descriptors that a runtime passes on over a socket.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

use crate::sys;

/// The text that comes, and the one descriptor with it.
pub(crate) fn receive(stream: &UnixStream) -> io::Result<(String, OwnedFd)> {
    let mut text = vec![0; 65536];
    let mut room = cmsg_space!([RawFd; 2]);
    let mut parts = [io::IoSliceMut::new(&mut text)];
    let message = recvmsg::<()>(
        stream.as_raw_fd(),
        &mut parts,
        Some(&mut room),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )?;
    let length = message.bytes;
    let mut all = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = control {
            all.extend(fds);
        }
    }
    let [fd] = all[..] else {
        return Err(io::Error::other(format!("{} descriptors came", all.len())));
    };
    text.truncate(length);
    Ok((
        String::from_utf8_lossy(&text).into_owned(),
        sys::received(fd),
    ))
}
