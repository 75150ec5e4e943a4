//! The client's end of the control socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use hullkit_bundle::control::{Op, Reply, Request, VERSION};
use hullkit_bundle::layout;
use serde::Serialize;

use crate::Error;

/// Sends one request to PID 1 and waits for its answer.
pub(super) fn ask(op: &Op) -> Result<Reply, Error> {
    let request = Request {
        version: VERSION,
        op: op.clone(),
    };
    let stream = send(layout::CONTROL_SOCKET, &request)?;
    let mut line = String::new();
    BufReader::new(stream)
        .read_line(&mut line)
        .map_err(Error::os("read from", layout::CONTROL_SOCKET))?;
    serde_json::from_str(&line).map_err(|source| Error::Json {
        object: layout::CONTROL_SOCKET.to_owned(),
        source,
    })
}

/// Connects to `path` and sends `message` as one line.
pub(super) fn send(path: &str, message: &impl Serialize) -> Result<UnixStream, Error> {
    let mut stream = UnixStream::connect(path).map_err(Error::os("connect to", path))?;
    let mut line = serde_json::to_vec(message).map_err(|source| Error::Json {
        object: path.to_owned(),
        source,
    })?;
    line.push(b'\n');
    // It may have been answered and closed before it was read: the answer
    // tells why.
    match stream.write_all(&line) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::os("write to", path)(error))
        }
        _ => Ok(stream),
    }
}
