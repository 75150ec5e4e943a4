//! Errors to standard error, and to `--log` in runc's form.

use std::fs::OpenOptions;
use std::io::{self, Write};

use serde::Serialize;

use super::{Invocation, LogFormat};
use crate::state::now;

#[derive(Serialize)]
struct Line<'a> {
    level: &'a str,
    msg: &'a str,
    time: &'a str,
}

/// Tells an error: one line on standard error, and one in the log.
pub(super) fn tell(invocation: Option<&Invocation>, message: &str) {
    // One write, so that lines of several programs do not mix. If standard
    // error is gone nobody is left to be told.
    let _nobody_listens = io::stderr().write_all(format!("runc-shim: {message}\n").as_bytes());
    let Some((invocation, path)) = invocation.and_then(|i| Some((i, i.log.as_ref()?))) else {
        return;
    };
    let time = now();
    let line = match invocation.log_format {
        LogFormat::Text => Ok(format!("time=\"{time}\" level=error msg={message:?}\n")),
        LogFormat::Json => serde_json::to_string(&Line {
            level: "error",
            msg: message,
            time: &time,
        })
        .map(|line| line + "\n"),
    };
    let written = line.map_err(io::Error::from).and_then(|line| {
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        file.write_all(line.as_bytes())
    });
    if let Err(error) = written {
        let text = format!("runc-shim: write {}: {error}\n", path.display());
        let _nobody_listens = io::stderr().write_all(text.as_bytes());
    }
}
