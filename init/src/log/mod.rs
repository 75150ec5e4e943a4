//! The log process.

pub mod message;

use std::process::ExitCode;

/// The name that PID 1 starts it by.
pub const NAME: &str = "hullkit-log";

/// Runs the log process.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::FAILURE
}
