//! What the kernel leaves to PID 1: mounts, modules, settings (design 3.1,
//! steps 1 to 4; `docs/boot.md`).
//!
//! Nothing here ends the boot. What fails is a problem, with its name, and the
//! next step is tried: a machine with half of it is more use than one without.

mod clock;
mod console;
mod disks;
mod hostname;
mod limits;
mod modules;
mod mounts;
mod resolv;
mod root;
mod volumes;

use std::fmt::Display;
use std::path::Path;

use crate::cmdline::Cmdline;
use crate::net::Links;

/// What the boot left behind for the rest.
#[derive(Debug, Default)]
pub struct Booted {
    /// The kernel command line.
    pub cmdline: Cmdline,
    /// What went wrong and did not stop it, a line each.
    pub problems: Vec<String>,
}

impl Booted {
    /// Notes the failure of `result` as a problem of `subject`.
    fn note<T, E: Display>(&mut self, subject: &str, result: Result<T, E>) -> Option<T> {
        result
            .inspect_err(|error| self.problems.push(format!("{subject}: {error}")))
            .ok()
    }
}

/// Makes the machine usable.
#[must_use]
pub fn run() -> Booted {
    let mut booted = Booted::default();
    process(&mut booted);
    // 1. A root in which containers can pivot, and what is mounted in it.
    let writable_root = booted.note("root", root::stack()).unwrap_or(true);
    mounts::run(&mut booted, writable_root);
    console::open(&mut booted);
    // 2. Nothing is written to the root any more.
    booted.note("root", root::seal());
    // 3. What the hardware needs.
    read_cmdline(&mut booted);
    modules::run(&mut booted);
    booted.note("disks", disks::name());
    // 4. Settings.
    settings(&mut booted);
    volumes::mount_all(&mut booted);
    booted
}

/// What a process gets from its parent, and PID 1 from nobody.
fn process(booted: &mut Booted) {
    // Fails where the kernel made it a leader already.
    let _leader_already = nix::unistd::setsid();
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    crate::sys::environment::set("PATH", PATH);
    booted.note("limits", limits::raise());
}

/// Where PID 1's children look for programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn read_cmdline(booted: &mut Booted) {
    if let Some(mut cmdline) = booted.note("/proc/cmdline", Cmdline::read()) {
        booted.problems.append(&mut cmdline.problems);
        booted.cmdline = cmdline;
    }
}

fn settings(booted: &mut Booted) {
    let hostname = hostname::set(booted.cmdline.hostname.as_deref());
    booted.note("hostname", hostname);
    booted.note("clock", clock::set());
    booted.note(
        "loopback",
        Links::open().and_then(|links| links.set_up("lo")),
    );
    booted.note(
        "resolv.conf",
        resolv::prepare(Path::new("/etc/resolv.conf")),
    );
    for error in hullkit_sysctl::apply(Path::new("/etc"), Path::new("/proc/sys")) {
        booted.problems.push(format!("sysctl: {error}"));
    }
}
