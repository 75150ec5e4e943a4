//! Clients of the control socket, and what they ask.

use std::time::{SystemTime, UNIX_EPOCH};

use hullkit_bundle::control::{
    self as protocol, Change, ErrorCode, FileStatus, Op, Reply, Status, System, Usage, VERSION,
};
use nix::sys::epoll::EpollFlags;

use super::poller::Token;
use super::{Shell, cgroup, now, problem};
use crate::control::{Door, Server, names, status};
use crate::supervise::{Ask, End, EntryId, Event, Kind, RequestId, State, SystemState};

/// A request whose answer nobody waits for: no client has this serial.
const NOBODY: RequestId = RequestId(0);

/// A client that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    id: RequestId,
    /// For this entry; none: for all services.
    entry: Option<EntryId>,
}

impl Shell {
    pub(super) fn accept(&mut self, door: Door) {
        while let Some(control) = &mut self.control
            && let Some(slot) = control.accept(door)
        {
            if let Some((stream, flags)) = control.interest(slot)
                && let Err(error) = self.poller.watch(stream, Token::Client(slot), flags)
            {
                problem(&format!("watch client: {error}"));
                control.close(slot);
            }
            // It has asked already, and may lose its place to the next one.
            self.advance_client(slot);
        }
    }

    /// Takes the clients for whom there was no descriptor or no memory, if
    /// there is one now. Whatever happens gives the next occasion.
    pub(super) fn accept_late(&mut self) {
        for door in [Door::Control, Door::View] {
            let control = self.control.as_ref();
            if control.is_some_and(|control| control.has_more(door)) {
                self.accept(door);
            }
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
        let (ask, name, wait) = match op {
            Op::List => {
                let entries = self.entries();
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
            Op::Halt => return Some(self.go_down(End::Halt)),
            Op::Kexec => return Some(self.kexec()),
            Op::Kill { name, signal } => return Some(self.signal(&name, signal)),
            Op::Exec(exec) => return self.exec(id, &exec),
            Op::Wait { name } => return self.wait(id, name.as_deref()),
            Op::Top => return Some(self.top()),
            Op::Version => {
                return Some(Reply::Version {
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    protocol: VERSION,
                });
            }
            Op::Events => {
                if let Some(control) = &mut self.control {
                    control.listens(id);
                }
                return None;
            }
            Op::Start { name, wait } => (Ask::Start, name, wait),
            Op::Stop { name, wait } => (Ask::Stop, name, wait),
            Op::Restart { name, wait } => (Ask::Restart, name, wait),
        };
        match names::resolve(&name, self.core.entries()) {
            Ok(entry) if wait => {
                self.feed(Event::Request { id, ask, entry });
                None
            }
            Ok(entry) => {
                let id = NOBODY;
                self.feed(Event::Request { id, ask, entry });
                Some(Reply::Ok)
            }
            Err(unknown) => Some(not_found(unknown)),
        }
    }

    /// Waits for an entry, or for all services.
    fn wait(&mut self, id: RequestId, name: Option<&str>) -> Option<Reply> {
        let entry = match name.map(|name| names::resolve(name, self.core.entries())) {
            Some(Err(unknown)) => return Some(not_found(unknown)),
            Some(Ok(entry)) => Some(entry),
            None => None,
        };
        let reply = self.waited(entry);
        if reply.is_none() {
            self.waits.push(Wait { id, entry });
        }
        reply
    }

    /// The answer to those who wait for `entry` or all services, if there is
    /// one by now.
    fn waited(&self, entry: Option<EntryId>) -> Option<Reply> {
        let failed = |message: String| {
            let code = ErrorCode::Failed;
            Some(Reply::Error { code, message })
        };
        if let SystemState::Stopping(_) = self.core.system() {
            return Some(Reply::Error {
                code: ErrorCode::NotNow,
                message: "the machine is going down".to_owned(),
            });
        }
        let Some(entry) = entry else {
            return match self.core.system() {
                SystemState::Stopped => failed("the boot was stopped".to_owned()),
                _ => self.core.ready().map(|_| Reply::Ok),
            };
        };
        let entry = self.core.entry(entry)?;
        match entry.state() {
            _ if entry.spec().kind == Kind::Service && entry.is_there() => Some(Reply::Ok),
            State::Exited if entry.spec().kind != Kind::Service => Some(Reply::Ok),
            state @ (State::Exited | State::Failed | State::Skipped) => failed(format!(
                "{}: {}",
                entry.spec().name,
                entry.error().unwrap_or(state.as_str())
            )),
            _ => None,
        }
    }

    /// Answers those who have waited long enough.
    pub(super) fn answer_waits(&mut self) {
        for wait in std::mem::take(&mut self.waits) {
            let gone = |control: &Server| control.stream(wait.id).is_none();
            if self.control.as_ref().is_none_or(gone) {
                continue;
            }
            match self.waited(wait.entry) {
                Some(reply) => self.answer(wait.id, &reply),
                None => self.waits.push(wait),
            }
        }
    }

    /// Tells who listens that an entry, or the machine, has changed.
    pub(super) fn tell_change(&mut self, state: &str, id: Option<EntryId>) {
        if !self.control.as_ref().is_some_and(Server::has_listeners) {
            return;
        }
        let entry = id.and_then(|id| self.describe(id));
        if id.is_some() && entry.is_none() {
            return;
        }
        let time = SystemTime::now().duration_since(UNIX_EPOCH);
        let time = time.unwrap_or_default().as_millis();
        let change = Change {
            time_ms: u64::try_from(time).unwrap_or(u64::MAX),
            state: state.to_owned(),
            entry,
            lost: 0,
        };
        let told = self.control.as_mut().map(|control| control.tell(&change));
        for slot in told.into_iter().flatten() {
            self.watch_client(slot);
        }
    }

    fn signal(&mut self, name: &str, signal: i32) -> Reply {
        let id = match names::resolve(name, self.core.entries()) {
            Ok(id) => id,
            Err(unknown) => return not_found(unknown),
        };
        let running = self
            .core
            .entry(id)
            .is_some_and(|entry| entry.pid().is_some());
        match self.container(id).filter(|_| running) {
            Some(container) => match container.signal(signal) {
                Ok(()) => Reply::Ok,
                Err(error) => Reply::Error {
                    code: ErrorCode::Failed,
                    message: error.to_string(),
                },
            },
            None => Reply::Error {
                code: ErrorCode::NotNow,
                message: format!("{name} does not run"),
            },
        }
    }

    fn top(&self) -> Reply {
        let entries = self.core.entries().iter().zip(&self.containers);
        let entries = entries.filter_map(|(entry, container)| {
            let container = container.as_ref().filter(|_| entry.is_alive())?;
            let used = cgroup::usage(&container.bundle.cgroup);
            Some(Usage {
                section: container.bundle.section.as_str().to_owned(),
                name: container.bundle.name.clone(),
                cpu_us: used.cpu_us,
                memory: used.memory,
                pids: used.pids,
            })
        });
        Reply::Top {
            entries: entries.collect(),
        }
    }

    /// Goes down to another kernel, if there is one.
    fn kexec(&mut self) -> Reply {
        let message = match std::fs::read_to_string("/sys/kernel/kexec_loaded") {
            Ok(loaded) if loaded.trim() == "1" => return self.go_down(End::Kexec),
            Ok(_) => "no kernel is loaded; kexec_load(2) or kexec_file_load(2) comes first",
            Err(_) => "this kernel has no kexec",
        };
        Reply::Error {
            code: ErrorCode::Failed,
            message: message.to_owned(),
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
            entries: self.entries(),
        }))
    }

