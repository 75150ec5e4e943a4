//! The sockets that PID 1 opens for a service.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Where a socket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A port, in the machine's own network.
    Ip(SocketAddr),
    /// A path that begins with `/`, as PID 1 sees it.
    Path(String),
}

impl Address {
    /// The address that `text` is.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.starts_with('/') {
            return Some(Self::Path(text.to_owned()));
        }
        text.parse().ok().map(Self::Ip)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Path(path) => path.fmt(f),
        }
    }
}

/// A socket that PID 1 opens for a service, and keeps as long as that is meant
/// to run. Written as a list of words: `["stream" | "datagram", ADDRESS, NAME,
/// BACKLOG, MODE, UID, GID]`, the mode in octal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Socket {
    /// Whether it takes connections; else it takes datagrams.
    pub stream: bool,
    /// Where.
    pub address: Address,
    /// What the service knows it by (`LISTEN_FDNAMES`).
    pub name: String,
    /// How many connections may wait.
    pub backlog: u32,
    /// Of a path: its permissions.
    pub mode: u32,
    /// Of a path: uid and gid.
    pub owner: (u32, u32),
}

impl Socket {
    /// Whether `name` can be a descriptor's (sd_listen_fds_with_names(3)):
    /// printable ASCII without white space and `:`.
    #[must_use]
    pub fn is_name(name: &str) -> bool {
        let fits = |byte: u8| byte.is_ascii_graphic() && byte != b':';
        !name.is_empty() && name.len() <= 255 && name.bytes().all(fits)
    }
}

impl TryFrom<Vec<String>> for Socket {
    type Error = String;

    fn try_from(words: Vec<String>) -> Result<Self, String> {
        read(&words).ok_or_else(|| format!("{} is no socket", words.join(" ")))
    }
}

fn read(words: &[String]) -> Option<Socket> {
    let [kind, address, name, backlog, mode, uid, gid] = words else {
        return None;
    };
    let stream = match kind.as_str() {
        "stream" => true,
        "datagram" => false,
        _ => return None,
    };
    Some(Socket {
        stream,
        address: Address::parse(address)?,
        name: Some(name.clone()).filter(|name| Socket::is_name(name))?,
        backlog: backlog.parse().ok()?,
        mode: u32::from_str_radix(mode, 8).ok()?,
        owner: (uid.parse().ok()?, gid.parse().ok()?),
    })
}

impl From<Socket> for Vec<String> {
    fn from(socket: Socket) -> Self {
        let kind = if socket.stream { "stream" } else { "datagram" };
        let (uid, gid) = socket.owner;
        vec![
            kind.to_owned(),
            socket.address.to_string(),
            socket.name,
            socket.backlog.to_string(),
            format!("{:o}", socket.mode),
            uid.to_string(),
            gid.to_string(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn words_come_back() {
        for text in [
            "stream [::]:80 web 4096 0 0 0",
            "datagram 10.0.0.1:53 dns 0 0 0 0",
            "stream /run/web/web.sock web 128 660 0 33",
        ] {
            let socket = Socket::try_from(words(text)).unwrap();
            assert_eq!(Vec::from(socket), words(text), "{text}");
        }
    }

    #[test]
    fn others_are_refused() {
        for text in [
            "",
            "stream [::]:80 web",
            "packet [::]:80 web 1 0 0 0",
            "stream 80 web 1 0 0 0",
            "stream run/x web 1 0 0 0",
            "stream [::]:80 a:b 1 0 0 0",
            "stream [::]:80 web -1 0 0 0",
            "stream [::]:80 web 1 8 0 0",
            "stream [::]:80 web 1 0 x 0",
        ] {
            assert!(Socket::try_from(words(text)).is_err(), "{text}");
        }
    }
}
