//! The program between PID 1 and the OCI runtime of a service that is given
//! descriptors, `hullkit-hand-over READY RUNTIME ARGUMENT…`: the same binary as
//! PID 1 under another name, which becomes the runtime.
//!
//! It is needed because the runtime must find them under fixed numbers, and its
//! own number in `LISTEN_PID` (sd_listen_fds(3)), which is known only to itself.
//! Standard input is a socket with one message: the descriptors, and the names
//! of those that listen.

use std::ffi::{OsStr, OsString};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

use crate::Error;
use crate::sys::fd;

/// The name that PID 1 starts it by.
pub const NAME: &str = "hullkit-hand-over";

/// The first descriptor beyond the standard ones.
const FIRST: RawFd = 3;
/// As many as a message may have (`SCM_MAX_FD`, unix(7)).
const MOST: usize = 253;
/// Room for their names: nobody has more than half as many of 255 bytes.
const MOST_NAMES: usize = 64 * 1024;

/// What a service is given.
#[derive(Debug, Default)]
pub struct Gift<'a> {
    /// Sockets, and what it has left with us, with their names: 3, 4, ….
    pub listening: Vec<(&'a str, BorrowedFd<'a>)>,
    /// Where it writes that it is ready, by the number that it knows.
    pub ready: Option<(u32, BorrowedFd<'a>)>,
}

impl Gift<'_> {
    /// Whether there is nothing to give.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.listening.is_empty() && self.ready.is_none()
    }

    /// How many descriptors beyond those that listen the runtime must keep, so
    /// that the last one has its number.
    #[must_use]
    pub fn more(&self) -> usize {
        let ready = self.ready.and_then(|(fd, _)| usize::try_from(fd).ok());
        ready.map_or(0, |fd| (fd + 1).saturating_sub(3 + self.listening.len()))
    }

    /// The first argument of the program.
    #[must_use]
    pub fn argument(&self) -> String {
        self.ready.map_or(0, |(fd, _)| fd).to_string()
    }

    /// The standard input of the program. It need not be there yet.
    ///
    /// # Errors
    /// No descriptor is free.
    pub fn send(&self) -> io::Result<OwnedFd> {
        let (ours, theirs) = UnixStream::pair()?;
        let listening = self.listening.iter().map(|(_, fd)| fd.as_raw_fd());
        let ready = self.ready.iter().map(|(_, fd)| fd.as_raw_fd());
        let fds: Vec<RawFd> = listening.chain(ready).collect();
        let names: Vec<&str> = self.listening.iter().map(|(name, _)| *name).collect();
        // One byte at least: else there is no message.
        let names = format!("{}\n", names.join(":"));
        let parts = [IoSlice::new(names.as_bytes())];
        let rights = [ControlMessage::ScmRights(&fds)];
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        match sendmsg::<()>(ours.as_raw_fd(), &parts, &rights, flags, None)? {
            sent if sent == names.len() => Ok(theirs.into()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }
}

/// Becomes the runtime. The exit code is that of a failure.
#[must_use]
pub fn main(args: &[OsString]) -> ExitCode {
    let Err(error) = run(args);
    // The service's log: there is no other place yet.
    let _closed = io::Write::write_fmt(&mut io::stderr(), format_args!("{NAME}: {error}\n"));
    ExitCode::FAILURE
}

/// 1. The descriptors are taken, and lifted above all numbers that are given.
/// 2. Each is put where the service expects it, and nothing where it expects
///    none.
/// 3. The runtime is executed, and told of those that listen.
fn run(args: &[OsString]) -> Result<std::convert::Infallible, Error> {
    let [ready, runtime, arguments @ ..] = args else {
        return Err(usage());
    };
    let ready: RawFd = ready
        .to_str()
        .and_then(|ready| ready.parse().ok())
        .filter(|ready| (0..1 << 16).contains(ready))
        .ok_or_else(usage)?;
    let failed = Error::os("take", "the service's descriptors");
    let (names, fds) = take(ready).map_err(failed)?;
    let listening = fds.len() - usize::from(ready > 0 && !fds.is_empty());
    let failed = Error::os("place", "the service's descriptors");
    place(&fds, listening, ready).map_err(failed)?;
    let mut command = Command::new(runtime);
    command.args(arguments);
    if listening > 0 {
        command
            .env("LISTEN_FDS", listening.to_string())
            .env("LISTEN_PID", std::process::id().to_string())
            .env("LISTEN_FDNAMES", names);
    }
    let runtime = runtime.display().to_string();
    Err(Error::os("execute", &runtime)(command.exec()))
}

fn usage() -> Error {
    Error::Bundle {
        object: NAME.to_owned(),
        reason: "usage: hullkit-hand-over READY RUNTIME ARGUMENT...".to_owned(),
    }
}

/// The message on standard input: the names, and the descriptors above `ready`
/// and all that will be placed.
fn take(ready: RawFd) -> io::Result<(OsString, Vec<OwnedFd>)> {
    let stdin = io::stdin();
    let mut names = vec![0; MOST_NAMES];
    let mut parts = [IoSliceMut::new(&mut names)];
    let mut space = nix::cmsg_space!([RawFd; MOST]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
    let got = recvmsg::<()>(stdin.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    let bytes = got.bytes;
    let mut received = Vec::new();
    for control in got.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = control {
            received.extend(raw.into_iter().map(fd::received));
        }
    }
    let count = RawFd::try_from(received.len()).map_err(io::Error::other)?;
    let above = ready.max(FIRST + count) + 1;
    let lifted = received.iter().map(|fd| fd::lifted(fd.as_fd(), above));
    let lifted = lifted.collect::<io::Result<_>>()?;
    let names = names.get(..bytes).unwrap_or_default();
    let names = names.strip_suffix(b"\n").unwrap_or(names);
    let names: &OsStr = std::os::unix::ffi::OsStrExt::from_bytes(names);
    Ok((names.to_owned(), lifted))
}

fn place(fds: &[OwnedFd], listening: usize, ready: RawFd) -> io::Result<()> {
    let count = RawFd::try_from(listening).map_err(io::Error::other)?;
    let mut options = std::fs::OpenOptions::new();
    let null = options.read(true).write(true).open("/dev/null")?;
    let lifted = fd::lifted(null.as_fd(), ready.max(FIRST + count) + 1)?;
    // Its number is one of theirs.
    drop(null);
    let null = lifted;
    fd::put(null.as_fd(), 0)?;
    let (sockets, last) = fds.split_at_checked(listening).unwrap_or((fds, &[]));
    let mut next = FIRST;
    for socket in sockets {
        fd::put(socket.as_fd(), next)?;
        next += 1;
    }
    for fd in last {
        // The runtime keeps a row of them: what is between is nothing.
        for between in next..ready {
            fd::put(null.as_fd(), between)?;
        }
        fd::put(fd.as_fd(), ready)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_reaches_the_last_one() {
        let stdin = io::stdin();
        let fd = stdin.as_fd();
        let gift = |listening: usize, ready: Option<u32>| Gift {
            listening: vec![("a", fd); listening],
            ready: ready.map(|number| (number, fd)),
        };
        for (listening, ready, more) in [
            (0, None, 0),
            (2, None, 0),
            (0, Some(3), 1),
            (0, Some(5), 3),
            (2, Some(5), 1),
            (2, Some(9), 5),
        ] {
            assert_eq!(gift(listening, ready).more(), more, "{listening} {ready:?}");
        }
        assert!(gift(0, None).is_empty() && !gift(1, None).is_empty());
    }
}
