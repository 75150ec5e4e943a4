//! `hullctl reexec`: the next life of PID 1, on request. Another program is
//! asked first, in a child, whether it could go on with the state: it is
//! refused otherwise, and this one goes on.

use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use hullkit_bundle::control::{ErrorCode, Reply};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, pipe2};

use super::{Shell, now};
use crate::Error;
use crate::life::cause::Cause;
use crate::supervise::{How, RequestId, Time};
use crate::sys::rebirth;
use crate::sys::spawn::{self, Streams};

/// The word by which a program is asked.
pub const CHECK: &str = "--check-state";

/// What it answers, on its standard output, before its exit with 0.
pub const YES: &str = "hullkit: reads this state\n";

/// How long it may take, in milliseconds.
const TIMEOUT: u64 = 20_000;

/// An upgrade whose program has been asked.
#[derive(Debug)]
pub(super) struct Upgrade {
    client: RequestId,
    file: String,
    program: File,
    asked: Pid,
    answer: OwnedFd,
    deadline: Time,
}

impl Upgrade {
    /// When it has taken too long.
    pub(super) fn deadline(&self) -> Time {
        self.deadline
    }

    fn said_yes(self) -> bool {
        let mut text = [0; YES.len()];
        File::from(self.answer).read_exact(&mut text).is_ok() && text == YES.as_bytes()
    }
}

impl Shell {
    /// Begins a new life, of `file` or of the program that we are. An answer
    /// if it does not.
    pub(super) fn reexec(&mut self, client: RequestId, file: Option<String>) -> Option<Reply> {
        if self.upgrade.is_some() {
            return Some(Reply::Error {
                code: ErrorCode::NotNow,
                message: "another program is being asked".to_owned(),
            });
        }
        self.save();
        let Some(file) = file else {
            let program = rebirth::program().ok_or_else(|| "init has no program".to_owned());
            return Some(match program {
                Ok(program) => self.execute(client, "init", &program),
                Err(error) => failed(error),
            });
        };
        match self.ask_program(client, file) {
            Ok(upgrade) => {
                self.upgrade = Some(upgrade);
                None
            }
            Err(error) => Some(failed(error.to_string())),
        }
    }

    fn ask_program(&self, client: RequestId, file: String) -> Result<Upgrade, Error> {
        let snapshot = self.snapshot.as_ref().ok_or_else(|| Error::Bundle {
            object: "state of init".to_owned(),
            reason: "there is no memory for it".to_owned(),
        })?;
        let program = open_program(&file)?;
        let state = snapshot.file().try_clone_to_owned();
        let state = state.map_err(Error::os("dup", "state of init"))?;
        let (answer, theirs) = pipe2(OFlag::O_CLOEXEC).map_err(Error::os("pipe", &file))?;
        fcntl(&answer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(Error::os("pipe", &file))?;
        let streams = Streams {
            stdin: Some(state),
            stdout: Some(theirs),
            stderr: None,
        };
        // By its descriptor: it is this file that is executed afterwards.
        let path = format!("/proc/self/fd/{}", program.as_raw_fd());
        let asked = spawn::spawn(&path, "/init", &[CHECK], streams);
        let asked = asked.map_err(Error::os("execute", &file))?;
        Ok(Upgrade {
            client,
            file,
            program,
            asked,
            answer,
            deadline: now().after(TIMEOUT),
        })
    }

    /// Whether `pid` was the program that was asked.
    pub(super) fn asked_ended(&mut self, pid: Pid, how: How) -> bool {
        let Some(upgrade) = self.upgrade.take_if(|upgrade| upgrade.asked == pid) else {
            return false;
        };
        let (client, file) = (upgrade.client, upgrade.file.clone());
        let program = upgrade.program.try_clone();
        let reply = match program {
            Ok(program) if how == How::Exited(0) && upgrade.said_yes() => {
                self.execute(client, &file, &program)
            }
            Ok(_) => failed(format!(
                "{file}: it does not read the state of this init; nothing has changed"
            )),
            Err(error) => failed(format!("{file}: {error}")),
        };
        self.answer(client, &reply);
        true
    }

    /// Gives up waiting for the program's answer.
    pub(super) fn expire_upgrade(&mut self) {
        if let Some(upgrade) = &self.upgrade
            && upgrade.deadline <= now()
        {
            // Its end is its answer.
            let _already_ended = kill(upgrade.asked, Signal::SIGKILL);
        }
    }

    /// Ends this life, with `client` to be told by the next one. Returns where
    /// that is not possible.
    fn execute(&mut self, client: RequestId, file: &str, program: &File) -> Reply {
        let mut state = self.written();
        if let Some(control) = &self.control
            && let Some(stream) = control.stream(client)
        {
            state.record("reply").fd("to", &stream.as_raw_fd());
        }
        let taken = match &mut self.snapshot {
            Some(snapshot) => snapshot.take(state),
            None => Err(std::io::ErrorKind::OutOfMemory.into()),
        };
        let error = match taken {
            Ok(()) => rebirth::begin_with(program.as_fd(), Cause::Asked),
            Err(error) => error,
        };
        failed(format!("execute {file}: {error}"))
    }
}

/// `O_PATH`: enough to execute it.
fn open_program(file: &str) -> Result<File, Error> {
    if !file.starts_with('/') || CString::new(file).is_err() {
        return Err(Error::Bundle {
            object: file.to_owned(),
            reason: "not an absolute path".to_owned(),
        });
    }
    std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH)
        .open(file)
        .map_err(Error::os("open", file))
}

fn failed(message: String) -> Reply {
    Reply::Error {
        code: ErrorCode::Failed,
        message,
    }
}

/// Sends a client of the life before its answer, and closes the connection.
pub(super) fn tell(client: OwnedFd, reply: &Reply) {
    if let Ok(mut line) = serde_json::to_vec(reply) {
        line.push(b'\n');
        // It has gone, or takes nothing: it was told.
        let _gone = File::from(client).write_all(&line);
    }
}
