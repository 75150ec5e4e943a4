//! Notices to PID 1, as `sd_notify(3)` sends them.

use std::env;
use std::io;
use std::os::unix::net::UnixDatagram;

/// Sends lines, each ended by `;` here, to the socket that the environment
/// names.
pub(crate) fn send(lines: &str) -> io::Result<()> {
    let socket = env::var("NOTIFY_SOCKET").map_err(io::Error::other)?;
    send_to(&socket, lines)
}

/// The same to any socket. It waits while that is full.
pub(crate) fn send_to(socket: &str, lines: &str) -> io::Result<()> {
    let text = lines.replace(';', "\n");
    UnixDatagram::unbound()?.send_to(text.as_bytes(), socket)?;
    Ok(())
}
