//! Errors to standard error, and to `--log` in runc's form.

use std::fs::OpenOptions;
use std::io::{self, Write};

use super::{Invocation, LogFormat};
use crate::state::{Json, now};

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
        LogFormat::Text => format!("time=\"{time}\" level=error msg={message:?}\n"),
        LogFormat::Json => json_line(message, &time),
    };
    let log = OpenOptions::new().create(true).append(true).open(path);
    let written = log.and_then(|mut log| log.write_all(line.as_bytes()));
    if let Err(error) = written {
        let text = format!("runc-shim: write {}: {error}\n", path.display());
        let _nobody_listens = io::stderr().write_all(text.as_bytes());
    }
}

fn json_line(message: &str, time: &str) -> String {
    let mut json = Json::compact();
    json.object(|json| {
        json.field("level").string("error");
        json.field("msg").string(message);
        json.field("time").string(time);
    });
    json.finish() + "\n"
}
