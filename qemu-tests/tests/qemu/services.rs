//! Supervision: order, restarts, backoff, and control by `hullctl`.

use anyhow::{Context, Result, ensure};
use qemu_tests::case::{ARCHES, Case, EVERYWHERE};
use qemu_tests::event::Event;
use qemu_tests::guest::{Guest, HULLCTL};

pub(crate) const CASES: &[Case] = &[
    Case::shared("services::dependency_order", ORDER, dependency_order),
    Case::shared(
        "services::unmet_requirement_waits",
        UNMET,
        unmet_requirement,
    ),
    Case::shared("services::killed_comes_back", VICTIM, killed_comes_back).on(EVERYWHERE),
    Case::shared("services::backoff_resets", STEADY, backoff_resets),
    Case::shared("services::crash_loop_is_throttled", LOOP, crash_loop).on(ARCHES),
    Case::shared("services::restart_policies", POLICIES, restart_policies),
    Case::shared(
        "services::stop_start_restart",
        CONTROLLED,
        stop_start_restart,
    )
    .on(ARCHES),
    Case::shared("services::stubborn_is_killed", STUBBORN, stubborn_is_killed),
    Case::shared(
        "services::stop_leaves_no_process",
        FAMILY,
        stop_leaves_no_process,
    ),
    Case::shared("services::hullctl_refuses_in_words", "", hullctl_refuses),
    Case::shared(
        "services::command_that_is_not_there",
        MISSING,
        missing_command,
    )
    .on(ARCHES),
    Case::own("services::agent_comes_back", "", agent_comes_back),
];

fn running(guest: &Guest, service: &str) -> Result<Event> {
    guest.wait_event(&format!("service {service}"), "running", |_| true)
}

const ORDER: &str = r#"
services:
  - name: dep-a
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
    after: [dep-b]
  - name: dep-b
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
    requires: [dep-c]
  - name: dep-c
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
"#;

fn dependency_order(guest: &Guest) -> Result<()> {
    let (a, b, c) = (
        running(guest, "dep-a")?,
        running(guest, "dep-b")?,
        running(guest, "dep-c")?,
    );
    ensure!(c.at <= b.at && b.at <= a.at, "{a:?} {b:?} {c:?}");
    Ok(())
}

const UNMET: &str = r#"
services:
  - name: never-up
    image: @PROBE
    command: ["/bin/not-there"]
    restart: never
  - name: needs-it
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
    requires: [never-up]
"#;

fn unmet_requirement(guest: &Guest) -> Result<()> {
    guest.wait_state("never-up", "failed")?;
    let entry = guest.entry("needs-it")?;
    ensure!(
        ["waiting", "skipped"].contains(&entry.state.as_str()),
        "{entry:?}"
    );
    ensure!(entry.pid.is_none());
    Ok(())
}

const VICTIM: &str = r#"
services:
  - name: victim
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
    backoff: {initial: 100ms, max: 10s, reset: 1h}
"#;

fn killed_comes_back(guest: &Guest) -> Result<()> {
    let mut pid = guest.pid("victim")?;
    for (n, backoff) in [(1, 100), (2, 200), (3, 400)] {
        guest.kill(pid, 9)?;
        let failed = guest.wait_nth_event("service victim", "failed", n, |_| true)?;
        ensure!(failed.number("signal") == Some(9), "{failed:?}");
        ensure!(
            failed.number("restart_in_ms") == Some(backoff),
            "{failed:?}"
        );
        let again = guest.wait_nth_event("service victim", "running", n + 1, |_| true)?;
        let waited = u64::try_from((again.at - failed.at).as_millis())?;
        ensure!(waited >= backoff, "back after {waited} ms: {failed:?}");
        let entry = guest.wait_state("victim", "running")?;
        ensure!(entry.restarts == u32::try_from(n)?, "{entry:?}");
        ensure!(entry.signal == Some(9), "{entry:?}");
        let new = entry.pid.context("runs without a pid")?;
        ensure!(new != pid);
        pid = new;
    }
    Ok(())
}

const STEADY: &str = r#"
services:
  - name: steady
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
    backoff: {initial: 100ms, max: 10s, reset: 1s}
"#;

