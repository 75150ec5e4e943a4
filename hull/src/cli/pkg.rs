//! `hull pkg`.

use std::process::ExitCode;

use anyhow::{Result, bail};

use super::Global;

/// The commands below `hull pkg`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {}

/// Carries it out.
///
/// # Errors
/// It is not in this version.
pub fn run(_global: &Global, _command: &Command) -> Result<ExitCode> {
    bail!("pkg: not in this version")
}
