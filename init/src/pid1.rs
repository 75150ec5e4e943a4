//! PID 1, from its first instruction to the machine's end.

use std::path::Path;
use std::process::ExitCode;

use crate::klog::Line;
use crate::{boot, event_loop, klog, last_resort, plan, shutdown};

/// Runs the machine. Returns only where there is no system to run or where
/// `reboot(2)` fails, to a kernel that then panics.
pub fn main() -> ExitCode {
    let started = event_loop::now();
    last_resort::install();
    // 0. A system that is whole, on a disk if need be.
    if let Err(error) = boot::find_system() {
        Line::new(klog::Level::Error, "init", "no-system")
            .with("error", error)
            .write();
        return ExitCode::FAILURE;
    }
    // 1. What the kernel leaves to us: mounts, modules, settings.
    let booted = boot::run();
    klog::open();
    // 2. What the image wants to run.
    let plan = plan::load(Path::new("/"));
    // 3. It runs, until somebody wants the machine to end.
    let end = event_loop::run(started, booted, plan);
    // 4. Nothing is written any more when the power goes.
    shutdown::run(end);
    ExitCode::FAILURE
}
