//! The descriptors to which services write that they are ready: a newline, as
//! with s6.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::epoll::EpollFlags;
use nix::unistd::pipe2;

use super::poller::Token;
use super::{Shell, problem};
use crate::life::inherited::Inherited;
use crate::life::record::{Record, Writer};
use crate::supervise::{EntryId, Event, Notice};

/// Bytes without a newline after which nobody listens any more.
const MOST: usize = 4096;

/// The reading end of a run.
#[derive(Debug)]
pub(super) struct Written {
    pipe: File,
    read: usize,
}

/// What has been read.
#[derive(Debug, PartialEq, Eq)]
enum Word {
    Newline,
    /// None, and none will come.
    Never,
    NotYet,
}

impl Written {
    /// A pipe, and its writing end.
    pub(super) fn new() -> io::Result<(Self, OwnedFd)> {
        let (pipe, writer) = pipe2(OFlag::O_CLOEXEC)?;
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let pipe = pipe.into();
        Ok((Self { pipe, read: 0 }, writer))
    }

    pub(super) fn save(&self, to: &mut Writer) {
        to.fd("written", &self.pipe.as_raw_fd());
    }

    pub(super) fn restore(record: &Record<'_>, fds: &mut Inherited) -> Option<Self> {
        let pipe = record.parsed("written").and_then(|fd| fds.take(fd))?;
        let pipe = pipe.into();
        Some(Self { pipe, read: 0 })
    }

    fn read(&mut self) -> Word {
        let mut bytes = [0; 512];
        match self.pipe.read(&mut bytes) {
            Ok(0) => Word::Never,
            Ok(count) if bytes.iter().take(count).any(|byte| *byte == b'\n') => Word::Newline,
            Ok(count) => {
                self.read += count;
                if self.read < MOST {
                    Word::NotYet
                } else {
                    Word::Never
                }
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                Word::NotYet
            }
            Err(_) => Word::Never,
        }
    }
}

impl Shell {
    /// Listens from now on, as the core knows that the entry runs.
    pub(super) fn watch_written(&mut self, id: EntryId) {
        let container = self.containers.get(id.0).and_then(Option::as_ref);
        if let Some(container) = container.filter(|container| container.is_announced())
            && let Some(written) = &container.written
        {
            let watched =
                self.poller
                    .watch(&written.pipe, Token::Written(id.0), EpollFlags::EPOLLIN);
            if let Err(error) = watched {
                problem(&format!("watch ready descriptor: {error}"));
            }
        }
    }

    /// Something was written.
    pub(super) fn hear_written(&mut self, entry: EntryId) {
        let Some(container) = self.container(entry) else {
            return;
        };
        let word = container
            .written
            .as_mut()
            .map_or(Word::Never, Written::read);
        if word == Word::NotYet {
            return;
        }
        // Closed, it is watched no more.
        container.written = None;
        self.note_container(entry);
        if word == Word::Newline {
            let notice = Notice::Written;
            self.feed(Event::Notice { entry, notice });
        }
        self.save();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_newline_says_it() {
        let (mut written, writer) = Written::new().unwrap();
        let mut writer = File::from(writer);
        assert_eq!(written.read(), Word::NotYet);
        writer.write_all(b"soon").unwrap();
        assert_eq!(written.read(), Word::NotYet);
        writer.write_all(b" now\n").unwrap();
        assert_eq!(written.read(), Word::Newline);
        drop(writer);
        assert_eq!(written.read(), Word::Never);
    }

    #[test]
    fn who_writes_anything_is_not_read_for_ever() {
        let (mut written, writer) = Written::new().unwrap();
        File::from(writer).write_all(&[b'x'; MOST]).unwrap();
        let words = (0..20).map(|_| written.read());
        assert_eq!(words.take_while(|word| *word == Word::NotYet).count(), 7);
    }
}
