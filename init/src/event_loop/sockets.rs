//! The sockets that PID 1 opens for services: in its own network and its own
//! root, whatever those of the service are.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, lchown};
use std::path::Path;

use hullkit_bundle::socket::{Address, Socket};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrIn6, SockaddrLike, UnixAddr, bind,
    setsockopt, socket, sockopt,
};
use nix::sys::stat::{Mode, umask};

use crate::Error;
use crate::sys::listen::listen;

/// Opens `wanted`.
///
/// # Errors
/// The kernel's: the address is in use, or none.
pub(super) fn open(wanted: &Socket) -> Result<OwnedFd, Error> {
    let opened = match &wanted.address {
        Address::Ip(address) => match at_port(wanted, *address) {
            // A kernel without IPv6 has each address of the machine all the same.
            Err(Errno::EAFNOSUPPORT) if address.ip().is_unspecified() => {
                at_port(wanted, (Ipv4Addr::UNSPECIFIED, address.port()).into())
            }
            opened => opened,
        },
        Address::Path(path) => at_path(wanted, Path::new(path)),
    };
    opened.map_err(Error::os("listen at", &wanted.address.to_string()))
}

/// Removes what [`open`] has made beside the descriptor.
pub(super) fn remove(closed: &Socket) {
    if let Address::Path(path) = &closed.address {
        remove_socket(Path::new(path));
    }
}

/// An address that the machine does not have yet can be bound (`IP_FREEBIND`):
/// it may get it later, from DHCP.
fn at_port(wanted: &Socket, address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let socket = new(family, wanted.stream)?;
    if wanted.stream {
        // Connections of the socket before may be about to end.
        setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    }
    setsockopt(&socket, sockopt::IpFreebind, &true)?;
    match address {
        SocketAddr::V4(address) => take(&socket, wanted, &SockaddrIn::from(address))?,
        SocketAddr::V6(address) => {
            setsockopt(&socket, sockopt::Ipv6V6Only, &false)?;
            take(&socket, wanted, &SockaddrIn6::from(address))?;
        }
    }
    Ok(socket)
}

fn at_path(wanted: &Socket, path: &Path) -> Result<OwnedFd, Errno> {
    let errno = |error: io::Error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(errno)?;
    }
    // It is left over from a PID 1 that has ended badly.
    remove_socket(path);
    let socket = new(AddressFamily::Unix, wanted.stream)?;
    // It has its permissions from the beginning; nobody else makes files in
    // this process.
    let before = umask(Mode::from_bits_truncate(!wanted.mode & 0o777));
    let taken = take(&socket, wanted, &UnixAddr::new(path)?);
    umask(before);
    taken?;
    let (uid, gid) = wanted.owner;
    if wanted.owner != (0, 0) {
        // Who can write to the folder may have put a link there meanwhile.
        lchown(path, Some(uid), Some(gid)).map_err(errno)?;
    }
    Ok(socket)
}

fn new(family: AddressFamily, stream: bool) -> Result<OwnedFd, Errno> {
    let kind = if stream {
        SockType::Stream
    } else {
        SockType::Datagram
    };
    // Services expect a socket that waits, as with systemd.
    socket(family, kind, SockFlag::SOCK_CLOEXEC, None)
}

fn take(socket: &OwnedFd, wanted: &Socket, address: &impl SockaddrLike) -> Result<(), Errno> {
    bind(socket.as_raw_fd(), address)?;
    if wanted.stream {
        let backlog = i32::try_from(wanted.backlog).unwrap_or(i32::MAX);
        listen(socket.as_fd(), backlog)?;
    }
    Ok(())
}

/// Anything else stays, and is in the way.
fn remove_socket(path: &Path) {
    if fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket()) {
        // If it fails, so does what comes after it, and says so.
        let _in_the_way = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn wanted(address: Address, mode: u32) -> Socket {
        Socket {
            stream: true,
            address,
            name: "web".to_owned(),
            backlog: 8,
            mode,
            owner: (0, 0),
        }
    }

    #[test]
    fn a_port_takes_connections_and_is_taken_once() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let wanted = wanted(Address::Ip(address), 0);
        let listener = std::net::TcpListener::from(open(&wanted).unwrap());
        let error = open(&wanted).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("listen at {address}: Address already in use")
        );
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"x").unwrap();
        let mut byte = [0];
        listener.accept().unwrap().0.read_exact(&mut byte).unwrap();
    }

    #[test]
    fn a_path_has_its_permissions_and_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/s");
        let wanted = wanted(Address::Path(path.display().to_string()), 0o640);
        for _ in 0..2 {
            // The second one takes the place of the first.
            let _socket = open(&wanted).unwrap();
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o640);
            UnixStream::connect(&path).unwrap();
        }
        remove(&wanted);
        assert!(!path.exists());
        fs::write(&path, "a file").unwrap();
        assert!(open(&wanted).is_err() && path.exists());
    }
}
