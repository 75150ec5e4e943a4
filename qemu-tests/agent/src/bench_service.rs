//! A service of the benchmark's images: as small as one can be, so that what is
//! measured is the system around it.
//!
//! ```text
//! bench-service           waits for SIGTERM
//! bench-service last      two seconds later writes what memory is used for to
//!                         the kernel log, has PID 1 power off, then waits
//! ```

mod kmsg;

use std::fs;
use std::io;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

fn main() -> ExitCode {
    match run(std::env::args().any(|arg| arg == "last")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-service: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(last: bool) -> io::Result<()> {
    let mut term = SigSet::empty();
    term.add(Signal::SIGTERM);
    term.thread_block()?;
    if last {
        thread::sleep(Duration::from_secs(2));
        // Where memory is measured, the command line says so; the least memory
        // that is enough is looked for without.
        if fs::read_to_string("/proc/cmdline")?.contains("meminfo") {
            kmsg::tell_memory()?;
        }
        kmsg::tell("/proc/1/status")?;
        // "Power off", by sysvinit's convention.
        kill(Pid::from_raw(1), Signal::SIGUSR2)?;
    }
    term.wait()?;
    Ok(())
}
