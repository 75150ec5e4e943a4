//! The one place where PID 1 waits: `epoll(7)`.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::control::Door;

/// What is being waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// Signals to PID 1.
    Signals,
    /// New clients.
    Door(Door),
    /// Room in the log process's socket.
    Log,
    /// A client, by its place.
    Client(usize),
    /// What a service says, by its entry.
    Notify(usize),
    /// Somebody who comes to a service's socket.
    Called(usize),
    /// What a service writes when it is ready.
    Written(usize),
}

const SIGNALS: u64 = 0;
const CONTROL: u64 = 1;
const LOG: u64 = 2;
const VIEW: u64 = 3;
const CLIENTS: u64 = 16;
/// Beyond all clients: which of an entry's, and the entry.
const ENTRIES: u32 = 32;
const NOTIFY: u64 = 1;
const CALLED: u64 = 2;
const WRITTEN: u64 = 3;

impl Token {
    fn encode(self) -> u64 {
        match self {
            Self::Signals => SIGNALS,
            Self::Door(Door::Control) => CONTROL,
            Self::Door(Door::View) => VIEW,
            Self::Log => LOG,
            Self::Client(slot) => CLIENTS + slot as u64,
            Self::Notify(entry) => NOTIFY << ENTRIES | entry as u64,
            Self::Called(entry) => CALLED << ENTRIES | entry as u64,
            Self::Written(entry) => WRITTEN << ENTRIES | entry as u64,
        }
    }

    fn decode(data: u64) -> Option<Self> {
        let entry = usize::try_from(data & u64::from(u32::MAX)).ok()?;
        match data >> ENTRIES {
            0 => {}
            NOTIFY => return Some(Self::Notify(entry)),
            CALLED => return Some(Self::Called(entry)),
            WRITTEN => return Some(Self::Written(entry)),
            _ => return None,
        }
        match data {
            SIGNALS => Some(Self::Signals),
            CONTROL => Some(Self::Door(Door::Control)),
            VIEW => Some(Self::Door(Door::View)),
            LOG => Some(Self::Log),
            client => usize::try_from(client.checked_sub(CLIENTS)?)
                .ok()
                .map(Self::Client),
        }
    }
}

/// How many events are taken at a time; the rest come with the next call.
const EVENTS: usize = 16;

/// An epoll descriptor. A watched descriptor leaves it by being closed, unless
/// another process has it too.
#[derive(Debug)]
pub(super) struct Poller(Epoll);

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?))
    }

    pub(super) fn watch(&self, fd: impl AsFd, token: Token, flags: EpollFlags) -> io::Result<()> {
        Ok(self.0.add(fd, EpollEvent::new(flags, token.encode()))?)
    }

    pub(super) fn change(&self, fd: impl AsFd, token: Token, flags: EpollFlags) -> io::Result<()> {
        Ok(self
            .0
            .modify(fd, &mut EpollEvent::new(flags, token.encode()))?)
    }

    /// Ends the watch of a descriptor.
    pub(super) fn forget(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(self.0.delete(fd)?)
    }

    /// Waits for something to happen, at most for `timeout`, rounded up, so
    /// that a deadline has passed when it was waited for.
    pub(super) fn wait(&self, timeout: Option<Duration>) -> Vec<(Token, EpollFlags)> {
        let mut events = [EpollEvent::empty(); EVENTS];
        // A deadline that is further off is looked at again.
        let timeout = timeout.map_or(EpollTimeout::NONE, |timeout| {
            EpollTimeout::try_from(timeout).unwrap_or(EpollTimeout::MAX)
        });
        let count = match self.0.wait(&mut events, timeout) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => {
                super::problem(&format!("epoll_wait: {error}"));
                0
            }
        };
        let events = events.iter().take(count);
        events
            .filter_map(|event| Some((Token::decode(event.data())?, event.events())))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back() {
        for token in [
            Token::Signals,
            Token::Door(Door::Control),
            Token::Door(Door::View),
            Token::Log,
            Token::Client(0),
            Token::Client(9),
            Token::Notify(0),
            Token::Notify(9),
            Token::Called(9),
            Token::Written(9),
        ] {
            assert_eq!(Token::decode(token.encode()), Some(token));
        }
    }
}
