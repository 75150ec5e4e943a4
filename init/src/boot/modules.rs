//! Kernel modules at boot.

use std::fs;
use std::path::Path;

use hullkit_bundle::layout;

use super::{Booted, mounts};
use crate::Error;
use crate::modules::{Modules, coldplug, nodes};

/// Where the kernel learns whom to ask for a module.
const HELPER: &str = "/proc/sys/kernel/modprobe";

/// Loads what the hardware and the command line ask for, and has the kernel
/// ask us for the rest.
pub(super) fn run(booted: &mut Booted) {
    match Modules::open(&booted.cmdline) {
        Ok(Some(modules)) => {
            let told = fs::write(HELPER, layout::INIT).map_err(Error::os("write", HELPER));
            booted.note("modules", told);
            booted.note("modules", make_nodes(&modules));
            load(booted, &modules);
        }
        Ok(None) => none(booted),
        Err(error) => booted.problems.push(format!("modules: {error}")),
    }
}

fn load(booted: &mut Booted, modules: &Modules) {
    if booted.cmdline.coldplug {
        let loaded = coldplug::run(modules, Path::new("/sys"));
        if let Some(loaded) = booted.note("modules", loaded) {
            for error in loaded.failed {
                booted.problems.push(format!("modules: {error}"));
            }
        }
    }
    for name in booted.cmdline.modules.clone() {
        booted.note("hullkit.modules", modules.load(&name));
    }
    // A machine that was booted by EFI has the folder; the filesystem for it
    // is a module in many kernels.
    if Path::new(mounts::EFIVARS).exists() && modules.load("efivarfs").is_ok() {
        mounts::mount_efivars(booted);
    }
}

fn make_nodes(modules: &Modules) -> Result<(), Error> {
    nodes::make(&modules.devnames()?, Path::new("/dev"))
}

/// No modules for this kernel: right where all is built in, wrong where the
/// image has another kernel's.
fn none(booted: &mut Booted) {
    let others = fs::read_dir(layout::MODULES).is_ok_and(|mut entries| entries.next().is_some());
    if others {
        booted.problems.push(format!(
            "modules: {} has none for this kernel, only another's",
            layout::MODULES
        ));
    }
    for name in &booted.cmdline.modules {
        booted
            .problems
            .push(format!("hullkit.modules: {name}: the image has no modules"));
    }
}
