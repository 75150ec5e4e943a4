//! What services say of themselves: datagrams of `NAME=VALUE` lines, as
//! `sd_notify(3)` sends them. Whatever comes is from a container: what is not
//! understood is passed over.

use hullkit_bundle::socket::Socket;

use crate::supervise::Notice;

/// The longest datagram that is taken, in bytes, as in systemd.
pub const MAX_MESSAGE: usize = 4096;
/// The longest `STATUS` that is kept, in characters.
const MAX_STATUS: usize = 200;

/// What a service wants of the descriptors that it leaves with PID 1, by their
/// name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// `FDSTORE=1`: keep those that come with the message.
    Add(String),
    /// `FDSTOREREMOVE=1`.
    Remove(String),
}

/// The name of those that have none, as in systemd.
const NO_NAME: &str = "stored";

/// What a datagram says, in its order.
#[must_use]
pub fn parse(datagram: &[u8]) -> Vec<Notice> {
    let text = String::from_utf8_lossy(datagram);
    let fields = text.lines().filter_map(|line| line.split_once('='));
    fields
        .filter_map(|(name, value)| notice(name, value))
        .collect()
}

/// What a datagram says of descriptors. A name that can be none counts as not
/// said.
#[must_use]
pub fn store(datagram: &[u8]) -> Option<Store> {
    let text = std::str::from_utf8(datagram).ok()?;
    let says = |line| text.lines().any(|said| said == line);
    let mut names = text.lines().filter_map(|line| line.strip_prefix("FDNAME="));
    let name = names.next_back().filter(|name| Socket::is_name(name));
    match (says("FDSTORE=1"), says("FDSTOREREMOVE=1")) {
        (_, true) => name.map(str::to_owned).map(Store::Remove),
        (true, false) => Some(Store::Add(name.unwrap_or(NO_NAME).to_owned())),
        (false, false) => None,
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_line_counts() {
        let said = parse(b"READY=1\nSTATUS=up = well\nWATCHDOG_USEC=2500\nX_OURS=1\nMAINPID=7\n");
        let notices = [
            Notice::Ready,
            Notice::Status("up = well".to_owned()),
            Notice::WatchdogInterval(3),
            Notice::MainPid(7),
        ];
        assert_eq!(said, notices);
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
            assert_eq!(parse(text.as_bytes()), [notice], "{text}");
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
            assert_eq!(parse(text.as_bytes()), [], "{text}");
        }
        assert_eq!(parse(b"\xff\nREADY=1\n\0"), [Notice::Ready]);
    }

    #[test]
    fn descriptors_are_left_by_name() {
        let add = |name: &str| Some(Store::Add(name.to_owned()));
        let remove = |name: &str| Some(Store::Remove(name.to_owned()));
        for (text, said) in [
            ("FDSTORE=1", add("stored")),
            ("FDSTORE=1\nFDNAME=db", add("db")),
            ("FDNAME=db\nREADY=1\nFDSTORE=1", add("db")),
            ("FDSTORE=1\nFDNAME=a:b", add("stored")),
            ("FDSTOREREMOVE=1\nFDNAME=db", remove("db")),
            ("FDSTOREREMOVE=1", None),
            ("FDNAME=db", None),
            ("FDSTORE=0", None),
            ("READY=1", None),
        ] {
            assert_eq!(store(text.as_bytes()), said, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_stays_small(bytes: Vec<u8>) {
            if let Some(Store::Add(name) | Store::Remove(name)) = store(&bytes) {
                prop_assert!(Socket::is_name(&name));
            }
            let notices = parse(&bytes);
            prop_assert!(notices.len() <= bytes.len());
        }
    }
}
