//! The program that tries something inside a service, `hullkit-probe CGROUP
//! PID WORD…`: the same binary as PID 1 under another name, a process of its own
//! because it joins the service's namespaces and cgroup and may hang there. PID
//! 1 ends it when its time is over.
//!
//! Standard input is a pidfd of the service's first process. What goes wrong is
//! one line on standard output.

mod http;
mod inside;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use crate::Error;
use inside::{Inside, Service};

/// The name that PID 1 starts it by.
pub const NAME: &str = "hullkit-probe";

/// Tries what the arguments say. The exit code 0: it went well.
#[must_use]
pub fn main(args: &[OsString]) -> ExitCode {
    match run(args) {
        Ok(code) => code,
        Err(error) => {
            tell(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// One line to PID 1.
fn tell(line: &str) {
    let mut stdout = io::stdout();
    // Our exit code says it too.
    let _lost = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

/// 1. All that is needed is opened, while it can be seen.
/// 2. A child is born in the service's cgroup.
/// 3. It joins the service's namespaces.
/// 4. It connects.
fn run(args: &[OsString]) -> Result<ExitCode, Error> {
    let words: Vec<&str> = args.iter().filter_map(|arg| arg.to_str()).collect();
    let [cgroup, pid, probe @ ..] = words.as_slice() else {
        return Err(usage());
    };
    let service = Service::open(cgroup, pid)?;
    if let Inside::Parent(code) = service.enter()? {
        return Ok(code);
    }
    match probe {
        ["tcp", address] => connect(address).map(drop)?,
        ["unix", path] => UnixStream::connect(path)
            .map_err(Error::os("connect to", path))
            .map(drop)?,
        ["http", address, path] => http::get(address, path)?,
        _ => return Err(usage()),
    }
    Ok(ExitCode::SUCCESS)
}

/// Connects to a numeric address: names would bring a resolver into PID 1's
/// program, and show only that it works.
fn connect(address: &str) -> Result<TcpStream, Error> {
    let numeric = address.parse::<SocketAddr>().map_err(io::Error::other);
    numeric
        .and_then(TcpStream::connect::<SocketAddr>)
        .map_err(Error::os("connect to", address))
}

fn usage() -> Error {
    Error::Bundle {
        object: NAME.to_owned(),
        reason: "usage: hullkit-probe CGROUP PID tcp|unix|http WORD...".to_owned(),
    }
}
