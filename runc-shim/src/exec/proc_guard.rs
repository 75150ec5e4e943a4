//! What may be mounted on `/proc` and inside of it, as runc has it.
//!
//! A container that is shown a false `/proc` could have security labels and
//! kernel parameters written to files of its own (CVE-2019-16884), and one whose
//! `/proc` or `/sys` is a symbolic link gets it where no masked path covers it
//! (CVE-2019-19921, CVE-2023-27561).

/// What is to be mounted, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guest {
    /// A new procfs.
    Proc,
    /// A new sysfs.
    Sysfs,
    /// A bind of the root of a procfs.
    BoundProc,
    /// Anything else.
    Other,
}

/// Files that show something of the machine, which a container may be given its
/// own view of (lxcfs does), or may be let write.
const COVERED: [&[u8]; 11] = [
    b"/proc/cpuinfo",
    b"/proc/diskstats",
    b"/proc/loadavg",
    b"/proc/meminfo",
    b"/proc/net/dev",
    b"/proc/slabinfo",
    b"/proc/stat",
    b"/proc/swaps",
    b"/proc/uptime",
    b"/proc/sys/crypto/fips_enabled",
    b"/proc/sys/kernel/ns_last_pid",
];

/// Whether `what` may be mounted at `there`, which is what `wanted` resolved to.
///
/// # Errors
/// Why not.
pub(super) fn check(wanted: &[u8], there: &[u8], what: Guest) -> Result<(), &'static str> {
    if matches!(what, Guest::Proc | Guest::Sysfs) && wanted != there {
        return Err("a symbolic link leads it elsewhere");
    }
    let Some(inside) = there.strip_prefix(b"/proc") else {
        return Ok(());
    };
    match inside {
        b"" if matches!(what, Guest::Proc | Guest::BoundProc) => Ok(()),
        b"" => Err("only a proc filesystem may be mounted there"),
        [b'/', ..] if COVERED.contains(&place_of_this_process(there).as_slice()) => Ok(()),
        [b'/', ..] => Err("it lies inside of /proc"),
        _ => Ok(()),
    }
}

/// `/proc/net` is a link to `/proc/PID/net`: the path by the link.
fn place_of_this_process(there: &[u8]) -> Vec<u8> {
    let mut parts = there.splitn(4, |b| *b == b'/').skip(2);
    let pid = parts.next().unwrap_or_default();
    match parts.next() {
        Some(rest) if rest == b"net/dev" && pid.iter().all(u8::is_ascii_digit) => {
            [b"/proc/", rest].concat()
        }
        _ => there.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(there: &str, what: Guest) -> bool {
        check(there.as_bytes(), there.as_bytes(), what).is_ok()
    }

    #[test]
    fn on_proc_only_a_procfs_and_in_it_only_what_is_listed() {
        assert!(allowed("/proc", Guest::Proc));
        assert!(allowed("/proc", Guest::BoundProc));
        assert!(!allowed("/proc", Guest::Sysfs));
        assert!(!allowed("/proc", Guest::Other));
        for file in COVERED {
            assert!(check(file, file, Guest::Other).is_ok());
        }
        assert!(allowed("/proc/17/net/dev", Guest::Other));
        for path in [
            "/proc/self",
            "/proc/1/attr",
            "/proc/sys",
            "/proc/cpuinfo/x",
            "/proc/17/net/tcp",
            "/proc/x/net/dev",
        ] {
            for what in [Guest::Proc, Guest::BoundProc, Guest::Other] {
                assert!(!allowed(path, what), "{path} {what:?}");
            }
        }
        for path in ["/process", "/data/proc", "/", "/data/proc/sys"] {
            assert!(allowed(path, Guest::Other), "{path}");
        }
    }

    #[test]
    fn a_link_leads_neither_into_proc_nor_proc_elsewhere() {
        assert!(check(b"/data/x", b"/proc/self/attr", Guest::Other).is_err());
        assert!(check(b"/data/x", b"/proc", Guest::Other).is_err());
        assert!(check(b"/proc", b"/tmp", Guest::Proc).is_err());
        assert!(check(b"/sys", b"/tmp", Guest::Sysfs).is_err());
        assert!(check(b"/var/run", b"/run", Guest::Other).is_ok());
    }
}
