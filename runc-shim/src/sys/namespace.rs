//! Namespaces: setns(2), unshare(2), ioctl_ns(2), and what a new one is given.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::{check, check_unit};

/// setns(2): joins the namespace, which must be of the kind `flag`.
///
/// # Errors
/// The kernel's.
pub fn join(namespace: BorrowedFd<'_>, flag: u64) -> io::Result<()> {
    // SAFETY: no pointers.
    check_unit(unsafe { libc::syscall(libc::SYS_setns, namespace.as_raw_fd(), flag) })
}

/// unshare(2): goes into new namespaces of the kinds `flags`.
///
/// # Errors
/// The kernel's.
pub fn unshare(flags: u64) -> io::Result<()> {
    // SAFETY: no pointers.
    check_unit(unsafe { libc::syscall(libc::SYS_unshare, flags) })
}

/// The kind of a namespace, as its `CLONE_NEW…` bit.
///
/// # Errors
/// The kernel's; `ENOTTY`: it is not a namespace.
pub fn kind(namespace: BorrowedFd<'_>) -> io::Result<u64> {
    const NS_GET_NSTYPE: u64 = 0xb703;
    // SAFETY: the request takes no argument.
    let kind =
        check(unsafe { libc::syscall(libc::SYS_ioctl, namespace.as_raw_fd(), NS_GET_NSTYPE) })?;
    Ok(u64::from(u32::try_from(kind).unwrap_or_default()))
}

/// sethostname(2).
///
/// # Errors
/// The kernel's.
pub fn set_hostname(name: &CStr) -> io::Result<()> {
    // SAFETY: the name is valid for its length.
    check_unit(unsafe { libc::syscall(libc::SYS_sethostname, name.as_ptr(), name.count_bytes()) })
}

/// setdomainname(2).
///
/// # Errors
/// The kernel's.
pub fn set_domainname(name: &CStr) -> io::Result<()> {
    // SAFETY: the name is valid for its length.
    check_unit(unsafe { libc::syscall(libc::SYS_setdomainname, name.as_ptr(), name.count_bytes()) })
}
