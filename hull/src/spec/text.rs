//! The little languages inside YAML's texts: binds, limits, times, modes,
//! signals. Each parser is text → value, or what is wrong with it.

use super::capability::{Capability, CapabilityName};
use super::node::quoted;
use super::read::did_you_mean;
use super::types::{Bind, Namespace, Rlimit, Tmpfs};

type Parsed<T> = Result<T, String>;

/// `SRC:DEST[:OPT,OPT]`. Source and destination may be empty here.
pub(super) fn bind(text: &str) -> Parsed<Bind> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, destination, options) = match parts[..] {
        [source, destination] => (source, destination, None),
        [source, destination, options] => (source, destination, Some(options)),
        _ => return Err(shape(text, "SOURCE:DESTINATION[:OPTION,…]")),
    };
    Ok(Bind {
        source: source.to_owned(),
        destination: destination.to_owned(),
        options: options.map(comma_list),
    })
}

/// `DEST[:OPT,OPT]`. The destination may be empty here.
pub(super) fn tmpfs(text: &str) -> Parsed<Tmpfs> {
    let (destination, options) = match text.split_once(':') {
        None => (text, Vec::new()),
        Some((_, options)) if options.contains(':') => {
            return Err(shape(text, "DESTINATION[:OPTION,…]"));
        }
        Some((destination, options)) => (destination, comma_list(options)),
    };
    Ok(Tmpfs {
        destination: destination.to_owned(),
        options,
    })
}

/// The options that a bind mount takes (mount(8), and the OCI runtime
/// specification's recursive ones).
pub(super) const BIND_OPTIONS: [&str; 35] = [
    "async",
    "atime",
    "bind",
    "defaults",
    "dev",
    "diratime",
    "dirsync",
    "exec",
    "iversion",
    "lazytime",
    "loud",
    "mand",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "noiversion",
    "nolazytime",
    "nomand",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "nosymfollow",
    "private",
    "relatime",
    "ro",
    "rw",
    "shared",
    "silent",
    "slave",
    "strictatime",
    "suid",
    "symfollow",
    "sync",
    "unbindable",
];

/// Whether it is one of them, or one with an `r` before it.
pub(super) fn is_bind_option(option: &str) -> bool {
    let known = |name: &str| BIND_OPTIONS.contains(&name);
    known(option) || option.strip_prefix('r').is_some_and(known)
}

fn comma_list(text: &str) -> Vec<String> {
    text.split(',').map(str::to_owned).collect()
}

fn shape(text: &str, allowed: &str) -> String {
    format!("found {}, allowed: {allowed}", quoted(text))
}

/// The limits of setrlimit(2).
const RLIMITS: [&str; 16] = [
    "RLIMIT_AS",
    "RLIMIT_CORE",
    "RLIMIT_CPU",
    "RLIMIT_DATA",
    "RLIMIT_FSIZE",
    "RLIMIT_LOCKS",
    "RLIMIT_MEMLOCK",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",
    "RLIMIT_NOFILE",
    "RLIMIT_NPROC",
    "RLIMIT_RSS",
    "RLIMIT_RTPRIO",
    "RLIMIT_RTTIME",
    "RLIMIT_SIGPENDING",
    "RLIMIT_STACK",
];

/// `NAME,SOFT,HARD`.
pub(super) fn rlimit(text: &str) -> Parsed<Rlimit> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let [name, soft, hard] = parts[..] else {
        return Err(shape(text, "NAME,SOFT,HARD"));
    };
    let mut kind = name.to_uppercase();
    if !kind.starts_with("RLIMIT_") {
        kind.insert_str(0, "RLIMIT_");
    }
    if !RLIMITS.contains(&kind.as_str()) {
        return Err(format!(
            "unknown limit {}{}, allowed: {}",
            quoted(name),
            did_you_mean(&kind, &RLIMITS),
            RLIMITS.map(|l| l.trim_start_matches("RLIMIT_")).join(", ")
        ));
    }
    let value = |text: &str| match text.to_lowercase().as_str() {
        "unlimited" => Ok(u64::MAX),
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => digits
            .parse()
            .map_err(|_| shape(text, "a number below 2^64, or unlimited")),
        _ => Err(shape(text, "a number, or unlimited")),
    };
    Ok(Rlimit {
        kind,
        soft: value(soft)?,
        hard: value(hard)?,
    })
}

