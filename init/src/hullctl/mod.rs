//! The control client: `hullctl list`, `hullctl restart web`.
//!
//! Exit codes: 0 done; 1 tried and failed, or PID 1 could not be asked; 2 the
//! command line is wrong; 3 no such entry; 4 not now, or not of this entry; 5 not
//! answered within `--timeout`.

mod args;
mod connection;
mod logs;
mod signal;
mod table;
pub(crate) mod time;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use hullkit_bundle::control::{ErrorCode, Exec, Op, Reply};

use args::{Command, Parsed, Run};
use connection::Connection;

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const NOT_FOUND: u8 = 3;
const NOT_NOW: u8 = 4;
const TIMED_OUT: u8 = 5;

/// Runs the client with its arguments, the program's name left out.
#[must_use]
pub fn main(args: &[OsString]) -> ExitCode {
    let outcome = match args::parse(args) {
        Ok(Parsed::Help) => print(args::HELP).map(|()| ExitCode::SUCCESS),
        Ok(Parsed::Run(command)) => run(command),
        Err(error) => Err(Failure {
            code: USAGE,
            message: format!("{error}\nTry: hullctl --help"),
        }),
    };
    match outcome {
        Ok(code) => code,
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

fn run(run: Run) -> Result<ExitCode, Failure> {
    let (json, timeout) = (run.json, run.timeout);
    let done = match run.command {
        // That has an exit code of its own.
        Command::Exec(exec) => return run_program(exec),
        Command::Logs(logs) => logs::run(&logs, json),
        Command::Top => top(json, timeout),
        Command::Completion(text) => print(text),
        Command::Ask { ops, stay } => {
            // All are tried; the first failure decides the exit code.
            let mut outcome = Ok(());
            for op in ops {
                let done = ask(&op, json, stay, timeout);
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
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// How often a question that changes nothing is asked again.
const RETRIES: u32 = 20;

/// Asks PID 1 one thing, and shows its answers.
fn ask(op: &Op, json: bool, stay: bool, timeout: Option<Duration>) -> Result<(), Failure> {
    if let Op::Events = op {
        let mut connection = Connection::ask(op, timeout)?;
        while let Some(reply) = connection.answer()? {
            show(op, reply, json)?;
        }
        return Ok(());
    }
    let mut connection = Connection::ask(op, timeout)?;
    let mut answer = connection.answer()?;
    // PID 1 was executed again meanwhile, or had no place for us.
    for _ in 0..RETRIES {
        if answer.is_some() || !op.only_looks() {
            break;
        }
        connection = Connection::ask(op, timeout)?;
        answer = connection.answer()?;
    }
    let reply = answer.ok_or_else(|| Failure {
        code: FAILED,
        message: "init has closed the connection; it may have been executed again".to_owned(),
    })?;
    show(op, reply, json)?;
    if stay {
        while connection.answer()?.is_some() {}
    }
    Ok(())
}

/// Shows an answer to `op`.
fn show(op: &Op, reply: Reply, json: bool) -> Result<(), Failure> {
    if let Reply::Error { code, message } = reply {
        let code = exit_code(code);
        return Err(Failure { code, message });
    }
    if json {
        return print(&as_json(op, &reply)?);
    }
    match reply {
        Reply::Status(status) => print(&match op {
            Op::List => table::list(&status),
            _ => table::status(&status),
        }),
        Reply::Event(change) => print(&table::change(&change)),
        Reply::Version { version, protocol } => print(&format!(
            "hullctl {}\ninit {version}, protocol {protocol}\n",
            env!("CARGO_PKG_VERSION")
        )),
        Reply::Ok | Reply::Top { .. } | Reply::Exited { .. } | Reply::Error { .. } => Ok(()),
    }
}

/// A status alone, and several lines long; all else as it came.
fn as_json(op: &Op, reply: &Reply) -> Result<String, crate::Error> {
    let text = match (op, reply) {
        (_, Reply::Status(status)) => serde_json::to_string_pretty(status),
        (_, reply) => serde_json::to_string(reply),
    };
    let text = text.map_err(|source| crate::Error::Json {
        object: "answer".to_owned(),
        source,
    })?;
    Ok(text + "\n")
}

/// How long `top` watches.
const SAMPLE: Duration = Duration::from_secs(1);

/// Shows what was used between two samples; for programs, the second one.
fn top(json: bool, timeout: Option<Duration>) -> Result<(), Failure> {
    let sample = || match connection::ask(&Op::Top, timeout)? {
        Reply::Top { entries } => Ok(entries),
        Reply::Error { code, message } => Err(Failure {
            code: exit_code(code),
            message,
        }),
        _ => Err(Failure {
            code: FAILED,
            message: "init answered something else".to_owned(),
        }),
    };
    if json {
        let entries = sample()?;
        return print(&as_json(&Op::Top, &Reply::Top { entries })?);
    }
    let began = Instant::now();
    let before = sample()?;
    std::thread::sleep(SAMPLE);
    let after = sample()?;
    let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    print(&table::top(&before, &after, ms))
}

/// Runs a program in a container; its exit code is ours.
fn run_program(exec: Exec) -> Result<ExitCode, Failure> {
    match connection::ask(&Op::Exec(exec), None)? {
        Reply::Exited { code } => Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))),
        Reply::Error { code, message } => Err(Failure {
            code: exit_code(code),
            message,
        }),
        _ => Err(Failure {
            code: FAILED,
            message: "init answered something else".to_owned(),
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
