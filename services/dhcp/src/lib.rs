//! A DHCPv4 client (RFC 2131). The protocol is a pure state machine
//! ([`client`]) over typed messages ([`message`], [`lease`]); [`run`] feeds it
//! what the kernel tells and carries out what it wants ([`interface`],
//! [`netlink`], [`frame`]).

pub mod client;
pub mod frame;
mod interface;
pub mod lease;
pub mod message;
pub mod netlink;
pub mod options;
mod resolv;
pub mod run;
mod sys;

use std::io;
use std::path::PathBuf;

/// Why the client ends, or what it could not do for an interface.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line is not one.
    #[error("{0}; usage: dhcp [-1|--one-shot] [--timeout SECONDS] [--wait] [INTERFACE…]")]
    Usage(String),
    /// There is no Ethernet interface, or none of those that were named.
    #[error("no network card: {wanted}; load its driver's module, or name another interface")]
    NoInterface {
        /// What was looked for.
        wanted: String,
    },
    /// Nobody answered in time.
    #[error("no lease within {seconds} s on {interfaces}: no DHCP server answered, or no cable")]
    Timeout {
        /// How long it waited.
        seconds: u64,
        /// Where it asked.
        interfaces: String,
    },
    /// It was told to end before a one-shot had what it is for.
    #[error("told to end before there was a lease")]
    Stopped,
    /// The kernel refuses something.
    #[error("{op} {object}: {source}")]
    System {
        /// What was being done.
        op: &'static str,
        /// To what.
        object: String,
        /// The kernel's word.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("write {path}: {source}")]
    Write {
        /// Which.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err` on system calls.
    pub(crate) fn system<E: Into<io::Error>>(
        op: &'static str,
        object: impl Into<String>,
    ) -> impl FnOnce(E) -> Self {
        let object = object.into();
        move |source| Self::System {
            op,
            object,
            source: source.into(),
        }
    }
}
