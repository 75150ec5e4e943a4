//! What may be written where.

use agent_protocol::{Answer, Mount, Op};
use anyhow::{Context, Result, bail, ensure};
use qemu_tests::case::{Case, KERNELS};
use qemu_tests::guest::Guest;

pub(crate) const CASES: &[Case] = &[
    Case::shared("root::is_read_only", "", is_read_only).on(KERNELS),
    Case::shared("root::tmpfs_places", "", tmpfs_places).on(KERNELS),
    Case::shared(
        "root::writable_container_has_an_overlay",
        WRITABLE,
        writable,
    )
    .on(KERNELS),
    Case::shared("root::readonly_container", READONLY, readonly),
    Case::shared(
        "root::mount_points_are_made_by_the_build",
        POINTS,
        mount_points,
    ),
];

const EROFS: i32 = 30;

fn write(path: &str) -> Op {
    Op::Write {
        path: path.to_owned(),
        text: "x".to_owned(),
    }
}

/// The mount on top of `target`, as process 1 sees it.
fn top_mount(guest: &Guest, target: &str) -> Result<Mount> {
    let mounts = guest.mounts(1)?;
    mounts
        .into_iter()
        .rev()
        .find(|mount| mount.target == target)
        .with_context(|| format!("nothing is mounted on {target}"))
}

fn is_read_only(guest: &Guest) -> Result<()> {
    let root = top_mount(guest, "/")?;
    ensure!(root.options.iter().any(|o| o == "ro"), "{root:?}");
    for path in [
        "/host/x",
        "/host/etc/x",
        "/host/init",
        "/host/usr/bin/runc-shim",
        "/host/containers/services/agent/config.json",
        "/host/containers/services/x",
        "/host/lib/modules/x",
    ] {
        match guest.try_ask(&write(path))? {
            Answer::Failed {
                errno: Some(EROFS), ..
            } => {}
            // A program that runs cannot be written, whatever the mount says.
            Answer::Failed {
                errno: Some(26), ..
            } => {}
            other => bail!("{path} could be written: {other:?}"),
        }
    }
    Ok(())
}

fn tmpfs_places(guest: &Guest) -> Result<()> {
    for place in ["/run", "/tmp", "/var"] {
        let mount = top_mount(guest, place)?;
        ensure!(mount.fstype == "tmpfs", "{mount:?}");
        for option in ["rw", "nosuid", "nodev"] {
            ensure!(
                mount.options.iter().any(|o| o == option),
                "{option}: {mount:?}"
            );
        }
        let path = format!("/host{place}/written-by-a-test");
        guest.ask(&write(&path))?;
        guest.ask(&Op::Remove { path })?;
    }
    for (place, fstype, options) in [
        ("/proc", "proc", &["nosuid", "nodev", "noexec"][..]),
        ("/sys", "sysfs", &["nosuid", "nodev", "noexec"]),
        ("/dev", "devtmpfs", &["nosuid"]),
        ("/dev/pts", "devpts", &["nosuid", "noexec"]),
        ("/dev/shm", "tmpfs", &["nosuid", "nodev"]),
        ("/sys/fs/cgroup", "cgroup2", &["nosuid", "nodev", "noexec"]),
    ] {
        let mount = top_mount(guest, place)?;
        ensure!(mount.fstype == fstype, "{mount:?}");
        for option in options {
            ensure!(
                mount.options.iter().any(|o| o == option),
                "{option}: {mount:?}"
            );
        }
    }
    let cgroup = top_mount(guest, "/sys/fs/cgroup")?;
    for option in ["nsdelegate", "memory_recursiveprot"] {
        ensure!(
            cgroup.super_options.iter().any(|o| o == option),
            "{option}: {cgroup:?}"
        );
    }
    Ok(())
}

const WRITABLE: &str = r#"
services:
  - name: writable
    image: @PROBE
    command: ["/bin/probe", "probe", "writable"]
"#;

fn writable(guest: &Guest) -> Result<()> {
    let probe = guest.probe("writable")?;
    for path in ["/new", "/etc/lower", "/etc/new"] {
        probe.ask(&write(path))?;
        ensure!(probe.read(path)? == "x");
    }
    // The image's own file is what it was.
    let bundle = "/host/containers/services/writable";
    ensure!(guest.read(&format!("{bundle}/lower/etc/lower"))? == "of the image\n");
    // Each start begins with the image's files.
    guest.hullctl(&["restart", "writable"])?;
    let probe = guest.probe("writable")?;
    ensure!(probe.read("/etc/lower")? == "of the image\n");
    probe.refused(
        &Op::Stat {
            path: "/new".to_owned(),
        },
        &[2],
    )
}

const READONLY: &str = r#"
services:
  - name: sealed
    image: @PROBE
    command: ["/bin/probe", "probe", "sealed"]
    readonly: true
    tmpfs: ["/tmp:size=1m"]
    binds: ["/run:/run:ro"]
"#;

fn readonly(guest: &Guest) -> Result<()> {
    let probe = guest.probe("sealed")?;
    for path in [
        "/new",
        "/etc/lower",
        "/bin/probe",
        "/run/new",
        "/dev/new",
        "/sys/new",
    ] {
        // Some are refused for another reason first: the program runs (26),
        // sysfs takes no new files (1, 13).
        probe.refused(&write(path), &[EROFS, 26, 1, 13])?;
    }
    probe.ask(&write("/tmp/new"))?;
    // Its tmpfs is as large as it was made.
    let op = Op::Write {
        path: "/tmp/large".to_owned(),
        text: "x".repeat(2 << 20),
    };
    probe.refused(&op, &[28])
}

const POINTS: &str = r#"
services:
  - name: points
    image: @PROBE
    command: ["/bin/probe", "probe", "points"]
    readonly: true
    binds: ["/run:/a/place/that/the/image/lacks", "/etc/os-release:/a/file"]
"#;

fn mount_points(guest: &Guest) -> Result<()> {
    let mounts = guest.mounts(guest.pid("points")?)?;
    for target in ["/a/place/that/the/image/lacks", "/a/file"] {
        ensure!(
            mounts.iter().any(|m| m.target == target),
            "{target}: {mounts:?}"
        );
    }
    Ok(())
}
