//! Readiness: who says it, who asks for it, and who waits for it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use qemu_tests::case::{Case, EVERYWHERE};
use qemu_tests::guest::Guest;

pub(crate) const CASES: &[Case] = &[
    Case::shared("ready::notify_is_waited_for", NOTIFY, notify).on(EVERYWHERE),
    Case::shared("ready::probes_find_out", PROBES, probes),
    Case::shared("ready::too_late_is_a_failure", LATE, too_late),
    Case::shared("ready::a_flood_of_notices_is_slowed_down", FLOOD, flood),
    Case::shared("ready::another_process_stands_for_it", SUCCESSOR, successor),
    Case::own("ready::the_machine_says_so", MACHINE, machine),
];

/// Makes a file in the root that the service `name` sees.
fn touch(guest: &Guest, name: &str, path: &str) -> Result<()> {
    let pid = guest.pid(name)?;
    let file = format!("/proc/{pid}/root{path}");
    let made = guest.exec(&["/bin/probe", "act", &format!("write={file}:")])?;
    ensure!(made.code == Some(0), "{made:?}");
    Ok(())
}

fn never(guest: &Guest, service: &str, state: &str) -> Result<()> {
    let events = guest.events(&format!("service {service}"));
    ensure!(events.iter().all(|e| e.state != state), "{events:?}");
    Ok(())
}

const NOTIFY: &str = r#"
services:
  - name: rn-db
    image: @PROBE
    command: ["/bin/probe", "act", "await=/tmp/go", "notify=STATUS=warm and dry;READY=1", "term=wait"]
    ready: notify
  - name: rn-web
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
    requires: [rn-db]
  - name: rn-next
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
    after: [rn-db]
"#;

fn notify(guest: &Guest) -> Result<()> {
    let entry = guest.wait_state("rn-db", "running")?;
    ensure!(entry.ready == Some(false), "{entry:?}");
    // Root of the machine can reach the socket, and is not the service.
    let socket = "/run/hullkit/notify/services.rn-db/notify.sock";
    let told = guest.exec(&["/bin/probe", "act", &format!("tell={socket}:READY=1")])?;
    ensure!(told.code == Some(0), "{told:?}");
    let entry = guest.entry("rn-db")?;
    ensure!(entry.ready == Some(false), "{entry:?}");
    for waits in ["rn-web", "rn-next"] {
        never(guest, waits, "starting")?;
    }
    touch(guest, "rn-db", "/tmp/go")?;
    let ready = guest.wait_event("service rn-db", "ready", |_| true)?;
    for waits in ["rn-web", "rn-next"] {
        let subject = format!("service {waits}");
        let running = guest.wait_event(&subject, "running", |_| true)?;
        ensure!(ready.at <= running.at, "{ready:?} {running:?}");
    }
    let entry = guest.entry("rn-db")?;
    ensure!(entry.ready == Some(true), "{entry:?}");
    ensure!(entry.status.as_deref() == Some("warm and dry"), "{entry:?}");
    Ok(())
}

const PROBES: &str = r#"
services:
  - name: rp-exec
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
    ready: {exec: ["/bin/probe", "act", "present=/tmp/go"], timeout: 5m}
  - name: rp-tcp
    image: @PROBE
    command: ["/bin/probe", "act", "await=/tmp/go", "listen=7101", "term=wait"]
    ready: {tcp: 7101, timeout: 5m}
  - name: rp-unix
    image: @PROBE
    command: ["/bin/probe", "act", "await=/tmp/go", "listen=/tmp/socket", "term=wait"]
    ready: {unix: /tmp/socket, timeout: 5m}
  - name: rp-http
    image: @PROBE
    command: ["/bin/probe", "act", "await=/tmp/go", "http=7102:/tmp/ill"]
    stopTimeout: 100ms
    ready: {http: "http://localhost:7102/up", timeout: 5m}
  - name: rp-fd
    image: @PROBE
    command: ["/bin/probe", "act", "await=/tmp/go", "newline=5", "term=wait"]
    ready: {fd: 5, timeout: 5m}
  - name: rp-delay
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
    ready: {delay: 300ms}
"#;

