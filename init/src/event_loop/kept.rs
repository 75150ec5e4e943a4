//! What PID 1 keeps for a service from one run to the next: the sockets that it
//! opens for it, and the descriptors that it has left with us (`FDSTORE`,
//! sd_notify(3)).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hullkit_bundle::Supervision;
use nix::sys::epoll::EpollFlags;

use super::poller::Token;
use super::{Shell, problem, sockets};
use crate::Error;
use crate::life::inherited::Inherited;
use crate::life::record::{Record, Writer};
use crate::notify::Store;
use crate::supervise::{EntryId, Event};
use crate::sys::fd;

/// The descriptors.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// In the order of the configuration: all of them, or none.
    sockets: Vec<OwnedFd>,
    /// In the order in which they came.
    stored: Vec<Stored>,
    /// Whether the loop waits for somebody to come.
    awaited: bool,
}

/// A descriptor that a service has left with us.
#[derive(Debug)]
struct Stored {
    name: String,
    fd: OwnedFd,
}

impl Kept {
    /// Opens the sockets, if they are not open.
    pub(super) fn open(&mut self, supervision: &Supervision) -> Result<(), Error> {
        if !self.sockets.is_empty() {
            return Ok(());
        }
        for wanted in &supervision.sockets {
            match sockets::open(wanted) {
                Ok(socket) => self.sockets.push(socket),
                Err(error) => {
                    // Those before it are none without it.
                    let opened = supervision.sockets.iter().take(self.sockets.len());
                    opened.for_each(sockets::remove);
                    self.sockets.clear();
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Closes all of it.
    fn close(&mut self, supervision: &Supervision) {
        if !self.sockets.is_empty() {
            supervision.sockets.iter().for_each(sockets::remove);
        }
        self.sockets.clear();
        self.stored.clear();
    }

    /// What a service is given, with its names.
    pub(super) fn all<'a>(
        &'a self,
        supervision: &'a Supervision,
    ) -> Vec<(&'a str, BorrowedFd<'a>)> {
        let names = supervision
            .sockets
            .iter()
            .map(|socket| socket.name.as_str());
        let sockets = names.zip(self.sockets.iter().map(AsFd::as_fd));
        let stored = self.stored.iter();
        let stored = stored.map(|stored| (stored.name.as_str(), stored.fd.as_fd()));
        sockets.chain(stored).collect()
    }

    /// Keeps what a service leaves with us, up to `most`, or forgets it.
    pub(super) fn store(&mut self, said: Store, fds: Vec<OwnedFd>, most: u32) {
        match said {
            Store::Remove(name) => self.stored.retain(|stored| stored.name != name),
            Store::Add(name) => {
                let most = usize::try_from(most).unwrap_or(usize::MAX);
                for fd in fds {
                    if self.stored.len() < most && !self.has(&fd) {
                        let name = name.clone();
                        self.stored.push(Stored { name, fd });
                    }
                }
            }
        }
    }

    /// Whether it is there already: a service may leave all that it has at each
    /// of its starts.
    fn has(&self, new: &OwnedFd) -> bool {
        let mut stored = self.stored.iter();
        stored.any(|stored| fd::is_same(stored.fd.as_fd(), new.as_fd()))
    }

    pub(super) fn save(&self, to: &mut Writer) {
        for socket in &self.sockets {
            to.fd("kept", socket);
        }
        for stored in &self.stored {
            to.fd("stored", &stored.fd).text("stored_as", &stored.name);
        }
    }

    pub(super) fn restore(record: &Record<'_>, fds: &mut Inherited, wanted: usize) -> Self {
        let sockets: Vec<OwnedFd> = record
            .all("kept")
            .filter_map(|number| fds.take(number))
            .collect();
        let names = record.texts("stored_as");
        let stored = record.all("stored").zip(names);
        let stored = stored.filter_map(|(number, name)| {
            let fd = fds.take(number)?;
            Some(Stored { name, fd })
        });
        Self {
            stored: stored.collect(),
            // Another set than the configuration's is none.
            sockets: Some(sockets)
                .filter(|sockets| sockets.len() == wanted)
                .unwrap_or_default(),
            awaited: false,
        }
    }
}

impl Shell {
    /// Opens an entry's sockets, and, with `wake`, tells when somebody comes.
    pub(super) fn listen_for(&mut self, id: EntryId, wake: bool) -> Option<Event> {
        let container = self.container(id)?;
        let opened = container.open_sockets();
        self.note_container(id);
        match opened.and_then(|()| if wake { self.await_call(id) } else { Ok(()) }) {
            Ok(()) => None,
            Err(error) if wake => {
                self.await_no_call(id);
                let error = error.to_string();
                Some(Event::StartFailed { entry: id, error })
            }
            // Its start tries again.
            Err(error) => {
                problem(&error.to_string());
                None
            }
        }
    }

    /// Waits for somebody to come to one of the entry's sockets.
    pub(super) fn await_call(&mut self, id: EntryId) -> Result<(), Error> {
        let Some(Some(container)) = self.containers.get_mut(id.0) else {
            return Ok(());
        };
        let kept = &mut container.kept;
        if std::mem::replace(&mut kept.awaited, true) {
            return Ok(());
        }
        for socket in &kept.sockets {
            self.poller
                .watch(socket, Token::Called(id.0), EpollFlags::EPOLLIN)
                .map_err(Error::os("watch", "sockets"))?;
        }
        Ok(())
    }

    /// From now on the service itself takes who comes.
    pub(super) fn await_no_call(&mut self, id: EntryId) {
        if let Some(Some(container)) = self.containers.get_mut(id.0)
            && std::mem::take(&mut container.kept.awaited)
        {
            for socket in &container.kept.sockets {
                // Where the watch has failed there is none to end.
                let _not_watched = self.poller.forget(socket);
            }
        }
    }

    /// Somebody has come.
    pub(super) fn called(&mut self, entry: EntryId) {
        self.await_no_call(entry);
        self.feed(Event::Called { entry });
    }

    /// Closes what is kept for an entry.
    pub(super) fn close_kept(&mut self, id: EntryId) {
        self.await_no_call(id);
        if let Some(container) = self.container(id) {
            container.kept.close(&container.bundle.runtime.supervision);
        }
        self.note_container(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> OwnedFd {
        tempfile::tempfile().unwrap().into()
    }

    fn names(kept: &Kept) -> Vec<String> {
        let supervision = Supervision::default();
        let all = kept.all(&supervision);
        all.into_iter().map(|(name, _)| name.to_owned()).collect()
    }

    #[test]
    fn what_is_stored_has_a_name_and_a_limit() {
        let mut kept = Kept::default();
        let add = |name: &str| Store::Add(name.to_owned());
        let first = file();
        let same = first.try_clone().unwrap();
        kept.store(add("a"), vec![first, file()], 3);
        kept.store(add("a"), vec![same], 3);
        assert_eq!(names(&kept), ["a", "a"]);
        kept.store(add("b"), vec![file(), file()], 3);
        assert_eq!(names(&kept), ["a", "a", "b"]);
        kept.store(Store::Remove("a".to_owned()), vec![], 3);
        assert_eq!(names(&kept), ["b"]);
        kept.store(add("c"), vec![file()], 0);
        assert_eq!(names(&kept), ["b"]);
    }

    #[test]
    fn it_comes_back_in_the_next_life() {
        let mut kept = Kept::default();
        kept.store(Store::Add("a%".to_owned()), vec![file()], 2);
        let number = std::os::fd::AsRawFd::as_raw_fd(&kept.stored[0].fd);
        let mut writer = Writer::default();
        kept.save(writer.record("container"));
        let (text, highest) = writer.finish();
        assert!(highest >= number);
        let records: Vec<_> = Record::parse(&text).collect();
        assert_eq!(
            records[0].all::<i32>("stored").collect::<Vec<_>>(),
            [number]
        );
        assert_eq!(records[0].texts("stored_as").collect::<Vec<_>>(), ["a%"]);
    }
}
