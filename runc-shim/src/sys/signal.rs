//! Signals: masks, dispositions, and waiting for them.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

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

/// Blocks no signal, and gives SIGPIPE (which Rust ignores) its default back:
/// what a program expects at its start.
///
/// # Errors
/// The kernel's.
pub fn reset() -> io::Result<()> {
    // SAFETY: the default disposition runs no code of ours.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    set_mask(0)
}

/// Blocks every signal, so that [`next`] can take them one by one.
///
/// # Errors
/// The kernel's.
pub fn block_all() -> io::Result<()> {
    set_mask(EVERY_SIGNAL)
}

/// rt_sigtimedwait(2) without a limit: the next signal.
///
/// # Errors
/// The kernel's.
pub fn next() -> io::Result<i32> {
    let mask = EVERY_SIGNAL;
    let mut info = MaybeUninit::<libc::siginfo_t>::uninit();
    let forever = ptr::null::<libc::timespec>();
    // SAFETY: a mask of the stated size, and an info that is ours.
    check_int(unsafe {
        libc::syscall(
            libc::SYS_rt_sigtimedwait,
            &raw const mask,
            info.as_mut_ptr(),
            forever,
            size_of::<u64>(),
        )
    })
}