fn backoff_resets(guest: &Guest) -> Result<()> {
    for n in 1..=2 {
        guest.wait_status("a second of health", |status| {
            let now = status.system.as_ref()?.uptime_ms;
            let entry = status.entries.iter().find(|entry| entry.name == "steady")?;
            (entry.state == "running" && now > entry.since_ms + 1100).then_some(())
        })?;
        guest.kill(guest.pid("steady")?, 9)?;
        let failed = guest.wait_nth_event("service steady", "failed", n, |_| true)?;
        ensure!(failed.number("restart_in_ms") == Some(100), "{failed:?}");
        guest.wait_nth_event("service steady", "running", n + 1, |_| true)?;
    }
    Ok(())
}

const LOOP: &str = r#"
services:
  - name: loop
    image: @PROBE
    command: ["/bin/probe", "act", "exit=7"]
    backoff: {initial: 100ms, max: 1s, reset: 1h}
"#;

fn crash_loop(guest: &Guest) -> Result<()> {
    let wanted = [100, 200, 400, 800, 1000, 1000];
    let mut last: Option<Event> = None;
    for (n, wait) in (1..).zip(wanted) {
        let failed = guest.wait_nth_event("service loop", "failed", n, |_| true)?;
        ensure!(failed.number("code") == Some(7), "{failed:?}");
        ensure!(
            failed.number("restart_in_ms") == Some(wait),
            "{n}: {failed:?}"
        );
        last = Some(failed);
    }
    let last = last.context("no failure at all")?;
    ensure!(
        last.fields.get("crash_loop").map(String::as_str) == Some("true"),
        "{last:?}"
    );
    let entry = guest.entry("loop")?;
    ensure!(entry.crash_loop && entry.restarts >= 5, "{entry:?}");
    ensure!(entry.code == Some(7), "{entry:?}");
    // It does not spin: never two starts in less than the backoff says.
    let starts: Vec<Event> = guest.events("service loop");
    let starts: Vec<_> = starts.iter().filter(|e| e.state == "running").collect();
    for (pair, wait) in starts.windows(2).zip(wanted) {
        let between = u64::try_from((pair[1].at - pair[0].at).as_millis())?;
        ensure!(between >= wait, "{pair:?}");
    }
    Ok(())
}

const POLICIES: &str = r#"
services:
  - name: once
    image: @PROBE
    command: ["/bin/probe", "act", "exit=5"]
    restart: never
  - name: done
    image: @PROBE
    command: ["/bin/probe", "act"]
    restart: on-failure
  - name: retry
    image: @PROBE
    command: ["/bin/probe", "act", "exit=1"]
    restart: on-failure
    backoff: {initial: 10s}
  - name: again
    image: @PROBE
    command: ["/bin/probe", "act"]
    backoff: {initial: 10s}
"#;

fn restart_policies(guest: &Guest) -> Result<()> {
    let once = guest.wait_state("once", "failed")?;
    ensure!(once.code == Some(5) && once.restarts == 0, "{once:?}");
    let done = guest.wait_state("done", "exited")?;
    ensure!(done.code == Some(0) && done.restarts == 0, "{done:?}");
    for (name, code) in [("retry", 1), ("again", 0)] {
        // Its turn comes again and again: the state that it is in most.
        let entry = guest.wait_state(name, "backoff")?;
        ensure!(entry.code == Some(code), "{entry:?}");
        ensure!(
            entry.restart_in_ms.is_some_and(|ms| ms <= 30_000),
            "{entry:?}"
        );
    }
    ensure!(guest.entry("once")?.restarts == 0 && guest.entry("done")?.restarts == 0);
    Ok(())
}

const CONTROLLED: &str = r#"
services:
  - name: controlled
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
"#;

fn stop_start_restart(guest: &Guest) -> Result<()> {
    let first = guest.pid("controlled")?;
    guest.hullctl(&["stop", "controlled"])?;
    // The answer comes when it is down.
    let entry = guest.entry("controlled")?;
    ensure!(entry.state == "exited" && entry.pid.is_none(), "{entry:?}");
    guest.wait_gone(first)?;

    guest.hullctl(&["start", "controlled"])?;
    let second = guest.pid("controlled")?;
    ensure!(second != first);

    guest.hullctl(&["restart", "controlled"])?;
    let third = guest.pid("controlled")?;
    ensure!(third != second);
    // None of that counts as a failure.
    let entry = guest.entry("controlled")?;
    ensure!(entry.restarts == 0, "{entry:?}");
    Ok(())
}

