//! The kernel asks for a module: `request_module()` starts `/init -q -- NAME`
//! (`kernel.modprobe`), with NAME an alias such as `fs-overlay` or
//! `net-pf-40`.

use std::ffi::OsString;
use std::process::ExitCode;

use nix::unistd;

use super::Modules;
use crate::Error;
use crate::cmdline::Cmdline;
use crate::klog::{self, Level, Line};

/// The name under which people may call it.
pub const NAME: &str = "modprobe";

/// Whether the kernel calls us so: `-q -- NAME`.
#[must_use]
pub fn is_call(args: &[OsString]) -> bool {
    matches!(args, [q, dashes, _] if q == "-q" && dashes == "--")
}

/// Loads what `args` names. Nothing is said about a name that is not there:
/// the kernel asks for many that no image has.
#[must_use]
pub fn main(args: &[OsString]) -> ExitCode {
    let quiet = args.iter().any(|arg| arg == "-q");
    let names = args
        .iter()
        .filter_map(|arg| arg.to_str())
        .filter(|arg| !arg.starts_with('-'));
    match load(names) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !quiet || matches!(error, Error::Os { .. }) {
                // There is no other place for a word from here.
                klog::open();
                Line::new(Level::Error, "init modprobe", "problem")
                    .with("error", error)
                    .write();
            }
            ExitCode::FAILURE
        }
    }
}

fn load<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), Error> {
    enter_root();
    let cmdline = Cmdline::read().map_err(Error::os("read", "/proc/cmdline"))?;
    let Some(modules) = Modules::open(&cmdline)? else {
        return Ok(());
    };
    for name in names {
        modules.load(name)?;
    }
    Ok(())
}

/// Steps onto what is mounted over the root. The kernel's helpers start in the
/// root that the kernel's threads have; should that be the bare initramfs,
/// then PID 1's mounts lie on top of it, and `..` of the root leads there.
fn enter_root() {
    if !std::path::Path::new("/proc/self").exists() && unistd::chroot("/..").is_ok() {
        let _still_there = unistd::chdir("/");
    }
}
