//! Whether the process that a state names is still that process.

use std::fs;

/// When a process started, in the kernel's ticks since boot: the 22nd field of
/// `/proc/PID/stat` (proc_pid_stat(5)). `None`: there is none, or it has ended
/// and only waits to be reaped.
#[must_use]
pub fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse(&stat)
}

/// The name, in parentheses, may hold anything, so the fields are counted from
/// its end.
fn parse(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let ended = matches!(fields.next()?, "Z" | "X");
    let start = fields.nth(18)?.parse().ok()?;
    (!ended).then_some(start)
}

pub(super) fn is_alive(pid: i32, started: u64) -> bool {
    start_time(pid) == Some(started)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_name_may_hold_parentheses_and_spaces() {
        let tail = "1 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";
        assert_eq!(parse(&format!("7 (a) Z) S {tail}")), Some(4711));
        assert_eq!(parse(&format!("7 (x) Z {tail}")), None);
        assert_eq!(parse("7 (x) S 1"), None);
    }
}
