//! One static binary, several programs by the name it is called by: `/init` is
//! PID 1, `hullctl` the control client, `hullkit-log` the log process,
//! `hullkit-uevent` the one that loads modules for new devices, `hullkit-probe`
//! the one that looks into a service, `hullkit-hand-over` the one that gives it
//! descriptors, `hullkit-console` the emergency console,
//! `modprobe` (or
//! `/init` as the kernel calls it) the one that loads a module by name.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use hullkit_init::modules::modprobe;
use hullkit_init::{console, event_loop, hand_over, hullctl, log, pid1, probe, ready, uevent};

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    match name(&args) {
        "hullctl" => hullctl::main(args.get(1..).unwrap_or_default()),
        log::NAME => log::main(),
        uevent::NAME => uevent::main(args.get(1..).unwrap_or_default()),
        probe::NAME => probe::main(args.get(1..).unwrap_or_default()),
        hand_over::NAME => hand_over::main(args.get(1..).unwrap_or_default()),
        ready::NAME => ready::main(args.get(1..).unwrap_or_default()),
        console::NAME => console::main(args.get(1..).unwrap_or_default()),
        modprobe::NAME => modprobe::main(args.get(1..).unwrap_or_default()),
        _ if std::process::id() == 1 => pid1::main(&args),
        _ if args.get(1).is_some_and(|arg| arg == event_loop::CHECK) => pid1::check_state(),
        // The kernel asks for a module.
        _ if modprobe::is_call(args.get(1..).unwrap_or_default()) => {
            modprobe::main(args.get(1..).unwrap_or_default())
        }
        _ => hullctl::main(args.get(1..).unwrap_or_default()),
    }
}

/// The last component of the name that we were called by.
fn name(args: &[OsString]) -> &str {
    args.first()
        .and_then(|arg| Path::new(arg).file_name())
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}
