//! `hull explain` and `hull schema`: the keys of a build file.

use std::process::ExitCode;

use anyhow::Result;

use super::say;
use crate::spec::schema;

/// The options of `hull explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A key: a path (services.health.interval) or its end (binds.add)
    /// [default: all keys at the top]
    field: Option<String>,
}

/// Carries out `hull explain`.
///
/// # Errors
/// There is no such key.
pub fn run(args: &Args) -> Result<ExitCode> {
    say(&schema::explain(args.field.as_deref().unwrap_or_default())?)?;
    Ok(ExitCode::SUCCESS)
}

/// Carries out `hull schema`.
///
/// # Errors
/// Nobody reads.
pub fn print_schema() -> Result<ExitCode> {
    say(&serde_json::to_string_pretty(&schema::json_schema())?)?;
    Ok(ExitCode::SUCCESS)
}
