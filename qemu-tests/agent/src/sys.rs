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

/// clone3(2) into new namespaces of every kind that a container has by default.
pub(crate) fn clone_into_namespaces() -> io::Result<Fork> {
    let kinds = libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWCGROUP;
    let signal = u64::from(libc::SIGCHLD.unsigned_abs());
    let arguments: [u64; 11] = [
        u64::from(kinds.unsigned_abs()),
        0,
        0,
        0,
        signal,
        0,
        0,
        0,
        0,
        0,
        0,
    ];
    let size = size_of_val(&arguments);
    // SAFETY: the layout of `struct clone_args`; callers have one thread, and
    // without `CLONE_VM` the child has its own copy of everything.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, arguments.as_ptr(), size) };
    match i32::try_from(pid).map_err(io::Error::other)? {
        0 => Ok(Fork::Child),
        pid if pid > 0 => Ok(Fork::Parent(Pid::from_raw(pid))),
        _ => Err(io::Error::last_os_error()),
    }
}

/// wait4(2): how a child ended, and the most memory that it, or a child that it
/// waited for, ever held, in kB.
pub(crate) fn wait_with_usage(child: Pid) -> io::Result<(i32, i64)> {
    let mut status = 0;
    // SAFETY: a structure of numbers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both are ours, and filled by the kernel.
    let result = unsafe { libc::wait4(child.as_raw(), &raw mut status, 0, &raw mut usage) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((status, usage.ru_maxrss))
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

/// A request of seccomp_unotify(2), which reads and writes what it points to.
fn listener_request(
    listener: BorrowedFd<'_>,
    request: u8,
    size: usize,
    to: *mut libc::c_void,
) -> io::Result<()> {
    // _IOWR('!', request, size) of <asm-generic/ioctl.h>.
    let request = (3 << 30) | ((size as u64) << 16) | (u64::from(b'!') << 8) | u64::from(request);
    // SAFETY: the callers' pointers are to structures of that size.
    let result = unsafe { libc::syscall(libc::SYS_ioctl, listener.as_raw_fd(), request, to) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The next call that waits for a decision.
pub(crate) fn receive_call(listener: BorrowedFd<'_>) -> io::Result<libc::seccomp_notif> {
    // SAFETY: a structure of numbers, for which zeros are what the kernel asks for.
    let mut call: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    listener_request(listener, 0, size_of_val(&call), (&raw mut call).cast())?;
    Ok(call)
}

/// Lets a call fail with this error number, or through.
pub(crate) fn answer_call(
    listener: BorrowedFd<'_>,
    id: u64,
    error: i32,
    through: bool,
) -> io::Result<()> {
    let mut answer = libc::seccomp_notif_resp {
        id,
        val: 0,
        error: -error,
        flags: u32::from(through),
    };
    listener_request(listener, 1, size_of_val(&answer), (&raw mut answer).cast())
}

/// Whether a call still waits.
pub(crate) fn call_waits(listener: BorrowedFd<'_>, id: u64) -> bool {
    // _IOW('!', 2, __u64)
    let request = (1 << 30) | (8 << 16) | (u64::from(b'!') << 8) | 2u64;
    let id: *const u64 = &raw const id;
    // SAFETY: the request reads a number.
    unsafe { libc::syscall(libc::SYS_ioctl, listener.as_raw_fd(), request, id) == 0 }
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
