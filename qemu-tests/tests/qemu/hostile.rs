//! A container that tries to get out, or at what is not its own.

use agent_protocol::{Answer, Op};
use anyhow::{Result, bail, ensure};
use qemu_tests::case::{ARCHES, Case};
use qemu_tests::guest::{Guest, Probe};

pub(crate) const CASES: &[Case] = &[
    Case::shared(
        "hostile::no_mounts_devices_or_namespaces",
        WALLED,
        no_mounts_devices,
    )
    .on(ARCHES),
    Case::shared("hostile::system_calls_are_filtered", FILTERED, filtered).on(ARCHES),
    Case::shared("hostile::kernel_files_are_masked", MASKED, masked),
    Case::shared("hostile::links_do_not_lead_out", LINKED, links),
    Case::shared("hostile::root_with_capabilities_stays_in", MIGHTY, mighty),
];

const EPERM: i32 = 1;
const EACCES: i32 = 13;
const EROFS: i32 = 30;
const ENOSYS: i32 = 38;

fn text(text: &str) -> String {
    text.to_owned()
}

const WALLED: &str = r#"
services:
  - name: walled
    image: @PROBE
    command: ["/bin/probe", "probe", "walled"]
"#;

fn no_mounts_devices(guest: &Guest) -> Result<()> {
    let probe = guest.probe("walled")?;
    probe.refused(&mknod("/tmp/mem"), &[EPERM])?;
    for (fstype, flags) in [
        ("tmpfs", vec![]),
        ("proc", vec![]),
        ("", vec![text("bind")]),
    ] {
        let op = Op::Mount {
            source: text("/etc"),
            target: text("/tmp"),
            fstype: text(fstype),
            flags,
        };
        probe.refused(&op, &[EPERM])?;
    }
    let target = text("/proc");
    probe.refused(&Op::Umount { target }, &[EPERM])?;
    for namespace in ["user", "mnt", "net", "pid", "uts", "ipc", "cgroup"] {
        let namespace = text(namespace);
        probe.refused(&Op::Unshare { namespace }, &[EPERM])?;
    }
    let path = text("/proc/self/ns/mnt");
    probe.refused(&Op::Setns { path }, &[EPERM])?;
    let name = text("taken");
    probe.refused(&Op::Sethostname { name }, &[EPERM])?;
    let path = text("/tmp");
    probe.refused(&Op::Chroot { path }, &[EPERM])?;
    probe.refused(&Op::Reboot, &[EPERM])
}

fn mknod(path: &str) -> Op {
    // /dev/mem
    Op::Mknod {
        path: text(path),
        major: 1,
        minor: 1,
    }
}

const FILTERED: &str = r#"
services:
  - name: filtered
    image: @PROBE
    command: ["/bin/probe", "probe", "filtered"]
    security: linuxkit
  - name: filtered-too
    image: @PROBE
    command: ["/bin/probe", "probe", "filtered-too"]
"#;

/// Calls that no container needs and that fail otherwise without a filter:
/// (name, x86_64's number, aarch64's number).
const CALLS: [(&str, i64, i64); 6] = [
    ("keyctl", 250, 219),
    ("add_key", 248, 217),
    ("bpf", 321, 280),
    ("userfaultfd", 323, 282),
    ("kexec_load", 246, 104),
    ("open_by_handle_at", 304, 265),
];

fn filtered(guest: &Guest) -> Result<()> {
    let number = |(_, x86, arm): (&str, i64, i64)| match guest.target.arch {
        hull::arch::Arch::X86_64 => x86,
        hull::arch::Arch::Aarch64 => arm,
    };
    let probe = guest.probe("filtered-too")?;
    ensure!(probe.proc_status("Seccomp")? == "2");
    for call in CALLS {
        probe.refused(
            &Op::Syscall {
                number: number(call),
            },
            &[EPERM, ENOSYS],
        )?;
    }
    // LinuxKit's result has no filter, so keyctl(0) gets through to the kernel:
    // KEYCTL_GET_KEYRING_ID of key 0 is a bad argument there.
    let unfiltered = guest.probe("filtered")?;
    ensure!(unfiltered.proc_status("Seccomp")? == "0");
    let keyctl = Op::Syscall {
        number: number(CALLS[0]),
    };
    match unfiltered.try_ask(&keyctl)? {
        Answer::Failed {
            errno: Some(EPERM | ENOSYS),
            ..
        } => bail!("keyctl is refused without a filter: the case shows nothing"),
        _ => Ok(()),
    }
}

