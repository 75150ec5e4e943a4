//! The pipes that a container writes to.
//!
//! They are made at an entry's first start and live as long as PID 1: the log
//! process has copies of the reading ends, and when it dies nothing that was
//! written is lost. A writing end is kept too, so that a reader never sees
//! the end of the stream between two runs.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;

/// The two pipes of an entry.
#[derive(Debug)]
pub(super) struct Output {
    stdout: Pipe,
    stderr: Pipe,
    /// Whether the log process has the reading ends.
    pub(super) handed: bool,
    /// Whether the log process is to be told that a run has ended.
    pub(super) ended: bool,
    /// Whether that run has failed.
    pub(super) failed: bool,
}

#[derive(Debug)]
struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
        // Only the reader: a container's writes wait, as programs expect.
        fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self { reader, writer })
    }
}

impl Output {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            stdout: Pipe::new()?,
            stderr: Pipe::new()?,
            handed: false,
            ended: false,
            failed: false,
        })
    }

    /// New descriptors of the writing ends: standard output, standard error.
    pub(super) fn writers(&self) -> io::Result<(OwnedFd, OwnedFd)> {
        Ok((
            self.stdout.writer.try_clone()?,
            self.stderr.writer.try_clone()?,
        ))
    }

    /// The reading ends: standard output, standard error.
    pub(super) fn readers(&self) -> (BorrowedFd<'_>, BorrowedFd<'_>) {
        (self.stdout.reader.as_fd(), self.stderr.reader.as_fd())
    }
}
