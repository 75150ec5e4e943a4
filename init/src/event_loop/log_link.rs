//! PID 1's side of the log process: a socket over which it gets the reading
//! ends of the containers' pipes ([`crate::log::message`]).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;

use hullkit_bundle::layout::{self, Section};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, recv, sendmsg, socketpair,
};
use nix::unistd::Pid;

use super::container::Container;
use crate::Error;
use crate::control::socket;
use crate::life::inherited::Inherited;
use crate::life::record::{Record, Writer};
use crate::log;
use crate::log::message::{self, FileState, Message};
use crate::sys::pidfd;
use crate::sys::spawn::{self, Streams};

/// How long the log process has for the last lines, in milliseconds.
const FINISH: u16 = 2000;
/// Messages that nobody can read, so many at a time.
const PASSED_OVER: usize = 16;

/// The link to the log process.
#[derive(Debug)]
pub(super) struct LogLink {
    /// Where its clients come in; kept here, so that none is turned away while
    /// it is being started again.
    listener: Option<UnixListener>,
    /// What it has read, for the next one to go on with.
    journal: Option<[OwnedFd; 2]>,
    /// Whether onboot and onshutdown entries write to the console as well.
    console: bool,
    socket: Option<OwnedFd>,
    pid: Option<Pid>,
    /// Whether it has [`Self::listener`] and [`Self::journal`].
    listens: bool,
}

impl LogLink {
    /// A link without a process at its other end. What it cannot have is
    /// added to `problems`.
    pub(super) fn new(console: bool, problems: &mut Vec<String>) -> Self {
        let mut note = |error: Error| problems.push(error.to_string());
        Self {
            listener: socket::listen(layout::LOG_SOCKET, 0o600)
                .map_err(&mut note)
                .ok(),
            journal: journal().map_err(&mut note).ok(),
            console,
            socket: None,
            pid: None,
            listens: false,
        }
    }

    /// A link with nothing, before [`Self::restore`].
    pub(super) fn empty(console: bool) -> Self {
        Self {
            listener: None,
            journal: None,
            console,
            socket: None,
            pid: None,
            listens: false,
        }
    }

    /// Writes what it holds.
    pub(super) fn save(&self, to: &mut Writer) {
        to.record("log")
            .some("pid", self.pid)
            .flag("listens", self.listens);
        if let Some(listener) = &self.listener {
            to.fd("listener", listener);
        }
        if let Some([first, second]) = &self.journal {
            to.fd("journal", first).fd("journal_too", second);
        }
        if let Some(socket) = &self.socket {
            to.fd("socket", socket);
        }
    }

    /// Takes what [`Self::save`] has written.
    pub(super) fn restore(&mut self, record: &Record<'_>, fds: &mut Inherited) {
        let mut take = |key| record.parsed(key).and_then(|fd| fds.take(fd));
        self.listener = take("listener").map(UnixListener::from);
        self.journal = take("journal").and_then(|first| Some([first, take("journal_too")?]));
        self.socket = take("socket");
        self.pid = record.parsed("pid").map(Pid::from_raw);
        self.listens = record.flag("listens");
    }

    /// The log process, while there is one.
    pub(super) fn pid(&self) -> Option<Pid> {
        self.pid
    }

    /// Starts the log process.
    pub(super) fn start(&mut self) -> Result<Pid, Error> {
        let (ours, theirs) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        )
        .map_err(Error::os("socketpair", log::NAME))?;
        let streams = Streams {
            stdin: Some(theirs),
            stdout: None,
            stderr: None,
        };
        let pid = spawn::spawn::<&str>(super::OURSELVES, log::NAME, &[], streams)
            .map_err(Error::os("execute", log::NAME))?;
        self.socket = Some(ours);
        self.pid = Some(pid);
        self.listens = false;
        Ok(pid)
    }

    /// Whether `pid` is the log process.
    pub(super) fn is_process(&self, pid: Pid) -> bool {
        self.pid == Some(pid)
    }

    /// The log process has ended.
    pub(super) fn ended(&mut self) {
        self.pid = None;
        self.socket = None;
    }

    /// The socket, to be watched for room.
    pub(super) fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }

    /// How a container's file is, if the log process has something to say.
    pub(super) fn hear(&self) -> Option<(String, FileState)> {
        let mut text = [0; message::LONGEST];
        let socket = self.socket.as_ref()?.as_raw_fd();
        // What cannot be read is passed over: it must not hide what is behind
        // it.
        for _ in 0..PASSED_OVER {
            let length = recv(socket, &mut text, MsgFlags::MSG_DONTWAIT).ok()?;
            let text = text.get(..length).and_then(|t| std::str::from_utf8(t).ok());
            if let Some((id, state)) = text.and_then(FileState::decode) {
                return Some((id.to_owned(), state));
            }
        }
        None
    }

    /// Lets the log process bring to the disks what it has, for a moment: all
    /// who write have ended.
    pub(super) fn finish(&mut self) {
        self.socket = None;
        let Some(log) = self.pid.take().and_then(|pid| pidfd::open(pid).ok()) else {
            return;
        };
        let mut ends = [PollFd::new(log.as_fd(), PollFlags::POLLIN)];
        // Killed with all the others if it has not ended by then.
        let _in_time = poll(&mut ends, FINISH);
    }

    /// Tells the log process what it does not know yet, as far as the socket
    /// takes it. What it does not take is told when there is room again.
    pub(super) fn tell<'a>(
        &mut self,
        containers: impl Iterator<Item = &'a mut Container>,
    ) -> io::Result<()> {
        let Some(socket) = &self.socket else {
            return Ok(());
        };
        if !self.listens {
            // The first messages; a new socket has room for them.
            if let Some([first, second]) = &self.journal {
                let files = [first.as_fd(), second.as_fd()];
                send(socket, &Message::Journal, &files)?;
            }
            if let Some(listener) = &self.listener {
                send(socket, &Message::Listen, &[listener.as_fd()])?;
            }
            self.listens = true;
        }
        for container in containers {
            let id = &container.bundle.id;
            let Some(output) = &mut container.output else {
                continue;
            };
            if !output.handed || output.ended {
                container.memo.forget();
            }
            if !output.handed {
                if let Some(file) = container.bundle.runtime.supervision.log.clone() {
                    send(socket, &Message::Keep { id, file }, &[])?;
                }
                let (stdout, stderr) = output.readers();
                let console = self.console && container.bundle.section != Section::Services;
                let message = Message::Attach { id, console };
                send(socket, &message, &[stdout, stderr])?;
                output.handed = true;
            }
            if output.ended {
                let failed = output.failed;
                send(socket, &Message::Ended { id, failed }, &[])?;
                output.ended = false;
                output.failed = false;
            }
        }
        Ok(())
    }
}

fn journal() -> Result<[OwnedFd; 2], Error> {
    let make = || memfd_create(c"hullkit-log", MFdFlags::MFD_CLOEXEC);
    let files = make().and_then(|first| Ok([first, make()?]));
    files.map_err(Error::os("make", "log journal"))
}

fn send(socket: &OwnedFd, message: &Message<'_>, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let raw: Vec<_> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let rights = if raw.is_empty() {
        &[]
    } else {
        rights.as_slice()
    };
    let text = message.encode();
    let parts = [io::IoSlice::new(text.as_bytes())];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    sendmsg::<()>(socket.as_raw_fd(), &parts, rights, flags, None)?;
    Ok(())
}
