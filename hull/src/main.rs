//! `hull`: see the library of this crate.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = hull::cli::Cli::parse();
    let on_failure = cli.on_failure();
    match hull::cli::run(cli) {
        Ok(code) => code,
        Err(error) => {
            // An error is one line; what is wrong with a YAML file is a line
            // for each problem.
            for line in text(&error).lines().filter(|line| !line.is_empty()) {
                // Who closed standard error does not want to know.
                let _ = writeln!(std::io::stderr(), "hull: {line}");
            }
            on_failure
        }
    }
}

/// The error and its causes. Most errors say their cause themselves, and it
/// is not said twice.
fn text(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}
