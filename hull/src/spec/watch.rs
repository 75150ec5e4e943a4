//! Our keys about what PID 1 watches of a service: `ready`, `health`,
//! `startLimit`.

use std::net::SocketAddr;

use hullkit_bundle::supervision::{Measure, Probe, ReadyBy, StartLimit};

use super::node::{Kind, Node, quoted};
use super::read::{Fields, Reader};
use super::supervise::positive;
use super::types::{HealthFields, ReadyFields};

/// Health is not looked at more often, in milliseconds: it takes a process.
const SHORTEST_INTERVAL: u64 = 100;
/// Counters above this are mistakes.
const MOST: u32 = 1000;

/// Where a service may want to write that it is ready.
const DESCRIPTORS: std::ops::RangeInclusive<u32> = 3..=255;

/// The keys that name a probe.
const PROBES: [&str; 4] = ["exec", "http", "tcp", "unix"];

/// `startLimit`.
pub(super) fn start_limit(r: &mut Reader, node: &Node, field: &str) -> Option<StartLimit> {
    let actions = [
        ("stop", Measure::Stop),
        ("reboot", Measure::Reboot),
        ("poweroff", Measure::Poweroff),
    ];
    let fields = r.fields(node, field, &["action", "burst", "interval"])?;
    let burst = fields.required(r, "burst", count);
    let interval = fields.required(r, "interval", positive);
    let action = fields.read(r, "action", |r, n, f| r.word(n, f, &actions));
    Some(StartLimit {
        burst: burst?,
        interval: interval?,
        action: action.unwrap_or(Measure::Stop),
    })
}

/// A number of times, from 1.
fn count(r: &mut Reader, node: &Node, field: &str) -> Option<u32> {
    let count = r.integer::<u32>(node, field)?;
    if (1..=MOST).contains(&count) {
        return Some(count);
    }
    let message = format!("found {count}, allowed: a whole number from 1 to {MOST}");
    r.problem(node.line, field, message);
    None
}

/// `ready`: a word, or a map with one way to find out.
pub(super) fn ready(r: &mut Reader, node: &Node, field: &str) -> Option<ReadyFields> {
    if matches!(node.kind, Kind::Text(_)) {
        let by = r.word(node, field, &[("notify", ())]);
        return by.map(|()| ReadyFields {
            by: ReadyBy::Notify,
            timeout: None,
        });
    }
    let own = ["delay", "fd", "notify"];
    let keys: Vec<&str> = own
        .iter()
        .chain(&PROBES)
        .chain(&["timeout"])
        .copied()
        .collect();
    let fields = r.fields(node, field, &keys)?;
    let ways: Vec<&str> = own.iter().chain(&PROBES).copied().collect();
    let timeout = fields.read(r, "timeout", positive);
    let by = match one_of(r, &fields, field, &ways)? {
        "notify" => fields.read(r, "notify", yes).map(|()| ReadyBy::Notify),
        "delay" => fields.read(r, "delay", positive).map(ReadyBy::Delay),
        "fd" => fields.read(r, "fd", descriptor).map(ReadyBy::Fd),
        _ => probe(r, &fields).map(ReadyBy::Probe),
    }?;
    if let (ReadyBy::Delay(delay), Some(timeout)) = (&by, timeout)
        && *delay > timeout
    {
        r.problem(node.line, field, "delay is longer than timeout");
    }
    Some(ReadyFields { by, timeout })
}

/// The number of a descriptor beyond the standard ones.
fn descriptor(r: &mut Reader, node: &Node, field: &str) -> Option<u32> {
    let fd = r.integer::<u32>(node, field)?;
    if DESCRIPTORS.contains(&fd) {
        return Some(fd);
    }
    let (first, last) = (DESCRIPTORS.start(), DESCRIPTORS.end());
    let message = format!("found {fd}, allowed: a whole number from {first} to {last}");
    r.problem(node.line, field, message);
    None
}

/// The one of `ways` that is there.
fn one_of<'w>(
    r: &mut Reader,
    fields: &Fields<'_>,
    field: &str,
    ways: &[&'w str],
) -> Option<&'w str> {
    let mut found = ways.iter().filter(|way| fields.get(way).is_some());
    match (found.next(), found.next()) {
        (Some(way), None) => Some(way),
        (None, _) => {
            let message = format!("says not how, allowed: one of {}", ways.join(", "));
            r.problem(fields.line, field, message);
            None
        }
        (Some(first), Some(second)) => {
            let line = fields.key_line(second).unwrap_or(fields.line);
            let message = format!("{first} and {second} at once, allowed: one of them");
            r.problem(line, field, message);
            None
        }
    }
}

/// `true`, and nothing else.
fn yes(r: &mut Reader, node: &Node, field: &str) -> Option<()> {
    if r.boolean(node, field)? {
        return Some(());
    }
    let message = "found the boolean false, allowed: true; or leave the key out";
    r.problem(node.line, field, message);
    None
}

