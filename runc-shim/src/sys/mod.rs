//! The kernel's interface: a file per family of calls, thin safe functions
//! that speak in file descriptors and enums. All `unsafe` of the crate is here.
#![allow(unsafe_code)]

pub mod bpf;
pub mod clone;
pub mod file;
pub mod identity;
pub mod mount;
pub mod namespace;
pub mod netlink;
pub mod process;
pub mod resolve;
pub mod scheduling;
pub mod signal;
pub mod socket;
pub mod terminal;

use std::io;

/// Turns a system call's result into a value or the kernel's error.
fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// [`check`] for calls that return nothing but success.
fn check_unit(result: libc::c_long) -> io::Result<()> {
    check(result).map(|_| ())
}

/// [`check`] for calls that return a descriptor, id or count that fits an `int`.
fn check_int(result: libc::c_long) -> io::Result<i32> {
    check(result)
        .and_then(|n| i32::try_from(n).map_err(|_| io::Error::from_raw_os_error(libc::ERANGE)))
}

/// The kernel's word for an error number, without Rust's `(os error N)`.
#[must_use]
pub fn errno_text(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    match text.rfind(" (os error") {
        Some(end) => text.get(..end).unwrap_or(&text).to_owned(),
        None => text,
    }
}

/// The kernel's word for an error, without Rust's `(os error N)`.
#[must_use]
pub fn error_text(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(errno) => errno_text(errno),
        None => error.to_string(),
    }
}
