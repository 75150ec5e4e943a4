//! The control client.

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the client with its arguments, the program's name left out.
#[must_use]
pub fn main(_args: &[OsString]) -> ExitCode {
    ExitCode::FAILURE
}
