//! The runtime's own file, which no container may overwrite.
//!
//! A container can name `/proc/self/exe` as its program, run the runtime
//! inside of itself that way, and open the file behind it for writing
//! (CVE-2019-5736). On a read-only mount, as in a system image, the kernel
//! refuses that, and nothing is to be done. Elsewhere the runtime copies itself
//! into a sealed memfd and goes on from there.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use crate::error::Error;
use crate::sys::file;
use crate::sys::process::{self, StringList};

const OWN: &str = "/proc/self/exe";

/// Returns when this process's file cannot be written; else executes a copy of
/// it that cannot.
pub(super) fn protect() -> Result<(), Error> {
    let own = File::open(OWN).map_err(Error::io("open", OWN))?;
    if file::is_sealed(own.as_fd()) {
        return Ok(());
    }
    if file::is_on_read_only_mount(own.as_fd()).map_err(Error::io("look at", OWN))? {
        return Ok(());
    }
    let copy = sealed_copy(own).map_err(Error::io("copy", OWN))?;
    let texts = |list: &mut dyn Iterator<Item = std::ffi::OsString>| {
        let c = list.filter_map(|text| CString::new(text.into_vec()).ok());
        StringList::new(c.collect())
    };
    let arguments = texts(&mut std::env::args_os());
    let environment = texts(&mut std::env::vars_os().map(|(mut name, value)| {
        name.push("=");
        name.push(value);
        name
    }));
    let error = process::exec_file(copy.as_fd(), &arguments, &environment);
    Err(Error::io("execute a copy of", OWN)(error))
}

fn sealed_copy(mut own: File) -> io::Result<OwnedFd> {
    let mut copy = File::from(file::memfd(c"runc-shim")?);
    io::copy(&mut own, &mut copy)?;
    let copy = OwnedFd::from(copy);
    file::seal(copy.as_fd())?;
    Ok(copy)
}
