//! The system calls that have no safe wrapper, and signals.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::pty::Winsize;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::socket::{AddressFamily, SockaddrLike as _, SockaddrStorage};
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

/// Which side of a [`fork`] this is.
pub(crate) enum Fork {
    /// The new process.
    Child,
    /// The old one, and the new one's pid.
    Parent(Pid),
}

/// fork(2), for a process that has one thread.
pub(crate) fn fork() -> io::Result<Fork> {
    // SAFETY: callers have one thread, so the child may do whatever it likes.
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Child => Ok(Fork::Child),
        nix::unistd::ForkResult::Parent { child } => Ok(Fork::Parent(child)),
    }
}

/// Waits for a child; its failure is an error.
pub(crate) fn wait_for(child: Pid) -> io::Result<()> {
    match nix::sys::wait::waitpid(child, None)? {
        WaitStatus::Exited(_, 0) => Ok(()),
        other => Err(io::Error::other(format!("a child ended: {other:?}"))),
    }
}

/// Ends this process at once, without what the C library does at an exit.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: _exit(2) has no preconditions.
    unsafe { libc::_exit(code) }
}

/// A descriptor that this process was started with, or has; to be called once
/// for each.
pub(crate) fn owned(fd: RawFd) -> OwnedFd {
    // SAFETY: the caller says that nobody else has it; one that is not open is
    // an error of its first use.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Whether it is a unix socket.
pub(crate) fn is_unix(socket: &OwnedFd) -> io::Result<bool> {
    let address = nix::sys::socket::getsockname::<SockaddrStorage>(socket.as_raw_fd())?;
    Ok(address.family() == Some(AddressFamily::Unix))
}

/// Blocks SIGTERM in this thread and those that it starts from now on, and
/// returns it to be waited for. The first process of a pid namespace gets only
/// signals that it asked for, and a blocked one counts as asked for.
pub(crate) fn block_term() -> io::Result<SigSet> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGTERM);
    set.thread_block()?;
    Ok(set)
}

/// Sends the signal, by number, to a process; real-time ones too, which `nix`
/// has no names for.
pub(crate) fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: two numbers.
    if unsafe { libc::kill(pid, signal) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Sends the signal, by number, to this process.
pub(crate) fn raise(signal: &str) -> io::Result<()> {
    let number: i32 = signal.parse().map_err(io::Error::other)?;
    Ok(nix::sys::signal::raise(Signal::try_from(number)?)?)
}

/// The system call `number` with zeros for arguments.
pub(crate) fn syscall(number: i64) -> io::Result<()> {
    let zero: libc::c_long = 0;
    // SAFETY: the callers' numbers (the harness picks them) are calls for which
    // a null pointer is an error that the kernel reports.
    let result = unsafe { libc::syscall(number, zero, zero, zero, zero, zero, zero) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Takes a descriptor that came over a socket.
pub(crate) fn received(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just made it for us, and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Gives a terminal its size.
pub(crate) fn set_size(terminal: BorrowedFd<'_>, size: &Winsize) -> io::Result<()> {
    let size: *const Winsize = size;
    // SAFETY: the request reads the structure, which outlives the call.
    let result = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, size) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The command's program leads a session whose terminal is its standard input.
pub(crate) fn in_own_session(command: &mut Command) {
    let prepare = || {
        nix::unistd::setsid()?;
        // SAFETY: the request takes a number, no pointer.
        let result = unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    };
    // SAFETY: the closure makes system calls and nothing else.
    unsafe { command.pre_exec(prepare) };
}
