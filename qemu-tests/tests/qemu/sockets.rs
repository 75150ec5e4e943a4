//! What PID 1 keeps for a service: its sockets, and what it leaves with PID 1.

use anyhow::{Result, anyhow, ensure};
use qemu_tests::case::{Case, KERNELS, Machine};
use qemu_tests::guest::Guest;

pub(crate) const CASES: &[Case] = &[
    Case::shared("sockets::outlive_their_service", OUTLIVE, outlive).on(KERNELS),
    Case::shared("sockets::start_a_lazy_service", LAZY, lazy),
    Case::shared("sockets::what_is_stored_comes_back", STORED, stored),
    Case::own("sockets::outlive_pid_1", REBORN, reborn).machine(Machine {
        cmdline: "hullkit.crash-test",
        ..Machine::PLAIN
    }),
];

/// Says `hello` to whoever listens; the answer.
fn call(guest: &Guest, place: &str) -> Result<String> {
    let said = guest.exec(&["/bin/probe", "act", &format!("call={place}:hello")])?;
    ensure!(said.code == Some(0), "{place}: {said:?}");
    Ok(said.stdout)
}

fn refused(guest: &Guest, place: &str) -> Result<()> {
    let said = guest.exec(&["/bin/probe", "act", &format!("call={place}:hello")])?;
    ensure!(said.code == Some(1) && said.stdout.is_empty(), "{said:?}");
    Ok(())
}

/// Waits until its log holds `text` so many times.
fn logged(guest: &Guest, name: &str, text: &str, times: usize) -> Result<()> {
    guest.wait_status(&format!("{times} × {text:?}"), |_| {
        let log = guest.hullctl(&["logs", name]).ok()?;
        (log.matches(text).count() == times).then_some(())
    })
}

const OUTLIVE: &str = r#"
services:
  - name: so-web
    image: @PROBE
    command: ["/bin/probe", "act", "answer=0:http"]
    net: new
    stopTimeout: 100ms
    backoff: {initial: 1h, max: 1h}
    sockets:
      - {listenStream: 7301, name: http}
      - {listenStream: /run/so/web.sock, name: local, mode: "0620", owner: "5:6"}
"#;

/// A connection to 127.0.0.1:7301 that stands (proc_net_tcp(5)).
const CONNECTED: &str = " 0100007F:1C85 01 ";

/// It has no network of its own, and is spoken to over the machine's.
fn outlive(guest: &Guest) -> Result<()> {
    guest.hullctl(&["wait", "so-web"])?;
    ensure!(call(guest, "7301")? == "http:local hello\n");
    let stat = guest.exec(&["/bin/probe", "act", "present=/run/so/web.sock"])?;
    ensure!(stat.code == Some(0), "{stat:?}");
    let pid = guest.pid("so-web")?;
    guest.kill(pid, 9)?;
    guest.wait_state("so-web", "backoff")?;
    // Nobody is there to take it, and it is answered.
    std::thread::scope(|scope| {
        let early = scope.spawn(|| call(guest, "7301"));
        guest.wait_file("/proc/net/tcp", CONNECTED)?;
        ensure!(guest.entry("so-web")?.state == "backoff");
        guest.hullctl(&["start", "so-web"])?;
        let answer = early.join().map_err(|_| anyhow!("it panics"))??;
        ensure!(answer == "http:local hello\n", "{answer}");
        Ok(())
    })?;
    ensure!(guest.pid("so-web")? != pid);
    guest.hullctl(&["stop", "so-web"])?;
    refused(guest, "7301")?;
    refused(guest, "/run/so/web.sock")?;
    let gone = guest.exec(&["/bin/probe", "act", "absent=/run/so/web.sock"])?;
    ensure!(gone.code == Some(0), "{gone:?}");
    guest.hullctl(&["start", "so-web"])?;
    ensure!(call(guest, "7301")? == "http:local hello\n");
    Ok(())
}

const LAZY: &str = r#"
services:
  - name: sl-lazy
    image: @PROBE
    command: ["/bin/probe", "act", "answer=1:sl-lazy"]
    pid: host
    lazy: true
    sockets: [{listenStream: "127.0.0.1:7302"}]
    backoff: {initial: 100ms, max: 100ms}
  - name: sl-udp
    image: @PROBE
    command: ["/bin/probe", "act", "echo=dns", "exit=0"]
    lazy: true
    sockets: [{listenDatagram: 7303, name: dns}]
    backoff: {initial: 100ms, max: 100ms}
  - name: sl-needs
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
    requires: [sl-lazy]
"#;

