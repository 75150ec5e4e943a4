//! The least that an init can do, as the benchmark's floor: power off.
//!
//! With the word `meminfo` on the kernel's command line (the kernel hands
//! words that it does not know to init) it first writes what `/proc/meminfo`
//! says to the kernel log, as `bench-service` does.

mod kmsg;

use std::fs;
use std::thread;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};

fn main() {
    if std::env::args().any(|arg| arg == "meminfo")
        && let Err(e) = print_meminfo()
    {
        eprintln!("floor: {e}");
    }
    // It comes back only when it failed; PID 1's end is a panic that shows it.
    let failed = reboot(RebootMode::RB_POWER_OFF);
    eprintln!("floor: reboot: {failed:?}");
}

fn print_meminfo() -> std::io::Result<()> {
    for (fstype, target) in [("proc", "/proc"), ("devtmpfs", "/dev")] {
        fs::create_dir_all(target)?;
        mount(
            Some(fstype),
            target,
            Some(fstype),
            MsFlags::empty(),
            None::<&str>,
        )?;
    }
    // What the kernel still sets up by itself behind its init's start, tracefs
    // on 6.1 for one, is the kernel's in a system's figures as well: those are
    // taken two seconds after its start.
    thread::sleep(Duration::from_secs(2));
    kmsg::tell_memory()
}
