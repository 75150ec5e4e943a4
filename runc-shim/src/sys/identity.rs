//! Who a process is and what it may: ids, capabilities, seccomp.

use std::io;
use std::os::fd::OwnedFd;

use super::file::owned;
use super::{check, check_int, check_unit};

/// setresgid(2), then setresuid(2): all three of each.
///
/// # Errors
/// The kernel's.
pub fn set_ids(uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: no pointers.
    check_unit(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) })?;
    // SAFETY: no pointers.
    check_unit(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) })
}

/// geteuid(2) and getegid(2).
#[must_use]
pub fn own_ids() -> (u32, u32) {
    // SAFETY: no pointers, cannot fail.
    let uid = unsafe { libc::geteuid() };
    // SAFETY: no pointers, cannot fail.
    let gid = unsafe { libc::getegid() };
    (uid, gid)
}

/// geteuid(2): whether it is 0, which may do what others may not. In a user
/// namespace of its own it may less; the kernel then says so.
#[must_use]
pub fn is_root() -> bool {
    // SAFETY: no pointers, cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// setgroups(2).
///
/// # Errors
/// The kernel's.
pub fn set_groups(groups: &[u32]) -> io::Result<()> {
    // SAFETY: the list is valid for its length.
    check_unit(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) })
}

fn prctl(option: i32, argument: u64, third: u64) -> io::Result<i64> {
    // SAFETY: the options used in this file take no pointers.
    check(unsafe { libc::syscall(libc::SYS_prctl, option, argument, third, 0, 0) })
}

/// Keeps the permitted capabilities when the user id changes.
///
/// # Errors
/// The kernel's.
pub fn keep_capabilities() -> io::Result<()> {
    prctl(libc::PR_SET_KEEPCAPS, 1, 0).map(|_| ())
}

/// Forbids gaining privileges at exec.
///
/// # Errors
/// The kernel's.
pub fn set_no_new_privileges() -> io::Result<()> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0).map(|_| ())
}

/// Nobody without rights over the host may trace this process, or read its
/// memory and descriptors in `/proc`, until the next exec.
///
/// # Errors
/// The kernel's.
pub fn forbid_tracing() -> io::Result<()> {
    prctl(libc::PR_SET_DUMPABLE, 0, 0).map(|_| ())
}

/// Whoever has the rights over this process may trace it, as is so until ids
/// change.
///
/// # Errors
/// The kernel's.
pub fn allow_tracing() -> io::Result<()> {
    prctl(libc::PR_SET_DUMPABLE, 1, 0).map(|_| ())
}

/// Takes every capability that is not in `keep` (a bit each) out of the
/// bounding set, as far as the kernel knows capabilities.
///
/// # Errors
/// The kernel's.
pub fn limit_bounding_set(keep: u64) -> io::Result<()> {
    for capability in 0..64u32 {
        if keep & (1 << capability) != 0 {
            continue;
        }
        match prctl(libc::PR_CAPBSET_DROP, u64::from(capability), 0) {
            Ok(_) => {}
            // The first number that this kernel does not know.
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) => break,
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Makes the ambient set exactly `raise`. They must be permitted and
/// inheritable by now.
///
/// # Errors
/// The kernel's.
pub fn set_ambient(raise: u64) -> io::Result<()> {
    let operation = |op: i32| u64::from(op.unsigned_abs());
    prctl(
        libc::PR_CAP_AMBIENT,
        operation(libc::PR_CAP_AMBIENT_CLEAR_ALL),
        0,
    )?;
    for capability in (0..64u32).filter(|c| raise & (1 << c) != 0) {
        prctl(
            libc::PR_CAP_AMBIENT,
            operation(libc::PR_CAP_AMBIENT_RAISE),
            u64::from(capability),
        )?;
    }
    Ok(())
}

fn halves(set: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = set.to_le_bytes();
    (
        u32::from_le_bytes([a, b, c, d]),
        u32::from_le_bytes([e, f, g, h]),
    )
}

/// capset(2): the effective, permitted and inheritable sets, a bit each.
///
/// # Errors
/// The kernel's.
pub fn set_capabilities(effective: u64, permitted: u64, inheritable: u64) -> io::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    let header: [u32; 2] = [VERSION_3, 0];
    let (effective, permitted, inheritable) =
        (halves(effective), halves(permitted), halves(inheritable));
    let data: [u32; 6] = [
        effective.0,
        permitted.0,
        inheritable.0,
        effective.1,
        permitted.1,
        inheritable.1,
    ];
    // SAFETY: both arrays have the layout that version 3 of capset(2) asks for.
    check_unit(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) })
}

/// The last capability that the kernel knows, by asking for each.
#[must_use]
pub fn last_capability() -> u32 {
    let known = |c: &u32| prctl(libc::PR_CAPBSET_READ, u64::from(*c), 0).is_ok();
    (0..64u32).take_while(known).last().unwrap_or_default()
}

/// One instruction of classic BPF, as `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// How many to skip when the condition holds.
    pub jt: u8,
    /// How many to skip when it does not.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

/// seccomp(2): loads a filter with these `SECCOMP_FILTER_FLAG_…`.
///
/// # Errors
/// The kernel's.
pub fn load_filter(program: &[Instruction], flags: u64) -> io::Result<()> {
    set_filter(program, flags).map(|_| ())
}

/// [`load_filter`] with `SECCOMP_FILTER_FLAG_NEW_LISTENER`: who holds what is
/// returned decides about calls (seccomp_unotify(2)).
///
/// # Errors
/// The kernel's; `EBUSY`: a filter that this process has inherited has one.
pub fn load_filter_with_listener(program: &[Instruction], flags: u64) -> io::Result<OwnedFd> {
    set_filter(program, flags | libc::SECCOMP_FILTER_FLAG_NEW_LISTENER).map(owned)
}

fn set_filter(program: &[Instruction], flags: u64) -> io::Result<i32> {
    #[repr(C)]
    struct Program {
        len: u16,
        filter: *const Instruction,
    }
    let program = Program {
        len: u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?,
        filter: program.as_ptr(),
    };
    // SAFETY: `Program` has the layout of `struct sock_fprog` and points to a
    // list of its stated length; both outlive the call.
    check_int(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    })
}
