//! Programs that clients run in containers, by the OCI runtime.

use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;

use hullkit_bundle::control::{ErrorCode, Exec, Reply};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Shell, problem, runtime};
use crate::control::{Server, names};
use crate::life::inherited::Inherited;
use crate::life::record::{Record, Writer};
use crate::supervise::{How, RequestId};
use crate::sys::spawn::Streams;
use crate::sys::wait;

/// Programs at a time: a place is left for those who want to end one.
const MAX_PROGRAMS: usize = 6;

/// A program that runs for a client.
#[derive(Debug)]
pub(super) struct Running {
    client: RequestId,
    runtime: Pid,
    /// Whether the client has gone, and the runtime was told to end it.
    abandoned: bool,
}

impl Running {
    /// Writes it for the next life of PID 1, which answers its client.
    pub(super) fn save(&self, control: Option<&Server>, to: &mut Writer) {
        to.record("exec").field("runtime", self.runtime);
        let client = control.and_then(|control| control.stream(self.client));
        if let Some(client) = client {
            to.fd("client", &client.as_raw_fd());
        }
    }
}

impl Shell {
    /// Runs a program for a client. An answer if it does not.
    pub(super) fn exec(&mut self, client: RequestId, exec: &Exec) -> Option<Reply> {
        match self.start_exec(client, exec) {
            Ok(runtime) => {
                self.execs.push(Running {
                    client,
                    runtime,
                    abandoned: false,
                });
                self.save();
                None
            }
            Err((code, message)) => Some(Reply::Error { code, message }),
        }
    }

    fn start_exec(&mut self, client: RequestId, exec: &Exec) -> Result<Pid, (ErrorCode, String)> {
        let control = self.control.as_mut();
        let fds = control.map(|control| control.take_fds(client));
        let id = names::resolve(&exec.name, self.core.entries())
            .map_err(|names::Unknown(message)| (ErrorCode::NotFound, message))?;
        if exec.args.is_empty() {
            return Err((ErrorCode::BadRequest, "the program is missing".to_owned()));
        }
        if self.execs.len() >= MAX_PROGRAMS {
            let message = format!("{MAX_PROGRAMS} programs run for clients, which is the limit");
            return Err((ErrorCode::NotNow, message));
        }
        let entry = self.core.entry(id);
        let runs = entry.is_some_and(|entry| entry.pid().is_some());
        let options = self.runtime.clone();
        let not_now = || (ErrorCode::NotNow, format!("{} does not run", exec.name));
        let container = self.container(id).filter(|_| runs).ok_or_else(not_now)?;
        let mut fds = fds.unwrap_or_default().into_iter();
        let streams = Streams {
            stdin: fds.next(),
            stdout: fds.next(),
            stderr: fds.next(),
        };
        runtime::exec(&container.bundle, exec, streams, &options)
            .map_err(|error| (ErrorCode::Failed, error.to_string()))
    }

    /// Whether `pid` ran a program for a client.
    pub(super) fn exec_ended(&mut self, pid: Pid, how: How) -> bool {
        let place = self.execs.iter().position(|exec| exec.runtime == pid);
        let Some(exec) = place.map(|place| self.execs.swap_remove(place)) else {
            return false;
        };
        let code = match how {
            How::Exited(code) => code,
            How::Signaled(signal) => 128 + signal,
        };
        self.answer(exec.client, &Reply::Exited { code });
        self.save();
        true
    }

    /// Ends the programs whose clients have gone.
    pub(super) fn end_abandoned(&mut self) {
        let mut some = false;
        for exec in &mut self.execs {
            let control = self.control.as_ref();
            let gone = control.is_none_or(|control| control.stream(exec.client).is_none());
            if gone && !exec.abandoned {
                exec.abandoned = true;
                some = true;
                // The runtime passes it on. It fails where it has just ended.
                let _already_ended = kill(exec.runtime, Signal::SIGTERM);
            }
        }
        if some {
            self.save();
        }
    }

    /// Goes on with a program of the life before. Where its client has gone, or
    /// cannot be kept, it is ended as ever.
    pub(super) fn restore_exec(&mut self, record: &Record<'_>, fds: &mut Inherited) {
        let Some(runtime) = record.parsed("runtime").map(Pid::from_raw) else {
            return;
        };
        let client = record.parsed("client").and_then(|fd| fds.take(fd));
        let client = client.map(UnixStream::from);
        let client = client.and_then(|client| self.control.as_mut()?.take_over(client));
        if let Some((slot, _)) = client
            && let Some((stream, flags)) = self.control.as_ref().and_then(|c| c.interest(slot))
            && let Err(error) = self.poller.watch(stream, super::Token::Client(slot), flags)
        {
            problem(&format!("watch client: {error}"));
        }
        // No client has this one.
        let client = client.map_or(RequestId(0), |(_, id)| id);
        if wait::is_child(runtime) {
            self.execs.push(Running {
                client,
                runtime,
                abandoned: false,
            });
        } else {
            let message = "how it ended is lost with a mistake of init".to_owned();
            let code = ErrorCode::Failed;
            self.answer(client, &Reply::Error { code, message });
        }
    }
}
