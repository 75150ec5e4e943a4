//! `hull run`.

use std::process::ExitCode;

use anyhow::{Result, bail};

use super::Global;

/// The options of `hull run`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Carries it out.
///
/// # Errors
/// It is not in this version.
pub fn run(_global: &Global, _args: &Args) -> Result<ExitCode> {
    bail!("run: not in this version")
}
