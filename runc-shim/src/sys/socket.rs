//! Unix sockets: those that keep records apart (`SOCK_SEQPACKET`), and
//! descriptors that are sent over a socket (unix(7), `SCM_RIGHTS`).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

use super::file::owned;
use super::{check_int, check_unit};

const RECORDS: i32 = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
const STREAM: i32 = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;

/// socketpair(2).
///
/// # Errors
/// The kernel's.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [-1i32; 2];
    // SAFETY: room for two descriptors.
    check_unit(unsafe {
        libc::syscall(
            libc::SYS_socketpair,
            libc::AF_UNIX,
            RECORDS,
            0,
            fds.as_mut_ptr(),
        )
    })?;
    let [one, two] = fds;
    Ok((owned(one), owned(two)))
}

fn address(path: &[u8]) -> io::Result<libc::sockaddr_un> {
    let mut address = libc::sockaddr_un {
        sun_family: libc::sa_family_t::try_from(libc::AF_UNIX).unwrap_or_default(),
        sun_path: [0; 108],
    };
    if path.len() >= address.sun_path.len() {
        return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
    }
    for (to, from) in address.sun_path.iter_mut().zip(path) {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    Ok(address)
}

fn socket(kind: i32) -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    check_int(unsafe { libc::syscall(libc::SYS_socket, libc::AF_UNIX, kind, 0) }).map(owned)
}

/// A socket that listens at `path`.
///
/// # Errors
/// The kernel's; `ENAMETOOLONG` for more than 107 bytes.
pub fn listen(path: &[u8]) -> io::Result<OwnedFd> {
    let address = address(path)?;
    let socket = socket(RECORDS)?;
    // SAFETY: an address of the stated size.
    check_unit(unsafe {
        libc::syscall(
            libc::SYS_bind,
            socket.as_raw_fd(),
            &raw const address,
            size_of_val(&address),
        )
    })?;
    // SAFETY: no pointers.
    check_unit(unsafe { libc::syscall(libc::SYS_listen, socket.as_raw_fd(), 1) })?;
    Ok(socket)
}

/// Connects to the socket at `path`.
///
/// # Errors
/// The kernel's; `ECONNREFUSED`: nobody listens any more.
pub fn connect(path: &[u8]) -> io::Result<OwnedFd> {
    connect_to(socket(RECORDS)?, path)
}

/// Connects to the socket at `path`, which is one of bytes without records.
/// Neither that nor what is sent later waits longer than `seconds`.
///
/// # Errors
/// The kernel's; `ECONNREFUSED`: nobody listens any more, `EAGAIN`: who
/// listens takes nobody.
pub fn connect_stream(path: &[u8], seconds: u16) -> io::Result<OwnedFd> {
    let socket = socket(STREAM)?;
    let limit: [libc::c_long; 2] = [seconds.into(), 0];
    // SAFETY: `limit` has the layout of `struct timeval`.
    check_unit(unsafe {
        libc::syscall(
            libc::SYS_setsockopt,
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_SNDTIMEO,
            limit.as_ptr(),
            size_of_val(&limit),
        )
    })?;
    connect_to(socket, path)
}

fn connect_to(socket: OwnedFd, path: &[u8]) -> io::Result<OwnedFd> {
    let address = address(path)?;
    // SAFETY: an address of the stated size.
    check_unit(unsafe {
        libc::syscall(
            libc::SYS_connect,
            socket.as_raw_fd(),
            &raw const address,
            size_of_val(&address),
        )
    })?;
    Ok(socket)
}

/// accept4(2): waits for a client.
///
/// # Errors
/// The kernel's.
pub fn accept(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let none = ptr::null_mut::<libc::c_void>();
    // SAFETY: the client's address is not wanted.
    check_int(unsafe {
        libc::syscall(
            libc::SYS_accept4,
            socket.as_raw_fd(),
            none,
            none,
            libc::SOCK_CLOEXEC,
        )
    })
    .map(owned)
}

/// Sends one record. A reader that has gone is an error, not a signal.
///
/// # Errors
/// The kernel's.
pub fn send(socket: BorrowedFd<'_>, record: &[u8]) -> io::Result<()> {
    let none = ptr::null::<libc::c_void>();
    // SAFETY: the record is valid for its length; there is no address.
    check_unit(unsafe {
        libc::syscall(
            libc::SYS_sendto,
            socket.as_raw_fd(),
            record.as_ptr(),
            record.len(),
            libc::MSG_NOSIGNAL,
            none,
            0,
        )
    })
}

