//! Child processes of PID 1.
//!
//! The standard library starts them by `posix_spawn(3)`, which suspends us only
//! until the program is loaded, resets the signal mask and `SIGPIPE` in the
//! child, and needs no code of ours between fork and exec. Nothing waits for
//! them here: the event loop reaps.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::unistd::Pid;

/// What a child's standard streams are.
#[derive(Debug)]
pub struct Streams {
    /// Standard input; `/dev/null` where there is none.
    pub stdin: Option<OwnedFd>,
    /// Standard output; `/dev/null` where there is none.
    pub stdout: Option<OwnedFd>,
    /// Standard error; `/dev/null` where there is none.
    pub stderr: Option<OwnedFd>,
}

/// Starts `program` under the name `name` with `args`, in a process group of
/// its own.
///
/// # Errors
/// The program could not be loaded, or no process could be made.
pub fn spawn<A: AsRef<OsStr>>(
    program: &str,
    name: &str,
    args: &[A],
    streams: Streams,
) -> io::Result<Pid> {
    let stdio = |fd: Option<OwnedFd>| fd.map_or_else(Stdio::null, Stdio::from);
    let child = Command::new(program)
        .arg0(name)
        .args(args)
        .stdin(stdio(streams.stdin))
        .stdout(stdio(streams.stdout))
        .stderr(stdio(streams.stderr))
        .process_group(0)
        .spawn()?;
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    Ok(Pid::from_raw(pid))
}
