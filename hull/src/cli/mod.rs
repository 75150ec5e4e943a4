//! The command line. Each command is a module with its `Args` and its `run`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Parser, Subcommand};

use crate::source::{Finder, Image};
use crate::spec::Located;

pub mod access;
pub mod build;
pub mod cache;
pub mod completion;
pub mod compose;
pub mod diff;
pub mod explain;
pub mod files;
pub mod image;
pub mod inspect;
pub mod kernel;
pub mod lock;
pub mod metadata;
pub mod pkg;
pub mod run;
pub mod validate;

/// Builds minimal, immutable, bootable Linux images from YAML and OCI images.
#[derive(Debug, Parser)]
#[command(name = "hull", version, arg_required_else_help = true)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Debug, clap::Args)]
pub struct Global {
    /// The local image store [default: $XDG_CACHE_HOME/hull or ~/.cache/hull]
    #[arg(
        long,
        alias = "cache",
        global = true,
        value_name = "DIR",
        env = "HULL_STORE",
        value_parser = maybe_empty()
    )]
    pub store: Option<PathBuf>,
    /// No progress bars; of `hull diff`, nothing but the exit code
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// A path that may be empty, as a variable is that is set to nothing.
fn maybe_empty() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Builds a system image from YAML
    Build(build::Args),
    /// Prints what an entry's container becomes
    Compose(compose::Args),
    /// LinuxKit's words for `hull image`
    #[command(subcommand)]
    Cache(cache::Command),
    /// Prints a script that completes hull's command line in a shell
    Completion(completion::Completion),
    /// Tells what two system images have not in common: exit code 0 for nothing, 1 for something,
    /// 2 for an error
    Diff(diff::Args),
    /// Tells what a key of the YAML is for
    Explain(explain::Args),
    /// Keeps the images of the local store
    #[command(subcommand)]
    Image(image::Command),
    /// Tells what is in a system image, by size
    Inspect(inspect::Args),
    /// Writes down which digests the images of YAML files are
    Lock(lock::Args),
    /// Makes kernel images
    #[command(subcommand)]
    Kernel(kernel::Command),
    /// Prints the man page, or writes those of all commands
    Man(completion::Man),
    /// Makes a CD with metadata for a machine
    #[command(subcommand)]
    Metadata(metadata::Command),
    /// Makes images from package folders
    #[command(subcommand)]
    Pkg(pkg::Command),
    /// Boots a built image in QEMU
    Run(run::Args),
    /// Prints a JSON Schema of the YAML, for editors
    Schema,
    /// Checks YAML without building
    Validate(validate::Args),
}

impl Cli {
    /// What the program exits with where the command fails.
    #[must_use]
    pub fn on_failure(&self) -> ExitCode {
        match self.command {
            // 1 says that there is a difference.
            Command::Diff(_) => ExitCode::from(diff::TROUBLE),
            _ => ExitCode::FAILURE,
        }
    }
}

/// Carries out what the command line says.
///
/// # Errors
/// The command failed; the error, as `{:#}`, is one line for people.
pub fn run(cli: Cli) -> Result<ExitCode> {
    let Cli { global, command } = cli;
    match command {
        Command::Build(args) => build::run(&global, &args),
        Command::Compose(args) => compose::run(&global, &args),
        Command::Cache(command) => cache::run(&global, command),
        Command::Completion(args) => completion::print_completion(&args),
        Command::Diff(args) => diff::run(&global, &args),
        Command::Explain(args) => explain::run(&args),
        Command::Image(command) => image::run(&global, &command),
        Command::Inspect(args) => inspect::run(&global, &args),
        Command::Lock(args) => lock::run(&global, &args),
        Command::Kernel(command) => kernel::run(&global, &command),
        Command::Man(args) => completion::write_pages(&args),
        Command::Metadata(command) => metadata::run(&command),
        Command::Pkg(command) => pkg::run(&global, &command),
        Command::Run(args) => run::run(&global, &args),
        Command::Schema => explain::print_schema(),
        Command::Validate(args) => validate::run(&global, &args),
    }
}

/// The image that a file names; or why not, with the line that names it.
fn found(finder: &Finder<'_>, named: &Located<String>) -> Result<Image> {
    let image = finder.find(&named.value);
    image.with_context(|| named.place.to_string())
}

/// A line of output. Who closes the pipe early has read enough.
fn say(line: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{line}") {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(e).context("writing to standard output")
        }
        _ => Ok(()),
    }
}