/// A control message that holds one descriptor, with the layout of cmsg(3).
#[repr(C)]
struct Rights {
    header: libc::cmsghdr,
    descriptor: libc::c_int,
    // Up to the next multiple of the header's alignment, as CMSG_SPACE counts.
    padding: libc::c_int,
}

/// What CMSG_LEN counts: without the padding.
const RIGHTS_LENGTH: usize = size_of::<libc::cmsghdr>() + size_of::<libc::c_int>();

/// The message of sendmsg(2) and recvmsg(2), to and from nobody in particular.
fn message(data: &mut libc::iovec, rights: Option<&mut Rights>) -> libc::msghdr {
    // SAFETY: a message of zeros is an empty one.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    message.msg_iov = data;
    message.msg_iovlen = 1;
    if let Some(rights) = rights {
        message.msg_control = ptr::from_mut(rights).cast();
        // The C libraries have different types for the length.
        #[allow(clippy::useless_conversion, reason = "u32 in musl, usize in glibc")]
        let length = size_of::<Rights>().try_into().unwrap_or_default();
        message.msg_controllen = length;
    }
    message
}

fn rights(descriptor: i32) -> Rights {
    // SAFETY: a header of zeros is an empty one.
    let mut header: libc::cmsghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    #[allow(clippy::useless_conversion, reason = "u32 in musl, usize in glibc")]
    let length = RIGHTS_LENGTH.try_into().unwrap_or_default();
    header.cmsg_len = length;
    header.cmsg_level = libc::SOL_SOCKET;
    header.cmsg_type = libc::SCM_RIGHTS;
    Rights {
        header,
        descriptor,
        padding: 0,
    }
}

/// Sends one record, at least a byte, with a descriptor.
///
/// # Errors
/// The kernel's.
pub fn send_with(
    socket: BorrowedFd<'_>,
    record: &[u8],
    descriptor: BorrowedFd<'_>,
) -> io::Result<()> {
    let mut data = libc::iovec {
        iov_base: record.as_ptr().cast_mut().cast(),
        iov_len: record.len(),
    };
    let mut rights = rights(descriptor.as_raw_fd());
    let message = message(&mut data, Some(&mut rights));
    // SAFETY: the message points to a record and to rights that outlive the
    // call, which writes to neither.
    check_unit(unsafe {
        libc::syscall(
            libc::SYS_sendmsg,
            socket.as_raw_fd(),
            &raw const message,
            libc::MSG_NOSIGNAL,
        )
    })
}

/// Receives one record into `buffer`; the part that was filled, and the
/// descriptor that came with it. Empty: the other side has closed.
///
/// # Errors
/// The kernel's.
pub fn receive_with<'a>(
    socket: BorrowedFd<'_>,
    buffer: &'a mut [u8],
) -> io::Result<(&'a [u8], Option<OwnedFd>)> {
    let mut data = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    let mut rights = rights(-1);
    let mut message = message(&mut data, Some(&mut rights));
    let n = loop {
        // SAFETY: the message points to a buffer and to rights that are ours
        // and as long as stated.
        let n = check_int(unsafe {
            libc::syscall(
                libc::SYS_recvmsg,
                socket.as_raw_fd(),
                &raw mut message,
                libc::MSG_CMSG_CLOEXEC,
            )
        });
        match n {
            Err(e) if e.raw_os_error() == Some(libc::EINTR) => {}
            other => break other?,
        }
    };
    // The kernel gives as many as there is room for, which is one.
    let came = message.msg_controllen > 0 && rights.descriptor >= 0;
    let descriptor = came.then(|| owned(rights.descriptor));
    let record = buffer.get(..usize::try_from(n).unwrap_or_default());
    Ok((record.unwrap_or_default(), descriptor))
}

/// Receives one record into `buffer`; the part that was filled. Empty: the
/// other side has closed.
///
/// # Errors
/// The kernel's.
pub fn receive<'a>(socket: BorrowedFd<'_>, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
    receive_with(socket, buffer).map(|(record, _not_expected)| record)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_descriptor_arrives_with_its_record() {
        let (one, other) = pair().unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        send(one.as_fd(), b"plain").unwrap();
        send_with(one.as_fd(), b"with", reader.as_fd()).unwrap();
        drop(reader);
        let mut buffer = [0; 16];
        let (record, none) = receive_with(other.as_fd(), &mut buffer).unwrap();
        assert_eq!((record, none.is_none()), (b"plain".as_slice(), true));
        let (record, some) = receive_with(other.as_fd(), &mut buffer).unwrap();
        assert_eq!(record, b"with");
        writer.write_all(b"x").unwrap();
        drop(writer);
        let text = io::read_to_string(std::fs::File::from(some.unwrap())).unwrap();
        assert_eq!(text, "x");
    }
}
