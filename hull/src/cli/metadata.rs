//! `hull metadata`: what a machine is told by a CD.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::atomic::NewFile;
use crate::output::iso;
use crate::tree::Content;

/// The commands below `hull metadata`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Writes a CD that holds a text as the file `config`, where LinuxKit's package metadata
    /// looks for it
    Create(Create),
}

/// The options of `hull metadata create`.
#[derive(Debug, clap::Args)]
pub struct Create {
    /// The CD's file
    file: PathBuf,
    /// The text
    metadata: String,
}

/// Carries it out.
///
/// # Errors
/// The file cannot be written.
pub fn run(command: &Command) -> Result<ExitCode> {
    let Command::Create(args) = command;
    write(&args.file, args.metadata.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the CD.
pub(super) fn write(path: &Path, metadata: &[u8]) -> Result<()> {
    let dir = match path.parent() {
        Some(dir) if dir != Path::new("") => dir,
        _ => Path::new("."),
    };
    let content = Content::from(metadata.to_vec());
    let put = || {
        let new = NewFile::create(dir)?;
        iso::write_data(new.file(), "CONFIG.", &content)?;
        new.sync()?;
        new.persist(path)
    };
    put().with_context(|| format!("writing {}", path.display()))
}
