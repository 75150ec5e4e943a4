//! Forwards what containers write to a server: syslog (RFC 5424) over UDP, TCP
//! or TLS, or lines of JSON over TCP or TLS.
//!
//! [`config`] is the command line, [`source`] the log process's socket,
//! [`message`] the form of a line on the way, [`destination`] the way,
//! [`positions`] what has arrived; [`run`] puts them together. It keeps no
//! queue: while the server does not take anything, nothing is read, so that
//! the lines wait where they are bounded and counted, with the log process.

pub mod config;
pub mod destination;
pub mod message;
pub mod positions;
pub mod run;
pub mod source;
mod sys;
mod tls;

pub use sys::end_when_asked;

use std::io;

/// What it could not do: one line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line is not what it should be.
    #[error("{0}\n{usage}", usage = config::USAGE)]
    Usage(String),
    /// A system call, or an operation on a file, failed.
    #[error("{op} {object}: {source}")]
    Os {
        /// What was being done.
        op: &'static str,
        /// To what: a path, an address.
        object: String,
        /// The kernel's word.
        source: io::Error,
    },
    /// A file holds something else than it should.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// What is wrong, and what is allowed.
        reason: String,
    },
    /// TLS says no.
    #[error("TLS with {server}: {source}")]
    Tls {
        /// The server.
        server: String,
        /// Why.
        source: rustls::Error,
    },
}

impl Error {
    /// An [`Error::Os`] about `object`, for `map_err`.
    pub(crate) fn os(op: &'static str, object: &str) -> impl FnOnce(io::Error) -> Self + use<> {
        let object = object.to_owned();
        move |source| Self::Os { op, object, source }
    }
}
