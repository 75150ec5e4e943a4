//! `hull completion` and `hull man`: the command line, told to shells and to
//! man(1), out of its own definition.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, say};

/// The options of `hull completion`.
#[derive(Debug, clap::Args)]
pub struct Completion {
    /// The shell
    shell: Known,
}

/// Shells whose scripts are tested.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Known {
    Bash,
    Zsh,
    Fish,
}

/// The options of `hull man`.
#[derive(Debug, clap::Args)]
pub struct Man {
    /// Writes the pages of all commands into this folder [default: that of hull alone, to
    /// standard output]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints the script.
///
/// # Errors
/// Standard output does not take it.
pub fn print_completion(args: &Completion) -> Result<ExitCode> {
    let shell = match args.shell {
        Known::Bash => Shell::Bash,
        Known::Zsh => Shell::Zsh,
        Known::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "hull", &mut script);
    say(String::from_utf8(script)?.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

/// Prints or writes the pages.
///
/// # Errors
/// They cannot be written.
pub fn write_pages(args: &Man) -> Result<ExitCode> {
    if let Some(dir) = &args.dir {
        std::fs::create_dir_all(dir)
            .and_then(|()| clap_mangen::generate_to(Cli::command(), dir))
            .with_context(|| format!("writing man pages into {}", dir.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut page = Vec::new();
    let command = Cli::command().disable_help_subcommand(true);
    clap_mangen::Man::new(command).render(&mut page)?;
    say(String::from_utf8(page)?.trim_end())?;
    Ok(ExitCode::SUCCESS)
}