    fn status_of(&self, name: &str) -> Reply {
        let entry = match names::resolve(name, self.core.entries()) {
            Ok(id) => self.describe(id),
            Err(unknown) => return not_found(unknown),
        };
        Reply::Status(Box::new(Status {
            system: None,
            entries: entry.into_iter().collect(),
        }))
    }

    /// All entries, for clients.
    fn entries(&self) -> Vec<protocol::Entry> {
        let all = 0..self.core.entries().len();
        all.filter_map(|index| self.describe(EntryId(index)))
            .collect()
    }

    /// An entry, for clients; none: it is not for them.
    fn describe(&self, id: EntryId) -> Option<protocol::Entry> {
        let entry = self.core.entry(id)?;
        if entry.spec().kind.is_helper() {
            return None;
        }
        let file = entry.spec().supervision.log.as_ref();
        let state = self.containers.get(id.0).and_then(Option::as_ref);
        Some(protocol::Entry {
            log: file.zip(state).map(|(file, container)| FileStatus {
                path: file.path.clone(),
                error: Some(container.file.error.clone()).filter(|e| !e.is_empty()),
                lost: container.file.lost,
            }),
            ..status::entry(entry, now())
        })
    }
}

fn not_found(names::Unknown(message): names::Unknown) -> Reply {
    Reply::Error {
        code: ErrorCode::NotFound,
        message,
    }
}
