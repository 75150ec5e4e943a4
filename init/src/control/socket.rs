//! Listening unix sockets.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use nix::sys::socket::{getsockopt, sockopt};

use crate::Error;

/// A listening socket at `path` that does not block, in place of whatever is
/// there. Who may connect is what `mode` says.
///
/// # Errors
/// What could not be done with the path.
pub fn listen(path: &str, mode: u32) -> Result<UnixListener, Error> {
    if let Some(dir) = Path::new(path).parent() {
        fs::create_dir_all(dir).map_err(Error::path("mkdir", dir))?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::os("remove", path)(error));
        }
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(Error::os("bind", path))?;
    let mode = fs::Permissions::from_mode(mode);
    fs::set_permissions(path, mode).map_err(Error::os("chmod", path))?;
    listener
        .set_nonblocking(true)
        .map_err(Error::os("listen", path))?;
    Ok(listener)
}

/// The next client that has come in.
///
/// # Errors
/// Why none can be taken now although one may be there: no descriptor is free,
/// or no memory. That a wait for the listener ended does not tell; who waits
/// must be told of news only (`EPOLLET`) and try again later, not at once.
pub fn accept(listener: &UnixListener) -> io::Result<Option<UnixStream>> {
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true)?;
                return Ok(Some(stream));
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => return Ok(None),
                // It has gone again, or a signal came.
                io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => {}
                _ => return Err(error),
            },
        }
    }
}

/// The process at the other end, when it connected (`SO_PEERCRED`, unix(7));
/// 0 where the kernel does not tell.
#[must_use]
pub fn peer(stream: &UnixStream) -> i32 {
    getsockopt(stream, sockopt::PeerCredentials).map_or(0, |peer| peer.pid())
}

/// Whether the process at the other end was of uid 0 when it connected
/// (`SO_PEERCRED`, unix(7)). Root of a user namespace has another uid here.
#[must_use]
pub fn is_root(stream: &UnixStream) -> bool {
    getsockopt(stream, sockopt::PeerCredentials).is_ok_and(|peer| peer.uid() == 0)
}
