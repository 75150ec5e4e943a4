//! A container, and its two pipes.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hullkit_bundle::control::Stream;

use super::journal::Filed;
use super::split::Splitter;

/// What a container writes to.
#[derive(Debug)]
pub(super) struct Source {
    /// The container: `services.web`.
    pub(super) id: String,
    /// Whether its lines go to the kernel log as well.
    pub(super) console: bool,
    /// The ordinal of the first line of its run.
    pub(super) run_began: u64,
    /// How far its file is; none: it has none, or has had none yet.
    pub(super) filed: Option<Filed>,
    stdout: Pipe,
    stderr: Pipe,
}

#[derive(Debug, Default)]
struct Pipe {
    /// None until PID 1 has given it.
    reader: Option<OwnedFd>,
    lines: Splitter,
}

impl Source {
    /// A container without pipes.
    pub(super) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            console: false,
            run_began: 0,
            filed: None,
            stdout: Pipe::default(),
            stderr: Pipe::default(),
        }
    }

    fn pipe(&self, stream: Stream) -> &Pipe {
        match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        }
    }

    fn pipe_mut(&mut self, stream: Stream) -> &mut Pipe {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    /// The reading end of a stream.
    pub(super) fn reader(&self, stream: Stream) -> Option<BorrowedFd<'_>> {
        self.pipe(stream).reader.as_ref().map(AsFd::as_fd)
    }

    /// Gives it the reading end of a stream.
    pub(super) fn attach(&mut self, stream: Stream, reader: OwnedFd) {
        self.pipe_mut(stream).reader = Some(reader);
    }

    /// The lines of a stream, as far as they have come.
    pub(super) fn lines(&mut self, stream: Stream) -> &mut Splitter {
        &mut self.pipe_mut(stream).lines
    }

    /// What came of a stream since its last newline.
    pub(super) fn partial(&self, stream: Stream) -> &[u8] {
        self.pipe(stream).lines.partial()
    }
}
