//! What `/proc` tells of processes and mounts (proc(5)).

use std::fs;
use std::io;

use agent_protocol::{Mount, Process};

/// All processes that are there; one that ends while it is read is left out.
pub(crate) fn processes() -> io::Result<Vec<Process>> {
    let mut processes = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        if let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) {
            processes.extend(process(pid));
        }
    }
    processes.sort_unstable_by_key(|process| process.pid);
    Ok(processes)
}

fn process(pid: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold any byte, `)` too.
    let (head, rest) = stat.rsplit_once(')')?;
    let (_, comm) = head.split_once('(')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let ppid = fields.next()?.parse().ok()?;
    let args = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    Some(Process {
        pid,
        ppid,
        state,
        comm: comm.to_owned(),
        args: args
            .split(|byte| *byte == 0)
            .filter(|arg| !arg.is_empty())
            .map(|arg| String::from_utf8_lossy(arg).into_owned())
            .collect(),
        cgroup: cgroup
            .lines()
            .find_map(|line| line.strip_prefix("0::"))
            .unwrap_or_default()
            .to_owned(),
    })
}

/// The mounts that the process `pid` sees.
pub(crate) fn mounts(pid: i32) -> io::Result<Vec<Mount>> {
    let table = fs::read_to_string(format!("/proc/{pid}/mountinfo"))?;
    Ok(table.lines().filter_map(mount).collect())
}

fn mount(line: &str) -> Option<Mount> {
    let (own, filesystem) = line.split_once(" - ")?;
    let mut own = own.split(' ').skip(4);
    let target = own.next()?.to_owned();
    let options = list(own.next()?);
    let mut filesystem = filesystem.split(' ');
    Some(Mount {
        target,
        options,
        propagation: own.map(str::to_owned).collect(),
        fstype: filesystem.next()?.to_owned(),
        source: filesystem.next()?.to_owned(),
        super_options: list(filesystem.next().unwrap_or_default()),
    })
}

fn list(options: &str) -> Vec<String> {
    options.split(',').map(str::to_owned).collect()
}
