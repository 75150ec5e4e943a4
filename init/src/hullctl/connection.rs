//! The client's end of the control socket.

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use hullkit_bundle::control::{Op, Reply, Request, VERSION};
use hullkit_bundle::layout;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use serde::Serialize;

use super::Failure;
use crate::Error;

/// A connection to PID 1.
#[derive(Debug)]
pub(super) struct Connection(BufReader<UnixStream>);

impl Connection {
    /// Sends one request; the answer may take `timeout`.
    pub(super) fn ask(op: &Op, timeout: Option<Duration>) -> Result<Self, Error> {
        let request = Request {
            version: VERSION,
            op: op.clone(),
        };
        let sent = match op {
            Op::Exec(_) => send_with_streams(layout::CONTROL_SOCKET, &request),
            _ => send(layout::CONTROL_SOCKET, &request),
        };
        let stream = match sent {
            // Who may not ask may still look.
            Err(Error::Os { .. }) if op.only_looks() && !may_connect() => {
                send(layout::VIEW_SOCKET, &request)?
            }
            sent => sent?,
        };
        stream
            .set_read_timeout(timeout)
            .map_err(Error::os("set timeout of", layout::CONTROL_SOCKET))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// The next answer; none when there are no more.
    pub(super) fn answer(&mut self) -> Result<Option<Reply>, Failure> {
        let mut line = String::new();
        let read = self.0.read_line(&mut line);
        match read {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(Failure {
                    code: super::TIMED_OUT,
                    message: "not answered in time".to_owned(),
                });
            }
            // Closed before it has read all that we sent.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            read => read.map_err(Error::os("read from", layout::CONTROL_SOCKET))?,
        };
        if line.is_empty() {
            return Ok(None);
        }
        let reply = serde_json::from_str(&line).map_err(|source| Error::Json {
            object: layout::CONTROL_SOCKET.to_owned(),
            source,
        })?;
        Ok(Some(reply))
    }
}

/// Sends one request to PID 1 and waits for its one answer.
pub(super) fn ask(op: &Op, timeout: Option<Duration>) -> Result<Reply, Failure> {
    let answer = Connection::ask(op, timeout)?.answer()?;
    answer.ok_or_else(|| Failure {
        code: super::FAILED,
        message: "init has closed the connection; if it was executed again, ask again".to_owned(),
    })
}

/// Whether the control socket is there for us.
fn may_connect() -> bool {
    UnixStream::connect(layout::CONTROL_SOCKET).is_ok()
}

/// The same with our standard input, output and error.
fn send_with_streams(path: &str, message: &impl Serialize) -> Result<UnixStream, Error> {
    let stream = UnixStream::connect(path).map_err(Error::os("connect to", path))?;
    let line = line(path, message)?;
    let fds = [0, 1, 2];
    let rights = [ControlMessage::ScmRights(&fds)];
    let parts = [io::IoSlice::new(&line)];
    let flags = MsgFlags::MSG_NOSIGNAL;
    let sent = sendmsg::<()>(stream.as_raw_fd(), &parts, &rights, flags, None);
    match sent.map_err(Error::os("write to", path))? {
        // A request fits into a socket's buffer.
        count if count == line.len() => Ok(stream),
        _ => Err(Error::os("write to", path)(io::ErrorKind::WriteZero)),
    }
}

fn line(path: &str, message: &impl Serialize) -> Result<Vec<u8>, Error> {
    let mut line = serde_json::to_vec(message).map_err(|source| Error::Json {
        object: path.to_owned(),
        source,
    })?;
    line.push(b'\n');
    Ok(line)
}

/// Connects to `path` and sends `message` as one line.
pub(super) fn send(path: &str, message: &impl Serialize) -> Result<UnixStream, Error> {
    let mut stream = UnixStream::connect(path).map_err(Error::os("connect to", path))?;
    let line = line(path, message)?;
    // It may have been answered and closed before it was read: the answer
    // tells why.
    match stream.write_all(&line) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::os("write to", path)(error))
        }
        _ => Ok(stream),
    }
}
