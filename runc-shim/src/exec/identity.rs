//! Steps about who the process is and what it may.

use std::ffi::CStr;
use std::io::{BufRead, BufReader};
use std::os::fd::{AsFd, OwnedFd};

use super::child::{Done, Failure, write_proc};
use crate::plan::Owner;
use crate::spec::Capabilities;
use crate::sys::identity::{self, Instruction};

/// Group 0 and user 0 of the namespace, and no other group. Where a single id
/// is mapped without privilege, `setgroups` is forbidden and there is nothing
/// to leave.
pub(super) fn become_namespace_root() -> Done {
    match identity::set_groups(&[]) {
        Err(e) if e.raw_os_error() != Some(libc::EPERM) => return Err(e.into()),
        _ => {}
    }
    identity::set_ids(0, 0).map_err(Failure::in_part("id 0 must be mapped"))
}

pub(super) fn limit_bounding_set(set: u64) -> Done {
    match identity::limit_bounding_set(set) {
        // Without CAP_SETPCAP the set cannot be changed: fine if it need not be.
        Err(e) if e.raw_os_error() == Some(libc::EPERM) && set == u64::MAX => Ok(()),
        other => other.map_err(Failure::from),
    }
}

/// The ids in the order that works (groups while still privileged, the user
/// last), with the permitted capabilities kept for [`set_capabilities`].
pub(super) fn become_user(owner: &Owner) -> Done {
    identity::keep_capabilities()?;
    match identity::set_groups(&owner.groups) {
        Err(e) if e.raw_os_error() == Some(libc::EPERM) && owner.groups.is_empty() => {}
        other => other.map_err(Failure::in_part("additional groups"))?,
    }
    identity::set_ids(owner.uid, owner.gid)?;
    Ok(())
}

pub(super) fn set_capabilities(sets: &Capabilities) -> Done {
    identity::set_capabilities(sets.effective, sets.permitted, sets.inheritable)?;
    identity::set_ambient(sets.ambient).map_err(Failure::in_part("ambient"))
}

pub(super) fn forbid_new_privileges() -> Done {
    identity::set_no_new_privileges().map_err(Failure::from)
}

/// Undoes what a change of ids has done: who made the user namespace may look
/// into this process again. In a namespace that was just made nobody else is.
pub(super) fn allow_tracing() -> Done {
    identity::allow_tracing().map_err(Failure::from)
}

pub(super) fn load_filter_with_listener(
    filter: &[Instruction],
    flags: u64,
) -> Result<OwnedFd, Failure> {
    identity::load_filter_with_listener(filter, flags).map_err(|error| {
        let detail = match error.raw_os_error() {
            Some(libc::EBUSY) => "the runtime itself is below a filter that has a listener",
            _ => "",
        };
        Failure::in_part(detail)(error)
    })
}

pub(super) fn load_filter(filter: &[Instruction], flags: u64) -> Done {
    identity::load_filter(filter, flags).map_err(Failure::from)
}

/// Takes effect at exec. The kernel's own file where it has one for AppArmor
/// alone (5.1), so that another security module is not spoken to.
pub(super) fn set_apparmor(profile: &CStr) -> Done {
    let text = [b"exec ", profile.to_bytes()].concat();
    write_proc(c"/proc/self/attr/apparmor/exec", &text).map_err(|mut failure| {
        let errno = failure.error.raw_os_error();
        if matches!(errno, Some(libc::ENOENT | libc::EINVAL)) && failure.detail.is_empty() {
            "the kernel has no AppArmor, or no such profile".clone_into(&mut failure.detail);
        }
        failure
    })
}

/// Where the kernel shows SELinux, if it was not left out or switched off.
pub(super) fn require_selinux() -> Done {
    let folder = crate::sys::file::openat(None, c"/sys/fs/selinux", libc::O_PATH, 0);
    folder
        .map(|_| ())
        .map_err(|_| Failure::own(libc::ENOTSUP, "the kernel has no SELinux, or it is off"))
}

/// The home of this user in the container's `/etc/passwd`, else `/`.
pub(super) fn home(uid: u32) -> Vec<u8> {
    let uid = uid.to_string();
    let passwd = crate::sys::file::openat(None, c"/etc/passwd", libc::O_NONBLOCK, 0);
    let Ok(file) = passwd else {
        return b"/".to_vec();
    };
    let regular = crate::sys::file::stat(file.as_fd()).is_ok_and(|s| s.is_regular());
    let lines = BufReader::new(std::fs::File::from(file)).split(b'\n');
    // Bounded, because an image may bring a file of any size.
    let lines = lines.take(if regular { 10_000 } else { 0 });
    let home = lines.map_while(Result::ok).find_map(|line| {
        let mut fields = line.split(|b| *b == b':');
        let found = fields.nth(2).is_some_and(|field| field == uid.as_bytes());
        let home = fields.nth(2).filter(|home| home.starts_with(b"/"));
        if found {
            home.map(<[u8]>::to_vec)
        } else {
            None
        }
    });
    home.unwrap_or_else(|| b"/".to_vec())
}