/// `health`: `none`, or a map.
pub(super) fn health(r: &mut Reader, node: &Node, field: &str) -> Option<HealthFields> {
    if matches!(node.kind, Kind::Text(_)) {
        let off = r.word(node, field, &[("none", ())]);
        return off.map(|()| HealthFields {
            off: true,
            ..HealthFields::default()
        });
    }
    let actions = [
        ("restart", Measure::Restart),
        ("none", Measure::None),
        ("reboot", Measure::Reboot),
        ("poweroff", Measure::Poweroff),
    ];
    let own = ["action", "interval", "retries", "startPeriod", "timeout"];
    let keys: Vec<&str> = own.iter().chain(&PROBES).copied().collect();
    let fields = r.fields(node, field, &keys)?;
    // Without one it is the label's, or the image's.
    let named = PROBES.iter().any(|way| fields.get(way).is_some());
    let probe = match named {
        true => one_of(r, &fields, field, &PROBES).and_then(|_| probe(r, &fields)),
        false => None,
    };
    let interval = fields.read(r, "interval", |r, n, f| {
        let ms = positive(r, n, f)?;
        if ms < SHORTEST_INTERVAL {
            let message = format!("found {ms}ms, allowed: {SHORTEST_INTERVAL}ms or longer");
            r.problem(n.line, f, message);
            return None;
        }
        Some(ms)
    });
    Some(HealthFields {
        off: false,
        probe,
        interval,
        timeout: fields.read(r, "timeout", positive),
        retries: fields.read(r, "retries", count),
        start_period: fields.read(r, "startPeriod", super::supervise::duration),
        action: fields.read(r, "action", |r, n, f| r.word(n, f, &actions)),
    })
}

/// The probe among `fields`, of which there is one.
fn probe(r: &mut Reader, fields: &Fields<'_>) -> Option<Probe> {
    let exec = fields.read(r, "exec", |r, n, f| {
        let mut words = vec!["exec".to_owned()];
        words.extend(r.list(n, f, Reader::text)?);
        if words.len() == 1 || words.get(1).is_some_and(String::is_empty) {
            r.problem(
                n.line,
                f,
                "found no program, allowed: [PROGRAM, ARGUMENT, …]",
            );
            return None;
        }
        Some(words)
    });
    let tcp = fields.read(r, "tcp", |r, n, f| {
        Some(vec!["tcp".to_owned(), local_address(r, n, f)?])
    });
    let unix = fields.read(r, "unix", |r, n, f| {
        let path = r.parsed(n, f, absolute)?.value;
        Some(vec!["unix".to_owned(), path])
    });
    let http = fields.read(r, "http", |r, n, f| {
        let (address, path) = r.parsed(n, f, url)?.value;
        Some(vec!["http".to_owned(), address, path])
    });
    let words = exec.or(tcp).or(unix).or(http)?;
    Probe::try_from(words).ok()
}

fn absolute(text: &str) -> Result<String, String> {
    if text.starts_with('/') && text.len() > 1 {
        return Ok(text.to_owned());
    }
    Err(format!(
        "found {}, allowed: a path that begins with /",
        quoted(text)
    ))
}

/// How an address is written.
const ADDRESS: &str = "a port from 1 to 65535, or ADDRESS:PORT with a numeric address or localhost";

/// A port of the service itself, or an address and a port.
fn local_address(r: &mut Reader, node: &Node, field: &str) -> Option<String> {
    match node.kind {
        Kind::Int(port) => match u16::try_from(port).ok().filter(|port| *port > 0) {
            Some(port) => Some(format!("127.0.0.1:{port}")),
            None => {
                let message = format!("found {}, allowed: {ADDRESS}", node.describe());
                r.problem(node.line, field, message);
                None
            }
        },
        _ => r.parsed(node, field, address).map(|address| address.value),
    }
}

/// `ADDRESS:PORT`, or `localhost:PORT`. Names are not looked up: that would be
/// a test of whoever answers.
fn address(text: &str) -> Result<String, String> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    match numeric.parse::<SocketAddr>() {
        Ok(address) if address.port() > 0 => Ok(address.to_string()),
        _ => Err(format!("found {}, allowed: {ADDRESS}", quoted(text))),
    }
}

/// `http://ADDRESS[:PORT][/PATH]`: the address and the path.
fn url(text: &str) -> Result<(String, String), String> {
    let wrong = || {
        format!(
            "found {}, allowed: http://ADDRESS[:PORT][/PATH] with a numeric address or localhost",
            quoted(text)
        )
    };
    let rest = text.strip_prefix("http://").ok_or_else(wrong)?;
    let (host, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let printable = |byte: u8| byte.is_ascii_graphic();
    if !path.bytes().all(printable) {
        return Err(wrong());
    }
    let address = address(host).or_else(|_| address(&format!("{host}:80")));
    Ok((address.map_err(|_| wrong())?, path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_numeric() {
        assert_eq!(address("localhost:80").unwrap(), "127.0.0.1:80");
        assert_eq!(address("[::1]:80").unwrap(), "[::1]:80");
        for wrong in [
            "",
            "80",
            "example.com:80",
            "127.0.0.1",
            "127.0.0.1:0",
            "1.2.3.4:99999",
        ] {
            assert!(
                address(wrong).unwrap_err().contains("allowed: a port"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn urls_become_an_address_and_a_path() {
        let parts = |text: &str| url(text).unwrap();
        let of = |address: &str, path: &str| (address.to_owned(), path.to_owned());
        assert_eq!(parts("http://localhost"), of("127.0.0.1:80", "/"));
        assert_eq!(parts("http://[::1]:8080/a?b"), of("[::1]:8080", "/a?b"));
        assert_eq!(parts("http://10.0.0.1/x"), of("10.0.0.1:80", "/x"));
        for wrong in [
            "",
            "https://localhost/",
            "localhost",
            "http://",
            "http://a b/",
            "http://localhost/a b",
            "http://localhost/\r\nX: y",
        ] {
            assert!(url(wrong).is_err(), "{wrong}");
        }
    }
}