fn lazy(guest: &Guest) -> Result<()> {
    let entry = guest.wait_state("sl-lazy", "listening")?;
    ensure!(entry.pid.is_none() && entry.restarts == 0, "{entry:?}");
    guest.wait_state("sl-needs", "running")?;
    guest.hullctl(&["wait", "sl-lazy"])?;
    for n in 1..=2 {
        ensure!(call(guest, "7302")? == "sl-lazy hello\n");
        // It takes one, ends, and waits for the next.
        guest.wait_nth_event("service sl-lazy", "listening", n + 1, |_| true)?;
        ensure!(call(guest, "udp7303")? == "hello\n");
        guest.wait_nth_event("service sl-udp", "listening", n + 1, |_| true)?;
    }
    let starts = guest.events("service sl-lazy");
    let starts = starts.iter().filter(|e| e.state == "running").count();
    ensure!(starts == 2, "{starts} starts");
    // Who asks for it need not be a client of its own.
    guest.hullctl(&["start", "sl-lazy"])?;
    ensure!(guest.entry("sl-lazy")?.state == "running");
    guest.hullctl(&["stop", "sl-udp"])?;
    ensure!(guest.entry("sl-udp")?.state == "exited");
    Ok(())
}

const STORED: &str = r#"
services:
  - name: ss-keeps
    image: @PROBE
    command: ["/bin/probe", "act", "keep=file:first", "term=wait"]
    fdStore: 2
    backoff: {initial: 100ms}
    sockets: [{listenStream: 7304, name: web}]
"#;

fn stored(guest: &Guest) -> Result<()> {
    logged(guest, "ss-keeps", "stored", 1)?;
    guest.kill(guest.pid("ss-keeps")?, 9)?;
    // Behind the sockets.
    logged(guest, "ss-keeps", "kept web:file: first", 1)?;
    guest.hullctl(&["restart", "ss-keeps"])?;
    logged(guest, "ss-keeps", "kept web:file: first", 2)?;
    // With its stop it is over.
    guest.hullctl(&["stop", "ss-keeps"])?;
    guest.hullctl(&["start", "ss-keeps"])?;
    logged(guest, "ss-keeps", "stored", 2)
}

const REBORN: &str = r#"
services:
  - name: web
    image: @PROBE
    command: ["/bin/probe", "act", "answer=0:http"]
    stopTimeout: 100ms
    sockets:
      - {listenStream: 7301, name: http}
      - {listenStream: /run/web.sock, name: local}
  - name: lazy
    image: @PROBE
    command: ["/bin/probe", "act", "answer=1:lazy"]
    lazy: true
    sockets: [{listenStream: 7302}]
  - name: keeps
    image: @PROBE
    command: ["/bin/probe", "act", "keep=file:first", "term=wait"]
    fdStore: 2
    backoff: {initial: 100ms}
  - name: writes
    image: @PROBE
    command: ["/bin/probe", "act", "await=/tmp/go", "newline=7", "term=wait"]
    ready: {fd: 7, timeout: 10m}
    sockets: [{listenStream: 7305}]
"#;

/// `SIGRTMIN+20`.
const PANIC: i32 = 54;

fn reborn(guest: &Guest) -> Result<()> {
    logged(guest, "keeps", "stored", 1)?;
    guest.wait_state("lazy", "listening")?;
    guest.wait_state("writes", "running")?;
    let web = guest.pid("web")?;
    let fds = guest.list("/proc/1/fd")?.len();
    guest.kill(1, PANIC)?;
    guest.wait_event("init", "reborn", |_| true)?;
    ensure!(call(guest, "7301")? == "http:local hello\n");
    ensure!(guest.pid("web")? == web);
    ensure!(guest.entry("lazy")?.state == "listening");
    ensure!(call(guest, "7302")? == "lazy hello\n");
    guest.hullctl(&["reexec"])?;
    guest.kill(guest.pid("keeps")?, 9)?;
    logged(guest, "keeps", "kept file: first", 1)?;
    guest.kill(web, 9)?;
    ensure!(call(guest, "7301")? == "http:local hello\n");
    let entry = guest.entry("writes")?;
    ensure!(entry.ready == Some(false), "{entry:?}");
    let go = format!("write=/proc/{}/root/tmp/go:", guest.pid("writes")?);
    guest.exec(&["/bin/probe", "act", &go])?;
    guest.wait_event("service writes", "ready", |_| true)?;
    // Its pipe is closed; `lazy` has the four of its log now; nothing else was
    // left open.
    let now = guest.list("/proc/1/fd")?.len();
    ensure!(now == fds + 3, "{fds} descriptors became {now}");
    Ok(())
}
