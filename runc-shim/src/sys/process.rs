//! Processes: execve(2), prlimit(2), waitid(2), pidfd_send_signal(2) and kin.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::time::Instant;

use super::file::owned;
use super::{check_int, check_unit};

/// A list of C strings as execve(2) wants it, made before the clone.
#[derive(Clone, Debug)]
pub struct StringList {
    // The pointers below point into these, which are never touched again.
    strings: Vec<CString>,
    pointers: Vec<*const libc::c_char>,
}

impl StringList {
    /// Takes the strings.
    #[must_use]
    pub fn new(strings: Vec<CString>) -> Self {
        let pointers = strings
            .iter()
            .map(|s| s.as_ptr())
            .chain([ptr::null()])
            .collect();
        Self { strings, pointers }
    }

    /// The strings.
    #[must_use]
    pub fn strings(&self) -> &[CString] {
        &self.strings
    }
}

/// execve(2). Returns only the error.
#[must_use]
pub fn exec(path: &CStr, arguments: &StringList, environment: &StringList) -> io::Error {
    // SAFETY: the lists are null-terminated and own what they point to.
    unsafe {
        libc::syscall(
            libc::SYS_execve,
            path.as_ptr(),
            arguments.pointers.as_ptr(),
            environment.pointers.as_ptr(),
        )
    };
    io::Error::last_os_error()
}

/// execveat(2) of an open file. Returns only the error.
#[must_use]
pub fn exec_file(
    file: BorrowedFd<'_>,
    arguments: &StringList,
    environment: &StringList,
) -> io::Error {
    // SAFETY: the lists are null-terminated and own what they point to.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            c"".as_ptr(),
            arguments.pointers.as_ptr(),
            environment.pointers.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    io::Error::last_os_error()
}

/// _exit(2): ends the process and runs nothing on the way.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: it takes no pointers and does not return.
    unsafe { libc::_exit(code) }
}

/// getpid(2).
#[must_use]
pub fn own_id() -> i32 {
    // SAFETY: no pointers, cannot fail.
    unsafe { libc::getpid() }
}

/// chroot(2) to the current directory.
///
/// # Errors
/// The kernel's.
pub fn change_root_to_cwd() -> io::Result<()> {
    // SAFETY: the path is a static C string.
    check_unit(unsafe { libc::syscall(libc::SYS_chroot, c".".as_ptr()) })
}

/// setsid(2).
///
/// # Errors
/// The kernel's.
pub fn new_session() -> io::Result<()> {
    // SAFETY: no pointers.
    check_unit(unsafe { libc::syscall(libc::SYS_setsid) })
}

/// keyctl(2): an own, empty session keyring.
///
/// # Errors
/// The kernel's; `ENOSYS`: built without keys.
pub fn new_session_keyring() -> io::Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: i32 = 1;
    let name = ptr::null::<libc::c_char>();
    // SAFETY: a null name asks for an anonymous keyring.
    check_unit(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name) })
}

/// prlimit(2): sets a limit of the process `pid`, 0 being ourselves.
///
/// # Errors
/// The kernel's.
pub fn set_limit(pid: i32, resource: u32, soft: u64, hard: u64) -> io::Result<()> {
    let limit: [u64; 2] = [soft, hard];
    let old = ptr::null_mut::<u64>();
    // SAFETY: `limit` has the layout of `struct rlimit64`; no old one is wanted.
    check_unit(unsafe { libc::syscall(libc::SYS_prlimit64, pid, resource, limit.as_ptr(), old) })
}

/// pidfd_open(2).
///
/// # Errors
/// The kernel's; `ESRCH`: there is no such process.
pub fn open_pid(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    check_int(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) }).map(owned)
}

/// pidfd_getfd(2): a copy of another process's descriptor.
///
/// # Errors
/// The kernel's; `EPERM`: we may not trace the process.
pub fn take_descriptor(process: BorrowedFd<'_>, number: i32) -> io::Result<OwnedFd> {
    let process = process.as_raw_fd();
    // SAFETY: no pointers.
    check_int(unsafe { libc::syscall(libc::SYS_pidfd_getfd, process, number, 0) }).map(owned)
}

/// pidfd_send_signal(2).
///
/// # Errors
/// The kernel's; `ESRCH`: it has ended.
pub fn send_signal(process: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let info = ptr::null::<libc::siginfo_t>();
    // SAFETY: without an info the kernel fills in that of kill(2).
    check_unit(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_raw_fd(),
            signal,
            info,
            0,
        )
    })
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl End {
    /// As a shell tells it: the code, or 128 and the signal.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

/// waitid(2): waits for a child's end, and takes it.
///
/// # Errors
/// The kernel's.
pub fn wait(process: BorrowedFd<'_>) -> io::Result<End> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let none = ptr::null_mut::<libc::rusage>();
    // SAFETY: the kernel fills `info`, which is ours.
    check_unit(unsafe {
        libc::syscall(
            libc::SYS_waitid,
            libc::P_PIDFD,
            process.as_raw_fd(),
            info.as_mut_ptr(),
            libc::WEXITED,
            none,
        )
    })?;
    // SAFETY: zeroed, then filled.
    let info = unsafe { info.assume_init() };
    // SAFETY: waitid fills the fields of SIGCHLD.
    let status = unsafe { info.si_status() };
    Ok(if info.si_code == libc::CLD_EXITED {
        End::Code(status)
    } else {
        End::Signal(status)
    })
}

/// poll(2) on one descriptor for `events`; `None` waits for ever. Whether
/// something came.
///
/// # Errors
/// The kernel's.
pub fn poll(fd: BorrowedFd<'_>, events: i16, timeout_ms: Option<i32>) -> io::Result<bool> {
    let mut entry = libc::pollfd {
        fd: fd.as_raw_fd(),
        events,
        revents: 0,
    };
    // SAFETY: one entry, as stated.
    check_int(unsafe { libc::poll(&raw mut entry, 1, timeout_ms.unwrap_or(-1)) }.into())
        .map(|n| n > 0)
}

/// poll(2) on several descriptors, each for its events; what came of each is
/// the result. `None` waits for ever.
///
/// # Errors
/// The kernel's.
pub fn poll_all<const N: usize>(
    entries: [(Option<BorrowedFd<'_>>, i16); N],
    timeout_ms: Option<i32>,
) -> io::Result<[i16; N]> {
    let mut entries = entries.map(|(fd, events)| libc::pollfd {
        // The kernel passes over negative ones.
        fd: fd.filter(|_| events != 0).map_or(-1, |fd| fd.as_raw_fd()),
        events,
        revents: 0,
    });
    let count = entries.len() as libc::nfds_t;
    // SAFETY: as many entries as stated.
    check_int(unsafe { libc::poll(entries.as_mut_ptr(), count, timeout_ms.unwrap_or(-1)) }.into())?;
    Ok(entries.map(|entry| entry.revents))
}

/// [`poll`] until a point in time, whatever signals come between.
///
/// # Errors
/// The kernel's.
pub fn poll_until(fd: BorrowedFd<'_>, events: i16, deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // Rounded up, so that it does not spin through the last millisecond.
        let left = i32::try_from(left.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
        match poll(fd, events, Some(left)) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
