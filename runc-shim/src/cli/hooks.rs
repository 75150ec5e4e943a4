//! Runs hooks: programs that get the container's state on standard input.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::spec::Hook;
use crate::state::{Json, State, Status};
use crate::sys::{file, process};

/// Runs the hooks of a stage one after another; the first that fails is the
/// last.
pub(super) fn run_all(
    stage: &'static str,
    hooks: &[Hook],
    state: &State,
    status: Status,
) -> Result<(), Error> {
    if hooks.is_empty() {
        return Ok(());
    }
    let mut input = Json::compact();
    state.tell(status, &mut input);
    let input = input.finish();
    hooks.iter().try_for_each(|hook| {
        run(hook, input.as_bytes()).map_err(|problem| Error::Hook {
            stage,
            path: hook.path.clone(),
            problem,
        })
    })
}

fn run(hook: &Hook, input: &[u8]) -> Result<(), String> {
    let text = |e: io::Error| crate::sys::error_text(&e);
    let (name, arguments) = hook.args.split_first().ok_or("no arguments")?;
    let environment = hook.env.iter().filter_map(|entry| entry.split_once('='));
    let mut child = Command::new(&hook.path)
        .arg0(name)
        .args(arguments)
        .env_clear()
        .envs(environment)
        .stdin(stdin(input).map_err(text)?)
        .spawn()
        .map_err(text)?;
    if let Some(seconds) = hook.timeout {
        let in_time = ends_within(&child, Duration::from_secs(u64::from(seconds))).map_err(text)?;
        if !in_time {
            child.kill().map_err(text)?;
            child.wait().map_err(text)?;
            return Err(format!("not done within {seconds} s"));
        }
    }
    let end = child.wait().map_err(text)?;
    if end.success() {
        Ok(())
    } else {
        Err(end.to_string())
    }
}

/// The state as a file in memory: writing to a pipe would wait, beyond any
/// timeout, for a hook that does not read.
fn stdin(input: &[u8]) -> io::Result<File> {
    let mut stdin = File::from(file::memfd(c"state")?);
    stdin.write_all(input)?;
    stdin.rewind()?;
    Ok(stdin)
}

/// A pidfd becomes readable at the end.
fn ends_within(child: &std::process::Child, limit: Duration) -> io::Result<bool> {
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    let pidfd = process::open_pid(pid)?;
    process::poll_until(pidfd.as_fd(), libc::POLLIN, Instant::now() + limit)
}
