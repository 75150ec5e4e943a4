//! Clients of the control socket, and what they ask.

use hullkit_bundle::control::{ErrorCode, Op, Reply, Status, System};
use nix::sys::epoll::EpollFlags;

use super::poller::Token;
use super::{Shell, now, problem};
use crate::control::{Server, names, status};
use crate::supervise::{Ask, End, Event, RequestId};

impl Shell {
    pub(super) fn accept(&mut self) {
        let Some(control) = &mut self.control else {
            return;
        };
        while let Some(slot) = control.accept() {
            if let Some((stream, flags)) = control.interest(slot)
                && let Err(error) = self.poller.watch(stream, Token::Client(slot), flags)
            {
                problem(&format!("watch client: {error}"));
                control.close(slot);
            }
        }
    }

    /// Takes the clients for whom there was no descriptor or no memory, if
    /// there is one now. Whatever happens gives the next occasion.
    pub(super) fn accept_late(&mut self) {
        if self.control.as_ref().is_some_and(Server::has_more) {
            self.accept();
        }
    }

    /// Takes what a client has sent, and sends what it waits for.
    pub(super) fn serve(&mut self, slot: usize, flags: EpollFlags) {
        if flags.intersects(EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR) {
            if let Some(control) = &mut self.control {
                control.close(slot);
            }
            return;
        }
        self.advance_client(slot);
    }

    fn advance_client(&mut self, slot: usize) {
        while let Some((id, op)) = self.control.as_mut().and_then(|c| c.next_request(slot)) {
            if let Some(reply) = self.carry_out(id, op)
                && let Some(control) = &mut self.control
            {
                control.answer(id, &reply);
            }
        }
        self.watch_client(slot);
    }

    fn watch_client(&mut self, slot: usize) {
        if let Some(control) = &mut self.control
            && let Some((stream, flags)) = control.interest(slot)
            && let Err(error) = self.poller.change(stream, Token::Client(slot), flags)
        {
            problem(&format!("watch client: {error}"));
            control.close(slot);
        }
    }

    /// Answers a request that was pending.
    pub(super) fn answer(&mut self, id: RequestId, reply: &Reply) {
        let slot = self
            .control
            .as_mut()
            .and_then(|control| control.answer(id, reply));
        if let Some(slot) = slot
            && let Some(control) = &mut self.control
        {
            // Not its next request: we may be in the middle of this one.
            control.flush(slot);
            self.watch_client(slot);
        }
    }

    /// Carries out what a client asks. None: the core answers, now or later.
    fn carry_out(&mut self, id: RequestId, op: Op) -> Option<Reply> {
        let (ask, name) = match op {
            Op::List => {
                let entries = status::entries(&self.core, now());
                return Some(Reply::Status(Box::new(Status {
                    system: None,
                    entries,
                })));
            }
            Op::Status { name: None } => return Some(self.status()),
            Op::Status { name: Some(name) } => return Some(self.status_of(&name)),
            Op::Poweroff => return Some(self.go_down(End::Poweroff)),
            Op::Reboot => return Some(self.go_down(End::Reboot)),
            Op::Reexec { file } => return self.reexec(id, file),
            Op::Start { name } => (Ask::Start, name),
            Op::Stop { name } => (Ask::Stop, name),
            Op::Restart { name } => (Ask::Restart, name),
        };
        match names::resolve(&name, self.core.entries()) {
            Ok(entry) => {
                self.feed(Event::Request { id, ask, entry });
                None
            }
            Err(unknown) => Some(not_found(unknown)),
        }
    }

    fn go_down(&mut self, end: End) -> Reply {
        self.feed(Event::Shutdown(end));
        Reply::Ok
    }

    fn status(&self) -> Reply {
        let now = now();
        let system = System {
            state: self.core.system().as_str().to_owned(),
            uptime_ms: now.0,
            onboot_done_ms: self.core.onboot_done().map(|time| time.0),
            services_up_ms: self.core.services_up().map(|time| time.0),
            ready_ms: self.core.ready().map(|time| time.0),
            ..self.system.clone()
        };
        Reply::Status(Box::new(Status {
            system: Some(system),
            entries: status::entries(&self.core, now),
        }))
    }

    fn status_of(&self, name: &str) -> Reply {
        let entry = match names::resolve(name, self.core.entries()) {
            Ok(id) => self.core.entry(id),
            Err(unknown) => return not_found(unknown),
        };
        Reply::Status(Box::new(Status {
            system: None,
            entries: entry
                .map(|entry| status::entry(entry, now()))
                .into_iter()
                .collect(),
        }))
    }
}

fn not_found(names::Unknown(message): names::Unknown) -> Reply {
    Reply::Error {
        code: ErrorCode::NotFound,
        message,
    }
}