const MASKED: &str = r#"
services:
  - name: masked
    image: @PROBE
    command: ["/bin/probe", "probe", "masked"]
"#;

fn masked(guest: &Guest) -> Result<()> {
    let probe = guest.probe("masked")?;
    for path in ["/proc/kcore", "/proc/keys", "/proc/timer_list"] {
        match probe.try_ask(&Op::Read { path: text(path) })? {
            Answer::Failed {
                errno: Some(EPERM | EACCES | 2),
                ..
            } => {}
            Answer::Text { text } if text.is_empty() => {}
            other => bail!("{path}: {other:?}"),
        }
    }
    for path in [
        "/proc/sysrq-trigger",
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/hostname",
        "/sys/kernel/mm/transparent_hugepage/enabled",
        "/sys/fs/cgroup/cgroup.procs",
    ] {
        let op = Op::Write {
            path: text(path),
            text: text("h"),
        };
        probe.refused(&op, &[EROFS, EACCES, EPERM])?;
    }
    Ok(())
}

const LINKED: &str = r#"
services:
  - name: linked
    image: @PROBE
    command: ["/bin/probe", "probe", "linked"]
"#;

/// `/data/out` is a link to `../../../../etc`.
fn links(guest: &Guest) -> Result<()> {
    let probe = guest.probe("linked")?;
    probe.ask(&Op::Write {
        path: text("/data/out/hostile"),
        text: text("x"),
    })?;
    ensure!(probe.read("/etc/hostile")? == "x");
    match guest.try_ask(&Op::Stat {
        path: text("/host/etc/hostile"),
    })? {
        Answer::Failed { errno: Some(2), .. } => {}
        other => bail!("it is in the guest's /etc: {other:?}"),
    }
    // Its own root is what its /proc shows, and nothing above it.
    let Answer::Names { names } = probe.ask(&Op::List {
        path: text("/proc/1/root/../../.."),
    })?
    else {
        bail!("no names");
    };
    ensure!(!names.iter().any(|name| name == "containers"), "{names:?}");
    Ok(())
}

const MIGHTY: &str = r#"
services:
  - name: mighty
    image: @PROBE
    command: ["/bin/probe", "probe", "mighty"]
    capabilities: [all]
"#;

/// Capabilities are a lot, but not the guest's processes, files and cgroups.
fn mighty(guest: &Guest) -> Result<()> {
    let probe = guest.probe("mighty")?;
    let Answer::Processes { processes } = probe.ask(&Op::Processes)? else {
        bail!("no processes");
    };
    ensure!(processes.len() == 1, "{processes:?}");
    unmount_everything(&probe)?;
    let Answer::Names { names } = probe.ask(&Op::List { path: text("/") })? else {
        bail!("no names");
    };
    ensure!(!names.iter().any(|name| name == "containers"), "{names:?}");
    // The guest's own mounts are all there still.
    let mounts = guest.mounts(1)?;
    for place in ["/proc", "/sys", "/dev", "/run"] {
        ensure!(mounts.iter().any(|mount| mount.target == place), "{place}");
    }
    Ok(())
}

/// Below what a container has mounted there must be nothing of the guest.
fn unmount_everything(probe: &Probe<'_>) -> Result<()> {
    for target in ["/sys/fs/cgroup", "/sys", "/dev/pts", "/dev"] {
        let target = text(target);
        probe.ask(&Op::Umount { target })?;
    }
    let Answer::Names { names } = probe.ask(&Op::List { path: text("/sys") })? else {
        bail!("no names");
    };
    ensure!(names.is_empty(), "{names:?}");
    Ok(())
}
