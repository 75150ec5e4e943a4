//! The command line.

use std::fs;

use crate::Error;

/// What there is to say.
pub const USAGE: &str = "\
usage: logforward [--logs NAME,…] [--facility NAME] [--host NAME]
                  [--ca FILE] [--cert FILE --key FILE] [--state FILE] [--socket FILE] URL | @FILE
URL: syslog+udp://HOST[:514]  syslog+tcp://HOST[:601]  syslog+tls://HOST[:6514]
     json+tcp://HOST:PORT     json+tls://HOST:PORT
@FILE: the words of a file stand here";

/// How lines look on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// RFC 5424.
    Syslog,
    /// A JSON object a line.
    Json,
}

/// What they go over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// A datagram each (RFC 5426).
    Udp,
    /// One behind the other; syslog with octet counting (RFC 6587).
    Tcp,
    /// The same inside TLS (RFC 5425).
    Tls,
}

/// Where they go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// How they look.
    pub form: Form,
    /// What they go over.
    pub carrier: Carrier,
    /// A name or an address; an IPv6 address without its brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// The files of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Whom we believe, PEM.
    pub ca: Option<String>,
    /// Who we are, PEM: certificates, and their key.
    pub own: Option<(String, String)>,
}

/// All that was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to.
    pub server: Server,
    /// Whose logs, by bundle or id; none: all but this service's own.
    pub logs: Vec<String>,
    /// The facility's number (RFC 5424, table 1).
    pub facility: u8,
    /// The name of this machine; none: the kernel's.
    pub host: Option<String>,
    /// TLS.
    pub tls: TlsFiles,
    /// Where it is noted what has arrived.
    pub state: String,
    /// The log process's socket.
    pub socket: String,
}

/// The facilities, in the order of their numbers.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];

impl Config {
    /// Reads the words behind the program's name.
    ///
    /// # Errors
    /// They are not what they should be; a file that is named cannot be read.
    pub fn read(args: &[String]) -> Result<Self, Error> {
        let mut words = Vec::new();
        for arg in args {
            match arg.strip_prefix('@') {
                Some(path) => {
                    let text = fs::read_to_string(path).map_err(Error::os("read", path))?;
                    words.extend(text.split_whitespace().map(str::to_owned));
                }
                None => words.push(arg.clone()),
            }
        }
        Self::parse(&words).map_err(Error::Usage)
    }

    /// The same without files.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(words: &[String]) -> Result<Self, String> {
        let mut config = Self {
            server: Server {
                form: Form::Syslog,
                carrier: Carrier::Udp,
                host: String::new(),
                port: 0,
            },
            logs: Vec::new(),
            facility: 3,
            host: None,
            tls: TlsFiles::default(),
            state: "/var/lib/logforward/arrived".to_owned(),
            socket: hullkit_bundle::layout::LOG_SOCKET.to_owned(),
        };
        let (mut server, mut cert, mut key) = (None, None, None);
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || {
                let value = words.next();
                value
                    .cloned()
                    .ok_or_else(|| format!("{word}: a value is missing"))
            };
            match word.as_str() {
                "--logs" => config.logs.extend(value()?.split(',').map(str::to_owned)),
                "--facility" => config.facility = facility(&value()?)?,
                "--host" => config.host = Some(value()?),
                "--ca" => config.tls.ca = Some(value()?),
                "--cert" => cert = Some(value()?),
                "--key" => key = Some(value()?),
                "--state" => config.state = value()?,
                "--socket" => config.socket = value()?,
                url if server.is_none() && !url.starts_with('-') => server = Some(parse_url(url)?),
                other => return Err(format!("{other}: not expected here")),
            }
        }
        config.server = server.ok_or("no URL is given")?;
        config.tls.own = match (cert, key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => return Err("--cert and --key belong together".to_owned()),
        };
        match (config.server.carrier, &config.tls) {
            (Carrier::Tls, TlsFiles { ca: None, .. }) => {
                Err("TLS needs --ca FILE: the certificates that the server's is signed by".into())
            }
            (Carrier::Udp | Carrier::Tcp, tls) if *tls != TlsFiles::default() => {
                Err("--ca, --cert and --key are for TLS".to_owned())
            }
            _ => Ok(config),
        }
    }
}

