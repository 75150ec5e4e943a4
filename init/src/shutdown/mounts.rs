//! Unmounting what could lose data.

use std::fs::{self, File};
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::escape;
use crate::klog::{Level, Line};
use crate::sys::block;

/// Filesystems that live in memory, or are the kernel's own: there is nothing
/// to write, and nothing below them is kept from being unmounted.
const IN_MEMORY: [&str; 18] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "proc",
    "ramfs",
    "rootfs",
    "securityfs",
    "sysfs",
    "tmpfs",
];

/// A mount that matters.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    point: String,
    kind: String,
}

/// How often it is tried: a filesystem on a file on another one, three deep.
const ROUNDS: usize = 4;

/// Unmounts all that could lose data, the last mounted first, and takes apart
/// what stands on them: a filesystem can go only when no loop device holds a
/// file of it, and a loop device only when nothing of its own is mounted. What
/// stays busy is made read-only, which writes it out just as well.
pub(super) fn unmount_all() {
    for _ in 0..ROUNDS {
        let busy = unmount_round();
        detach_devices(Path::new("/sys/block"), Path::new("/dev"));
        if busy.is_empty() {
            return;
        }
    }
    for (mount, error) in unmount_round() {
        if remount_read_only(&mount.point).is_err() {
            problem("unmount", &mount.point, &error.into());
        }
    }
}

/// Unmounts what it can. What it cannot, and why.
fn unmount_round() -> Vec<(Mount, Errno)> {
    let text = match fs::read_to_string("/proc/self/mountinfo") {
        Ok(text) => text,
        Err(error) => {
            problem("read", "/proc/self/mountinfo", &error);
            return Vec::new();
        }
    };
    let unmount = |mount: Mount| {
        let unmounted = umount2(mount.point.as_str(), MntFlags::UMOUNT_NOFOLLOW);
        unmounted.err().map(|error| (mount, error))
    };
    to_unmount(&text).into_iter().filter_map(unmount).collect()
}

/// Loop devices let go of their files, mapped devices of what they are on.
/// Those in use stay as they are.
fn detach_devices(sys: &Path, dev: &Path) {
    let devices = fs::read_dir(sys).into_iter().flatten().flatten();
    let (mut loops, mut mapped) = (Vec::new(), false);
    for device in devices {
        if device.path().join("loop/backing_file").exists() {
            loops.push(dev.join(device.file_name()));
        }
        mapped |= device.path().join("dm").exists();
    }
    if mapped && let Ok(control) = File::open(dev.join("mapper/control")) {
        let _in_use = block::remove_mapped(&control);
    }
    for device in loops.iter().rev() {
        if let Ok(device) = File::open(device) {
            let _in_use = block::detach_loop(&device);
        }
    }
}

fn remount_read_only(point: &str) -> Result<(), Errno> {
    let none = None::<&str>;
    mount(
        none,
        point,
        none,
        MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY,
        none,
    )
}

fn problem(what: &str, object: &str, error: &std::io::Error) {
    Line::new(Level::Error, "init", "problem")
        .with("error", format!("{what} {object}: {error}"))
        .write();
}

/// The mounts in `mountinfo` (proc_pid_mountinfo(5)) that matter, the last
/// mounted first.
fn to_unmount(mountinfo: &str) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = mountinfo.lines().filter_map(parse).collect();
    mounts.retain(|mount| !IN_MEMORY.contains(&mount.kind.as_str()));
    mounts.reverse();
    mounts
}

fn parse(line: &str) -> Option<Mount> {
    let (fields, rest) = line.split_once(" - ")?;
    Some(Mount {
        point: unescape(fields.split(' ').nth(4)?),
        kind: rest.split(' ').next()?.to_owned(),
    })
}

/// Undoes the kernel's `\040` for a space, and its like.
fn unescape(field: &str) -> String {
    escape::undo(field, b'\\', 3, 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_mounted_first_and_nothing_of_the_kernels() {
        let mountinfo = "\
1 1 0:2 / / ro,relatime shared:1 - rootfs rootfs rw
22 1 0:20 / /proc rw shared:2 - proc proc rw
30 1 8:1 / /var/my\\040data rw,relatime shared:3 - ext4 /dev/vda1 rw
31 1 0:40 / /containers/services/web/tmp rw - tmpfs tmpfs rw
32 1 0:41 / /containers/services/web/rootfs rw master:9 - overlay overlay rw,lowerdir=/l
33 30 0:42 / /var/my\\040data/nfs rw - nfs4 host:/ rw
";
        let points: Vec<String> = to_unmount(mountinfo).into_iter().map(|m| m.point).collect();
        assert_eq!(
            points,
            [
                "/var/my data/nfs",
                "/containers/services/web/rootfs",
                "/var/my data"
            ]
        );
    }

    #[test]
    fn unescapes_only_what_was_escaped() {
        assert_eq!(unescape("/a\\011b\\134c"), "/a\tb\\c");
        assert_eq!(unescape("/040\\9"), "/040\\9");
    }
}
