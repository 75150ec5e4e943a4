//! PID 1, from its first instruction to the machine's end.

use std::path::Path;
use std::process::ExitCode;

use crate::{boot, event_loop, klog, plan, shutdown};

/// Runs the machine. Returns only where `reboot(2)` fails, to a kernel that
/// then panics.
pub fn main() -> ExitCode {
    let booted = boot::run();
    klog::open();
    let plan = plan::load(Path::new("/"));
    let end = event_loop::run(booted, plan);
    shutdown::run(end);
    ExitCode::FAILURE
}
