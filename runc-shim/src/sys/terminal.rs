//! Terminals: pty(7), ioctl_tty(2), termios(3).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use super::file::owned;
use super::{check_int, check_unit};

/// How large a terminal is, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Characters a line.
    pub columns: u16,
}

/// Opens the other side of a pseudo terminal's master, by the master itself,
/// so that no path is walked; unlocks it before.
///
/// # Errors
/// The kernel's.
pub fn open_peer(master: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let unlock: libc::c_int = 0;
    // SAFETY: the request reads an int, which is ours.
    check_unit(unsafe {
        libc::syscall(
            libc::SYS_ioctl,
            master.as_raw_fd(),
            libc::TIOCSPTLCK,
            &raw const unlock,
        )
    })?;
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the request takes flags, no pointer.
    check_int(unsafe {
        libc::syscall(
            libc::SYS_ioctl,
            master.as_raw_fd(),
            libc::TIOCGPTPEER,
            flags,
        )
    })
    .map(owned)
}

/// Makes a terminal the one that controls our session.
///
/// # Errors
/// The kernel's.
pub fn make_controlling(terminal: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the request takes a number, no pointer.
    check_unit(unsafe { libc::syscall(libc::SYS_ioctl, terminal.as_raw_fd(), libc::TIOCSCTTY, 0) })
}

/// The size of a terminal.
///
/// # Errors
/// The kernel's; `ENOTTY`: it is none.
pub fn size(terminal: BorrowedFd<'_>) -> io::Result<Size> {
    let mut size = MaybeUninit::<libc::winsize>::zeroed();
    // SAFETY: the request fills the structure, which is ours.
    check_unit(unsafe {
        libc::syscall(
            libc::SYS_ioctl,
            terminal.as_raw_fd(),
            libc::TIOCGWINSZ,
            size.as_mut_ptr(),
        )
    })?;
    // SAFETY: zeroed, then filled.
    let size = unsafe { size.assume_init() };
    Ok(Size {
        rows: size.ws_row,
        columns: size.ws_col,
    })
}

/// Gives a terminal its size; who reads it gets SIGWINCH.
///
/// # Errors
/// The kernel's.
pub fn set_size(terminal: BorrowedFd<'_>, size: Size) -> io::Result<()> {
    let size = libc::winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the request reads the structure, which is ours.
    check_unit(unsafe {
        libc::syscall(
            libc::SYS_ioctl,
            terminal.as_raw_fd(),
            libc::TIOCSWINSZ,
            &raw const size,
        )
    })
}

/// How a terminal treats what is typed and printed.
#[derive(Clone, Copy)]
pub struct Mode(libc::termios);

impl Mode {
    /// tcgetattr(3).
    ///
    /// # Errors
    /// The kernel's; `ENOTTY`: it is no terminal.
    pub fn of(terminal: BorrowedFd<'_>) -> io::Result<Self> {
        let mut mode = MaybeUninit::<libc::termios>::zeroed();
        // SAFETY: the call fills the structure, which is ours.
        check_unit(unsafe { libc::tcgetattr(terminal.as_raw_fd(), mode.as_mut_ptr()) }.into())?;
        // SAFETY: zeroed, then filled.
        Ok(Self(unsafe { mode.assume_init() }))
    }

    /// Each byte passes as it is.
    #[must_use]
    pub fn raw(mut self) -> Self {
        // SAFETY: the call changes the structure, which is ours.
        unsafe { libc::cfmakeraw(&raw mut self.0) };
        self
    }

    /// tcsetattr(3), at once.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set(&self, terminal: BorrowedFd<'_>) -> io::Result<()> {
        // SAFETY: the call reads the structure, which is ours.
        check_unit(
            unsafe { libc::tcsetattr(terminal.as_raw_fd(), libc::TCSANOW, &raw const self.0) }
                .into(),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::sys::file;

    #[test]
    fn a_terminal_has_two_sides_a_size_and_a_mode() {
        let master = file::openat(None, c"/dev/ptmx", libc::O_RDWR | libc::O_NOCTTY, 0).unwrap();
        let slave = open_peer(master.as_fd()).unwrap();
        let wanted = Size {
            rows: 33,
            columns: 111,
        };
        set_size(master.as_fd(), wanted).unwrap();
        assert_eq!(size(slave.as_fd()).unwrap(), wanted);
        let before = Mode::of(slave.as_fd()).unwrap();
        before.raw().set(slave.as_fd()).unwrap();
        let after = Mode::of(slave.as_fd()).unwrap();
        assert_ne!(before.0.c_lflag & libc::ECHO, 0);
        assert_eq!(after.0.c_lflag & libc::ECHO, 0);
        let pipe = std::io::pipe().unwrap();
        assert!(size(pipe.0.as_fd()).is_err());
    }
}
