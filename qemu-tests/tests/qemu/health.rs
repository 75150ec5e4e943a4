//! Health checks, watchdogs, and what a failure means beyond a restart.

use agent_protocol::{Answer, Op};
use anyhow::{Context, Result, ensure};
use qemu_tests::case::{ARCHES, Case, EVERYWHERE};
use qemu_tests::guest::Guest;

pub(crate) const CASES: &[Case] = &[
    Case::shared("health::unhealthy_is_restarted", ILL, unhealthy).on(EVERYWHERE),
    Case::shared("health::a_command_has_the_services_rights", RIGHTS, rights).on(ARCHES),
    Case::shared("health::a_probe_that_hangs_is_ended", HANGS, hangs),
    Case::shared("health::silence_is_death", WATCHDOG, watchdog),
    Case::shared("health::starts_are_limited", LIMIT, start_limit),
    Case::shared("health::out_of_memory_is_not_repeated", OOM, oom),
    Case::own("health::a_critical_failure_reboots", CRITICAL, critical),
];

fn touch(guest: &Guest, name: &str, path: &str) -> Result<()> {
    let pid = guest.pid(name)?;
    let file = format!("/proc/{pid}/root{path}");
    let made = guest.exec(&["/bin/probe", "act", &format!("write={file}:")])?;
    ensure!(made.code == Some(0), "{made:?}");
    Ok(())
}

const ILL: &str = r#"
services:
  - name: hi-web
    image: @PROBE
    command: ["/bin/probe", "act", "http=7201:/tmp/ill"]
    stopTimeout: 100ms
    ready: {http: "http://127.0.0.1:7201/", timeout: 5m}
    health: {http: "http://127.0.0.1:7201/", interval: 1s, timeout: 5m, retries: 2}
    backoff: {initial: 100ms}
"#;

fn unhealthy(guest: &Guest) -> Result<()> {
    guest.wait_status("a check that went well", |status| {
        let mut entries = status.entries.iter();
        let entry = entries.find(|entry| entry.name == "hi-web")?;
        (entry.healthy == Some(true)).then_some(())
    })?;
    let first = guest.pid("hi-web")?;
    touch(guest, "hi-web", "/tmp/ill")?;
    let ill = guest.wait_event("service hi-web", "unhealthy", |_| true)?;
    ensure!(ill.number("failures") == Some(2), "{ill:?}");
    let failed = guest.wait_event("service hi-web", "failed", |_| true)?;
    let error = failed.fields.get("error").context("no error")?;
    ensure!(
        error.starts_with("unhealthy: http: ") && error.ends_with("status 503"),
        "{failed:?}"
    );
    // Its new root has no such file.
    guest.wait_nth_event("service hi-web", "ready", 2, |_| true)?;
    ensure!(guest.pid("hi-web")? != first);
    Ok(())
}

const RIGHTS: &str = r#"
services:
  - name: hr-user
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
    uid: 1000
    gid: 1001
    additionalGids: [1002]
    env: ["GREETING=hello"]
    cwd: /data
    tmpfs: ["/tmp:mode=1777"]
    ready: {exec: ["/bin/probe", "act", "copy=/proc/self/status:/tmp/status", "copy=/proc/self/cgroup:/tmp/cgroup", "copy=/proc/self/environ:/tmp/environ"], timeout: 5m}
"#;

/// It has the service's ids, capabilities, cgroup and process ids, as the kernel
/// tells it from inside.
fn rights(guest: &Guest) -> Result<()> {
    guest.wait_event("service hr-user", "ready", |_| true)?;
    let pid = guest.pid("hr-user")?;
    let of_probe = guest.read(&format!("/proc/{pid}/root/tmp/status"))?;
    let of_service = guest.read(&format!("/proc/{pid}/status"))?;
    let line = |text: &str, name: &str| {
        let mut lines = text.lines();
        lines.find(|line| line.starts_with(name)).map(str::to_owned)
    };
    for name in [
        "Uid:",
        "Gid:",
        "Groups:",
        "CapInh:",
        "CapPrm:",
        "CapEff:",
        "CapBnd:",
        "CapAmb:",
        "NoNewPrivs:",
        "Seccomp:",
        "Seccomp_filters:",
    ] {
        let (probe, service) = (line(&of_probe, name), line(&of_service, name));
        ensure!(
            probe.is_some() && probe == service,
            "{probe:?}, not {service:?}"
        );
    }
    ensure!(
        line(&of_probe, "Uid:").is_some_and(|uid| uid.contains("1000")),
        "{of_probe}"
    );
    ensure!(
        line(&of_probe, "Seccomp:").is_some_and(|mode| mode.ends_with('2')),
        "{of_probe}"
    );
    // A number of the service's own pid namespace, in a cgroup below its own.
    let inner = line(&of_probe, "NSpid:").context("no NSpid")?;
    ensure!(inner.split_whitespace().count() == 2, "{inner}");
    let cgroup = guest.read(&format!("/proc/{pid}/root/tmp/cgroup"))?;
    ensure!(cgroup.trim() == "0::/hullkit-probe", "{cgroup}");
    let environ = guest.read(&format!("/proc/{pid}/root/tmp/environ"))?;
    ensure!(
        environ.split('\0').any(|pair| pair == "GREETING=hello"),
        "{environ}"
    );
    Ok(())
}

