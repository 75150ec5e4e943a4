//! Unix sockets that keep records apart (`SOCK_SEQPACKET`).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

use super::file::owned;
use super::{check_int, check_unit};

const KIND: i32 = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;

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
            KIND,
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

fn socket() -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    check_int(unsafe { libc::syscall(libc::SYS_socket, libc::AF_UNIX, KIND, 0) }).map(owned)
}

/// A socket that listens at `path`.
///
/// # Errors
/// The kernel's; `ENAMETOOLONG` for more than 107 bytes.
pub fn listen(path: &[u8]) -> io::Result<OwnedFd> {
    let address = address(path)?;
    let socket = socket()?;
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
    let address = address(path)?;
    let socket = socket()?;
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

/// Receives one record into `buffer`; the part that was filled. Empty: the
/// other side has closed.
///
/// # Errors
/// The kernel's.
pub fn receive<'a>(socket: BorrowedFd<'_>, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
    let none = ptr::null_mut::<libc::c_void>();
    let n = loop {
        // SAFETY: the buffer is ours and as long as stated.
        let n = check_int(unsafe {
            libc::syscall(
                libc::SYS_recvfrom,
                socket.as_raw_fd(),
                buffer.as_mut_ptr(),
                buffer.len(),
                0,
                none,
                none,
            )
        });
        match n {
            Err(e) if e.raw_os_error() == Some(libc::EINTR) => {}
            other => break other?,
        }
    };
    Ok(buffer
        .get(..usize::try_from(n).unwrap_or_default())
        .unwrap_or_default())
}
