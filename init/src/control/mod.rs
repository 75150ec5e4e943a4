//! The control server of PID 1 (`docs/control-protocol.md`): it speaks the
//! protocol and keeps the connections; the event loop carries requests out.
//!
//! There are two sockets: on the one only uid 0 is heard, on the other everybody
//! may look. Nobody can harm PID 1 here: no call blocks, there are
//! [`MAX_CLIENTS`] at most ([`MAX_LOOKING`] of them on the second socket), and each of them keeps one request of
//! [`MAX_REQUEST`](hullkit_bundle::control::MAX_REQUEST) bytes and one reply.
//! Who comes when all places are taken gets one of the process that has most of
//! them: that which has been silent for longest.

mod client;
pub(crate) mod names;
pub mod socket;
pub(crate) mod status;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};

use hullkit_bundle::control::{Change, ErrorCode, Op, Reply};
use hullkit_bundle::layout;
use nix::sys::epoll::EpollFlags;

use crate::Error;
use crate::supervise::RequestId;
use client::{Client, Next};

/// The most connections at a time.
pub const MAX_CLIENTS: usize = 24;

/// How many of them may be those who only look: the last places.
const MAX_LOOKING: usize = 8;

/// Where a client comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// For uid 0, who may ask anything.
    Control,
    /// For everybody, who may look.
    View,
}

/// A client's place.
pub(crate) type Slot = usize;

/// The listening socket and its clients.
#[derive(Debug)]
pub(crate) struct Server {
    listeners: [UnixListener; 2],
    clients: [Option<Client>; MAX_CLIENTS],
    /// Counts what happens, to tell clients apart and to know the idlest.
    count: u64,
    /// Whether clients wait that could not be taken, on each socket.
    more: [bool; 2],
}

impl Server {
    /// Opens the control socket.
    pub(crate) fn open() -> Result<Self, Error> {
        Ok(Self {
            listeners: [
                socket::listen(layout::CONTROL_SOCKET, 0o600)?,
                socket::listen(layout::VIEW_SOCKET, 0o666)?,
            ],
            clients: [const { None }; MAX_CLIENTS],
            count: 0,
            more: [false; 2],
        })
    }

    /// The server of an earlier life: its sockets, without its clients.
    pub(crate) fn adopt(listeners: [UnixListener; 2]) -> Self {
        Self {
            listeners,
            clients: [const { None }; MAX_CLIENTS],
            count: 0,
            more: [false; 2],
        }
    }

    /// The connection of the client that asked `request`, if it is still there.
    pub(crate) fn stream(&self, request: RequestId) -> Option<BorrowedFd<'_>> {
        let slot = slot_of(request);
        let client = self.clients.get(slot)?.as_ref()?;
        (id(slot, client.serial) == request).then(|| client.stream.as_fd())
    }

    /// Whether [`Self::accept`] is worth another try.
    pub(crate) fn has_more(&self, door: Door) -> bool {
        match (door, self.more) {
            (Door::Control, [more, _]) | (Door::View, [_, more]) => more,
        }
    }

    /// The listening socket.
    pub(crate) fn listener(&self, door: Door) -> BorrowedFd<'_> {
        let [control, view] = &self.listeners;
        match door {
            Door::Control => control.as_fd(),
            Door::View => view.as_fd(),
        }
    }

    /// The next client that has come in, if there is one that can be taken.
    pub(crate) fn accept(&mut self, door: Door) -> Option<Slot> {
        loop {
            let [control, view] = &self.listeners;
            let [more_control, more_view] = &mut self.more;
            let (listener, more) = match door {
                Door::Control => (control, more_control),
                Door::View => (view, more_view),
            };
            let accepted = socket::accept(listener);
            // The listener tells of each client once.
            *more = accepted.is_err();
            let stream = accepted.ok()??;
            if door == Door::Control && !socket::is_root(&stream) {
                turn_away(stream);
                continue;
            }
            let Some(slot) = self.free_slot(door) else {
                continue;
            };
            return Some(self.seat(slot, stream, door));
        }
    }

    /// Goes on with a client of the life before that waits for an answer.
    pub(crate) fn take_over(&mut self, stream: UnixStream) -> Option<(Slot, RequestId)> {
        let slot = self.free_slot(Door::Control)?;
        self.seat(slot, stream, Door::Control);
        let client = self.clients.get_mut(slot)?.as_mut()?;
        client.busy = true;
        Some((slot, id(slot, client.serial)))
    }

    fn seat(&mut self, slot: Slot, stream: UnixStream, door: Door) -> Slot {
        self.count += 1;
        if let Some(place) = self.clients.get_mut(slot) {
            *place = Some(Client::new(stream, self.count, door == Door::View));
        }
        slot
    }

    /// A place for one more client; none where all are being served.
    fn free_slot(&self, door: Door) -> Option<Slot> {
        let (skip, take) = match door {
            Door::Control => (0, MAX_CLIENTS - MAX_LOOKING),
            Door::View => (MAX_CLIENTS - MAX_LOOKING, MAX_LOOKING),
        };
        let places = || self.clients.iter().enumerate().skip(skip).take(take);
        if let Some((free, _)) = places().find(|(_, client)| client.is_none()) {
            return Some(free);
        }
        // Who has most of them gives one up.
        let taken = || places().filter_map(|(slot, client)| Some((slot, client.as_ref()?)));
        let count = |peer| taken().filter(|(_, client)| client.peer == peer).count();
        let (_, greedy) = taken().max_by_key(|(_, client)| count(client.peer))?;
        let most = count(greedy.peer);
        taken()
            .filter(|(_, client)| client.peer == greedy.peer || most == 1)
            .filter(|(_, client)| !client.busy || most > 1)
            .min_by_key(|(_, client)| (client.busy, client.active))
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

    /// The descriptors that came with a request.
    pub(crate) fn take_fds(&mut self, request: RequestId) -> Vec<OwnedFd> {
        let place = self.clients.get_mut(slot_of(request));
        let client = place.and_then(Option::as_mut);
        client.map(Client::take_fds).unwrap_or_default()
    }

    /// From now on the client of `request` is told what changes.
    pub(crate) fn listens(&mut self, request: RequestId) {
        let place = self.clients.get_mut(slot_of(request));
        if let Some(client) = place.and_then(Option::as_mut) {
            client.listens = true;
        }
    }

    /// Whether anybody is told what changes.
    pub(crate) fn has_listeners(&self) -> bool {
        self.clients.iter().flatten().any(|client| client.listens)
    }

    /// Tells them that something has changed. Those who must be watched anew.
    pub(crate) fn tell(&mut self, change: &Change) -> Vec<Slot> {
        let mut told = Vec::new();
        for (slot, place) in self.clients.iter_mut().enumerate() {
            if let Some(client) = place.as_mut().filter(|client| client.listens) {
                client.tell(change);
                if client.flush().is_err() {
                    *place = None;
                } else {
                    told.push(slot);
                }
            }
        }
        told
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
    let mut client = Client::new(stream, 0, true);
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
