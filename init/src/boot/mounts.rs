//! The kernel's own filesystems, and the places that can be written.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use hullkit_bundle::layout;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::stat::Mode;
use nix::unistd;

use super::{Booted, modules};
use crate::Error;
use crate::modules::is_filesystem;

/// What is missing where a mount fails.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Something that any image needs.
    Always,
    /// Something for which the kernel must have been built.
    IfKnown,
}

use Need::{Always, IfKnown};

struct Entry {
    need: Need,
    kind: &'static str,
    path: &'static str,
    flags: MsFlags,
    options: &'static str,
}

const fn entry(
    need: Need,
    kind: &'static str,
    path: &'static str,
    flags: MsFlags,
    options: &'static str,
) -> Entry {
    Entry {
        need,
        kind,
        path,
        flags,
        options,
    }
}

/// Nothing in it gives rights or is a device.
const PLAIN: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV);
/// Nothing in it is a program either.
const DATA: MsFlags = PLAIN.union(MsFlags::MS_NOEXEC);
/// Devices, and nothing else.
const DEVICES: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NOEXEC);

/// In the order in which they are mounted. Sizes are upper limits: a tmpfs
/// takes what is in it.
const TABLE: [Entry; 19] = [
    entry(Always, "proc", "/proc", DATA, ""),
    entry(Always, "sysfs", "/sys", DATA, ""),
    entry(Always, "devtmpfs", "/dev", DEVICES, "mode=755,size=10m"),
    entry(Always, "tmpfs", "/run", DATA, "mode=755,size=10%"),
    entry(Always, "tmpfs", "/tmp", DATA, "mode=1777,size=10%"),
    entry(Always, "tmpfs", "/var", DATA, "mode=755,size=50%"),
    entry(
        Always,
        "devpts",
        "/dev/pts",
        DEVICES,
        "gid=5,mode=0620,ptmxmode=0666",
    ),
    entry(Always, "tmpfs", "/dev/shm", DATA, "mode=1777"),
    entry(IfKnown, "mqueue", "/dev/mqueue", DATA, ""),
    entry(IfKnown, "securityfs", "/sys/kernel/security", DATA, ""),
    entry(IfKnown, "debugfs", "/sys/kernel/debug", DATA, "mode=700"),
    entry(IfKnown, "tracefs", "/sys/kernel/tracing", DATA, "mode=700"),
    entry(IfKnown, "configfs", "/sys/kernel/config", DATA, ""),
    entry(IfKnown, "fusectl", "/sys/fs/fuse/connections", DATA, ""),
    entry(IfKnown, "selinuxfs", "/sys/fs/selinux", DEVICES, ""),
    entry(IfKnown, "pstore", "/sys/fs/pstore", DATA, ""),
    entry(IfKnown, "bpf", "/sys/fs/bpf", DATA, "mode=700"),
    entry(IfKnown, "efivarfs", EFIVARS, DATA, ""),
    entry(IfKnown, "binfmt_misc", "/proc/sys/fs/binfmt_misc", DATA, ""),
];

/// How many of [`TABLE`], from its beginning, have their places in
/// [`ROOT_FOLDERS`]; those of the others are in what these mount.
const IN_ROOT: usize = 6;

/// There on machines that were booted by EFI.
pub(super) const EFIVARS: &str = "/sys/firmware/efi/efivars";

/// Folders of the root that must be there before it is read-only; `/mnt` is
/// for whoever mounts something by hand.
const ROOT_FOLDERS: [(&str, u32); 7] = [
    ("/proc", 0o555),
    ("/sys", 0o555),
    ("/dev", 0o755),
    ("/run", 0o755),
    ("/tmp", 0o1777),
    ("/var", 0o755),
    ("/mnt", 0o755),
];

/// Folders in what is mounted: LinuxKit's, which images rely on.
const FOLDERS: [(&str, u32); 13] = [
    ("/dev/pts", 0o755),
    ("/dev/shm", 0o1777),
    ("/dev/mqueue", 0o1777),
    (layout::RUN, 0o755),
    ("/var/cache", 0o755),
    ("/var/empty", 0o555),
    ("/var/lib", 0o755),
    ("/var/local", 0o755),
    ("/var/lock", 0o755),
    ("/var/log", 0o755),
    ("/var/opt", 0o755),
    ("/var/spool", 0o755),
    ("/var/tmp", 0o1777),
];

/// (link, what it leads to)
const LINKS: [(&str, &str); 6] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/core", "/proc/kcore"),
    ("/var/run", "/run"),
];

