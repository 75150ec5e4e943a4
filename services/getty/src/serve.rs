//! A session on each console, again and again.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::Error;

/// A session that ends sooner than this was none: the next one waits, so that
/// a broken terminal does not spin.
const SHORTEST: Duration = Duration::from_secs(1);

/// The longest wait; each one after a session that was none is twice the last.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Keeps a session on each of `consoles`. Returns when none of them can have
/// one.
#[must_use]
pub fn all(consoles: &[String]) -> Error {
    thread::scope(|scope| {
        for console in consoles {
            scope.spawn(move || {
                let Err(error) = one(console);
                eprintln!("getty: {console}: {error}");
            });
        }
    });
    Error::NoConsole {
        tried: list(consoles),
    }
}

/// Keeps a session on `console`. Returns when the program itself cannot be
/// started, which no further try mends.
fn one(console: &str) -> io::Result<Infallible> {
    let program = Path::new("/proc/self/exe").read_link()?;
    let mut wait = Duration::ZERO;
    loop {
        let started = Instant::now();
        Command::new(&program).arg("--on").arg(console).status()?;
        wait = next_wait(wait, started.elapsed());
        thread::sleep(wait);
    }
}

/// How long to wait for the next session, after the `last` wait and a session
/// that took `lived`.
fn next_wait(last: Duration, lived: Duration) -> Duration {
    if lived >= SHORTEST {
        Duration::ZERO
    } else {
        (last * 2).clamp(SHORTEST, LONGEST_WAIT)
    }
}

/// The names for people.
fn list(consoles: &[String]) -> String {
    if consoles.is_empty() {
        return "the kernel's consoles (there is none)".to_owned();
    }
    consoles.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_lasted_is_followed_at_once() {
        assert_eq!(next_wait(LONGEST_WAIT, SHORTEST), Duration::ZERO);
    }

    #[test]
    fn a_terminal_that_breaks_each_time_is_tried_less_and_less() {
        let waits: Vec<Duration> = std::iter::successors(Some(Duration::ZERO), |last| {
            Some(next_wait(*last, Duration::ZERO))
        })
        .take(9)
        .collect();
        assert!(waits.is_sorted());
        assert_eq!(waits[1], SHORTEST);
        assert_eq!(waits[8], LONGEST_WAIT);
    }
}
