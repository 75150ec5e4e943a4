//! One static binary, three programs by the name it is called by: `/init` is
//! PID 1, `hullctl` the control client, `hullkit-log` the log process.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use hullkit_init::{hullctl, log, pid1};

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    match name(&args) {
        "hullctl" => hullctl::main(args.get(1..).unwrap_or_default()),
        log::NAME => log::main(),
        _ if std::process::id() == 1 => pid1::main(),
        _ => hullctl::main(args.get(1..).unwrap_or_default()),
    }
}

/// The last component of the name that we were called by.
fn name(args: &[OsString]) -> &str {
    args.first()
        .and_then(|arg| Path::new(arg).file_name())
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}
