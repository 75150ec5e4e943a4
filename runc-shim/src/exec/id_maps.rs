//! The id maps of a new user namespace (user_namespaces(7)): written by
//! ourselves where we may, by newuidmap(1) and newgidmap(1), which know what
//! /etc/subuid and /etc/subgid give a user, where we may not.

use std::fs;
use std::process::Command;

use crate::error::Error;
use crate::spec::IdMapping;
use crate::sys::identity::is_root;

/// Writes both maps of a process's user namespace. A map is written once, by
/// one write.
///
/// # Errors
/// The kernel's; the program's words, or that it is missing.
pub(super) fn write(pid: i32, uids: &[IdMapping], gids: &[IdMapping]) -> Result<(), Error> {
    if is_root() {
        return write_map(pid, "uid_map", uids).and_then(|()| write_map(pid, "gid_map", gids));
    }
    // One id, one's own, needs no right; but groups cannot be left with it.
    if write_map(pid, "uid_map", uids).is_err() {
        run("newuidmap", pid, uids)?;
    }
    if let [only] = gids
        && only.size == 1
    {
        let path = format!("/proc/{pid}/setgroups");
        let alone = fs::write(&path, "deny")
            .map_err(Error::io("write", &path))
            .and_then(|()| write_map(pid, "gid_map", gids));
        if alone.is_ok() {
            return Ok(());
        }
    }
    run("newgidmap", pid, gids)
}

fn write_map(pid: i32, file: &str, mappings: &[IdMapping]) -> Result<(), Error> {
    let path = format!("/proc/{pid}/{file}");
    let line = |m: &IdMapping| format!("{} {} {}\n", m.container, m.host, m.size);
    let text: String = mappings.iter().map(line).collect();
    fs::write(&path, text).map_err(Error::io("write", &path))
}

fn run(program: &str, pid: i32, mappings: &[IdMapping]) -> Result<(), Error> {
    let numbers = mappings.iter().flat_map(|m| [m.container, m.host, m.size]);
    let output = Command::new(program)
        .arg(pid.to_string())
        .args(numbers.map(|n| n.to_string()))
        .output()
        .map_err(Error::io("run, to map more than one's own id,", program))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(Error::Unsupported(format!(
        "{program}: {}",
        words.trim_end()
    )))
}
