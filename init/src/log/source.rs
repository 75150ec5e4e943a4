//! A container's two pipes.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{SystemTime, UNIX_EPOCH};

use hullkit_bundle::control::Stream;

use super::ring::Ring;
use super::split::Splitter;

/// How much is read from a pipe before the others get their turn; a pipe holds
/// no more (pipe(7)).
const TURN: usize = 64 * 1024;

/// What a container writes to.
#[derive(Debug)]
pub(super) struct Source {
    /// The container: `services.web`.
    pub(super) id: String,
    stdout: Pipe,
    stderr: Pipe,
}

#[derive(Debug)]
struct Pipe {
    file: File,
    lines: Splitter,
}

impl Source {
    pub(super) fn new(id: &str, stdout: OwnedFd, stderr: OwnedFd) -> Self {
        let pipe = |fd: OwnedFd| Pipe {
            file: fd.into(),
            lines: Splitter::default(),
        };
        Self {
            id: id.to_owned(),
            stdout: pipe(stdout),
            stderr: pipe(stderr),
        }
    }

    /// The reading end of a stream.
    pub(super) fn reader(&self, stream: Stream) -> BorrowedFd<'_> {
        match stream {
            Stream::Stdout => self.stdout.file.as_fd(),
            Stream::Stderr => self.stderr.file.as_fd(),
        }
    }

    fn pipe(&mut self, stream: Stream) -> &mut Pipe {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    /// Reads what is there, up to one turn. `place` is the container's place
    /// in the process's list.
    pub(super) fn read(
        &mut self,
        place: usize,
        stream: Stream,
        buffer: &mut [u8],
        ring: &mut Ring,
    ) {
        let pipe = self.pipe(stream);
        let mut left = TURN;
        while left > 0 {
            match pipe.file.read(buffer) {
                Ok(0) => return,
                Ok(count) => {
                    left = left.saturating_sub(count);
                    let bytes = buffer.get(..count).unwrap_or_default();
                    let time = now_ms();
                    pipe.lines
                        .feed(bytes, |line| ring.push(time, place, stream, line));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Empty. Nothing else can happen to a pipe.
                Err(_) => return,
            }
        }
    }

    /// A run has ended: what it wrote last is a line, with its newline or not.
    pub(super) fn run_ended(&mut self, place: usize, buffer: &mut [u8], ring: &mut Ring) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            self.read(place, stream, buffer, ring);
            self.pipe(stream)
                .lines
                .end(|line| ring.push(now_ms(), place, stream, line));
        }
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
