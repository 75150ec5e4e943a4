//! The descriptors that PID 1 gives a service (`sd_listen_fds(3)`), and those
//! that it takes (`FDSTORE`, `sd_notify(3)`).

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, IoSlice, Read, Seek, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};

use crate::sys;

/// The first one.
const FIRST: RawFd = 3;

/// The names, `:` between them; an error where they are not for this process.
fn names() -> io::Result<String> {
    let var = |name| env::var(name).map_err(|e| io::Error::other(format!("{name}: {e}")));
    let pid = var("LISTEN_PID")?;
    if pid != std::process::id().to_string() {
        return Err(io::Error::other(format!("LISTEN_PID is {pid}")));
    }
    let names = var("LISTEN_FDNAMES")?;
    let count = names.split(':').count();
    if var("LISTEN_FDS")? != count.to_string() {
        return Err(io::Error::other("LISTEN_FDS is not their number"));
    }
    Ok(names)
}

/// The descriptor of that name, to be called once for each.
fn named(name: &str) -> io::Result<OwnedFd> {
    let names = names()?;
    let place = names.split(':').position(|known| known == name);
    let place = place.ok_or_else(|| io::Error::other(format!("{name} is not among {names}")))?;
    let place = RawFd::try_from(place).map_err(io::Error::other)?;
    Ok(sys::owned(FIRST + place))
}

/// Answers each connection to the socket of that name: with the names, and the
/// line that came; `times` (0: for ever).
pub(crate) fn answer(name: &str, times: u64) -> io::Result<()> {
    let socket = named(name)?;
    let path = sys::is_unix(&socket)?;
    for n in 1.. {
        if path {
            let listener = UnixListener::from(socket.try_clone()?);
            reply(listener.accept()?.0)?;
        } else {
            let listener = TcpListener::from(socket.try_clone()?);
            reply(listener.accept()?.0)?;
        }
        if n == times {
            break;
        }
    }
    Ok(())
}

fn reply(mut client: impl Read + Write) -> io::Result<()> {
    let mut line = String::new();
    BufReader::new(&mut client).read_line(&mut line)?;
    write!(client, "{} {line}", names()?)
}

/// Takes one datagram at the socket of that name, and sends it back.
pub(crate) fn echo(name: &str) -> io::Result<()> {
    let socket = UdpSocket::from(named(name)?);
    let mut text = [0; 512];
    let (count, from) = socket.recv_from(&mut text)?;
    socket.send_to(text.get(..count).unwrap_or_default(), from)?;
    Ok(())
}

/// Says a line to whoever listens at a path or a port of 127.0.0.1 (`udp:PORT`:
/// a datagram), and prints the answer.
pub(crate) fn call(place: &str, line: &str) -> io::Result<()> {
    let answer = if place.starts_with('/') {
        ask(UnixStream::connect(place)?, line)?
    } else if let Some(port) = place.strip_prefix("udp") {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.send_to(line.as_bytes(), format!("127.0.0.1:{port}"))?;
        let mut text = [0; 512];
        let count = socket.recv(&mut text)?;
        String::from_utf8_lossy(text.get(..count).unwrap_or_default()).into_owned()
    } else {
        ask(TcpStream::connect(format!("127.0.0.1:{place}"))?, line)?
    };
    writeln!(io::stdout(), "{}", answer.trim_end())
}

fn ask(mut stream: impl Read + Write, line: &str) -> io::Result<String> {
    writeln!(stream, "{line}")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Prints what is in the file of that name which an earlier run has left with
/// PID 1; where there is none, leaves one.
pub(crate) fn keep(name: &str, text: &str) -> io::Result<()> {
    if let Ok(kept) = named(name) {
        let mut kept = File::from(kept);
        let mut text = String::new();
        kept.rewind()?;
        kept.read_to_string(&mut text)?;
        return writeln!(io::stdout(), "kept {}: {}", names()?, text.trim_end());
    }
    let path = "/tmp/kept";
    let mut options = OpenOptions::new();
    let mut file = options
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .open(path)?;
    writeln!(file, "{text}")?;
    fs::remove_file(path)?;
    let fds = [file.as_raw_fd()];
    let text = format!("FDSTORE=1\nFDNAME={name}");
    let parts = [IoSlice::new(text.as_bytes())];
    let address = env::var("NOTIFY_SOCKET").map_err(io::Error::other)?;
    let address = UnixAddr::new(address.as_str())?;
    let socket = UnixDatagram::unbound()?;
    let rights = [ControlMessage::ScmRights(&fds)];
    sendmsg(
        socket.as_raw_fd(),
        &parts,
        &rights,
        MsgFlags::empty(),
        Some(&address),
    )?;
    writeln!(io::stdout(), "stored")
}

/// Writes a newline to a descriptor, and closes it.
pub(crate) fn newline(fd: &str) -> io::Result<()> {
    let number = fd.parse().map_err(io::Error::other)?;
    File::from(sys::owned(number)).write_all(b"\n")
}
