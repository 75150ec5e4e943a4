//! Reaping, [`waitpid(2)`]. Not `nix`'s: that returns an error in place of a
//! child which was ended by a real-time signal, and has reaped it by then.
//!
//! [`waitpid(2)`]: https://man7.org/linux/man-pages/man2/waitpid.2.html

use nix::unistd::Pid;

use crate::supervise::How;

/// Reaps a child that has ended, any or this one, if there is one. Never blocks.
#[must_use]
pub fn reap(child: Option<Pid>) -> Option<(Pid, How)> {
    let mut status = 0;
    let which = child.map_or(-1, Pid::as_raw);
    // SAFETY: `status` is a valid place for the result.
    let pid = unsafe { libc::waitpid(which, &raw mut status, libc::WNOHANG) };
    if pid <= 0 {
        return None;
    }
    let how = if libc::WIFSIGNALED(status) {
        How::Signaled(libc::WTERMSIG(status))
    } else {
        How::Exited(libc::WEXITSTATUS(status))
    };
    Some((Pid::from_raw(pid), how))
}

/// Whether `pid` is a child of ours that nobody has reaped.
#[must_use]
pub fn is_child(pid: Pid) -> bool {
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    let Ok(id) = libc::id_t::try_from(pid.as_raw()) else {
        return false;
    };
    // SAFETY: no result is asked for, which Linux allows.
    unsafe { libc::waitid(libc::P_PID, id, std::ptr::null_mut(), flags) == 0 }
}

/// Whether there is a child at all, ended or not.
#[must_use]
pub fn has_children() -> bool {
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: no result is asked for, which Linux allows.
    unsafe { libc::waitid(libc::P_ALL, 0, std::ptr::null_mut(), flags) == 0 }
}
