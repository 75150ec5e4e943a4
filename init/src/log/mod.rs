//! The log process: it reads what the containers write and keeps the last of
//! it, for `hullctl logs`. It is a process of its own so that a flood, or a
//! mistake here, is none of PID 1's business; PID 1 starts it again.
//!
//! It keeps it in memory, and in a [`journal`] that PID 1 holds: the next log
//! process goes on where this one was.
//!
//! Where the YAML says so, lines go into [`files`] on a disk too.
//!
//! It reads as fast as it can and drops the oldest lines, so that no service
//! ever waits for whoever reads its log. For a disk that is at work it waits a
//! moment at most (`docs/supervision.md`).

mod client;
mod disk;
mod files;
mod journal;
mod kept;
pub mod kernel;
pub mod message;
mod ring;
mod say;
mod server;
mod source;
mod split;

use std::process::ExitCode;

use crate::klog;

/// The name that PID 1 starts it by.
pub const NAME: &str = "hullkit-log";

/// Its name in the kernel log.
pub const SUBJECT: &str = "log";

/// Runs the log process, with the socket to PID 1 as its standard input.
#[must_use]
pub fn main() -> ExitCode {
    klog::open();
    match server::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::problem(&error);
            ExitCode::FAILURE
        }
    }
}
