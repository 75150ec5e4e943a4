//! Everything but PID 1 is killed at random, and it comes back: the case
//! `abuse::everything_is_killed` and `make soak`.

use std::collections::BTreeSet;

use agent_protocol::{Answer, Op};
use anyhow::{Context, Result, ensure};

use crate::guest::Guest;

/// Kills so many, at each of its starts.
pub const KILLS: usize = 100;

/// `killer` waits for SIGTERM, and then kills.
pub const MASSACRE: &str = r#"
services:
  - name: killer
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait", "massacre=100"]
    pid: host
    capabilities: [CAP_KILL, CAP_SYS_PTRACE]
    restart: never
    stopTimeout: 600s
  - name: one
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
    backoff: {initial: 100ms, max: 500ms}
  - name: two
    image: @PROBE
    command: ["/bin/probe", "act", "ticks=20"]
    backoff: {initial: 100ms, max: 500ms}
  - name: three
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
    backoff: {initial: 100ms, max: 500ms}
    requires: [one]
"#;

/// What may leak: cgroups, mounts, descriptors of PID 1, namespaces.
#[derive(Debug)]
pub struct Held {
    cgroups: usize,
    mounts: usize,
    fds: usize,
    namespaces: usize,
}

impl Held {
    /// What is held now.
    ///
    /// # Errors
    /// The agent does not answer.
    pub fn by(guest: &Guest) -> Result<Self> {
        let mut namespaces = BTreeSet::new();
        for process in guest.processes()? {
            for kind in ["mnt", "net", "pid"] {
                let path = format!("/proc/{}/ns/{kind}", process.pid);
                if let Ok(Answer::Text { text }) = guest.try_ask(&Op::Readlink { path }) {
                    namespaces.insert(text);
                }
            }
        }
        Ok(Self {
            cgroups: guest.list("/sys/fs/cgroup/hullkit/services")?.len(),
            mounts: guest.mounts(1)?.len(),
            fds: guest.list("/proc/1/fd")?.len(),
            namespaces: namespaces.len(),
        })
    }

    /// Clients of the control socket come and go, and with them up to two
    /// descriptors.
    fn fits(&self, before: &Self) -> bool {
        self.cgroups <= before.cgroups
            && self.mounts <= before.mounts
            && self.fds <= before.fds + 2
            && self.namespaces <= before.namespaces
    }
}

/// The `n`th massacre of this guest (from 1), and what is there after it.
/// `before` is what was held before the first one.
///
/// # Errors
/// A service is lost or there twice, or something is held that was not.
pub fn massacre(guest: &Guest, n: usize, before: &Held) -> Result<()> {
    let killer = guest.pid("killer")?;
    // The agent is among the victims, and may be before it has answered.
    let _killed = guest.kill(killer, 15);
    guest.wait_nth_event("service killer", "exited", n, |e| {
        e.number("code") == Some(0)
    })?;
    for name in ["agent", "one", "two", "three"] {
        wait_running(guest, name)?;
    }
    let processes = guest.processes()?;
    for (step, count) in [("ticks=20", 1), ("term=wait", 2)] {
        let found = processes
            .iter()
            .filter(|p| p.args.iter().any(|arg| arg == step) && p.state != 'Z')
            .count();
        ensure!(found == count, "{step}: {found}: {processes:?}");
    }
    guest
        .wait_status("nothing left behind", |_| {
            Held::by(guest).ok().filter(|now| now.fits(before))
        })
        .with_context(|| format!("before: {before:?}, now: {:?}", Held::by(guest)))?;
    Ok(())
}

/// The agent that is asked may be the one that has just been killed.
fn wait_running(guest: &Guest, name: &str) -> Result<()> {
    let mut last = Ok(());
    for _ in 0..3 {
        last = guest.wait_state(name, "running").map(drop);
        if last.is_ok() {
            break;
        }
    }
    last
}
