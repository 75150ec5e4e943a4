//! What the container's first process tells its parent, a record each over a
//! socket that closes at exec.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::sys::{file, process, socket};

/// Where the child has got to, or what it stumbled over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// It waits for its id maps, or for hooks, at this step of the plan.
    Waiting(usize),
    /// All is set up; it waits for `start`.
    Ready,
    /// It is about to become the program. Then the socket closes, or a failure
    /// follows.
    Executing,
    /// A process in between has made the container's first process.
    Made(i32),
    /// The outer side of its terminal comes along.
    Terminal,
    /// It has the listener of its filter by this number.
    Listening(i32),
    /// A step failed.
    Failed(Failed),
}

/// A step that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failed {
    /// Which, in words.
    pub(super) step: String,
    /// The kernel's word.
    pub(super) errno: i32,
    /// What more is known.
    pub(super) detail: String,
}

/// The longest record.
const MAX: usize = 512;

/// A record of a number.
fn number(kind: u8, n: i64) -> [u8; 9] {
    let [a, b, c, d, e, f, g, h] = n.to_le_bytes();
    [kind, a, b, c, d, e, f, g, h]
}

impl Message {
    fn encode(&self) -> Vec<u8> {
        let number = |kind: u8, n: i64| number(kind, n).to_vec();
        match self {
            Self::Waiting(step) => number(b'w', i64::try_from(*step).unwrap_or_default()),
            Self::Ready => number(b'r', 0),
            Self::Executing => number(b'x', 0),
            Self::Made(pid) => number(b'm', i64::from(*pid)),
            Self::Terminal => number(b't', 0),
            Self::Listening(descriptor) => number(b'l', i64::from(*descriptor)),
            Self::Failed(failed) => {
                let mut record = number(b'f', i64::from(failed.errno));
                record.extend(failed.step.bytes());
                record.push(0);
                record.extend(failed.detail.bytes());
                record.truncate(MAX);
                record
            }
        }
    }

    fn decode(record: &[u8]) -> Option<Self> {
        let (kind, rest) = record.split_first()?;
        let (number, rest) = rest.split_first_chunk()?;
        let number = i64::from_le_bytes(*number);
        Some(match kind {
            b'w' => Self::Waiting(usize::try_from(number).ok()?),
            b'r' => Self::Ready,
            b'x' => Self::Executing,
            b't' => Self::Terminal,
            b'l' => Self::Listening(i32::try_from(number).ok()?),
            b'm' => Self::Made(i32::try_from(number).ok()?),
            b'f' => {
                let mut texts = rest.splitn(2, |b| *b == 0);
                let mut text = || texts.next().map(String::from_utf8_lossy);
                Self::Failed(Failed {
                    step: text()?.into_owned(),
                    errno: i32::try_from(number).ok()?,
                    detail: text().unwrap_or_default().into_owned(),
                })
            }
            _ => return None,
        })
    }

    /// Sends it.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn send(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        socket::send(socket, &self.encode())
    }

    /// Tells of a listener by write(2), which a filter cannot ask others about,
    /// and without memory: the calls that get more may be asked about as well.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn write_listening(socket: BorrowedFd<'_>, descriptor: i32) -> io::Result<()> {
        file::write_once(socket, &number(b'l', i64::from(descriptor)))
    }

    /// Sends it with a descriptor.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn send_with(
        &self,
        socket: BorrowedFd<'_>,
        descriptor: BorrowedFd<'_>,
    ) -> io::Result<()> {
        socket::send_with(socket, &self.encode(), descriptor)
    }

    /// Waits for the next one, and what descriptor comes along; `None`: the
    /// other side has closed.
    ///
    /// # Errors
    /// The kernel's; a record that is none of ours is `EPROTO`, none within
    /// `limit` is `ETIMEDOUT`.
    pub(super) fn receive(
        socket: BorrowedFd<'_>,
        limit: Duration,
    ) -> io::Result<Option<(Self, Option<OwnedFd>)>> {
        let deadline = Instant::now() + limit;
        if !process::poll_until(socket, libc::POLLIN, deadline)? {
            return Err(io::Error::from_raw_os_error(libc::ETIMEDOUT));
        }
        let mut buffer = [0; MAX];
        match socket::receive_with(socket, &mut buffer)? {
            ([], _) => Ok(None),
            (record, descriptor) => match Self::decode(record) {
                Some(message) => Ok(Some((message, descriptor))),
                None => Err(io::Error::from_raw_os_error(libc::EPROTO)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn silence_has_an_end_and_the_other_side_s_end_is_told() {
        let (ours, theirs) = socket::pair().unwrap();
        let limit = Duration::from_millis(20);
        let error = Message::receive(ours.as_fd(), limit).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ETIMEDOUT));
        Message::Ready.send(theirs.as_fd()).unwrap();
        drop(theirs);
        let next = || {
            let received = Message::receive(ours.as_fd(), limit).unwrap();
            received.map(|(message, _)| message)
        };
        assert_eq!((next(), next()), (Some(Message::Ready), None));
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let failed = Failed {
            step: "mount tmpfs on /data".to_owned(),
            errno: 2,
            detail: "the source".to_owned(),
        };
        for message in [
            Message::Waiting(3),
            Message::Ready,
            Message::Executing,
            Message::Made(4711),
            Message::Terminal,
            Message::Listening(7),
            Message::Failed(failed),
        ] {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
        assert_eq!(Message::decode(b"z00000000"), None);
        assert_eq!(Message::decode(b"f0000"), None);
        assert_eq!(Message::decode(b""), None);
    }
}
