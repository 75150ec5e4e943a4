//! `hull`: see the library of this crate.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match hull::cli::run(hull::cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            // An error is one line; what is wrong with a YAML file is a line
            // for each problem.
            for line in format!("{error:#}").lines().filter(|line| !line.is_empty()) {
                eprintln!("hull: {line}");
            }
            ExitCode::FAILURE
        }
    }
}