/// A capability, `all` or `none`.
pub(super) fn capability(text: &str) -> Parsed<CapabilityName> {
    match text.to_lowercase().as_str() {
        "all" => return Ok(CapabilityName::All),
        "none" => return Ok(CapabilityName::None),
        _ => {}
    }
    Capability::from_name(text)
        .map(CapabilityName::One)
        .ok_or_else(|| {
            let known = Capability::names();
            let mut near = did_you_mean(text, known);
            if near.is_empty() {
                near = did_you_mean(&format!("CAP_{text}"), known);
            }
            format!(
                "unknown capability {}{near}, allowed: all, none, {}",
                quoted(text),
                known.join(", ")
            )
        })
}

/// Permission bits in octal, at most `0o7777`.
pub(super) fn mode(text: &str) -> Parsed<u32> {
    let octal = !text.is_empty() && text.bytes().all(|b| matches!(b, b'0'..=b'7'));
    octal
        .then(|| u32::from_str_radix(text, 8).ok())
        .flatten()
        .filter(|mode| *mode <= 0o7777)
        .ok_or_else(|| shape(text, "octal digits, 0 to 7777, such as \"0644\""))
}

/// A device's mode, as LinuxKit takes it: octal with or without a sign. What
/// is no mode is for the caller to refuse.
pub(super) fn device_mode(text: &str) -> Parsed<i32> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let octal = !digits.is_empty() && digits.bytes().all(|b| matches!(b, b'0'..=b'7'));
    octal
        .then(|| i32::from_str_radix(text, 8).ok())
        .flatten()
        .ok_or_else(|| shape(text, "octal digits, 0 to 7777, such as \"0644\""))
}

/// The namespace that a text stands for. `none_is_new`: for `net`.
pub(super) fn namespace(text: &str, none_is_new: bool) -> Namespace {
    match text {
        "host" | "root" => Namespace::Host,
        "new" => Namespace::New,
        "none" if none_is_new => Namespace::New,
        path => Namespace::Path(path.to_owned()),
    }
}

/// The longest time: a year. Longer ones are mistakes.
const MAX_DURATION_MS: u64 = 365 * 24 * 60 * 60 * 1000;

/// A time in milliseconds: `200ms`, `10s`, `5m`, `1h`.
pub(super) fn duration(text: &str) -> Parsed<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(shape(text, DURATION)),
    };
    if number.is_empty() {
        return Err(shape(text, DURATION));
    }
    number
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(factor))
        .filter(|ms| *ms <= MAX_DURATION_MS)
        .ok_or_else(|| shape(text, "a time of at most a year (8760h)"))
}

/// A size in bytes: `65536`, `64K`, `10M`, `1G`, in powers of 1024.
pub(super) fn size(text: &str) -> Parsed<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        _ => return Err(shape(text, SIZE)),
    };
    let bytes = number.parse::<u64>().ok();
    bytes
        .and_then(|n| n.checked_mul(1 << shift))
        .ok_or_else(|| shape(text, SIZE))
}

/// How a size is written.
pub(super) const SIZE: &str = "a whole number of bytes, or with a unit: 64K, 10M, 1G";

/// How a time is written.
pub(super) const DURATION: &str = "a whole number and a unit: 200ms, 10s, 5m, 1h";

/// The signals by number, from 1 (signal(7); the same on all our machines).
const SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
/// The first real-time signal, as libc counts them.
const RTMIN: i32 = 34;
/// The last one.
const RTMAX: i32 = 64;

