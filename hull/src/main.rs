//! `hull`: see the library of this crate.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match hull::cli::run(hull::cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            // One line, whatever the sources of the error say.
            let line = format!("{error:#}").replace('\n', " ");
            eprintln!("hull: {line}");
            ExitCode::FAILURE
        }
    }
}
