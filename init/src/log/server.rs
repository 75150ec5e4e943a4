//! The log process's loop: PID 1, pipes and clients.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use hullkit_bundle::supervision::LogFile;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, send};

use super::client::{Client, Next};
use super::kept::{Kept, STREAMS};
use super::message::{self, Message};
use crate::Error;
use crate::control::socket;
use crate::sys::fd;

/// The most clients at a time; a further one is turned away.
const MAX_CLIENTS: usize = 16;

const FROM_INIT: u64 = 0;
const LISTENER: u64 = 1;
/// A disk has taken something.
const DISK: u64 = u64::MAX - 1;
/// Something was mounted or unmounted.
const MOUNTS: u64 = u64::MAX - 2;
/// The kernel has something for a client.
const KERNEL: u64 = u64::MAX;
const CLIENTS: u64 = 2;
const PIPES: u64 = CLIENTS + MAX_CLIENTS as u64;

/// All that the process holds.
struct Server {
    epoll: Epoll,
    /// To PID 1.
    init: OwnedFd,
    listener: Option<UnixListener>,
    /// Whether clients wait that could not be taken.
    more: bool,
    clients: [Option<Client>; MAX_CLIENTS],
    kept: Kept,
    /// `/proc/self/mountinfo`, once there is a file on a disk.
    mounts: Option<File>,
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
        more: false,
        clients: [const { None }; MAX_CLIENTS],
        kept: Kept::new(),
        mounts: None,
    };
    let event = EpollEvent::new(EpollFlags::EPOLLIN, FROM_INIT);
    server
        .epoll
        .add(&server.init, event)
        .map_err(Error::os("watch", "socket to init"))?;
    while server.turn()? {}
    server.kept.finish();
    Ok(())
}

