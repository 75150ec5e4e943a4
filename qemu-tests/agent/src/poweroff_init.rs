//! The least that an init can do, as the benchmark's floor: power off.
//!
//! With the word `meminfo` on the kernel's command line (the kernel hands
//! words that it does not know to init) it first writes what `/proc/meminfo`
//! says to the kernel log, as the step `kmsg` of the agent's `act` does.

use std::fs::{self, OpenOptions};
use std::io::Write;

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
    let mut log = OpenOptions::new().write(true).open("/dev/kmsg")?;
    for line in fs::read_to_string("/proc/meminfo")?.lines() {
        log.write_all(format!("act: /proc/meminfo: {line}\n").as_bytes())?;
    }
    Ok(())
}
