//! Where a process's terminal goes: to whoever asked for it by
//! `--console-socket`, or to us, who stay in between.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use super::command::Launch;
use crate::error::Error;
use crate::exec;
use crate::sys::socket;

/// How many seconds who listens may take.
const PATIENCE: u16 = 60;

/// Who gets the outer side of a terminal.
#[derive(Debug)]
pub(super) enum Terminal {
    /// Nobody: there is none.
    None,
    /// Whoever listens here.
    Socket(PathBuf),
    /// We, once it is there.
    Ours(Option<OwnedFd>),
}

impl Terminal {
    /// Who it must be, by what the process wants and how it is launched.
    pub(super) fn new(wanted: bool, launch: &Launch) -> Result<Self, Error> {
        match (wanted, &launch.console_socket, launch.detach) {
            (false, None, _) => Ok(Self::None),
            (true, Some(path), _) => Ok(Self::Socket(path.clone())),
            (true, None, false) => Ok(Self::Ours(None)),
            (false, Some(_), _) => Err(Error::Usage(
                "--console-socket is given, and the process wants no terminal".to_owned(),
            )),
            (true, None, true) => Err(Error::Usage(
                "the process wants a terminal, so it needs --console-socket or a command that stays with it"
                    .to_owned(),
            )),
        }
    }

    /// Takes the outer side, or passes it on as runc does: one message with its
    /// name as data.
    pub(super) fn take(&mut self, outer: OwnedFd) -> Result<(), Error> {
        match self {
            Self::None => Ok(()),
            Self::Ours(kept) => {
                *kept = Some(outer);
                Ok(())
            }
            Self::Socket(path) => {
                let c = exec::c_path(path)?;
                let socket = socket::connect_stream(c.as_bytes(), PATIENCE)
                    .map_err(Error::io("connect to the console socket", path.display()))?;
                socket::send_with(socket.as_fd(), b"/dev/ptmx", outer.as_fd())
                    .map_err(Error::io("send the terminal to", path.display()))
            }
        }
    }

    /// What we kept.
    pub(super) fn kept(self) -> Option<OwnedFd> {
        match self {
            Self::Ours(kept) => kept,
            Self::None | Self::Socket(_) => None,
        }
    }
}
