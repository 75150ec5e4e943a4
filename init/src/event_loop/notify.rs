//! The sockets on which services say how they are ([`crate::notify`]): one for
//! each that asks for it, so that a flood fills its own.

use std::fs;
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use hullkit_bundle::layout;
use nix::errno::Errno;
use nix::sys::epoll::EpollFlags;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::unistd::Pid;

use super::poller::Token;
use super::{Shell, now, problem};
use crate::Error;
use crate::notify::{self, MAX_MESSAGE, Message};
use crate::plan::Bundle;
use crate::supervise::{EntryId, Event, Notice, Time};
use crate::sys::fd;

/// Messages that are taken at a time, before anybody else's turn.
const AT_A_TIME: u32 = 32;
/// Messages that are taken in a second; the rest wait in the socket, and who
/// sent them with it.
const IN_A_SECOND: u32 = 200;
/// Descriptors that may come with a message.
const DESCRIPTORS: usize = 16;

/// The folder that is bound into the container of `bundle`.
fn folder(bundle: &Bundle) -> PathBuf {
    Path::new(layout::NOTIFY).join(&bundle.id)
}

/// A service's socket.
#[derive(Debug)]
pub(super) struct Notify {
    socket: UnixDatagram,
    /// The cgroup whose processes are heard, as the kernel names it.
    cgroup: String,
    /// Messages taken since `second` began.
    taken: u32,
    second: Time,
    /// Nothing is taken until then.
    pub(super) silent_until: Option<Time>,
}

/// A message, and what came with it.
#[derive(Debug)]
struct Received {
    message: Message,
    descriptors: Vec<OwnedFd>,
}

impl Notify {
    /// A socket for `bundle`, in place of whatever is there.
    pub(super) fn open(bundle: &Bundle) -> Result<Self, Error> {
        let folder = folder(bundle);
        let path = folder.join(layout::NOTIFY_SOCKET);
        fs::create_dir_all(&folder).map_err(Error::path("make folder", &folder))?;
        // It is left over where PID 1 has begun anew.
        let _none = fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).map_err(Error::path("bind", &path))?;
        // The service may have any uid. Who can reach the socket and is none of
        // it is found out by its cgroup.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666))
            .map_err(Error::path("chmod", &path))?;
        setsockopt(&socket, sockopt::PassCred, &true).map_err(Error::path("open", &path))?;
        socket
            .set_nonblocking(true)
            .map_err(Error::path("open", &path))?;
        Ok(Self::adopt(socket, bundle))
    }

    /// The same with a socket that is there.
    pub(super) fn adopt(socket: UnixDatagram, bundle: &Bundle) -> Self {
        Self {
            socket,
            cgroup: cgroup_of(bundle),
            taken: 0,
            second: now(),
            silent_until: None,
        }
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Throws away what is in the socket: no process is left that sent it.
    pub(super) fn forget(&self) {
        let mut none = [0; 1];
        // Bounded, though nobody should be there to send more.
        for _ in 0..1024 {
            if self.socket.recv(&mut none).is_err() {
                break;
            }
        }
    }

    /// The messages that are there, as far as their number allows.
    fn receive(&mut self) -> Vec<Received> {
        let now = now();
        if now.since(self.second) >= 1000 {
            self.second = now;
            self.taken = 0;
        }
        let mut received = Vec::new();
        for _ in 0..AT_A_TIME {
            if self.taken >= IN_A_SECOND {
                self.silent_until = Some(self.second.after(1000));
                break;
            }
            match receive(self.socket.as_fd()) {
                Ok((sender, message)) => {
                    self.taken += 1;
                    if sender.is_some_and(|pid| is_in(pid, &self.cgroup)) {
                        received.push(message);
                    }
                }
                Err(Errno::EINTR) => {}
                // Empty, or the kernel has no memory for it now.
                Err(_) => break,
            }
        }
        received
    }
}

/// One message, and the process that sent it.
fn receive(socket: BorrowedFd<'_>) -> Result<(Option<Pid>, Received), Errno> {
    let mut text = [0; MAX_MESSAGE];
    let mut parts = [IoSliceMut::new(&mut text)];
    let mut space = nix::cmsg_space!(nix::sys::socket::UnixCredentials, [RawFd; DESCRIPTORS]);
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let (bytes, whole, sender, descriptors) = {
        let got = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
        let mut sender = None;
        let mut descriptors = Vec::new();
        for control in got.cmsgs()? {
            match control {
                ControlMessageOwned::ScmRights(raw) => {
                    descriptors.extend(raw.into_iter().map(fd::received));
                }
                ControlMessageOwned::ScmCredentials(who) => sender = Some(Pid::from_raw(who.pid())),
                _ => {}
            }
        }
        let whole = !got.flags.contains(MsgFlags::MSG_TRUNC);
        (got.bytes, whole, sender, descriptors)
    };
    // Half a message is none.
    let text = text.get(..bytes).filter(|_| whole).unwrap_or_default();
    let message = notify::parse(text);
    Ok((
        sender,
        Received {
            message,
            descriptors,
        },
    ))
}

