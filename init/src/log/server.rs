//! The log process's loop: PID 1, pipes and clients.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;

use hullkit_bundle::control::Stream;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

use super::client::{Client, Next};
use super::message::Message;
use super::ring::{IN_ALL, PER_CONTAINER, Ring};
use super::source::Source;
use crate::Error;
use crate::control::socket;
use crate::sys::fd;

/// The most clients at a time; a further one is turned away.
const MAX_CLIENTS: usize = 16;

const FROM_INIT: u64 = 0;
const LISTENER: u64 = 1;
const CLIENTS: u64 = 2;
const PIPES: u64 = CLIENTS + MAX_CLIENTS as u64;

/// All that the process holds.
struct Server {
    epoll: Epoll,
    /// To PID 1.
    init: OwnedFd,
    listener: Option<UnixListener>,
    sources: Vec<Source>,
    clients: [Option<Client>; MAX_CLIENTS],
    ring: Ring,
    buffer: Vec<u8>,
}

/// Runs until PID 1 closes its end.
pub(super) fn run() -> Result<(), Error> {
    let stdin = io::stdin();
    let init = stdin.as_fd().try_clone_to_owned();
    let init = init.map_err(Error::os("dup", "standard input"))?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(Error::os("open", "epoll"))?;
    let mut server = Server {
        epoll,
        init,
        listener: None,
        sources: Vec::new(),
        clients: [const { None }; MAX_CLIENTS],
        ring: Ring::new(PER_CONTAINER, IN_ALL),
        buffer: vec![0; 16 * 1024],
    };
    let event = EpollEvent::new(EpollFlags::EPOLLIN, FROM_INIT);
    server
        .epoll
        .add(&server.init, event)
        .map_err(Error::os("watch", "socket to init"))?;
    while server.turn()? {}
    Ok(())
}

impl Server {
    /// Waits for something and does it. Whether to go on.
    fn turn(&mut self) -> Result<bool, Error> {
        let mut events = [EpollEvent::empty(); 32];
        let count = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
            Err(Errno::EINTR) => 0,
            result => result.map_err(Error::os("wait for", "events"))?,
        };
        for event in events.iter().take(count) {
            match event.data() {
                FROM_INIT => {
                    if !self.hear()? {
                        return Ok(false);
                    }
                }
                LISTENER => self.accept(),
                token => {
                    let gone = EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR;
                    self.ready(token, event.events().intersects(gone));
                }
            }
        }
        self.serve();
        Ok(true)
    }

    /// A pipe has something, or a client moved.
    fn ready(&mut self, token: u64, gone: bool) {
        let index = |from: u64| {
            token
                .checked_sub(from)
                .and_then(|n| usize::try_from(n).ok())
        };
        if let Some(index) = index(PIPES) {
            let stream = if index % 2 == 0 {
                Stream::Stdout
            } else {
                Stream::Stderr
            };
            let place = index / 2;
            if let Some(source) = self.sources.get_mut(place) {
                source.read(place, stream, &mut self.buffer, &mut self.ring);
            }
        } else if let Some(slot) = index(CLIENTS).filter(|_| gone)
            && let Some(client) = self.clients.get_mut(slot)
        {
            *client = None;
        }
    }

    /// Takes what PID 1 says. Whether it may say more.
    fn hear(&mut self) -> Result<bool, Error> {
        let mut text = [0; 512];
        loop {
            let (length, fds) = match receive(&self.init, &mut text) {
                Ok(received) => received,
                Err(Errno::EAGAIN) => return Ok(true),
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(Error::os("receive from", "init")(errno)),
            };
            if length == 0 {
                return Ok(false);
            }
            let text = text
                .get(..length)
                .and_then(|text| std::str::from_utf8(text).ok());
            if let Some(message) = text.and_then(Message::decode) {
                self.obey(&message, fds)?;
            }
        }
    }

    fn obey(&mut self, message: &Message<'_>, fds: Vec<OwnedFd>) -> Result<(), Error> {
        let mut fds = fds.into_iter();
        match (message, fds.next(), fds.next()) {
            (Message::Listen, Some(listener), _) => self.listen(listener.into()),
            (Message::Attach { id }, Some(stdout), Some(stderr)) => {
                self.attach(Source::new(id, stdout, stderr))
            }
            (Message::Ended { id }, ..) => {
                let place = self.sources.iter().position(|source| source.id == *id);
                if let Some(place) = place
                    && let Some(source) = self.sources.get_mut(place)
                {
                    source.run_ended(place, &mut self.buffer, &mut self.ring);
                }
                Ok(())
            }
            // Descriptors are missing: this process has no room for more.
            (Message::Listen | Message::Attach { .. }, ..) => Err(Error::Bundle {
                object: "message from init".to_owned(),
                reason: "came without its descriptors".to_owned(),
            }),
        }
    }

    fn listen(&mut self, listener: UnixListener) -> Result<(), Error> {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, LISTENER);
        self.epoll
            .add(&listener, event)
            .map_err(Error::os("watch", "log socket"))?;
        self.listener = Some(listener);
        Ok(())
    }

    fn attach(&mut self, source: Source) -> Result<(), Error> {
        let place = self.sources.len() as u64;
        for (offset, stream) in [(0, Stream::Stdout), (1, Stream::Stderr)] {
            let event = EpollEvent::new(EpollFlags::EPOLLIN, PIPES + 2 * place + offset);
            self.epoll
                .add(source.reader(stream), event)
                .map_err(Error::os("watch", &source.id))?;
        }
        self.sources.push(source);
        Ok(())
    }

    fn accept(&mut self) {
        let Some(listener) = &self.listener else {
            return;
        };
        while let Ok((stream, _)) = listener.accept() {
            let free = self.clients.iter().position(Option::is_none);
            let Some(slot) = free.filter(|_| socket::is_root(&stream)) else {
                continue;
            };
            let event = EpollEvent::new(EpollFlags::EPOLLIN, CLIENTS + slot as u64);
            if stream.set_nonblocking(true).is_ok()
                && self.epoll.add(&stream, event).is_ok()
                && let Some(place) = self.clients.get_mut(slot)
            {
                *place = Some(Client::new(stream));
            }
        }
    }

    /// Gives the clients what there is for them.
    fn serve(&mut self) {
        for (slot, place) in self.clients.iter_mut().enumerate() {
            let Some(client) = place else {
                continue;
            };
            let flags = match client.advance(&self.sources, &self.ring) {
                Next::Read => EpollFlags::EPOLLIN,
                Next::Write => EpollFlags::EPOLLOUT,
                Next::Idle => EpollFlags::empty(),
                Next::Close => {
                    *place = None;
                    continue;
                }
            };
            let mut event = EpollEvent::new(flags, CLIENTS + slot as u64);
            if self.epoll.modify(&client.stream, &mut event).is_err() {
                *place = None;
            }
        }
    }
}

/// One datagram: its length and the descriptors that came with it.
fn receive(socket: &OwnedFd, text: &mut [u8]) -> Result<(usize, Vec<OwnedFd>), Errno> {
    let mut parts = [IoSliceMut::new(text)];
    let mut space = nix::cmsg_space!([RawFd; 2]);
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    let mut fds = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = control {
            fds.extend(raw.into_iter().map(fd::received));
        }
    }
    Ok((message.bytes, fds))
}