impl Server {
    /// Waits for something and does it. Whether to go on.
    fn turn(&mut self) -> Result<bool, Error> {
        let mut events = [EpollEvent::empty(); 32];
        let count = match self.epoll.wait(&mut events, self.timeout()) {
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
                // Who waits for it is served below.
                KERNEL | DISK => {}
                MOUNTS => self.kept.files.look_again(),
                token => {
                    let gone = EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR;
                    self.ready(token, event.events().intersects(gone));
                }
            }
        }
        self.kept.write_files();
        self.tell_init();
        self.serve();
        if self.more {
            self.accept();
        }
        Ok(true)
    }

    /// How long nothing may happen: a millisecond more than the files wait for.
    fn timeout(&self) -> EpollTimeout {
        let Some(deadline) = self.kept.files.deadline(&self.kept.ring) else {
            return EpollTimeout::NONE;
        };
        let left = deadline.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        EpollTimeout::try_from(left).unwrap_or(EpollTimeout::MAX)
    }

    /// Tells PID 1 how the files are. What its socket does not take is told
    /// later.
    fn tell_init(&mut self) {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        for (id, state) in self.kept.files.news(&self.kept.ring) {
            let text = state.encode(&id);
            if send(self.init.as_raw_fd(), text.as_bytes(), flags).is_err() {
                self.kept.files.untold(&id);
            }
        }
    }

    /// A container has a file on a disk.
    fn keep(&mut self, id: &str, file: LogFile) -> Result<(), Error> {
        self.kept.keep(id, file);
        if self.mounts.is_some() {
            return Ok(());
        }
        let path = "/proc/self/mountinfo";
        let mounts = File::open(path).map_err(Error::os("open", path))?;
        // A change is an exceptional condition (proc_pid_mountinfo(5)).
        let flags = EpollFlags::EPOLLPRI | EpollFlags::EPOLLET;
        self.epoll
            .add(&mounts, EpollEvent::new(flags, MOUNTS))
            .map_err(Error::os("watch", path))?;
        self.mounts = Some(mounts);
        if let Some(wake) = self.kept.files.start()? {
            let event = EpollEvent::new(EpollFlags::EPOLLIN, DISK);
            self.epoll
                .add(wake, event)
                .map_err(Error::os("watch", "eventfd"))?;
        }
        Ok(())
    }

    /// A pipe has something, or a client moved.
    fn ready(&mut self, token: u64, gone: bool) {
        let index = |from: u64| {
            token
                .checked_sub(from)
                .and_then(|n| usize::try_from(n).ok())
        };
        if let Some(index) = index(PIPES) {
            let [stdout, stderr] = STREAMS;
            let stream = if index % 2 == 0 { stdout } else { stderr };
            self.kept.read(index / 2, stream);
        } else if let Some(slot) = index(CLIENTS).filter(|_| gone)
            && let Some(client) = self.clients.get_mut(slot)
        {
            *client = None;
        }
    }

    /// Takes what PID 1 says. Whether it may say more.
    fn hear(&mut self) -> Result<bool, Error> {
        let mut text = [0; message::LONGEST];
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
                self.obey(message, fds)?;
            }
        }
    }

    fn obey(&mut self, message: Message<'_>, fds: Vec<OwnedFd>) -> Result<(), Error> {
        let mut fds = fds.into_iter();
        match (message, fds.next(), fds.next()) {
            (Message::Listen, Some(listener), _) => self.listen(listener.into()),
            (Message::Journal, Some(first), Some(second)) => {
                self.kept.remember([first, second]);
                Ok(())
            }
            (Message::Attach { id, console }, Some(stdout), Some(stderr)) => {
                self.attach(id, console, [stdout, stderr])
            }
            (Message::Keep { id, file }, ..) => self.keep(id, file),
            (Message::Ended { id, failed }, ..) => {
                let place = self.kept.place(id);
                self.kept.run_ended(place, failed);
                Ok(())
            }
            // Descriptors are missing: this process has no room for more.
            (Message::Listen | Message::Journal | Message::Attach { .. }, ..) => {
                Err(Error::Bundle {
                    object: "message from init".to_owned(),
                    reason: "came without its descriptors".to_owned(),
                })
            }
        }
    }

    fn listen(&mut self, listener: UnixListener) -> Result<(), Error> {
        // Each client once: one that cannot be taken must not end every wait.
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
        let event = EpollEvent::new(flags, LISTENER);
        self.epoll
            .add(&listener, event)
            .map_err(Error::os("watch", "log socket"))?;
        self.listener = Some(listener);
        Ok(())
    }

    fn attach(&mut self, id: &str, console: bool, readers: [OwnedFd; 2]) -> Result<(), Error> {
        let place = self.kept.place(id);
        for ((offset, stream), reader) in (0..).zip(STREAMS).zip(readers) {
            let token = PIPES + 2 * place as u64 + offset;
            let event = EpollEvent::new(EpollFlags::EPOLLIN, token);
            self.epoll
                .add(&reader, event)
                .map_err(Error::os("watch", id))?;
            if let Some(source) = self.kept.sources.get_mut(place) {
                source.console = console;
                source.attach(stream, reader);
            }
        }
        Ok(())
    }

    fn accept(&mut self) {
        let Some(listener) = &self.listener else {
            return;
        };
        loop {
            let accepted = socket::accept(listener);
            self.more = accepted.is_err();
            let Ok(Some(stream)) = accepted else {
                return;
            };
            let free = self.clients.iter().position(Option::is_none);
            let Some(slot) = free.filter(|_| socket::is_root(&stream)) else {
                continue;
            };
            let event = EpollEvent::new(EpollFlags::EPOLLIN, CLIENTS + slot as u64);
            if self.epoll.add(&stream, event).is_ok()
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
            let flags = match client.advance(&self.kept.sources, &self.kept.ring) {
                Next::Read => EpollFlags::EPOLLIN,
                Next::Write => EpollFlags::EPOLLOUT,
                Next::Idle => EpollFlags::empty(),
                Next::Close => {
                    *place = None;
                    continue;
                }
            };
            let mut event = EpollEvent::new(flags, CLIENTS + slot as u64);
            let watched = self.epoll.modify(&client.stream, &mut event);
            if watched
                .and_then(|()| watch_kernel(&self.epoll, client))
                .is_err()
            {
                *place = None;
            }
        }
    }
}

/// Watches the kernel's log for a client that follows it, once.
fn watch_kernel(epoll: &Epoll, client: &Client) -> Result<(), Errno> {
    let Some(kernel) = client.kernel() else {
        return Ok(());
    };
    let event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, KERNEL);
    match epoll.add(kernel, event) {
        Err(Errno::EEXIST) => Ok(()),
        added => added,
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