/// A signal's number, from `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`, `RTMAX-1`.
pub(crate) fn signal(text: &str) -> Parsed<i32> {
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let wrong = || {
        format!(
            "unknown signal {}{}, allowed: a name such as SIGTERM, SIGRTMIN+3, or a number from 1 to 64",
            quoted(text),
            did_you_mean(name, &SIGNALS)
        )
    };
    let number = if let Ok(number) = name.parse::<i32>() {
        Some(number)
    } else if let Some(rest) = name.strip_prefix("RTMIN") {
        offset(rest, '+').map(|n| RTMIN + n)
    } else if let Some(rest) = name.strip_prefix("RTMAX") {
        offset(rest, '-').map(|n| RTMAX - n)
    } else {
        SIGNALS
            .iter()
            .position(|known| *known == name)
            .and_then(|index| i32::try_from(index + 1).ok())
    };
    let lowest = if name.starts_with("RT") { RTMIN } else { 1 };
    number
        .filter(|n| (lowest..=RTMAX).contains(n))
        .ok_or_else(wrong)
}

/// `""` is 0, `+3` is 3.
fn offset(text: &str, sign: char) -> Option<i32> {
    if text.is_empty() {
        return Some(0);
    }
    text.strip_prefix(sign)?.parse::<u8>().ok().map(i32::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binds() {
        let b = bind("/a:/b:ro,nosuid").unwrap();
        assert_eq!(b.options.unwrap(), ["ro", "nosuid"]);
        assert_eq!(bind("vol:/b").unwrap().options, None);
        for wrong in ["/a", "", "/a:/b:ro:x"] {
            assert!(
                bind(wrong).unwrap_err().contains("allowed: SOURCE:DEST"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn rlimits() {
        let r = rlimit(" nofile , 10 , UNLIMITED ").unwrap();
        assert_eq!(
            (r.kind.as_str(), r.soft, r.hard),
            ("RLIMIT_NOFILE", 10, u64::MAX)
        );
        assert_eq!(rlimit("RLIMIT_CPU,1,2").unwrap().kind, "RLIMIT_CPU");
        assert!(
            rlimit("nofiles,1,2")
                .unwrap_err()
                .contains("(did you mean \"RLIMIT_NOFILE\"?")
        );
        for wrong in [
            "nofile,1",
            "nofile,1,2,3",
            "nofile,-1,2",
            "nofile,,",
            "nofile,1,99999999999999999999",
        ] {
            assert!(rlimit(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(duration("200ms"), Ok(200));
        assert_eq!(duration("10s"), Ok(10_000));
        assert_eq!(duration("5m"), Ok(300_000));
        assert_eq!(duration("1h"), Ok(3_600_000));
        for wrong in [
            "10",
            "s",
            "",
            "1.5s",
            "-1s",
            "1 s",
            "1d",
            "99999999h",
            "18446744073709551616ms",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("64K"), Ok(65_536));
        assert_eq!(size("10M"), Ok(10_485_760));
        assert_eq!(size("1G"), Ok(1_073_741_824));
        for wrong in ["", "K", "1k", "1.5M", "-1", "10MB", "99999999999999G"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn signals() {
        for (text, number) in [
            ("SIGTERM", 15),
            ("term", 15),
            ("9", 9),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
            ("SYS", 31),
            ("RTMIN", 34),
        ] {
            assert_eq!(signal(text), Ok(number), "{text}");
        }
        for wrong in ["", "SIG", "0", "65", "-1", "RTMIN+31", "RTMAX-99", "SIGFOO"] {
            assert!(signal(wrong).is_err(), "{wrong}");
        }
        assert!(
            signal("SIGTREM")
                .unwrap_err()
                .contains("(did you mean \"TERM\"?")
        );
    }

    #[test]
    fn modes() {
        assert_eq!(mode("0644"), Ok(0o644));
        assert_eq!(mode("1777"), Ok(0o1777));
        for wrong in ["", "888", "0o644", "-1", "10000", "rw"] {
            assert!(mode(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn capabilities() {
        assert_eq!(capability("All"), Ok(CapabilityName::All));
        assert!(
            capability("cap_chown")
                .unwrap_err()
                .contains("(did you mean \"CAP_CHOWN\"?")
        );
        assert!(
            capability("NET_ADMIN")
                .unwrap_err()
                .contains("(did you mean \"CAP_NET_ADMIN\"?")
        );
    }
}