fn probes(guest: &Guest) -> Result<()> {
    for name in ["rp-exec", "rp-tcp", "rp-unix", "rp-http", "rp-fd"] {
        let entry = guest.wait_state(name, "running")?;
        ensure!(entry.ready == Some(false), "{entry:?}");
        never(guest, name, "ready")?;
        touch(guest, name, "/tmp/go")?;
        guest.wait_event(&format!("service {name}"), "ready", |_| true)?;
    }
    let delay = guest.wait_event("service rp-delay", "ready", |_| true)?;
    ensure!(delay.number("ms").is_some_and(|ms| ms >= 300), "{delay:?}");
    Ok(())
}

const LATE: &str = r#"
services:
  - name: rl-never
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
    ready: {tcp: 7199, timeout: 700ms}
    restart: never
  - name: rl-needs
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
    requires: [rl-never]
"#;

fn too_late(guest: &Guest) -> Result<()> {
    let failed = guest.wait_event("service rl-never", "failed", |_| true)?;
    let error = failed.fields.get("error").context("no error")?;
    ensure!(error.starts_with("not ready within"), "{failed:?}");
    ensure!(
        failed.number("ms").is_some_and(|ms| ms >= 700),
        "{failed:?}"
    );
    never(guest, "rl-never", "ready")?;
    guest.wait_state("rl-needs", "skipped")?;
    never(guest, "rl-needs", "starting")?;
    Ok(())
}

const FLOOD: &str = r#"
services:
  - name: rf-flood
    image: @PROBE
    command: ["/bin/probe", "act", "notices=450", "notify=READY=1", "term=wait"]
    ready: {notify: true, timeout: 10m}
"#;

/// 200 notices a second are taken; whoever sends more waits.
fn flood(guest: &Guest) -> Result<()> {
    let starting = guest.wait_event("service rf-flood", "starting", |_| true)?;
    let ready = guest.wait_event("service rf-flood", "ready", |_| true)?;
    let took = ready.at - starting.at;
    ensure!(took >= Duration::from_secs(1), "{took:?}");
    let entry = guest.entry("rf-flood")?;
    ensure!(entry.status.as_deref() == Some("449"), "{entry:?}");
    Ok(())
}

const SUCCESSOR: &str = r#"
services:
  - name: rs-forks
    image: @PROBE
    command: ["/bin/probe", "act", "succeed", "notify=READY=1", "term=wait"]
    pid: host
    ready: notify
    backoff: {initial: 100ms}
"#;

/// A service that makes itself a daemon: `MAINPID` is the process whose end is
/// its end, and which is asked to stop.
fn successor(guest: &Guest) -> Result<()> {
    let first = guest.wait_event("service rs-forks", "running", |_| true)?;
    guest.wait_event("service rs-forks", "ready", |_| true)?;
    let second = guest.wait_nth_event("service rs-forks", "running", 2, |_| true)?;
    let pids = (first.number("pid"), second.number("pid"));
    ensure!(pids.0 != pids.1, "{pids:?}");
    let entry = guest.entry("rs-forks")?;
    let pid = entry.pid.context("no pid")?;
    ensure!(
        u64::try_from(pid).ok() == pids.1 && entry.restarts == 0,
        "{entry:?}"
    );
    never(guest, "rs-forks", "exited")?;
    guest.kill(pid, 9)?;
    guest.wait_event("service rs-forks", "failed", |_| true)?;
    let fourth = guest.wait_nth_event("service rs-forks", "running", 4, |_| true)?;
    guest.hullctl(&["stop", "rs-forks"])?;
    let exited = guest.wait_event("service rs-forks", "exited", |_| true)?;
    ensure!(exited.number("code") == Some(0), "{exited:?} {fourth:?}");
    Ok(())
}

const MACHINE: &str = r#"
services:
  - name: slow
    image: @PROBE
    command: ["/bin/probe", "act", "await=/tmp/go", "notify=READY=1", "term=wait"]
    ready: notify
  - name: job
    image: @PROBE
    command: ["/bin/probe", "act", "exit=0"]
    restart: on-failure
"#;

fn machine(guest: &Guest) -> Result<()> {
    guest.wait_up()?;
    guest.wait_state("job", "exited")?;
    let ready = |guest: &Guest| {
        guest
            .events("init")
            .into_iter()
            .find(|e| e.state == "ready")
    };
    ensure!(ready(guest).is_none(), "{:?}", ready(guest));
    touch(guest, "slow", "/tmp/go")?;
    let said = guest.wait_event("init", "ready", |_| true)?;
    let status = guest.status()?;
    let system = status.system.context("no machine")?;
    ensure!(system.ready_ms == said.number("ms"), "{system:?}");
    Ok(())
}
