//! Listening sockets for those that try to connect.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

/// A socket at a port of 127.0.0.1 or a path, for as long as this process
/// lives. Who connects waits to be taken.
pub(crate) fn listen(place: &str) -> io::Result<()> {
    if place.starts_with('/') {
        std::mem::forget(UnixListener::bind(place)?);
    } else {
        std::mem::forget(TcpListener::bind(format!("127.0.0.1:{place}"))?);
    }
    Ok(())
}

/// Answers by HTTP for ever: well, unless there is the file `ill`.
pub(crate) fn http(port: &str, ill: &str) -> io::Result<()> {
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    loop {
        let (mut client, _) = listener.accept()?;
        let mut request = [0; 512];
        let _ = client.read(&mut request)?;
        let status = if fs::exists(ill)? {
            "503 Ill"
        } else {
            "200 OK"
        };
        // Who asked may be gone.
        let _ = client.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes());
    }
}
