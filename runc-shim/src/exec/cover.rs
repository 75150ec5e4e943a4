//! `--no-pivot`: the container's root laid over the root, for a root that
//! pivot_root(2) refuses, as an initramfs is.
//!
//! Weaker than pivot_root: the host's files are still mounted below. A program
//! that may unmount could uncover them; of `/proc` and `/sys`, through which a
//! kernel is changed, nothing is left there.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use super::child::{Done, Failure};
use super::mounts::unescape;
use super::tree::Tree;
use crate::sys::{file, mount};

/// 1. Every procfs and sysfs outside of the root filesystem is taken away.
/// 2. The root filesystem's mount is moved onto `/`.
/// 3. It becomes the process's root.
pub(super) fn cover_root(tree: &Tree) -> Done {
    let root = std::fs::read_link(format!("/proc/self/fd/{}", tree.root().as_raw_fd()))?;
    let table = std::fs::read("/proc/self/mountinfo")?;
    for point in kernel_mounts(&table, root.as_os_str().as_encoded_bytes()) {
        mount::detach(&CString::new(point).map_err(io::Error::from)?)
            .map_err(Failure::in_part("the host's /proc and /sys"))?;
    }
    file::fchdir(tree.root().as_fd())?;
    mount::move_cwd_to_root()?;
    file::chroot_to_cwd()?;
    file::chdir(c"/")?;
    Ok(())
}

/// Where procfs and sysfs are mounted outside of `root`, the last first, by
/// proc_pid_mountinfo(5).
fn kernel_mounts(table: &[u8], root: &[u8]) -> Vec<Vec<u8>> {
    let point = |line: &[u8]| {
        let mut fields = line.split(|b| *b == b' ');
        let point = unescape(fields.nth(4)?);
        let fstype = fields.skip_while(|field| *field != b"-").nth(1)?;
        let inside = point.strip_prefix(root);
        let inside = inside.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"));
        (!inside && (fstype == b"proc" || fstype == b"sysfs")).then_some(point)
    };
    table.rsplit(|b| *b == b'\n').filter_map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::kernel_mounts;

    #[test]
    fn proc_and_sysfs_outside_of_the_root_are_found() {
        let table = b"1 0 0:1 / / rw - rootfs x rw\n2 1 0:2 / /proc rw shared:1 - proc proc rw\n3 1 0:3 / /r/proc rw - proc x rw\n4 1 0:4 / /sys rw - sysfs x rw\n5 1 0:4 / /rx rw - sysfs x rw\n";
        let found = kernel_mounts(table, b"/r");
        assert_eq!(
            found,
            [b"/rx".to_vec(), b"/sys".to_vec(), b"/proc".to_vec()]
        );
    }
}