/// Whether the process `pid` is in `cgroup` or below it.
fn is_in(pid: Pid, cgroup: &str) -> bool {
    // It may be gone already, and its word with it, as with systemd.
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.strip_prefix("0::"))
        .any(|path| path_is_in(path, cgroup))
}

fn path_is_in(path: &str, cgroup: &str) -> bool {
    let rest = path.strip_prefix(cgroup);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether `pid`, by a service's own word, can stand for it: it is one of its
/// processes, and our child, so that we learn of its end.
pub(super) fn may_be_main(pid: Pid, bundle: &Bundle) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    parent.is_some_and(|parent| parent.trim() == "1") && is_in(pid, &cgroup_of(bundle))
}

/// A bundle's cgroup, as the kernel names it.
fn cgroup_of(bundle: &Bundle) -> String {
    let cgroup = bundle.cgroup.strip_prefix(layout::CGROUP);
    format!("/{}", cgroup.unwrap_or(&bundle.cgroup).display())
}

impl Shell {
    /// Listens to what the entry says, where it may say something.
    pub(super) fn watch_notify(&mut self, id: EntryId) {
        let socket = self.containers.get(id.0).and_then(Option::as_ref);
        if let Some(notify) = socket.and_then(|container| container.notify.as_ref())
            && let Err(error) =
                self.poller
                    .watch(notify.socket(), Token::Notify(id.0), EpollFlags::EPOLLIN)
        {
            problem(&format!("watch notify socket: {error}"));
        }
    }

    /// Takes what the entry has said.
    pub(super) fn hear(&mut self, id: EntryId) {
        let Some(notify) = self.container(id).and_then(|c| c.notify.as_mut()) else {
            return;
        };
        let received = notify.receive();
        self.listen_later(id);
        for Received {
            message,
            descriptors,
        } in received
        {
            drop(descriptors);
            for notice in message.notices {
                self.notice(id, notice);
            }
        }
    }

    fn notice(&mut self, entry: EntryId, notice: Notice) {
        if let Notice::MainPid(pid) = notice {
            let container = self.container(entry);
            if !container.is_some_and(|container| container.follow(Pid::from_raw(pid))) {
                return;
            }
        }
        self.feed(Event::Notice { entry, notice });
    }

    /// Whoever has said too much is not heard for a while.
    fn listen_later(&mut self, id: EntryId) {
        let socket = self.containers.get(id.0).and_then(Option::as_ref);
        if let Some(notify) = socket.and_then(|container| container.notify.as_ref())
            && notify.silent_until.is_some()
            && let Err(error) =
                self.poller
                    .change(notify.socket(), Token::Notify(id.0), EpollFlags::empty())
        {
            problem(&format!("watch notify socket: {error}"));
        }
    }

    /// Takes what everybody has said, before the end of some of them is told.
    pub(super) fn hear_all(&mut self) {
        for index in 0..self.containers.len() {
            self.hear(EntryId(index));
        }
    }

    /// Hears those again who have been silent for long enough.
    pub(super) fn hear_again(&mut self) {
        let now = now();
        for (index, container) in self.containers.iter_mut().enumerate() {
            let notify = container.as_mut().and_then(|c| c.notify.as_mut());
            if let Some(notify) = notify
                && notify.silent_until.is_some_and(|until| until <= now)
            {
                notify.silent_until = None;
                let token = Token::Notify(index);
                let flags = EpollFlags::EPOLLIN;
                if let Err(error) = self.poller.change(notify.socket(), token, flags) {
                    problem(&format!("watch notify socket: {error}"));
                }
            }
        }
    }

    /// When [`Self::hear_again`] has something to do.
    pub(super) fn silence_ends(&self) -> Option<Time> {
        let containers = self.containers.iter().flatten();
        let notify = containers.filter_map(|container| container.notify.as_ref());
        notify.filter_map(|notify| notify.silent_until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_is_not_its_neighbour() {
        let web = "/hullkit/services/web";
        assert!(path_is_in("/hullkit/services/web", web));
        assert!(path_is_in("/hullkit/services/web/inner", web));
        assert!(!path_is_in("/hullkit/services/web2", web));
        assert!(!path_is_in("/hullkit/services", web));
        assert!(!path_is_in("/", web));
    }
}
