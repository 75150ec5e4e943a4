//! `hullctl logs`.

use std::io::{self, BufRead, BufReader, Write};

use hullkit_bundle::control::{ErrorCode, LogLine, LogRequest, Op, Reply, VERSION};
use hullkit_bundle::layout;

use super::args::Logs;
use super::time::Since;
use super::{Failure, connection, exit_code, table};
use crate::Error;
use crate::log::kernel;

pub(super) fn run(logs: &Logs, json: bool) -> Result<(), Failure> {
    let names = logs.names.iter().map(|name| match logs.names.as_slice() {
        // The kernel's own, which is no entry's.
        [only] if only == kernel::NAME => Ok(only.clone()),
        _ => id(name),
    });
    let request = LogRequest {
        version: VERSION,
        names: names.collect::<Result<_, _>>()?,
        lines: logs.lines,
        follow: logs.follow,
        since_ms: logs.since.map_or(0, Since::unix_ms),
    };
    let stream = connection::send(layout::LOG_SOCKET, &request)?;
    let mut out = io::stdout().lock();
    for line in BufReader::new(stream).lines() {
        let line = line.map_err(Error::os("read from", layout::LOG_SOCKET))?;
        let written = if json {
            writeln!(out, "{line}")
        } else {
            let line: LogLine = serde_json::from_str(&line).map_err(|source| Error::Json {
                object: layout::LOG_SOCKET.to_owned(),
                source,
            })?;
            out.write_all(table::log_line(&line).as_bytes())
        };
        match written {
            // `hullctl logs | head` has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.map_err(Error::os("write", "standard output"))?,
        }
    }
    Ok(())
}

/// The id of the entry that `name` means: PID 1 knows.
fn id(name: &str) -> Result<String, Failure> {
    let op = Op::Status {
        name: Some(name.to_owned()),
    };
    let failed = |code: ErrorCode, message| Failure {
        code: exit_code(code),
        message,
    };
    match connection::ask(&op, None)? {
        Reply::Status(status) => match status.entries.as_slice() {
            [entry] => Ok(format!("{}.{}", entry.section, entry.name)),
            _ => Err(failed(
                ErrorCode::NotFound,
                format!("no entry is named {name}"),
            )),
        },
        Reply::Error { code, message } => Err(failed(code, message)),
        _ => Err(failed(
            ErrorCode::Failed,
            "init answered something else".to_owned(),
        )),
    }
}
