//! A process that we stay with: signals are passed on to it, and what goes
//! through its terminal is copied, until its end.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::error::Error;
use crate::exec::Process;
use crate::sys::process::{self, End};
use crate::sys::terminal::{self, Mode};
use crate::sys::{file, signal};

/// Keeps signals until [`stay`] takes them, so that none is lost.
pub(super) fn hold_signals() -> Result<(), Error> {
    signal::block_all().map_err(Error::io("block", "signals"))
}

/// Stays with the process until its end, and takes it. `outer` is the outer
/// side of its terminal.
pub(super) fn stay(process: &Process, outer: Option<OwnedFd>) -> Result<End, Error> {
    let signals = signal::descriptor().map_err(Error::io("wait for", "signals"))?;
    let mut session = outer.map(Session::begin).transpose()?;
    loop {
        let mut entries = [(None, 0); 6];
        if let Some(session) = &session {
            entries = session.entries();
        }
        entries[0] = (Some(signals.as_fd()), libc::POLLIN);
        entries[1] = (Some(process.descriptor()), libc::POLLIN);
        let came = match process::poll_all(entries, None) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            other => other.map_err(Error::io("wait for", "the process"))?,
        };
        let [signal, end, copies @ ..] = came;
        if signal != 0 {
            pass_on(process, signals.as_fd(), session.as_ref())?;
        }
        if let Some(session) = &mut session {
            session
                .copy(copies)
                .map_err(Error::io("copy to and from", "the terminal"))?;
        }
        if end != 0 {
            if let Some(session) = &mut session {
                session
                    .drain()
                    .map_err(Error::io("copy from", "the terminal"))?;
            }
            return process.wait().map_err(Error::io("wait for", "the process"));
        }
    }
}

