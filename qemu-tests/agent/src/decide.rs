//! Decides about the system calls of others (seccomp_unotify(2)).

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::Value;

use crate::{passed, sys};

/// No step waits longer.
const LIMIT: Duration = Duration::from_secs(25);

/// How long a call is watched after a signal to who made it.
const WATCHED: Duration = Duration::from_secs(3);

/// Listens at a socket as an agent of a runtime's does, and carries out the
/// steps.
///
/// | step | does |
/// | --- | --- |
/// | `accept` | takes a listener, and tells what came with it |
/// | `error=N` | waits for a call, and lets it fail with this error number |
/// | `go` | waits for a call, and lets it through |
/// | `signal=N` | waits for a call, sends its process the signal, tells whether the call still waits some time later, and lets it fail with error 1 if so |
pub(crate) fn run(socket: &Path, steps: &[&str]) -> io::Result<()> {
    let socket = UnixListener::bind(socket)?;
    let mut listener = None;
    for step in steps {
        if *step == "accept" {
            listener = Some(accept(&socket)?);
            continue;
        }
        let listener = listener.as_ref().ok_or_else(|| no_step(step))?;
        let call = wait(listener)?;
        match step.split_once('=').unwrap_or((step, "")) {
            ("error", number) => {
                answer(listener, &call, number.parse().map_err(io::Error::other)?)?;
            }
            ("go", "") => sys::answer_call(listener.as_fd(), call.id, 0, true)?,
            ("signal", number) => {
                signal(listener, &call, number.parse().map_err(io::Error::other)?)?;
            }
            _ => return Err(no_step(step)),
        }
    }
    Ok(())
}

fn no_step(step: &str) -> io::Error {
    io::Error::other(format!("{step} is not a step, or not one before accept"))
}

/// What is told holds no number that differs from run to run.
fn accept(socket: &UnixListener) -> io::Result<OwnedFd> {
    let (stream, _) = socket.accept()?;
    let (text, fd) = passed::receive(&stream)?;
    let told: Value = serde_json::from_str(&text)?;
    let state = &told["state"];
    let process = if told["pid"] == state["pid"] {
        "its first process"
    } else {
        "another process"
    };
    writeln!(
        io::stdout(),
        "asked to decide: {} {}, {process}, {}, {}",
        state["id"],
        state["status"],
        told["fds"],
        told["metadata"]
    )?;
    Ok(fd)
}

fn wait(listener: &OwnedFd) -> io::Result<libc::seccomp_notif> {
    let limit = PollTimeout::try_from(LIMIT).unwrap_or(PollTimeout::MAX);
    let mut entries = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    if poll(&mut entries, limit)? == 0 {
        return Err(io::Error::other("no call came"));
    }
    sys::receive_call(listener.as_fd())
}

fn answer(listener: &OwnedFd, call: &libc::seccomp_notif, error: i32) -> io::Result<()> {
    sys::answer_call(listener.as_fd(), call.id, error, false)?;
    writeln!(io::stdout(), "decided: error {error}")
}

fn signal(listener: &OwnedFd, call: &libc::seccomp_notif, signal: i32) -> io::Result<()> {
    sys::kill(i32::try_from(call.pid).map_err(io::Error::other)?, signal)?;
    let deadline = Instant::now() + WATCHED;
    while Instant::now() < deadline {
        if !sys::call_waits(listener.as_fd(), call.id) {
            return writeln!(io::stdout(), "the call was given up");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    writeln!(io::stdout(), "the call still waits")?;
    answer(listener, call, 1)
}
