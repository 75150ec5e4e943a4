//! Containers in a real kernel with cgroup v2: boots a guest in QEMU once per
//! kernel, runs every case of `guest/cases` in it, and looks at what each
//! printed.
//!
//! Needs HULLKIT_KERNEL (one kernel, or several with `:` between) and
//! HULLKIT_RUNC_SHIM (the static program, whose architecture is the guest's,
//! with `qemu-agent` beside it); without them it is skipped. HULLKIT_BUSYBOX names a static busybox where
//! /bin/busybox is for another architecture, HULLKIT_MODULES a folder for each
//! kernel (`:` between) with its modules overlay and dummy: then overlays and
//! network devices are tested too. HULLKIT_CASE picks the cases that any of its
//! words is part of.

#[path = "guest/case.rs"]
mod case;
#[path = "guest/cases.rs"]
mod cases;
#[path = "guest/commands.rs"]
mod commands;
#[path = "guest/cpio.rs"]
mod cpio;
#[path = "guest/crashes.rs"]
mod crashes;
#[path = "guest/escapes.rs"]
mod escapes;
#[path = "guest/hooks.rs"]
mod hooks;
#[path = "guest/machine.rs"]
mod machine;
#[path = "guest/mounts.rs"]
mod mounts;
#[path = "guest/network.rs"]
mod network;
#[path = "guest/notify.rs"]
mod notify;
#[path = "guest/process.rs"]
mod process;
#[path = "guest/resources.rs"]
mod resources;
#[path = "guest/rootless.rs"]
mod rootless;
#[path = "guest/terminal.rs"]
mod terminal;

use std::env;
use std::path::{Path, PathBuf};

fn setting(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

#[test]
fn containers_in_a_guest() {
    let (Some(kernels), Some(program)) = (setting("HULLKIT_KERNEL"), setting("HULLKIT_RUNC_SHIM"))
    else {
        println!("skipped: HULLKIT_KERNEL and HULLKIT_RUNC_SHIM do not name files");
        return;
    };
    let only = setting("HULLKIT_CASE");
    let mut cases = cases::all();
    cases.extend(hooks::all());
    cases.extend(mounts::all());
    cases.extend(network::all());
    cases.extend(notify::all());
    cases.extend(process::all());
    cases.extend(resources::all());
    cases.extend(terminal::cases());
    cases.extend(commands::cases());
    cases.extend(rootless::all());
    cases.extend(escapes::all());
    cases.extend(crashes::all());
    cases.retain(|case| {
        let picks = |only: &String| only.split(' ').any(|word| case.name.contains(word));
        only.as_ref().is_none_or(picks)
    });
    let program = PathBuf::from(program);
    let modules = setting("HULLKIT_MODULES").unwrap_or_default();
    let mut modules = modules.split(':').filter(|folder| !folder.is_empty());
    for kernel in kernels.split(':') {
        let initrd = machine::initrd(&program, modules.next().map(Path::new), &cases);
        println!("kernel {kernel}");
        let console = machine::boot(&program, &PathBuf::from(kernel), &initrd, &["-m", "512"]);
        let failed: Vec<String> = cases
            .iter()
            .filter_map(|case| case.judge(&console).err())
            .collect();
        for f in &failed {
            println!("FAILED {f}");
        }
        assert!(failed.is_empty(), "{} cases on {kernel}", failed.len());
        println!("{} cases passed", cases.len());
    }
}
