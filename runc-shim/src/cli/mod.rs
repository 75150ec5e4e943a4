//! runc's command line: `runc-shim [global options] COMMAND [options] ID`.

mod args;
mod command;
mod create;
mod delete;
mod events;
mod exec;
mod features;
mod foreground;
mod hooks;
mod listener;
mod log;
mod own_file;
mod processes;
mod query;
mod signals;
mod template;
mod terminal;
mod update;

use std::ffi::OsString;

pub use command::{Command, Create, Exec, Invocation, Launch, Limits, LogFormat};

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
            // runc's, so that a program that could not be run is told from one
            // that ran and failed.
            let code = if command == "exec" { 255 } else { 1 };
            ExitCode(code)
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
        Command::Exec(options) => exec::exec(root, options),
        Command::List { json, quiet } => query::list(root, *json, *quiet),
        Command::Ps { id, json, args } => processes::ps(root, id, *json, args),
        Command::Pause { id } => processes::hold(root, id, true),
        Command::Resume { id } => processes::hold(root, id, false),
        Command::Update { id, limits } => update::update(root, id, limits),
        Command::Events {
            id,
            stats,
            interval,
        } => events::events(root, id, *stats, *interval),
        Command::Spec { bundle, rootless } => template::write(bundle, *rootless),
        Command::Features => features::features(),
        Command::Version => query::version(),
        Command::Help => query::help(),
    }
    .map(|code| code.unwrap_or(ExitCode(0)))
}

/// What a command gives: an exit code of its own, or plain success.
type Outcome = Result<Option<ExitCode>, Error>;
