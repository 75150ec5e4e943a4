//! The machine's end, after the last entry has ended. Each step has its bound:
//! a dead disk must not keep the machine from its end.

mod mounts;

use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::klog::{Level, Line};
use crate::supervise::End;
use crate::sys::signals::Signals;
use crate::sys::wait;

/// How long killed processes have to be gone.
const KILL_TIMEOUT: Duration = Duration::from_secs(2);

/// How long disks have to take what is not written yet.
const UNMOUNT_TIMEOUT: Duration = Duration::from_secs(20);

/// Ends the machine. Returns only where the kernel does not let us.
pub fn run(end: End) {
    // 1. Nobody writes any more.
    kill_all();
    // 2. Nothing is left to be written.
    unmount_in_time();
    // 3. The last word.
    Line::new(Level::Info, "init", end.as_str()).write();
    // 4. The end.
    let mode = match end {
        End::Poweroff => RebootMode::RB_POWER_OFF,
        End::Reboot => RebootMode::RB_AUTOBOOT,
        End::Halt => RebootMode::RB_HALT_SYSTEM,
        End::Kexec => RebootMode::RB_KEXEC,
    };
    let Err(error) = reboot(mode);
    if end == End::Kexec {
        // No kernel is loaded, or this one cannot do it.
        let _fails_too = reboot(RebootMode::RB_AUTOBOOT);
    }
    Line::new(Level::Error, "init", "problem")
        .with("error", format!("reboot: {error}"))
        .write();
}

/// Kills every process but us: the log process, and whatever has left its
/// container's cgroup.
fn kill_all() {
    let signals = Signals::open(&[libc::SIGCHLD]).ok();
    // Fails where there is nobody else.
    let _nobody = kill(Pid::from_raw(-1), Signal::SIGKILL);
    let deadline = Instant::now() + KILL_TIMEOUT;
    loop {
        while wait::reap(None).is_some() {}
        let left = deadline.saturating_duration_since(Instant::now());
        if !wait::has_children() || left.is_zero() {
            return;
        }
        match &signals {
            Some(signals) => {
                signals.wait(Some(left));
                while signals.next().is_some() {}
            }
            // No descriptor is free to wait with.
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// Unmounts in a thread, as neither `umount2(2)` nor `sync(2)` can be told
/// when to give up.
fn unmount_in_time() {
    let (done, is_done) = mpsc::channel();
    let worker = std::thread::Builder::new().spawn(move || {
        mounts::unmount_all();
        nix::unistd::sync();
        // Nobody listens any more when this took too long.
        let _too_late = done.send(());
    });
    if worker.is_err() {
        // No memory for a thread: the only step that has no bound then.
        mounts::unmount_all();
        nix::unistd::sync();
    } else if is_done.recv_timeout(UNMOUNT_TIMEOUT).is_err() {
        Line::new(Level::Error, "init", "problem")
            .with("error", "disks did not take their data in time")
            .write();
    }
}
