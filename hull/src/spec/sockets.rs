//! Our keys about the descriptors that PID 1 keeps for a service: `sockets`,
//! `fdStore`.

use std::net::{Ipv6Addr, SocketAddr};

use hullkit_bundle::socket::{Address, Socket};

use super::container::mode_bits;
use super::node::{Kind, Node, quoted};
use super::read::Reader;
use super::types::SocketFields;

/// As many descriptors come with one message (unix(7)); half of them is for
/// what a service stores.
const MOST: usize = 64;
/// What the kernel takes of it by default (`net.core.somaxconn`).
const MOST_BACKLOG: u32 = 4096;

/// The folders of the machine in which something can be made.
const FOLDERS: [&str; 3] = ["/run/", "/tmp/", "/var/"];

/// How an address is written.
const ALLOWED: &str = "a port from 1 to 65535, ADDRESS:PORT with a numeric address, or a path below /run, /tmp or /var";

/// `sockets`.
pub(super) fn read(r: &mut Reader, node: &Node, field: &str) -> Option<Vec<SocketFields>> {
    let sockets = r.list(node, field, socket)?;
    if sockets.len() > MOST {
        let message = format!("found {} sockets, allowed: at most {MOST}", sockets.len());
        r.problem(node.line, field, message);
        return None;
    }
    Some(sockets)
}

/// `fdStore`.
pub(super) fn store(r: &mut Reader, node: &Node, field: &str) -> Option<u32> {
    let count = r.integer::<u32>(node, field)?;
    if usize::try_from(count).is_ok_and(|count| count <= MOST) {
        return Some(count);
    }
    let message = format!("found {count}, allowed: a whole number from 0 to {MOST}");
    r.problem(node.line, field, message);
    None
}

fn socket(r: &mut Reader, node: &Node, field: &str) -> Option<SocketFields> {
    let (stream, datagram) = ("listenStream", "listenDatagram");
    let keys = ["backlog", datagram, stream, "mode", "name", "owner"];
    let fields = r.fields(node, field, &keys)?;
    let kind = match (fields.get(stream), fields.get(datagram)) {
        (Some(_), None) => stream,
        (None, Some(_)) => datagram,
        (None, None) => {
            let message = format!("says not where, allowed: one of {stream}, {datagram}");
            r.problem(fields.line, field, message);
            return None;
        }
        (Some(_), Some(_)) => {
            let message = format!("{stream} and {datagram} at once, allowed: one of them");
            r.problem(fields.line, field, message);
            return None;
        }
    };
    let address = fields.read(r, kind, address);
    let socket = SocketFields {
        stream: kind == stream,
        name: fields
            .read(r, "name", |r, n, f| r.parsed(n, f, name))
            .map(|name| name.value),
        backlog: fields.read(r, "backlog", backlog),
        mode: fields.read(r, "mode", mode_bits),
        owner: fields.read(r, "owner", owner),
        address: address?,
    };
    for (key, said) in [
        ("mode", socket.mode.is_some()),
        ("owner", socket.owner.is_some()),
    ] {
        if said && matches!(socket.address, Address::Ip(_)) {
            let line = fields.key_line(key).unwrap_or(fields.line);
            let message = "does not apply to a port, allowed: with a path";
            r.problem(line, &fields.name(key), message);
        }
    }
    if socket.backlog.is_some() && !socket.stream {
        let line = fields.key_line("backlog").unwrap_or(fields.line);
        let message = format!("does not apply to {datagram}, allowed: with {stream}");
        r.problem(line, &fields.name("backlog"), message);
    }
    Some(socket)
}

/// A port alone is one of every address of the machine.
fn address(r: &mut Reader, node: &Node, field: &str) -> Option<Address> {
    match node.kind {
        Kind::Int(port) => match u16::try_from(port).ok().filter(|port| *port > 0) {
            Some(port) => Some(Address::Ip(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))),
            None => {
                let message = format!("found {}, allowed: {ALLOWED}", node.describe());
                r.problem(node.line, field, message);
                None
            }
        },
        _ => r.parsed(node, field, place).map(|address| address.value),
    }
}

fn place(text: &str) -> Result<Address, String> {
    let fits = match Address::parse(text) {
        Some(Address::Ip(address)) if address.port() > 0 => Some(Address::Ip(address)),
        Some(Address::Path(path)) => is_place(&path).then_some(Address::Path(path)),
        _ => None,
    };
    fits.ok_or_else(|| format!("found {}, allowed: {ALLOWED}", quoted(text)))
}

/// A path of at most as many bytes as an address has (unix(7)), and none of
/// our own.
fn is_place(path: &str) -> bool {
    let below = FOLDERS.iter().any(|folder| path.starts_with(folder));
    let plain = path
        .split('/')
        .skip(1)
        .all(|part| !matches!(part, "" | "." | ".."));
    below && plain && path.len() < 108 && !path.starts_with("/run/hullkit")
}

fn name(text: &str) -> Result<String, String> {
    if Socket::is_name(text) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "found {}, allowed: 1 to 255 printable characters of ASCII without white space and \":\"",
        quoted(text)
    ))
}

fn backlog(r: &mut Reader, node: &Node, field: &str) -> Option<u32> {
    let backlog = r.integer::<u32>(node, field)?;
    if (1..=MOST_BACKLOG).contains(&backlog) {
        return Some(backlog);
    }
    let message = format!("found {backlog}, allowed: a whole number from 1 to {MOST_BACKLOG}");
    r.problem(node.line, field, message);
    None
}

/// `"UID:GID"`, in numbers: the machine has no users.
fn owner(r: &mut Reader, node: &Node, field: &str) -> Option<(u32, u32)> {
    let parse = |text: &str| {
        let ids = text.split_once(':');
        let ids = ids.and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
        ids.ok_or_else(|| format!("found {}, allowed: \"UID:GID\" in numbers", quoted(text)))
    };
    r.parsed(node, field, parse).map(|owner| owner.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_ports_and_paths() {
        for right in ["0.0.0.0:80", "[::1]:80", "/run/web/s", "/var/s", "/tmp/s"] {
            assert_eq!(place(right).unwrap().to_string(), right);
        }
        let long = format!("/run/{}", "x".repeat(103));
        for wrong in [
            "",
            "80",
            "web:80",
            "0.0.0.0:0",
            "/etc/s",
            "/run",
            "/run/",
            "/run/../etc/s",
            "/run/hullkit/control.sock",
            "run/s",
            &long,
        ] {
            let error = place(wrong).unwrap_err();
            assert!(error.contains("allowed: a port"), "{wrong}: {error}");
        }
    }
}
