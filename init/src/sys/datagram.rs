//! Datagrams whose senders the kernel names, `SO_PASSCRED` of unix(7).

use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::unistd::Pid;

/// Room for one `struct ucred` as control data, aligned as cmsg(3) wants it.
type Room = [u64; 8];

/// What has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes of the buffer that were filled.
    pub bytes: usize,
    /// Whether that is all of the datagram.
    pub whole: bool,
    /// Who sent it, by the kernel's word.
    pub sender: Option<Pid>,
}

/// Takes one datagram into `buffer`, without waiting, and no descriptor that
/// comes with it: the kernel lets those go by itself. If we took them, closing
/// one would be ours, and that can wait for whoever serves the filesystem that
/// it is of. (The last of a socket with `SO_LINGER` still goes in our context.)
///
/// # Errors
/// There is none (`EAGAIN`), or the kernel has no memory for it.
pub fn receive_text(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<Received, Errno> {
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    let mut room: Room = [0; 8];
    let mut message = MaybeUninit::<libc::msghdr>::zeroed();
    let header = message.as_mut_ptr();
    // SAFETY: all zeros are a message header without any part.
    let header = unsafe { &mut *header };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = room.as_mut_ptr().cast();
    // As long as one `struct ucred` takes: no room for a descriptor behind it.
    // SAFETY: it computes a length.
    let length = unsafe { libc::CMSG_LEN(u32::try_from(size_of::<libc::ucred>()).unwrap_or(0)) };
    header.msg_controllen = length as _;
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: the header's one part and its control data are as large as it
    // says, and live until the call has returned.
    let got = unsafe { libc::recvmsg(socket.as_raw_fd(), header, flags) };
    let bytes = usize::try_from(Errno::result(got)?).unwrap_or(0);
    Ok(Received {
        bytes,
        whole: header.msg_flags & libc::MSG_TRUNC == 0,
        sender: sender(header),
    })
}

/// The sender that the first control message of `header` names.
fn sender(header: &libc::msghdr) -> Option<Pid> {
    // SAFETY: the kernel has filled in the header and the control data that it
    // refers to.
    let first = unsafe { libc::CMSG_FIRSTHDR(header) };
    // SAFETY: null, or the first control message in that data.
    let first = unsafe { first.as_ref() }?;
    if (first.cmsg_level, first.cmsg_type) != (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) {
        return None;
    }
    // SAFETY: it computes where the data of this message lies.
    let data = unsafe { libc::CMSG_DATA(first) }.cast::<libc::ucred>();
    // SAFETY: the data of such a message is a `struct ucred`, which may lie at
    // any address.
    let who = unsafe { data.read_unaligned() };
    Some(Pid::from_raw(who.pid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::IoSlice;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixDatagram;

    use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg, setsockopt, sockopt};

    fn pair() -> (UnixDatagram, UnixDatagram) {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        setsockopt(&ours, sockopt::PassCred, &true).unwrap();
        (ours, theirs)
    }

    #[test]
    fn a_text_comes_with_its_sender_and_without_descriptors() {
        let (ours, theirs) = pair();
        let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_NONBLOCK).unwrap();
        let text = [IoSlice::new(b"READY=1")];
        let raw = [writer.as_raw_fd(); 3];
        let rights = [ControlMessage::ScmRights(&raw)];
        let to = theirs.as_raw_fd();
        sendmsg::<()>(to, &text, &rights, MsgFlags::empty(), None).unwrap();
        drop(writer);
        let mut buffer = [0; 16];
        let got = receive_text(ours.as_fd(), &mut buffer).unwrap();
        assert_eq!((got.bytes, got.whole), (7, true));
        assert_eq!(got.sender, Some(nix::unistd::getpid()));
        // The kernel has let them go: the pipe has no writer left.
        let mut end = [0; 1];
        assert_eq!(nix::unistd::read(&reader, &mut end), Ok(0));
    }

    #[test]
    fn what_is_cut_and_what_is_not_there_is_told() {
        let (ours, theirs) = pair();
        theirs.send(b"STATUS=long").unwrap();
        let got = receive_text(ours.as_fd(), &mut [0; 4]).unwrap();
        assert_eq!((got.bytes, got.whole), (4, false));
        assert_eq!(receive_text(ours.as_fd(), &mut [0; 4]), Err(Errno::EAGAIN));
    }
}
