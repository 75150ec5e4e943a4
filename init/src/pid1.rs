//! PID 1, from its first instruction to the machine's end.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::ExitCode;

use crate::cmdline::Cmdline;
use crate::event_loop::{self, Legacy};
use crate::klog::{Level, Line};
use crate::life::cause::Cause;
use crate::life::inherited::Inherited;
use crate::life::record::Writer;
use crate::life::state;
use crate::sys::rebirth;
use crate::{Error, boot, klog, last_resort, plan, shutdown};

/// A life of PID 1 that fails within this time of the failure before, in
/// milliseconds, is followed by a minimal one.
const TWICE: u64 = 30_000;

/// Runs the machine. Returns only where `reboot(2)` fails, to a kernel that
/// then panics.
pub fn main(args: &[OsString]) -> ExitCode {
    last_resort::install();
    let end = match Will::parse(args) {
        None => first_life(),
        Some(will) => next_life(&will),
    };
    // Nothing is written any more when the power goes.
    shutdown::run(end);
    ExitCode::FAILURE
}

fn first_life() -> crate::supervise::End {
    let started = event_loop::now();
    // 1. What the kernel leaves to us: mounts, modules, settings.
    let mut booted = boot::run();
    klog::open();
    if let Err(error) = rebirth::prepare() {
        booted.problems.push(format!("catch faults: {error}"));
    }
    // 2. What the image wants to run.
    let plan = plan::load(Path::new("/"));
    // 3. It runs, until somebody wants the machine to end.
    event_loop::run(started, booted, plan)
}

/// What the life before has left: `--adopt STATE HIGHEST CAUSE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Will {
    /// The descriptor of its state.
    state: RawFd,
    /// The highest of its descriptors.
    highest: RawFd,
    /// Why it ended.
    cause: Cause,
}

impl Will {
    fn parse(args: &[OsString]) -> Option<Self> {
        let mut words = args.iter().skip(1).map(|arg| arg.to_str());
        if words.next()?? != rebirth::ADOPT.to_str().ok()? {
            return None;
        }
        Some(Self {
            state: words.next()??.parse().ok()?,
            highest: words.next()??.parse().ok()?,
            cause: Cause::parse(words.next()??)?,
        })
    }
}

fn next_life(will: &Will) -> crate::supervise::End {
    // 1. What was left to us, before anything else is opened.
    let mut fds = Inherited::find(will.highest);
    klog::open();
    let file = fds.take(will.state).map(File::from);
    // 2. Should this life fail too, before it has a state of its own.
    let caught = rebirth::prepare();
    let began = event_loop::now();
    if let Some(file) = &file {
        if will.cause.is_failure() {
            note_failure(file, began.0);
        }
        rebirth::leave(file.as_raw_fd(), will.highest);
    }
    if let Err(error) = caught {
        problem(&format!("catch faults: {error}"));
    }
    // 3. The machine as it was.
    let text = file.as_ref().map(state::text);
    let text = text.and_then(Result::ok).unwrap_or_default();
    let records = match state::records(&text) {
        Ok(records) if !will.cause.is_failure() || !fails_again(&records, began.0) => records,
        other => {
            if let Err(error) = other {
                problem(&error.to_string());
            }
            // Whoever writes to a pipe of ours must not find it closed.
            fds.leave_open();
            std::mem::forget(file);
            last_resort::begin();
        }
    };
    let cmdline = Cmdline::read().unwrap_or_default();
    let plan = plan::load(Path::new("/"));
    let legacy = Legacy {
        records,
        fds,
        cause: will.cause,
        file,
    };
    // 4. It goes on.
    event_loop::resume(legacy, &cmdline, plan)
}

/// Appends to the state when a life has failed.
fn note_failure(file: &File, now: u64) {
    let mut note = Writer::default();
    note.record("failure").field("at", now);
    let (text, _) = note.finish();
    let noted = file
        .metadata()
        .and_then(|data| file.write_all_at(text.as_bytes(), data.len()));
    if let Err(error) = noted {
        problem(&format!("note failure: {error}"));
    }
}

/// Whether the failure at `now` came soon after another one.
fn fails_again(records: &[crate::life::record::Record<'_>], now: u64) -> bool {
    let life = records.iter().filter(|record| record.word == "life");
    let before = life.filter_map(|life| life.parsed("failed"));
    let notes = records.iter().filter(|record| record.word == "failure");
    let notes = notes.filter_map(|note| note.parsed("at"));
    // This one has its note too.
    let notes = notes.filter(|at| *at != now);
    let soon = |at: u64| now.saturating_sub(at) < TWICE;
    before.chain(notes).any(soon)
}

fn problem(what: &str) {
    Line::new(Level::Error, "init", "problem")
        .with("error", what)
        .write();
}

/// Answers whether this program could be the next life of the PID 1 whose
/// state is its standard input.
#[must_use]
pub fn check_state() -> ExitCode {
    let checked = read_stdin().and_then(|text| {
        let records = state::records(&text)?;
        let cmdline = Cmdline::read().map_err(Error::os("read", "/proc/cmdline"))?;
        event_loop::check(&records, &cmdline, plan::load(Path::new("/"))).map_err(|errors| {
            Error::Bundle {
                object: "state of init".to_owned(),
                reason: errors.join("; "),
            }
        })
    });
    let said = checked.and_then(|()| {
        io::stdout()
            .write_all(event_loop::YES.as_bytes())
            .map_err(Error::os("write", "standard output"))
    });
    match said {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            klog::open();
            problem(&format!("{}: {error}", event_loop::CHECK));
            ExitCode::FAILURE
        }
    }
}

fn read_stdin() -> Result<String, Error> {
    let stdin = io::stdin();
    let file = stdin.as_fd().try_clone_to_owned().map(File::from);
    file.and_then(|file| state::text(&file))
        .map_err(Error::os("read", "state of init"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::life::record::Record;

    #[test]
    fn a_will() {
        let parse = |line: &str| {
            let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            Will::parse(&args)
        };
        let will = Will {
            state: 7,
            highest: 40,
            cause: Cause::Panic,
        };
        assert_eq!(parse("/init --adopt 7 40 panic"), Some(will));
        for other in [
            "/init",
            "/init auto",
            "/init --adopt",
            "/init --adopt 7 x panic",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn twice_within_seconds() {
        let again = |text: &str, now| fails_again(&Record::parse(text).collect::<Vec<_>>(), now);
        assert!(!again("life began=1\nfailure at=50000\n", 50_000));
        assert!(again("life failed=45000\nfailure at=50000\n", 50_000));
        assert!(!again("life failed=20000\nfailure at=50000\n", 50_000));
        assert!(again(
            "life began=1\nfailure at=49000\nfailure at=50000\n",
            50_000
        ));
    }
}
