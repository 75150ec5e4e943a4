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
use crate::notify::{self, MAX_MESSAGE, Store};
use crate::plan::Bundle;
use crate::supervise::{EntryId, Event, Notice, Time};
use crate::sys::{datagram, fd};

/// Messages that are taken at a time, before anybody else's turn.
const AT_A_TIME: u32 = 32;
/// Messages that are taken in a second; the rest wait in the socket, and who
/// sent them with it.
const IN_A_SECOND: u32 = 200;
/// As many descriptors as may come with a message (`SCM_MAX_FD`, unix(7)).
const DESCRIPTORS: usize = 253;

/// What a message says.
#[derive(Debug, Default)]
struct Said {
    notices: Vec<Notice>,
    /// What it wants of descriptors, and those that came with it.
    store: Option<(Store, Vec<OwnedFd>)>,
}

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
    /// Whether it may leave descriptors with PID 1.
    stores: bool,
    /// Messages taken since `second` began.
    taken: u32,
    second: Time,
    /// Nothing is taken until then.
    pub(super) silent_until: Option<Time>,
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
            stores: bundle.runtime.supervision.fd_store > 0,
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

    /// What the messages that are there say, as far as their number allows.
    fn receive(&mut self) -> Vec<Said> {
        let now = now();
        if now.since(self.second) >= 1000 {
            self.second = now;
            self.taken = 0;
        }
        let mut all = Vec::new();
        for _ in 0..AT_A_TIME {
            if self.taken >= IN_A_SECOND {
                self.silent_until = Some(self.second.after(1000));
                break;
            }
            let received = if self.stores {
                receive_all(self.socket.as_fd())
            } else {
                receive_text(self.socket.as_fd())
            };
            match received {
                Ok((sender, said)) => {
                    self.taken += 1;
                    if sender.is_some_and(|pid| is_in(pid, &self.cgroup)) {
                        all.push(said);
                    }
                }
                Err(Errno::EINTR) => {}
                // Empty, or the kernel has no memory for it now.
                Err(_) => break,
            }
        }
        all
    }
}

/// What one message says, and the process that sent it, of a service that may
/// leave no descriptor: the kernel closes those, which is what
/// `sd_notify_barrier(3)` waits for.
fn receive_text(socket: BorrowedFd<'_>) -> Result<(Option<Pid>, Said), Errno> {
    let mut text = [0; MAX_MESSAGE];
    let got = datagram::receive_text(socket, &mut text)?;
    // Half a message is none.
    let text = text.get(..got.bytes).filter(|_| got.whole);
    let said = Said {
        notices: notify::parse(text.unwrap_or_default()),
        store: None,
    };
    Ok((got.sender, said))
}

/// The same with descriptors; those that are not to be kept are closed.
fn receive_all(socket: BorrowedFd<'_>) -> Result<(Option<Pid>, Said), Errno> {
    let mut text = [0; MAX_MESSAGE];
    let mut parts = [IoSliceMut::new(&mut text)];
    let mut space = nix::cmsg_space!(nix::sys::socket::UnixCredentials, [RawFd; DESCRIPTORS]);
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let got = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    let mut sender = None;
    let mut fds = Vec::new();
    for control in got.cmsgs()? {
        match control {
            ControlMessageOwned::ScmRights(raw) => {
                fds.extend(raw.into_iter().map(fd::received));
            }
            ControlMessageOwned::ScmCredentials(who) => sender = Some(Pid::from_raw(who.pid())),
            _ => {}
        }
    }
    let (bytes, whole) = (got.bytes, !got.flags.contains(MsgFlags::MSG_TRUNC));
    // Half a message is none.
    let text = text.get(..bytes).filter(|_| whole).unwrap_or_default();
    let said = Said {
        notices: notify::parse(text),
        store: notify::store(text).map(|store| (store, fds)),
    };
    Ok((sender, said))
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
    /// Where the entry says how it is, if it may.
    fn notify(&self, id: EntryId) -> Option<&Notify> {
        self.containers.get(id.0)?.as_ref()?.notify.as_ref()
    }

    /// Listens to what the entry says, where it may say something.
    pub(super) fn watch_notify(&mut self, id: EntryId) {
        if let Some(notify) = self.notify(id)
            && let Err(error) =
                self.poller
                    .watch(notify.socket(), Token::Notify(id.0), EpollFlags::EPOLLIN)
        {
            problem(&format!("watch notify socket: {error}"));
        }
    }

    /// Takes what the entry has said. What it says before the core knows that it
    /// runs waits in the socket.
    pub(super) fn hear(&mut self, id: EntryId) {
        if self.notify(id).is_none() {
            return;
        }
        let container = self.container(id);
        let runs = container.as_ref().is_some_and(|c| c.is_announced());
        let Some(notify) = container.and_then(|c| c.notify.as_mut()) else {
            return;
        };
        if !runs {
            self.listen(id, EpollFlags::empty());
            return;
        }
        let all = notify.receive();
        // Whoever has said too much is not heard for a while.
        if notify.silent_until.is_some() {
            self.listen(id, EpollFlags::empty());
        }
        if all.is_empty() {
            return;
        }
        for said in all {
            if let Some((store, fds)) = said.store {
                self.store(id, store, fds);
            }
            for notice in said.notices {
                self.notice(id, notice);
            }
        }
        self.save();
    }

    fn store(&mut self, id: EntryId, said: Store, fds: Vec<OwnedFd>) {
        if let Some(container) = self.container(id) {
            let most = container.bundle.runtime.supervision.fd_store;
            container.kept.store(said, fds, most);
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

    /// Hears what the entry says from now on, as it runs, and what it has said:
    /// its end may be the next that is told.
    pub(super) fn hear_from_now(&mut self, id: EntryId) {
        self.listen(id, EpollFlags::EPOLLIN);
        self.hear(id);
    }

    fn listen(&self, id: EntryId, flags: EpollFlags) {
        if let Some(notify) = self.notify(id)
            && let Err(error) = self
                .poller
                .change(notify.socket(), Token::Notify(id.0), flags)
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
        for index in 0..self.containers.len() {
            let id = EntryId(index);
            if self
                .notify(id)
                .is_none_or(|notify| notify.silent_until.is_none())
            {
                continue;
            }
            let notify = self.container(id).and_then(|c| c.notify.as_mut());
            let ends = |until: &mut Time| *until <= now;
            if notify.is_some_and(|notify| notify.silent_until.take_if(ends).is_some()) {
                self.listen(id, EpollFlags::EPOLLIN);
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
