//! What the loop reads from and writes to a container's cgroup.

use std::fs;
use std::io;
use std::path::Path;

use crate::Error;

/// Kills every process in `cgroup`, at once and for certain
/// (`Documentation/admin-guide/cgroup-v2.rst`, `cgroup.kill`, Linux 5.14).
/// A cgroup that is not there has none.
pub(super) fn kill(cgroup: &Path) -> Result<(), Error> {
    let path = cgroup.join("cgroup.kill");
    match fs::OpenOptions::new().write(true).open(&path) {
        Ok(mut file) => io::Write::write_all(&mut file, b"1").map_err(Error::path("write", &path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::path("open", &path)(error)),
    }
}

/// How many processes of `cgroup` and those below it the kernel has killed for
/// want of memory; 0 where it does not count.
pub(super) fn oom_kills(cgroup: &Path) -> u64 {
    fs::read_to_string(cgroup.join("memory.events")).map_or(0, |events| parse_oom_kills(&events))
}

/// What the processes of a cgroup use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Use {
    /// Microseconds of processor time.
    pub(super) cpu_us: u64,
    /// Bytes of memory.
    pub(super) memory: u64,
    /// Processes and threads.
    pub(super) pids: u64,
}

/// What the processes of `cgroup` and those below it use; 0 where the kernel
/// does not count.
pub(super) fn usage(cgroup: &Path) -> Use {
    let read = |file| fs::read_to_string(cgroup.join(file)).unwrap_or_default();
    let number = |file| read(file).trim().parse().unwrap_or(0);
    Use {
        cpu_us: parse_cpu(&read("cpu.stat")),
        memory: number("memory.current"),
        pids: number("pids.current"),
    }
}

fn parse_cpu(stat: &str) -> u64 {
    let usage = stat
        .lines()
        .find_map(|line| line.strip_prefix("usage_usec "));
    usage.and_then(|us| us.trim().parse().ok()).unwrap_or(0)
}

fn parse_oom_kills(events: &str) -> u64 {
    events
        .lines()
        .filter_map(|line| line.strip_prefix("oom_kill "))
        .find_map(|count| count.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_oom_kills_only() {
        let events = "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n";
        assert_eq!(parse_oom_kills(events), 2);
        assert_eq!(parse_oom_kills(""), 0);
    }

    #[test]
    fn counts_all_processor_time() {
        assert_eq!(parse_cpu("usage_usec 4711\nuser_usec 7\n"), 4711);
        assert_eq!(parse_cpu(""), 0);
    }
}
