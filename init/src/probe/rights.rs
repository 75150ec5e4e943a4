//! A process's rights, as `/proc/PID/status` has them (proc_pid_status(5)), and
//! how to have no others.

use std::os::fd::OwnedFd;

use nix::unistd::{Gid, Uid, getgroups, setgroups, setresgid, setresuid};

use super::inside::read_of;
use crate::Error;
use crate::sys::capabilities::{self, Sets};

/// Whom a process is, and what it may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rights {
    /// Real, effective, saved.
    uids: [u32; 3],
    gids: [u32; 3],
    groups: Vec<u32>,
    sets: Sets,
    bounding: u64,
    ambient: u64,
    no_new_privileges: bool,
}

/// Takes the rights of `process`, its folder below `/proc`, and gives all
/// others up.
pub(super) fn take(process: &OwnedFd) -> Result<(), Error> {
    // Read here, so that its ids are those of the user namespace that we are in.
    let status = read_of(process, "status")?;
    let rights = parse(&status).ok_or_else(|| Error::Bundle {
        object: "status of the service's process".to_owned(),
        reason: "it has not all of its lines".to_owned(),
    })?;
    let groups: Vec<Gid> = rights.groups.iter().copied().map(Gid::from_raw).collect();
    // In a user namespace it may be forbidden, also where nothing would change.
    if !groups.is_empty() || !getgroups().is_ok_and(|groups| groups.is_empty()) {
        setgroups(&groups).map_err(failed("set the groups"))?;
    }
    capabilities::limit(rights.bounding).map_err(failed("limit the capabilities"))?;
    nix::sys::prctl::set_keepcaps(true).map_err(failed("keep the capabilities"))?;
    let [real, effective, saved] = rights.gids.map(Gid::from_raw);
    setresgid(real, effective, saved).map_err(failed("set the group"))?;
    let [real, effective, saved] = rights.uids.map(Uid::from_raw);
    setresuid(real, effective, saved).map_err(failed("set the user"))?;
    capabilities::set(rights.sets).map_err(failed("set the capabilities"))?;
    capabilities::raise_ambient(rights.ambient).map_err(failed("set the capabilities"))?;
    if rights.no_new_privileges {
        nix::sys::prctl::set_no_new_privs().map_err(failed("forbid new privileges"))?;
    }
    Ok(())
}

fn failed<E: Into<std::io::Error>>(what: &'static str) -> impl FnOnce(E) -> Error {
    Error::os(what, "of a probe")
}

/// All lines must be there: a right that is not known is not given.
fn parse(status: &str) -> Option<Rights> {
    let line = |name: &str| {
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(line.trim())
    };
    let ids = |name: &str| -> Option<Vec<u32>> {
        let words = line(name)?.split_ascii_whitespace();
        words.map(|word| word.parse().ok()).collect()
    };
    let three = |name: &str| -> Option<[u32; 3]> { ids(name)?.get(..3)?.try_into().ok() };
    let set = |name: &str| u64::from_str_radix(line(name)?, 16).ok();
    Some(Rights {
        uids: three("Uid")?,
        gids: three("Gid")?,
        groups: ids("Groups")?,
        sets: Sets {
            effective: set("CapEff")?,
            permitted: set("CapPrm")?,
            inheritable: set("CapInh")?,
        },
        bounding: set("CapBnd")?,
        ambient: set("CapAmb")?,
        no_new_privileges: line("NoNewPrivs")? == "1",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tredis\nUmask:\t0022\nUid:\t999\t999\t999\t999\nGid:\t1000\t1000\t1000\t1000\n\
        Groups:\t4 24 \nCapInh:\t0000000000000000\nCapPrm:\t00000000000000c0\nCapEff:\t0000000000000040\n\
        CapBnd:\t00000000000000c1\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n";

    #[test]
    fn reads_what_the_kernel_writes() {
        let rights = parse(STATUS).unwrap();
        assert_eq!((rights.uids, rights.gids), ([999; 3], [1000; 3]));
        assert_eq!(rights.groups, [4, 24]);
        assert_eq!((rights.sets.permitted, rights.bounding), (0xc0, 0xc1));
        assert!(rights.no_new_privileges);
    }

    #[test]
    fn reads_our_own() {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let rights = parse(&status).unwrap();
        assert_eq!(rights.uids[0], Uid::current().as_raw());
    }

    #[test]
    fn nothing_is_guessed() {
        for name in ["Uid", "Gid", "Groups", "CapBnd", "CapAmb", "NoNewPrivs"] {
            let without = STATUS.replace(name, "Other");
            assert_eq!(parse(&without), None, "{name}");
        }
        assert_eq!(parse(&STATUS.replace("CapPrm:\t", "CapPrm:\tx")), None);
    }
}
