//! `kill`, and the names of signals.

use std::path::Path;

use super::Outcome;
use crate::cgroup;
use crate::error::Error;
use crate::state::{Folder, Status, start_time};
use crate::sys::process;
use std::os::fd::AsFd;

const NAMES: [(&str, i32); 31] = [
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("ILL", libc::SIGILL),
    ("TRAP", libc::SIGTRAP),
    ("ABRT", libc::SIGABRT),
    ("BUS", libc::SIGBUS),
    ("FPE", libc::SIGFPE),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("SEGV", libc::SIGSEGV),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    ("STKFLT", libc::SIGSTKFLT),
    ("CHLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("STOP", libc::SIGSTOP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("VTALRM", libc::SIGVTALRM),
    ("PROF", libc::SIGPROF),
    ("WINCH", libc::SIGWINCH),
    ("IO", libc::SIGIO),
    ("PWR", libc::SIGPWR),
    ("SYS", libc::SIGSYS),
];

/// A signal by its number, or its name with or without SIG, in any case.
pub(super) fn parse(word: &str) -> Option<i32> {
    if let Ok(number) = word.parse() {
        return (1..=64).contains(&number).then_some(number);
    }
    let word = word.to_ascii_uppercase();
    let name = word.strip_prefix("SIG").unwrap_or(&word);
    if let Some(offset) = name.strip_prefix("RTMIN+") {
        // 34 is the first that the C library leaves to programs.
        return offset
            .parse()
            .ok()
            .map(|n: i32| 34 + n)
            .filter(|n| (34..=64).contains(n));
    }
    NAMES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, number)| *number)
}

/// `kill`: a signal to the first process, or to all.
pub(super) fn kill(root: &Path, id: &str, signal: i32, all: bool) -> Outcome {
    let folder = Folder::open(root, id)?;
    let state = folder.read()?;
    let found = folder.status(&state);
    if all && signal == libc::SIGKILL {
        cgroup::kill(&state.cgroup)?;
        return Ok(None);
    }
    if all {
        cgroup::signal(&state.cgroup, signal)?;
        return Ok(None);
    }
    if matches!(found, Status::Creating | Status::Stopped) {
        return Err(Error::NotRunning(found));
    }
    // The number may come to mean another process between our look and the
    // signal, but a descriptor may not: so the look comes after it.
    let pidfd = process::open_pid(state.pid).map_err(Error::io("open process", state.pid))?;
    if start_time(state.pid) != Some(state.pid_start_time) {
        return Err(Error::NotRunning(Status::Stopped));
    }
    process::send_signal(pidfd.as_fd(), signal).map_err(Error::io("signal process", state.pid))?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn signals_have_names_and_numbers() {
        assert_eq!(parse("9"), Some(9));
        assert_eq!(parse("SIGKILL"), Some(9));
        assert_eq!(parse("kill"), Some(9));
        assert_eq!(parse("RTMIN+3"), Some(37));
        for word in ["0", "65", "", "SIG", "KILLER", "RTMIN+40"] {
            assert_eq!(parse(word), None, "{word}");
        }
    }
}