const HANGS: &str = r#"
services:
  - name: hh-hangs
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
    health: {exec: ["/bin/probe", "act", "forever"], interval: 1s, timeout: 300ms, retries: 1, action: none}
"#;

fn hangs(guest: &Guest) -> Result<()> {
    let ill = guest.wait_event("service hh-hangs", "unhealthy", |_| true)?;
    let error = ill.fields.get("error").context("no error")?;
    ensure!(error == "unhealthy: timed out after 300 ms", "{ill:?}");
    // Said once, and nothing else is done about it.
    let entry = guest.entry("hh-hangs")?;
    ensure!(
        entry.state == "running" && entry.healthy == Some(false),
        "{entry:?}"
    );
    // At most the probe that is under way: those before are gone. A probe is
    // at most two processes below the service's cgroup, beside the service.
    guest.wait_status("few processes in the cgroup", |_| {
        let processes = guest.processes().ok()?;
        let inside = processes
            .iter()
            .filter(|p| p.cgroup.contains("/services/hh-hangs") && p.state != 'Z');
        (inside.count() <= 3).then_some(())
    })?;
    guest.hullctl(&["stop", "hh-hangs"])?;
    let left = guest.processes()?;
    let left: Vec<_> = left
        .iter()
        .filter(|p| p.cgroup.contains("/services/hh-hangs"))
        .collect();
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}

const WATCHDOG: &str = r#"
services:
  - name: hw-dog
    image: @PROBE
    command: ["/bin/probe", "act", "feed=100:/tmp/silent", "forever"]
    watchdog: 10s
    stopTimeout: 100ms
"#;

fn watchdog(guest: &Guest) -> Result<()> {
    let pid = guest.wait_state("hw-dog", "running")?.pid;
    let pid = pid.context("no pid")?;
    let environ = guest.read(&format!("/proc/{pid}/environ"))?;
    let has = |pair: &str| environ.split('\0').any(|line| line == pair);
    ensure!(has("WATCHDOG_USEC=10000000"), "{environ}");
    ensure!(has("NOTIFY_SOCKET=/run/notify/notify.sock"), "{environ}");
    touch(guest, "hw-dog", "/tmp/silent")?;
    let failed = guest.wait_event("service hw-dog", "failed", |_| true)?;
    let error = failed.fields.get("error").context("no error")?;
    ensure!(error == "watchdog: silent for 10000 ms", "{failed:?}");
    let stopping = guest.wait_event("service hw-dog", "stopping", |_| true)?;
    ensure!(stopping.number("signal") == Some(6), "{stopping:?}");
    Ok(())
}

const LIMIT: &str = r#"
services:
  - name: hl-loop
    image: @PROBE
    command: ["/bin/probe", "act", "exit=7"]
    backoff: {initial: 50ms, factor: 1}
    startLimit: {burst: 3, interval: 1h}
"#;

fn start_limit(guest: &Guest) -> Result<()> {
    let last = |e: &qemu_tests::event::Event| e.number("restart_in_ms").is_none();
    let failed = guest.wait_event("service hl-loop", "failed", last)?;
    let error = failed.fields.get("error").context("no error")?;
    ensure!(
        error.starts_with("started 3 times within 3600000 ms"),
        "{failed:?}"
    );
    let starts = guest.events("service hl-loop");
    let starts = starts.iter().filter(|e| e.state == "starting").count();
    ensure!(starts == 3, "{starts} starts");
    ensure!(guest.entry("hl-loop")?.state == "failed");
    // Whoever asks for it gets three more.
    guest.hullctl(&["start", "hl-loop"])?;
    guest.wait_nth_event("service hl-loop", "starting", 6, |_| true)?;
    Ok(())
}

const OOM: &str = r#"
services:
  - name: ho-hungry
    image: @PROBE
    command: ["/bin/probe", "probe", "ho-hungry"]
    resources: {memory: {limit: 33554432}}
    oom: stop
"#;

fn oom(guest: &Guest) -> Result<()> {
    let probe = guest.probe("ho-hungry")?;
    // It is killed in the middle of it; there is no answer but that.
    let answer = probe.try_ask(&Op::Allocate { mebibytes: 64 })?;
    ensure!(matches!(answer, Answer::Failed { .. }), "{answer:?}");
    let failed = guest.wait_event("service ho-hungry", "failed", |_| true)?;
    ensure!(failed.number("restart_in_ms").is_none(), "{failed:?}");
    let entry = guest.wait_state("ho-hungry", "failed")?;
    ensure!(entry.error.as_deref() == Some("out of memory"), "{entry:?}");
    ensure!(entry.restarts == 0, "{entry:?}");
    Ok(())
}

const CRITICAL: &str = r#"
services:
  - name: heart
    image: @PROBE
    command: ["/bin/probe", "act", "await=/tmp/stop", "exit=3"]
    restart: on-failure
    backoff: {initial: 50ms}
    startLimit: {burst: 1, interval: 1h}
    critical: true
"#;

fn critical(guest: &Guest) -> Result<()> {
    guest.wait_up()?;
    touch(guest, "heart", "/tmp/stop")?;
    let stopping = guest.wait_event("init", "stopping", |_| true)?;
    ensure!(
        stopping.fields.get("for").map(String::as_str) == Some("reboot"),
        "{stopping:?}"
    );
    let end = guest.wait_end(guest.patience())?;
    ensure!(end.reason == "guest-reset", "{end:?}");
    Ok(())
}
