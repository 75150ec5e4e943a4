//! Measures what programs take.

use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use crate::sys::{self, Fork};

/// Runs programs, one after another, `--` between them, again and again, once
/// more than is counted. Tells the median, least and longest time of a round
/// in microseconds, and the most memory that one of them, or of the children
/// that it waited for, ever held, in kB. `@` in an argument is the round's
/// number.
pub(crate) fn programs(rounds: &str, words: &[&str]) -> io::Result<()> {
    let mut peak = 0;
    let times = repeat(rounds, |round| {
        for program in words.split(|word| *word == "--") {
            let words: Vec<String> = program.iter().map(|w| w.replace('@', round)).collect();
            peak = peak.max(run(&words)?);
        }
        Ok(())
    })?;
    tell(&times, peak)
}

/// The same for what a runtime cannot do without: a process in new namespaces
/// that becomes the program.
pub(crate) fn bare(rounds: &str, program: &[&str]) -> io::Result<()> {
    let words: Vec<String> = program.iter().map(|&word| word.to_owned()).collect();
    let mut peak = 0;
    let times = repeat(rounds, |_| {
        let mut command = command(&words)?;
        match sys::clone_into_namespaces()? {
            Fork::Child => {
                let error = std::os::unix::process::CommandExt::exec(&mut command);
                let _told = writeln!(io::stderr(), "{error}");
                sys::exit(127)
            }
            Fork::Parent(pid) => peak = peak.max(take(pid, &words)?),
        }
        Ok(())
    })?;
    tell(&times, peak)
}

fn repeat(
    rounds: &str,
    mut round: impl FnMut(&str) -> io::Result<()>,
) -> io::Result<Vec<Duration>> {
    let rounds: u32 = rounds.parse().map_err(io::Error::other)?;
    let mut times = Vec::new();
    for number in 0..=rounds {
        let start = Instant::now();
        round(&number.to_string())?;
        times.push(start.elapsed());
    }
    // The first one has found nothing in the caches.
    times.remove(0);
    times.sort_unstable();
    Ok(times)
}

fn command(words: &[String]) -> io::Result<Command> {
    let (name, arguments) = words
        .split_first()
        .ok_or_else(|| io::Error::other("no program"))?;
    let mut command = Command::new(name);
    command.args(arguments).stdin(Stdio::null());
    Ok(command)
}

fn run(words: &[String]) -> io::Result<i64> {
    let child = command(words)?.spawn()?;
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    take(Pid::from_raw(pid), words)
}

/// The memory of who ended; a failure is an error.
fn take(pid: Pid, words: &[String]) -> io::Result<i64> {
    let (status, peak) = sys::wait_with_usage(pid)?;
    if status == 0 {
        return Ok(peak);
    }
    Err(io::Error::other(format!("{words:?} ended with {status}")))
}

fn tell(times: &[Duration], peak: i64) -> io::Result<()> {
    let microseconds = |time: Option<&Duration>| time.map_or(0, Duration::as_micros);
    writeln!(
        io::stdout(),
        "measured {} {} {} {peak}",
        microseconds(times.get(times.len() / 2)),
        microseconds(times.first()),
        microseconds(times.last())
    )
}
