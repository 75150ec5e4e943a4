//! Signals: masks, dispositions, and waiting for them.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

use super::file::owned;
use super::{check_int, check_unit};

/// The kernel's `sigset_t`: a bit per signal, 1 being the lowest.
const EVERY_SIGNAL: u64 = u64::MAX;

fn set_mask(mask: u64) -> io::Result<()> {
    let old = ptr::null_mut::<u64>();
    // SAFETY: a mask of the stated size; the old one is not wanted.
    check_unit(unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const mask,
            old,
            size_of::<u64>(),
        )
    })
}

/// The highest signal, `_NSIG` of the kernel.
const LAST_SIGNAL: i32 = 64;

/// The kernel's `struct sigaction` on x86_64 and aarch64, all zero: handler
/// `SIG_DFL`, no flags, no restorer, an empty mask.
const DEFAULT_ACTION: [u64; 4] = [0; 4];

/// Gives every signal its default disposition and blocks none: what a program
/// expects at its start. An ignored signal stays ignored across exec: SIGPIPE
/// by Rust, 32 and 33 by a caller's posix_spawn, SIGHUP by nohup. By the raw
/// call, because the C library's refuses the signals that it keeps for itself.
///
/// # Errors
/// The kernel's.
pub fn reset() -> io::Result<()> {
    let fixed = [libc::SIGKILL, libc::SIGSTOP];
    for signal in (1..=LAST_SIGNAL).filter(|s| !fixed.contains(s)) {
        set_action(signal, &DEFAULT_ACTION)?;
    }
    set_mask(0)
}

fn set_action(signal: i32, action: &[u64; 4]) -> io::Result<()> {
    let old = ptr::null_mut::<u64>();
    // SAFETY: an action of the kernel's layout that runs no code of ours, and
    // a mask of the stated size; the old action is not wanted.
    check_unit(unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal,
            action.as_ptr(),
            old,
            size_of::<u64>(),
        )
    })
}

/// Blocks every signal, so that [`descriptor`] can give them one by one.
///
/// # Errors
/// The kernel's.
pub fn block_all() -> io::Result<()> {
    set_mask(EVERY_SIGNAL)
}

/// signalfd(2): a descriptor from which blocked signals are read.
///
/// # Errors
/// The kernel's.
pub fn descriptor() -> io::Result<OwnedFd> {
    let mask = EVERY_SIGNAL;
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: a mask of the stated size.
    check_int(unsafe {
        libc::syscall(
            libc::SYS_signalfd4,
            -1,
            &raw const mask,
            size_of::<u64>(),
            flags,
        )
    })
    .map(owned)
}

/// The next signal of a [`descriptor`]; `None`: there is none now.
///
/// # Errors
/// The kernel's.
pub fn next(signals: BorrowedFd<'_>) -> io::Result<Option<i32>> {
    // `struct signalfd_siginfo`; the signal's number comes first.
    let mut info = [0u32; 32];
    // SAFETY: the buffer is ours and as long as stated.
    let read = check_int(unsafe {
        libc::syscall(
            libc::SYS_read,
            signals.as_raw_fd(),
            info.as_mut_ptr(),
            size_of_val(&info),
        )
    });
    match read {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(e) => Err(e),
        Ok(_) => Ok(info.first().and_then(|n| i32::try_from(*n).ok())),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;

    /// What a program sees as ignored that was born ignoring SIGHUP, 32 and 33.
    fn ignored_after(reset: fn() -> io::Result<()>) -> String {
        const IGNORE: [u64; 4] = [1, 0, 0, 0];
        let mut command = Command::new("grep");
        command.args(["SigIgn", "/proc/self/status"]);
        let prepare = move || {
            for signal in [libc::SIGHUP, 32, 33] {
                set_action(signal, &IGNORE)?;
            }
            reset()
        };
        // SAFETY: the closure makes system calls and nothing else.
        unsafe { command.pre_exec(prepare) };
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_whitespace().last().unwrap().to_owned()
    }

    #[test]
    fn no_signal_stays_ignored() {
        // Whoever runs the test may ignore more.
        let ignored = ignored_after(|| Ok(()));
        let ignored = u64::from_str_radix(&ignored, 16).unwrap();
        assert_eq!(ignored & 0x1_8000_0001, 0x1_8000_0001);
        assert_eq!(ignored_after(reset), "0000000000000000");
    }
}