/// Mounts everything. In a root that can be written, missing mount points are
/// made first.
pub(super) fn run(booted: &mut Booted, writable_root: bool) {
    // The modes in the tables are meant exactly.
    let umask = nix::sys::stat::umask(Mode::empty());
    if writable_root {
        make_folders(booted, &ROOT_FOLDERS);
    }
    let (first, rest) = TABLE.split_at(IN_ROOT);
    for entry in first {
        mount_entry(booted, entry);
    }
    make_folders(booted, &FOLDERS);
    for (link, target) in LINKS {
        booted.note(link, make_link(link, target));
    }
    booted.note("modules", modules::ask_nobody());
    let known = booted
        .note("/proc/filesystems", fs::read_to_string("/proc/filesystems"))
        .unwrap_or_default();
    for entry in rest {
        // To mount what the kernel does not know makes it look for a module.
        if entry.need == Always || is_filesystem(&known, entry.kind) {
            mount_entry(booted, entry);
        }
    }
    mount_cgroup(booted);
    nix::sys::stat::umask(umask);
}

/// Mounts efivarfs after all, where its module has been loaded.
pub(super) fn mount_efivars(booted: &mut Booted) {
    for entry in TABLE.iter().filter(|entry| entry.path == EFIVARS) {
        mount_entry(booted, entry);
    }
}

fn mount_entry(booted: &mut Booted, entry: &Entry) {
    let result = mount(
        Some(entry.kind),
        entry.path,
        Some(entry.kind),
        entry.flags,
        Some(entry.options).filter(|options| !options.is_empty()),
    );
    match result {
        // There already: the kernel mounts devtmpfs itself where it was built so.
        Ok(()) | Err(Errno::EBUSY) => {}
        // Known to the kernel, and not of use on this machine.
        Err(_) if entry.need == IfKnown => {}
        Err(errno) => {
            booted.note("mount", Err::<(), _>(Error::os("mount", entry.path)(errno)));
        }
    }
}

fn make_folders(booted: &mut Booted, folders: &[(&str, u32)]) {
    for (path, mode) in folders {
        match unistd::mkdir(*path, Mode::from_bits_truncate(*mode)) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => {
                booted.note("mount", Err::<(), _>(Error::os("make folder", path)(errno)));
            }
        }
    }
}

fn make_link(link: &str, target: &str) -> Result<(), Error> {
    match symlink(target, link) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(Error::os("make link", link)(e))
        }
        _ => Ok(()),
    }
}

/// Mounts cgroup v2 with the options that containers rely on, without them on
/// a kernel that does not know one, and passes all controllers down.
fn mount_cgroup(booted: &mut Booted) {
    let options = [
        Some("nsdelegate,memory_recursiveprot"),
        Some("nsdelegate"),
        None,
    ];
    let result = options
        .into_iter()
        .map(|options| {
            mount(
                Some("cgroup2"),
                layout::CGROUP,
                Some("cgroup2"),
                DATA,
                options,
            )
        })
        .find(|result| *result != Err(Errno::EINVAL))
        .unwrap_or(Err(Errno::EINVAL));
    if booted
        .note("mount", result.map_err(Error::os("mount", layout::CGROUP)))
        .is_some()
    {
        booted.note("cgroup", enable_controllers(Path::new(layout::CGROUP)));
    }
}

/// Enables for the children of the cgroup at `path` what it has itself.
fn enable_controllers(path: &Path) -> Result<(), Error> {
    let controllers = path.join("cgroup.controllers");
    let names = fs::read_to_string(&controllers).map_err(Error::path("read", &controllers))?;
    let control = path.join("cgroup.subtree_control");
    fs::write(&control, enable_all(&names)).map_err(Error::path("write", &control))
}

/// `cpu memory` as `+cpu +memory`.
fn enable_all(controllers: &str) -> String {
    let mut line = String::new();
    for name in controllers.split_ascii_whitespace() {
        line.push('+');
        line.push_str(name);
        line.push(' ');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_controllers() {
        assert_eq!(enable_all("cpuset cpu io\n"), "+cpuset +cpu +io ");
        assert_eq!(enable_all("\n"), "");
    }

    #[test]
    fn the_mount_points_in_the_root_are_mounted_first() {
        let places: Vec<_> = ROOT_FOLDERS.iter().map(|(path, _)| *path).collect();
        for entry in &TABLE[..IN_ROOT] {
            assert!(places.contains(&entry.path), "{}", entry.path);
        }
    }
}