fn pass_on(
    process: &Process,
    signals: BorrowedFd<'_>,
    session: Option<&Session>,
) -> Result<(), Error> {
    while let Some(signal) = signal::next(signals).map_err(Error::io("read", "signals"))? {
        match (signal, session) {
            (libc::SIGCHLD, _) => continue,
            (libc::SIGWINCH, Some(session)) => {
                session.resize();
                continue;
            }
            _ => {}
        }
        match process.signal(signal) {
            // Its end is about to be told.
            Err(e) if e.raw_os_error() != Some(libc::ESRCH) => {
                return Err(Error::io("signal", "the process")(e));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What was read from one side and is not yet written to the other.
#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    ended: bool,
}

/// As much as is read at once: what a pipe takes without waiting once it is
/// ready (pipe(7), `PIPE_BUF`).
const CHUNK: usize = 4096;

impl Pending {
    fn wants_more(&self) -> bool {
        self.bytes.is_empty() && !self.ended
    }

    /// Reads once. The end of the other side is the end, and so is `EIO` of a
    /// terminal whose inner side nobody has open.
    fn fill(&mut self, mut from: impl Read) -> io::Result<()> {
        let mut buffer = [0; CHUNK];
        match from.read(&mut buffer) {
            Ok(0) => self.ended = true,
            Ok(n) => self.bytes.extend(buffer.iter().take(n)),
            Err(e) if e.raw_os_error() == Some(libc::EIO) => self.ended = true,
            Err(e) if is_not_now(&e) => {}
            Err(e) => return Err(e),
        }
        Ok(())
    }

    /// Writes once. A reader that has gone is no reason to end: the process
    /// may have more to do.
    fn empty(&mut self, mut to: impl Write) -> io::Result<()> {
        match to.write(&self.bytes) {
            Ok(n) => drop(self.bytes.drain(..n)),
            Err(e) if is_not_now(&e) => {}
            Err(e) if matches!(e.raw_os_error(), Some(libc::EPIPE | libc::EIO)) => {
                self.bytes.clear();
            }
            Err(e) => return Err(e),
        }
        Ok(())
    }
}

fn is_not_now(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// Our standard input and output as plain files: without buffers of their own.
struct Standard {
    input: File,
    output: File,
}

/// A terminal that we stand in front of.
struct Session {
    outer: File,
    ours: Standard,
    /// Our own terminal, if we have one, and how it was.
    own: Option<(OwnedFd, Mode)>,
    to_process: Pending,
    to_us: Pending,
}

impl Session {
    /// Our own terminal passes each byte from here on: what it did with them,
    /// the process's does.
    fn begin(outer: OwnedFd) -> Result<Self, Error> {
        let failed = || Error::io("set up", "the terminal");
        file::set_waiting(outer.as_fd(), false).map_err(failed())?;
        let copy = |fd: BorrowedFd<'_>| fd.try_clone_to_owned();
        let ours = Standard {
            input: copy(io::stdin().as_fd()).map_err(failed())?.into(),
            output: copy(io::stdout().as_fd()).map_err(failed())?.into(),
        };
        let session = Self {
            outer: outer.into(),
            own: own_terminal().map_err(failed())?,
            ours,
            to_process: Pending::default(),
            to_us: Pending::default(),
        };
        if let Some((own, mode)) = &session.own {
            mode.raw().set(own.as_fd()).map_err(failed())?;
        }
        session.resize();
        Ok(session)
    }

    /// Gives the process's terminal the size of ours.
    fn resize(&self) {
        if let Some((own, _)) = &self.own
            && let Ok(size) = terminal::size(own.as_fd())
        {
            // One that has ended has no size.
            let _ended = terminal::set_size(self.outer.as_fd(), size);
        }
    }

    /// What to wait for: (signals, the process), our input, our output, the
    /// terminal to read, the terminal to write.
    fn entries(&self) -> [(Option<BorrowedFd<'_>>, i16); 6] {
        let when = |wanted: bool, events: i16| if wanted { events } else { 0 };
        let (input, output) = (self.ours.input.as_fd(), self.ours.output.as_fd());
        let outer = self.outer.as_fd();
        [
            (None, 0),
            (None, 0),
            (
                Some(input),
                when(self.to_process.wants_more(), libc::POLLIN),
            ),
            (
                Some(output),
                when(!self.to_us.bytes.is_empty(), libc::POLLOUT),
            ),
            (Some(outer), when(self.to_us.wants_more(), libc::POLLIN)),
            (
                Some(outer),
                when(!self.to_process.bytes.is_empty(), libc::POLLOUT),
            ),
        ]
    }

    fn copy(&mut self, came: [i16; 4]) -> io::Result<()> {
        let [input, output, from, to] = came.map(|events| events != 0);
        if from {
            self.to_us.fill(&self.outer)?;
        }
        if output || (from && !self.to_us.bytes.is_empty() && self.can_write()?) {
            self.to_us.empty(&self.ours.output)?;
        }
        if input {
            self.to_process.fill(&self.ours.input)?;
        }
        if to || input {
            self.to_process.empty(&self.outer)?;
        }
        Ok(())
    }

    fn can_write(&self) -> io::Result<bool> {
        process::poll(self.ours.output.as_fd(), libc::POLLOUT, Some(0))
    }

    /// What the process has written before its end.
    fn drain(&mut self) -> io::Result<()> {
        loop {
            while !self.to_us.bytes.is_empty() {
                process::poll(self.ours.output.as_fd(), libc::POLLOUT, None)?;
                self.to_us.empty(&self.ours.output)?;
            }
            self.to_us.fill(&self.outer)?;
            if self.to_us.bytes.is_empty() {
                return Ok(());
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some((own, mode)) = &self.own {
            // If it has gone there is nothing to give back.
            let _gone = mode.set(own.as_fd());
        }
    }
}

/// The first of ours that is a terminal.
fn own_terminal() -> io::Result<Option<(OwnedFd, Mode)>> {
    let (input, output, errors) = (io::stdin(), io::stdout(), io::stderr());
    let fd = if input.is_terminal() {
        input.as_fd()
    } else if output.is_terminal() {
        output.as_fd()
    } else if errors.is_terminal() {
        errors.as_fd()
    } else {
        return Ok(None);
    };
    Ok(Some((fd.try_clone_to_owned()?, Mode::of(fd)?)))
}
