//! Programs that clients run in containers, by the OCI runtime.

use hullkit_bundle::control::{ErrorCode, Exec, Reply};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Shell, runtime};
use crate::control::names;
use crate::supervise::{How, RequestId};
use crate::sys::spawn::Streams;

/// A program that runs for a client.
#[derive(Debug)]
pub(super) struct Running {
    client: RequestId,
    runtime: Pid,
    /// Whether the client has gone, and the runtime was told to end it.
    abandoned: bool,
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
                None
            }
            Err((code, message)) => Some(Reply::Error { code, message }),
        }
    }

    fn start_exec(&mut self, client: RequestId, exec: &Exec) -> Result<Pid, (ErrorCode, String)> {
        let id = names::resolve(&exec.name, self.core.entries())
            .map_err(|names::Unknown(message)| (ErrorCode::NotFound, message))?;
        let runs = self
            .core
            .entry(id)
            .is_some_and(|entry| entry.pid().is_some());
        let options = self.runtime.clone();
        let fds = self
            .control
            .as_mut()
            .map(|control| control.take_fds(client));
        let not_now = || (ErrorCode::NotNow, format!("{} does not run", exec.name));
        let container = self.container(id).filter(|_| runs).ok_or_else(not_now)?;
        if exec.args.is_empty() {
            return Err((ErrorCode::BadRequest, "the program is missing".to_owned()));
        }
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
        true
    }

    /// Ends the programs whose clients have gone.
    pub(super) fn end_abandoned(&mut self) {
        for exec in &mut self.execs {
            let control = self.control.as_ref();
            let gone = control.is_none_or(|control| control.stream(exec.client).is_none());
            if gone && !exec.abandoned {
                exec.abandoned = true;
                // The runtime passes it on. It fails where it has just ended.
                let _already_ended = kill(exec.runtime, Signal::SIGTERM);
            }
        }
    }
}
