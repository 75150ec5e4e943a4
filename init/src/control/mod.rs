//! The control server of PID 1 (`docs/control-protocol.md`): it speaks the
//! protocol and keeps the connections; the event loop carries requests out.
//!
//! Nobody can harm PID 1 here: only uid 0 is heard, no call blocks, there are
//! [`MAX_CLIENTS`] at most, and each of them keeps one request of
//! [`MAX_REQUEST`](hullkit_bundle::control::MAX_REQUEST) bytes and one reply.
//! Who comes when all places are taken gets that of the client which has been
//! silent for longest.

mod client;
pub(crate) mod names;
pub mod socket;
pub(crate) mod status;

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};

use hullkit_bundle::control::{ErrorCode, Op, Reply};
use hullkit_bundle::layout;
use nix::sys::epoll::EpollFlags;

use crate::Error;
use crate::supervise::RequestId;
use client::{Client, Next};

/// The most connections at a time.
pub const MAX_CLIENTS: usize = 16;

/// A client's place.
pub(crate) type Slot = usize;

/// The listening socket and its clients.
#[derive(Debug)]
pub(crate) struct Server {
    listener: UnixListener,
    clients: [Option<Client>; MAX_CLIENTS],
    /// Counts what happens, to tell clients apart and to know the idlest.
    count: u64,
    /// Whether clients wait that could not be taken.
    more: bool,
}

impl Server {
    /// Opens the control socket.
    pub(crate) fn open() -> Result<Self, Error> {
        Ok(Self {
            listener: socket::listen(layout::CONTROL_SOCKET)?,
            clients: [const { None }; MAX_CLIENTS],
            count: 0,
            more: false,
        })
    }

    /// The server of an earlier life: its socket, without its clients.
    pub(crate) fn adopt(listener: UnixListener) -> Self {
        Self {
            listener,
            clients: [const { None }; MAX_CLIENTS],
            count: 0,
            more: false,
        }
    }

    /// The connection of the client that asked `request`, if it is still there.
    pub(crate) fn stream(&self, request: RequestId) -> Option<BorrowedFd<'_>> {
        let slot = slot_of(request);
        let client = self.clients.get(slot)?.as_ref()?;
        (id(slot, client.serial) == request).then(|| client.stream.as_fd())
    }

    /// Whether [`Self::accept`] is worth another try.
    pub(crate) fn has_more(&self) -> bool {
        self.more
    }

    /// The listening socket.
    pub(crate) fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// The next client that has come in, if there is one that can be taken.
    pub(crate) fn accept(&mut self) -> Option<Slot> {
        loop {
            let accepted = socket::accept(&self.listener);
            // The listener tells of each client once.
            self.more = accepted.is_err();
            let stream = accepted.ok()??;
            if !socket::is_root(&stream) {
                turn_away(stream);
                continue;
            }
            let Some(slot) = self.free_slot() else {
                continue;
            };
            self.count += 1;
            if let Some(place) = self.clients.get_mut(slot) {
                *place = Some(Client::new(stream, self.count));
            }
            return Some(slot);
        }
    }

    /// A place for one more client; none where all are being served.
    fn free_slot(&mut self) -> Option<Slot> {
        if let Some(free) = self.clients.iter().position(Option::is_none) {
            return Some(free);
        }
        let idle = self.clients.iter().enumerate();
        let idle = idle.filter_map(|(slot, client)| Some((slot, client.as_ref()?)));
        idle.filter(|(_, client)| !client.busy)
            .min_by_key(|(_, client)| client.active)
            .map(|(slot, _)| slot)
    }

    /// What to watch of a client; none if there is no such client.
    pub(crate) fn interest(&self, slot: Slot) -> Option<(BorrowedFd<'_>, EpollFlags)> {
        let client = self.clients.get(slot)?.as_ref()?;
        let mut flags = EpollFlags::empty();
        flags.set(EpollFlags::EPOLLIN, client.wants_to_read());
        flags.set(EpollFlags::EPOLLOUT, client.wants_to_write());
        Some((client.stream.as_fd(), flags))
    }

    /// The next request of a client, if it has a whole one.
    pub(crate) fn next_request(&mut self, slot: Slot) -> Option<(RequestId, Op)> {
        self.count += 1;
        let place = self.clients.get_mut(slot)?;
        let client = place.as_mut()?;
        client.active = self.count;
        match client.advance() {
            Next::Request(op) => Some((id(slot, client.serial), op)),
            Next::Wait => None,
            Next::Close => {
                *place = None;
                None
            }
        }
    }

    /// Sends a client what can be sent.
    pub(crate) fn flush(&mut self, slot: Slot) {
        let place = self.clients.get_mut(slot);
        if let Some(place) = place
            && place.as_mut().is_some_and(|client| client.flush().is_err())
        {
            *place = None;
        }
    }

    /// Closes a client's connection.
    pub(crate) fn close(&mut self, slot: Slot) {
        if let Some(place) = self.clients.get_mut(slot) {
            *place = None;
        }
    }

    /// Answers a request. Whose client has gone needs no answer.
    pub(crate) fn answer(&mut self, request: RequestId, reply: &Reply) -> Option<Slot> {
        let slot = slot_of(request);
        let client = self.clients.get_mut(slot)?.as_mut()?;
        if id(slot, client.serial) != request {
            return None;
        }
        client.answer(reply);
        Some(slot)
    }
}

/// One line to somebody who may not ask; if it cannot be sent at once, none.
fn turn_away(stream: UnixStream) {
    let mut client = Client::new(stream, 0);
    client.answer(&Reply::Error {
        code: ErrorCode::Denied,
        message: "only root may ask".to_owned(),
    });
    client.advance();
}

const SLOT_BITS: u32 = 8;

fn id(slot: Slot, serial: u64) -> RequestId {
    RequestId(serial << SLOT_BITS | slot as u64)
}

fn slot_of(request: RequestId) -> Slot {
    usize::try_from(request.0 & ((1 << SLOT_BITS) - 1)).unwrap_or(usize::MAX)
}
