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

use crate::life::inherited::Inherited;
use crate::life::record::{Record, Writer};

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

    /// Writes which descriptors it has, and what the log process is yet to be
    /// told.
    pub(super) fn save(&self, to: &mut Writer) {
        to.fd("stdout", &self.stdout.reader)
            .fd("stdout_end", &self.stdout.writer)
            .fd("stderr", &self.stderr.reader)
            .fd("stderr_end", &self.stderr.writer)
            .flag("handed", self.handed)
            .flag("ended", self.ended)
            .flag("failed", self.failed);
    }

    /// Takes what [`Self::save`] has written. None where there was none.
    pub(super) fn restore(record: &Record<'_>, fds: &mut Inherited) -> Option<Self> {
        let mut take = |key| record.parsed(key).and_then(|fd| fds.take(fd));
        let mut pipe = |reader, writer| {
            Some(Pipe {
                reader: take(reader)?,
                writer: take(writer)?,
            })
        };
        Some(Self {
            stdout: pipe("stdout", "stdout_end")?,
            stderr: pipe("stderr", "stderr_end")?,
            handed: record.flag("handed"),
            ended: record.flag("ended"),
            failed: record.flag("failed"),
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
