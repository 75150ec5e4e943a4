//! What services say of themselves: datagrams of `NAME=VALUE` lines, as
//! `sd_notify(3)` sends them. Whatever comes is from a container: what is not
//! understood is passed over.

use crate::supervise::Notice;

/// The longest datagram that is taken, in bytes, as in systemd.
pub const MAX_MESSAGE: usize = 4096;
/// The longest `STATUS` that is kept, in characters.
const MAX_STATUS: usize = 200;

/// A datagram, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// What it tells the core, in its order.
    pub notices: Vec<Notice>,
    /// `FDSTORE=1`: its descriptors are to be kept.
    pub store: bool,
    /// `FDSTOREREMOVE=1`: those of this name are to be kept no longer.
    pub remove: bool,
    /// `FDNAME=…`: the descriptors' name.
    pub name: Option<String>,
}

/// Reads a datagram.
#[must_use]
pub fn parse(datagram: &[u8]) -> Message {
    let mut message = Message::default();
    let text = String::from_utf8_lossy(datagram);
    for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
        match (name, value) {
            ("FDSTORE", "1") => message.store = true,
            ("FDSTOREREMOVE", "1") => message.remove = true,
            ("FDNAME", _) if is_fd_name(value) => message.name = Some(value.to_owned()),
            _ => message.notices.extend(notice(name, value)),
        }
    }
    message
}

fn notice(name: &str, value: &str) -> Option<Notice> {
    let number = || value.parse::<u64>().ok();
    match (name, value) {
        ("READY", "1") => Some(Notice::Ready),
        ("RELOADING", "1") => Some(Notice::Reloading),
        ("STOPPING", "1") => Some(Notice::Stopping),
        ("WATCHDOG", "1") => Some(Notice::Alive),
        ("WATCHDOG", "trigger") => Some(Notice::Trigger),
        ("STATUS", _) => Some(Notice::Status(value.chars().take(MAX_STATUS).collect())),
        ("ERRNO", _) => value.parse().ok().map(|n| Notice::Error(error_text(n))),
        // A time below a millisecond is one; none is no watchdog.
        ("WATCHDOG_USEC", _) => Some(Notice::WatchdogInterval(number()?.div_ceil(1000))),
        ("EXTEND_TIMEOUT_USEC", _) => Some(Notice::ExtendTimeout(number()?.div_ceil(1000))),
        ("MAINPID", _) => value.parse().ok().map(Notice::MainPid),
        _ => None,
    }
}

fn error_text(number: i32) -> String {
    format!("it says: {}", nix::errno::Errno::from_raw(number).desc())
}

/// As systemd has it: 1 to 255 printable characters of ASCII without `:`,
/// which stands between names in `LISTEN_FDNAMES`.
fn is_fd_name(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_graphic() && byte != b':';
    (1..=255).contains(&name.len()) && name.bytes().all(good)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_line_counts() {
        let message =
            parse(b"READY=1\nSTATUS=up = well\nWATCHDOG_USEC=2500\nX_OURS=1\nMAINPID=7\n");
        let notices = [
            Notice::Ready,
            Notice::Status("up = well".to_owned()),
            Notice::WatchdogInterval(3),
            Notice::MainPid(7),
        ];
        assert_eq!(message.notices, notices);
    }

    #[test]
    fn the_others() {
        for (text, notice) in [
            ("RELOADING=1", Notice::Reloading),
            ("STOPPING=1", Notice::Stopping),
            ("WATCHDOG=1", Notice::Alive),
            ("WATCHDOG=trigger", Notice::Trigger),
            ("EXTEND_TIMEOUT_USEC=1", Notice::ExtendTimeout(1)),
            (
                "ERRNO=2",
                Notice::Error("it says: No such file or directory".to_owned()),
            ),
        ] {
            assert_eq!(parse(text.as_bytes()).notices, [notice], "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_passed_over() {
        for text in [
            "",
            "READY",
            "READY=0",
            "READY=1 ",
            "ready=1",
            "WATCHDOG_USEC=-1",
            "MAINPID=x",
            "=1",
            "EXTEND_TIMEOUT_USEC=18446744073709551616",
        ] {
            assert_eq!(parse(text.as_bytes()), Message::default(), "{text}");
        }
        assert_eq!(parse(b"\xff\nREADY=1\n\0").notices, [Notice::Ready]);
    }

    #[test]
    fn descriptors_have_names() {
        let message = parse(b"FDSTORE=1\nFDNAME=web");
        assert!(message.store && !message.remove && message.name.as_deref() == Some("web"));
        assert!(parse(b"FDSTOREREMOVE=1\nFDNAME=web").remove);
        for text in ["FDNAME=", "FDNAME=a:b", "FDNAME=a b", "FDNAME=\u{e4}"] {
            assert_eq!(parse(text.as_bytes()).name, None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_stays_small(bytes: Vec<u8>) {
            let message = parse(&bytes);
            prop_assert!(message.notices.len() <= bytes.len());
        }
    }
}
