//! Stands where a person stands in front of a terminal.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::termios::tcgetattr;

use crate::{passed, sys};

/// No step waits longer.
const LIMIT: Duration = Duration::from_secs(80);

/// Runs a program in a new terminal of 24 by 80, does the steps, and copies
/// what it prints until its end; then tells its code, and whether it left the
/// terminal as it was.
///
/// | step | does |
/// | --- | --- |
/// | `wait=TEXT` | waits until the text was printed since the last wait |
/// | `type=TEXT` | types it; `\n` is the return key, `^C` that key |
/// | `size=ROWSxCOLUMNS` | makes the terminal that large |
pub(crate) fn run(steps: &[&str], program: &[&str]) -> io::Result<()> {
    let size = winsize("24x80")?;
    let OpenptyResult { master, slave } = openpty(Some(&size), None)?;
    let before = tcgetattr(&slave)?;
    let child = spawn(program, &slave)?;
    let mut screen = Screen::new(master);
    // While we have the inner side open there is no end to read to.
    drop(slave);
    let done = screen.carry_out(steps);
    let outer = screen.outer.try_clone()?;
    finish(child, screen, done)?;
    // Asked at the outer side, the kernel tells of the inner one.
    let after = tcgetattr(&outer)?;
    let same = before.local_flags == after.local_flags && before.input_flags == after.input_flags;
    let kept = if same { "as it was" } else { "changed" };
    writeln!(io::stdout(), "terminal {kept}")
}

fn spawn(program: &[&str], slave: &OwnedFd) -> io::Result<Child> {
    let (name, args) = program
        .split_first()
        .ok_or_else(|| io::Error::other("no program"))?;
    let mut command = Command::new(name);
    command
        .args(args)
        .stdin(slave.try_clone()?)
        .stdout(slave.try_clone()?)
        .stderr(slave.try_clone()?);
    sys::in_own_session(&mut command);
    command.spawn()
}

fn finish(mut child: Child, mut screen: Screen, done: io::Result<()>) -> io::Result<()> {
    let read = done.and_then(|()| screen.read_to_end());
    if read.is_err() {
        child.kill()?;
    }
    let end = child.wait()?;
    read?;
    writeln!(io::stdout(), "\n{end}")
}

/// Waits at a console socket for a terminal, as conmon and containerd do, does
/// the steps in front of it, and copies what is printed until its end.
pub(crate) fn receive(socket: &Path, steps: &[&str]) -> io::Result<()> {
    let listener = UnixListener::bind(socket)?;
    let (stream, _) = listener.accept()?;
    let (name, terminal) = passed::receive(&stream)?;
    writeln!(io::stdout(), "received {name}")?;
    let mut screen = Screen::new(terminal);
    screen.carry_out(steps)?;
    screen.read_to_end()
}

/// The outer side of a terminal.
struct Screen {
    outer: File,
    /// What was printed since the last wait.
    seen: String,
}

impl Screen {
    fn new(outer: OwnedFd) -> Self {
        Self {
            outer: File::from(outer),
            seen: String::new(),
        }
    }

    fn carry_out(&mut self, steps: &[&str]) -> io::Result<()> {
        for step in steps {
            match step.split_once('=') {
                Some(("wait", text)) => self.wait(text)?,
                Some(("type", text)) => {
                    let keys = text.replace("\\n", "\r").replace("^C", "\x03");
                    self.outer.write_all(keys.as_bytes())?;
                }
                Some(("size", size)) => sys::set_size(self.outer.as_fd(), &winsize(size)?)?,
                _ => return Err(io::Error::other(format!("{step} is not a step"))),
            }
        }
        Ok(())
    }

    fn wait(&mut self, text: &str) -> io::Result<()> {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(at) = self.seen.find(text) {
                self.seen.drain(..at + text.len());
                return Ok(());
            }
            if !self.read(deadline)? {
                let message = format!("the end came before {text:?}");
                return Err(io::Error::other(message));
            }
        }
    }

    fn read_to_end(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + LIMIT;
        while self.read(deadline)? {}
        Ok(())
    }

    /// Reads and copies once. Whether there may be more.
    fn read(&mut self, deadline: Instant) -> io::Result<bool> {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        let mut entries = [PollFd::new(self.outer.as_fd(), PollFlags::POLLIN)];
        if poll(&mut entries, left)? == 0 {
            return Err(io::Error::other(format!(
                "nothing more came; the last was {:?}",
                self.seen
            )));
        }
        let mut buffer = [0; 4096];
        match self.outer.read(&mut buffer) {
            Ok(0) => Ok(false),
            // The inner side is closed.
            Err(e) if e.raw_os_error() == Some(libc::EIO) => Ok(false),
            Err(e) => Err(e),
            Ok(n) => {
                let text = String::from_utf8_lossy(buffer.get(..n).unwrap_or_default());
                let text = text.replace('\r', "");
                io::stdout().write_all(text.as_bytes())?;
                io::stdout().flush()?;
                self.seen.push_str(&text);
                Ok(true)
            }
        }
    }
}

fn winsize(text: &str) -> io::Result<Winsize> {
    let numbers = text.split_once('x').and_then(|(rows, columns)| {
        Some((rows.parse::<u16>().ok()?, columns.parse::<u16>().ok()?))
    });
    let (rows, columns) =
        numbers.ok_or_else(|| io::Error::other(format!("{text} is not ROWSxCOLUMNS")))?;
    Ok(Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    })
}
