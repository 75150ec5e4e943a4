//! What is left of PID 1 after a mistake in it: a kernel panic would take the
//! machine and all its services along. After a first one PID 1 begins a new
//! life ([`crate::life`]). After a second one within seconds it is little more
//! than a reaper.
//!
//! The hook runs before a panic aborts the process, and never returns in PID 1,
//! so that there is nothing to abort.

use std::panic::PanicHookInfo;
use std::time::Duration;

use crate::event_loop::{Meaning, meaning_of, signal_numbers};
use crate::klog::{Level, Line};
use crate::life::cause::Cause;
use crate::shutdown;
use crate::sys::rebirth;
use crate::sys::signals::Signals;
use crate::sys::wait;

/// From now on a panic does not end PID 1.
pub fn install() {
    std::panic::set_hook(Box::new(after_panic));
}

fn after_panic(info: &PanicHookInfo<'_>) {
    Line::new(Level::Error, "init", "panic")
        .with("error", info)
        .write();
    if std::process::id() != 1 {
        // A child between fork and exec: it ends by itself.
        return;
    }
    let error = rebirth::begin_again(Cause::Panic);
    Line::new(Level::Error, "init", "problem")
        .with("error", format!("execute init: {error}"))
        .write();
    begin();
}

/// Says so, reaps, and ends the machine when a signal says so.
pub fn begin() -> ! {
    Line::new(Level::Error, "init", "minimal")
        .with("error", "services run on, unsupervised")
        .write();
    let signals = Signals::open(&signal_numbers()).ok();
    loop {
        while wait::reap(None).is_some() {}
        let Some(signals) = &signals else {
            // No descriptor is free: reap once in a while.
            std::thread::sleep(Duration::from_secs(1));
            continue;
        };
        signals.wait(None);
        while let Some(signal) = signals.next() {
            if let Some(Meaning::Shutdown(end)) = meaning_of(signal) {
                shutdown::run(end);
            }
        }
    }
}