fn facility(name: &str) -> Result<u8, String> {
    let known = (0..).zip(FACILITIES).find(|(_, known)| *known == name);
    known
        .map(|(number, _)| number)
        .ok_or_else(|| format!("--facility {name}: allowed: {}", FACILITIES.join(", ")))
}

fn parse_url(url: &str) -> Result<Server, String> {
    let wrong = |what: &str| format!("{url}: {what}");
    let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("it is no URL"))?;
    let (form, carrier, usual) = match scheme {
        "syslog+udp" => (Form::Syslog, Carrier::Udp, Some(514)),
        "syslog+tcp" => (Form::Syslog, Carrier::Tcp, Some(601)),
        "syslog+tls" => (Form::Syslog, Carrier::Tls, Some(6514)),
        "json+tcp" => (Form::Json, Carrier::Tcp, None),
        "json+tls" => (Form::Json, Carrier::Tls, None),
        _ => {
            return Err(wrong(
                "allowed: syslog+udp, syslog+tcp, syslog+tls, json+tcp, json+tls",
            ));
        }
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    // `HOST`, `HOST:PORT`, `[V6]`, `[V6]:PORT`.
    let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port),
        None => rest.split_at(rest.find(':').unwrap_or(rest.len())),
    };
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok().filter(|port| *port > 0),
        None if port.is_empty() => usual,
        None => None,
    };
    let port = port.ok_or_else(|| wrong("a port from 1 to 65535 is missing"))?;
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '@' | '[' | ']');
    if host.is_empty() || host.contains(odd) {
        return Err(wrong("a host is missing"));
    }
    Ok(Server {
        form,
        carrier,
        host: host.to_owned(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(line: &str) -> Result<Config, String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        Config::parse(&words)
    }

    #[test]
    fn urls() {
        for (url, host, port) in [
            ("syslog+udp://log.example", "log.example", 514),
            ("syslog+tcp://10.0.2.2:1601", "10.0.2.2", 1601),
            ("json+tcp://[fe80::1]:99/", "fe80::1", 99),
            ("syslog+tcp://[::1]", "::1", 601),
        ] {
            let server = parse(url).unwrap().server;
            assert_eq!((server.host.as_str(), server.port), (host, port), "{url}");
        }
        for wrong in [
            "",
            "log.example",
            "http://x",
            "json+tcp://x",
            "syslog+udp://x:0",
            "syslog+udp://x:99999",
            "syslog+udp://",
            "syslog+udp://a/b",
            "syslog+udp://u@x",
            "syslog+udp://x y",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_rest() {
        let config =
            parse("--logs web,db --facility local3 --ca /c syslog+tls://x --cert /a --key /k");
        let config = config.unwrap();
        assert_eq!((config.logs.len(), config.facility), (2, 19));
        assert_eq!(config.tls.own, Some(("/a".to_owned(), "/k".to_owned())));
        for (wrong, expected) in [
            ("syslog+tls://x", "needs --ca"),
            ("--ca /c syslog+tcp://x", "are for TLS"),
            ("--ca /c --key /k syslog+tls://x", "belong together"),
            ("--facility x syslog+udp://x", "allowed: kern"),
            ("syslog+udp://x --logs", "a value is missing"),
            ("syslog+udp://x syslog+udp://y", "not expected"),
            ("--help", "not expected"),
        ] {
            let error = parse(wrong).unwrap_err();
            assert!(error.contains(expected), "{wrong}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_words(words: Vec<String>) {
            let _either = Config::parse(&words);
        }
    }
}
