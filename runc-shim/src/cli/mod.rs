//! runc's command line: `runc-shim [global options] COMMAND [options] ID`.

mod args;
mod create;
mod delete;
mod hooks;
mod log;
mod own_file;
mod query;
mod signals;

use std::ffi::OsString;

pub use args::{Command, Invocation, LogFormat};

use crate::error::Error;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitCode(pub i32);

/// Runs the command line (without the program's name). Errors are told, on
/// standard error and in the log that was asked for.
#[must_use]
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let invocation = match Invocation::parse(arguments) {
        Ok(invocation) => invocation,
        Err(error) => {
            log::tell(None, &error.to_string());
            return ExitCode(1);
        }
    };
    match run(&invocation) {
        Ok(code) => code,
        Err(error) => {
            let command = invocation.command.name();
            let id = invocation.command.id();
            let message = match id {
                Some(id) => format!("{command} {id}: {error}"),
                None => format!("{command}: {error}"),
            };
            log::tell(Some(&invocation), &message);
            ExitCode(1)
        }
    }
}

fn run(invocation: &Invocation) -> Result<ExitCode, Error> {
    let root = &invocation.root;
    match &invocation.command {
        Command::Create(options) => create::create(root, options),
        Command::Run(options) => create::run(root, options),
        Command::Start { id } => create::start(root, id),
        Command::State { id } => query::state(root, id),
        Command::Kill { id, signal, all } => signals::kill(root, id, *signal, *all),
        Command::Delete { id, force } => delete::delete(root, id, *force),
        Command::Version => query::version(),
        Command::Help => query::help(),
    }
    .map(|code| code.unwrap_or(ExitCode(0)))
}

/// What a command gives: an exit code of its own, or plain success.
type Outcome = Result<Option<ExitCode>, Error>;