const STUBBORN: &str = r#"
services:
  - name: stubborn
    image: @PROBE
    command: ["/bin/probe", "act", "term=ignore", "forever"]
    stopTimeout: 700ms
"#;

fn stubborn_is_killed(guest: &Guest) -> Result<()> {
    let pid = guest.pid("stubborn")?;
    guest.hullctl(&["stop", "stubborn"])?;
    guest.wait_gone(pid)?;
    let stopping = guest.wait_event("service stubborn", "stopping", |e| {
        e.number("signal") == Some(15)
    })?;
    let log = guest.events("service stubborn");
    let end = log
        .iter()
        .find(|e| ["exited", "failed"].contains(&e.state.as_str()))
        .context("no end on the console")?;
    ensure!(end.number("signal") == Some(9), "{end:?}");
    let took = (end.at - stopping.at).as_millis();
    ensure!((700..5000).contains(&took), "killed after {took} ms");
    Ok(())
}

const FAMILY: &str = r#"
services:
  - name: family
    image: @PROBE
    command: ["/bin/probe", "probe", "family"]
    pid: host
"#;

/// In the guest's pid namespace nothing ends a service's other processes but
/// the cgroup.
fn stop_leaves_no_process(guest: &Guest) -> Result<()> {
    use agent_protocol::Op;
    let probe = guest.probe("family")?;
    // It runs until it is killed: the answer never comes, and is not waited for.
    std::thread::scope(|scope| {
        let child = scope.spawn(|| {
            probe.try_ask(&Op::Exec {
                argv: ["/bin/probe", "act", "term=ignore", "forever"]
                    .map(str::to_owned)
                    .into(),
                stdin: String::new(),
                timeout_ms: 60_000,
                until: None,
            })
        });
        let of_family = |guest: &Guest| -> Result<Vec<i32>> {
            let processes = guest.processes()?;
            Ok(processes
                .iter()
                .filter(|p| p.cgroup.ends_with("/services/family") && p.state != 'Z')
                .map(|p| p.pid)
                .collect())
        };
        guest.wait_status("two processes in the cgroup", |_| {
            of_family(guest).ok().filter(|pids| pids.len() == 2)
        })?;
        guest.hullctl(&["stop", "family"])?;
        let left = of_family(guest)?;
        ensure!(left.is_empty(), "still there: {left:?}");
        let _gone = child.join();
        Ok(())
    })
}

fn hullctl_refuses(guest: &Guest) -> Result<()> {
    for (args, word) in [
        (["start", "no-such-service"], "no-such-service"),
        (["frobnicate", "agent"], "frobnicate"),
    ] {
        let exec = guest.exec(&[&[HULLCTL], args.as_slice()].concat())?;
        ensure!(exec.code.is_some_and(|code| code != 0), "{exec:?}");
        ensure!(exec.stderr.contains(word), "{exec:?}");
    }
    Ok(())
}

const MISSING: &str = r#"
services:
  - name: no-command
    image: @PROBE
    command: ["/bin/not-there"]
    backoff: {initial: 1s}
"#;

fn missing_command(guest: &Guest) -> Result<()> {
    let failed = guest.wait_event("service no-command", "failed", |_| true)?;
    let error = failed.fields.get("error").context("failed without error")?;
    ensure!(error.contains("/bin/not-there"), "{failed:?}");
    let entry = guest.entry("no-command")?;
    ensure!(
        entry
            .error
            .as_ref()
            .is_some_and(|e| e.contains("/bin/not-there")),
        "{entry:?}"
    );
    Ok(())
}

/// The harness and its channel survive the agent: QEMU opens the port again.
fn agent_comes_back(guest: &Guest) -> Result<()> {
    let hellos = guest.agent_hellos();
    let pid = guest.pid("agent")?;
    // The agent may be gone before it answers.
    let _answer = guest.kill(pid, 9);
    guest.wait_agent(hellos + 1)?;
    ensure!(guest.pid("agent")? != pid);
    Ok(())
}
