//! The control client: `hullctl list`, `hullctl restart web`.
//!
//! Exit codes: 0 done; 1 tried and failed, or PID 1 could not be asked; 2 the
//! command line is wrong; 3 no such entry; 4 not now, or not of this entry.

mod args;
mod connection;
mod logs;
mod table;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use hullkit_bundle::control::{ErrorCode, Op, Reply};

use args::{Command, Parsed};

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const NOT_FOUND: u8 = 3;
const NOT_NOW: u8 = 4;

/// Runs the client with its arguments, the program's name left out.
#[must_use]
pub fn main(args: &[OsString]) -> ExitCode {
    let outcome = match args::parse(args) {
        Ok(Parsed::Help) => print(args::HELP),
        Ok(Parsed::Run { command, json }) => run(command, json),
        Err(error) => Err(Failure {
            code: USAGE,
            message: format!("{error}\nTry: hullctl --help"),
        }),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Where standard error is closed too, the code says enough.
            let _closed = writeln!(io::stderr(), "hullctl: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

/// Why it did not work.
#[derive(Debug)]
struct Failure {
    code: u8,
    message: String,
}

impl From<crate::Error> for Failure {
    fn from(error: crate::Error) -> Self {
        Self {
            code: FAILED,
            message: error.to_string(),
        }
    }
}

fn run(command: Command, json: bool) -> Result<(), Failure> {
    match command {
        Command::Logs(request) => logs::run(&request, json),
        Command::Ask { op, names } if names.is_empty() => ask(&op.with(None), json),
        Command::Ask { op, names } => {
            // All are tried; the first failure decides the exit code.
            let mut outcome = Ok(());
            for name in names {
                let done = ask(&op.with(Some(name)), json);
                outcome = match (outcome, done) {
                    (Err(first), Err(further)) => {
                        let _closed = writeln!(io::stderr(), "hullctl: {}", further.message);
                        Err(first)
                    }
                    (Ok(()), done) => done,
                    (failed, Ok(())) => failed,
                };
            }
            outcome
        }
    }
}

/// Asks PID 1 one thing, and shows its answer.
fn ask(op: &Op, json: bool) -> Result<(), Failure> {
    match connection::ask(op)? {
        Reply::Ok if json => print("{\"result\":\"ok\"}\n"),
        Reply::Ok => Ok(()),
        Reply::Status(status) if json => {
            let mut text =
                serde_json::to_string_pretty(&status).map_err(|source| crate::Error::Json {
                    object: "status".to_owned(),
                    source,
                })?;
            text.push('\n');
            print(&text)
        }
        Reply::Status(status) => print(&match op {
            Op::List => table::list(&status),
            _ => table::status(&status),
        }),
        Reply::Error { code, message } => Err(Failure {
            code: exit_code(code),
            message,
        }),
    }
}

fn exit_code(code: ErrorCode) -> u8 {
    match code {
        ErrorCode::NotFound => NOT_FOUND,
        ErrorCode::NotNow => NOT_NOW,
        ErrorCode::BadRequest | ErrorCode::Denied | ErrorCode::Failed => FAILED,
    }
}

/// Writes to standard output. A reader that has gone has read enough.
fn print(text: &str) -> Result<(), Failure> {
    let written = io::stdout()
        .write_all(text.as_bytes())
        .and_then(|()| io::stdout().flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(crate::Error::os("write", "standard output")(error).into())
        }
        _ => Ok(()),
    }
}
