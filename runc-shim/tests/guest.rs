//! Containers in a real kernel with cgroup v2: boots a guest in QEMU once per
//! kernel, runs every case of `guest/cases` in it, and looks at what each
//! printed.
//!
//! Needs HULLKIT_KERNEL (one kernel, or several with `:` between) and
//! HULLKIT_RUNC_SHIM (the static program, whose architecture is the guest's,
//! with `qemu-agent` beside it); without them it is skipped. HULLKIT_BUSYBOX names a static busybox where
//! /bin/busybox is for another architecture, HULLKIT_MODULES kernel modules to
//! load (`:` between): with overlay's, overlays are tested too.

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
#[path = "guest/process.rs"]
mod process;
#[path = "guest/resources.rs"]
mod resources;
#[path = "guest/rootless.rs"]
mod rootless;
#[path = "guest/terminal.rs"]
mod terminal;

use std::env;
use std::path::PathBuf;

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
    cases.extend(process::all());
    cases.extend(resources::all());
    cases.extend(terminal::cases());
    cases.extend(commands::cases());
    cases.extend(rootless::all());
    cases.extend(escapes::all());
    cases.extend(crashes::all());
    cases.retain(|case| {
        only.as_ref()
            .is_none_or(|only| case.name.contains(only.as_str()))
    });
    let program = PathBuf::from(program);
    let initrd = machine::initrd(&program, &cases);
    for kernel in kernels.split(':') {
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
