//! Signals by [`signalfd(2)`], real-time ones among them, which `nix` has no
//! names for.
//!
//! [`signalfd(2)`]: https://man7.org/linux/man-pages/man2/signalfd.2.html

use std::fs::File;
use std::io::{self, Read};
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Blocked signals that are read instead of caught.
#[derive(Debug)]
pub struct Signals(File);

impl Signals {
    /// Blocks `signals` in this thread and opens them for reading.
    ///
    /// # Errors
    /// A number is no signal's, or no descriptor is free.
    pub fn open(signals: &[i32]) -> io::Result<Self> {
        let set = set_of(signals)?;
        // SAFETY: `set` is initialized; a null old set is allowed.
        if unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) } < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `set` is initialized.
        let fd =
            unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor, for us alone.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }.into()))
    }

    /// The next signal that came in, if there is one. Never blocks.
    #[must_use]
    pub fn next(&self) -> Option<i32> {
        let mut info = [0; size_of::<libc::signalfd_siginfo>()];
        (&self.0).read_exact(&mut info).ok()?;
        // `ssi_signo` is the first field (signalfd(2)).
        let number = info.first_chunk().copied().map(u32::from_ne_bytes)?;
        i32::try_from(number).ok()
    }

    /// Blocks until a signal comes in, or for `timeout`.
    pub fn wait(&self, timeout: Option<Duration>) {
        let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
        let timeout = timeout.map_or(PollTimeout::NONE, |timeout| {
            PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX)
        });
        // Whatever ends it, the caller looks again.
        let _looks_again = poll(&mut fds, timeout);
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn set_of(signals: &[i32]) -> io::Result<libc::sigset_t> {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `set` is a valid place for a set; the call cannot fail.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    for &signal in signals {
        // SAFETY: `set` was initialized above; a bad number is an error.
        if unsafe { libc::sigaddset(set.as_mut_ptr(), signal) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    // SAFETY: `sigemptyset` initialized it.
    Ok(unsafe { set.assume_init() })
}

/// Sends the signal with the number `signal`, real-time signals among them, to
/// a process that may have gone.
pub fn send(process: nix::unistd::Pid, signal: i32) {
    // SAFETY: two numbers.
    unsafe { libc::kill(process.as_raw(), signal) };
}

/// The number of `SIGRTMIN+n` to those who send it: glibc's, which systemd and
/// the shells count from. Another C library of ours counts from another one.
#[must_use]
pub const fn real_time(n: i32) -> i32 {
    34 + n
}
