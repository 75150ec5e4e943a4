//! PID 1's own life: it fails, or is replaced, and everything that runs goes on.

use std::collections::BTreeMap;

use agent_protocol::Exec;
use anyhow::{Context, Result, anyhow, ensure};
use hullkit_bundle::control::LogLine;
use qemu_tests::case::{ARCHES, Case, Machine};
use qemu_tests::console::Log;
use qemu_tests::guest::{Guest, HULLCTL};

/// Two of its signals have PID 1 make a mistake.
const CRASHES: Machine = Machine {
    cmdline: "hullkit.crash-test",
    ..Machine::PLAIN
};

pub(crate) const CASES: &[Case] = &[
    Case::own("life::nothing_is_restarted", TWENTY, nothing_is_restarted)
        .machine(CRASHES)
        .on(ARCHES),
    Case::own("life::twice_is_a_minimal_one", TWENTY, twice).machine(CRASHES),
    Case::own("life::a_hung_init_is_reset", "", hung).machine(Machine {
        cmdline: "hullkit.crash-test hullkit.watchdog=30",
        qemu: &["-device", "i6300esb", "-action", "watchdog=reset"],
        ..Machine::PLAIN
    }),
    Case::own("life::emergency_console", EMERGENCY, emergency).machine(Machine {
        cmdline: "hullkit.emergency",
        ..Machine::PLAIN
    }),
];

/// `SIGRTMIN+20`.
const PANIC: i32 = 54;
/// `SIGRTMIN+21`.
const FAULT: i32 = 55;
/// `SIGRTMIN+22`.
const HANG: i32 = 56;
const SIGSEGV: i32 = 11;

/// With the agent there are twenty services.
const TWENTY: &str = r#"
services:
  - name: ticker
    image: @PROBE
    command: ["/bin/probe", "act", "ticks=300"]
  - name: s00
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
  - name: s01
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
  - name: s02
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
  - name: s03
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
  - name: s04
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
  - name: s05
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
  - name: s06
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
  - name: s07
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
  - name: s08
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
  - name: s09
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
  - name: s10
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
  - name: s11
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
  - name: s12
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
  - name: s13
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
  - name: s14
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
  - name: s15
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
  - name: s16
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
  - name: s17
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
"#;

/// The first processes of all services.
fn pids(guest: &Guest) -> Result<BTreeMap<String, i32>> {
    let services = guest.status()?.entries.into_iter();
    services
        .filter(|entry| entry.section == "services")
        .map(|entry| {
            ensure!(entry.restarts == 0 && entry.state == "running", "{entry:?}");
            let pid = entry.pid.with_context(|| entry.name.clone())?;
            Ok((entry.name, pid))
        })
        .collect()
}

/// The log of `ticker`: no line twice, none left out.
fn ticks(guest: &Guest) -> Result<usize> {
    let text = guest.hullctl(&["logs", "--json", "ticker"])?;
    for (n, line) in (1..).zip(text.lines()) {
        let line: LogLine = serde_json::from_str(line)?;
        ensure!(
            line.text == format!("line {n}") && line.lost == 0,
            "{n}: {line:?}"
        );
    }
    Ok(text.lines().count())
}

/// A new life because of `cause`, the `n`th: everything is as it was.
fn unchanged(guest: &Guest, n: usize, cause: &str, before: &BTreeMap<String, i32>) -> Result<()> {
    let reborn = guest.wait_nth_event("init", "reborn", n, |_| true)?;
    ensure!(
        reborn
            .fields
            .get("cause")
            .is_some_and(|is| is.starts_with(cause)),
        "{reborn:?}"
    );
    let after = pids(guest)?;
    ensure!(after == *before, "{cause}: {before:?} became {after:?}");
    let ticks_now = ticks(guest)?;
    guest.wait_status("the log goes on", |_| {
        ticks(guest).ok().filter(|count| *count > ticks_now)
    })?;
    Ok(())
}

fn four_lives(guest: &Guest, before: &BTreeMap<String, i32>) -> Result<()> {
    guest.kill(1, PANIC)?;
    unchanged(guest, 1, "panic", before)?;
    guest.kill(1, SIGSEGV)?;
    unchanged(guest, 2, "sent:11", before)?;
    guest.hullctl(&["reexec"])?;
    unchanged(guest, 3, "asked", before)?;
    guest.hullctl(&["reexec", "/init"])?;
    unchanged(guest, 4, "asked", before)
}

/// It runs through all of them, and its client is answered.
fn program_of_a_client(guest: &Guest) -> Result<Exec> {
    let act = ["/bin/probe", "act", "write=/tmp/began:", "await=/tmp/go"];
    let argv = [&[HULLCTL, "exec", "s17"], &act[..], &["print=on", "exit=9"]].concat();
    guest.exec_until(&argv, None, 8 * guest.patience())
}

fn nothing_is_restarted(guest: &Guest) -> Result<()> {
    guest.wait_up()?;
    let before = pids(guest)?;
    ensure!(before.len() == 20, "{before:?}");
    let fds = guest.list("/proc/1/fd")?.len();
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| program_of_a_client(guest));
        let root = format!("/proc/{}/root", before["s17"]);
        guest.wait_file(&format!("{root}/tmp/began"), "")?;
        four_lives(guest, &before)?;
        let go = format!("write={root}/tmp/go:");
        guest.exec(&["/bin/probe", "act", &go])?;
        let ended = inside.join().map_err(|_| anyhow!("it panics"))??;
        ensure!(ended.code == Some(9) && ended.stdout == "on\n", "{ended:?}");
        Ok(())
    })?;
    // A program that knows nothing of the state, and one that is not there.
    for (program, why) in [
        ("/usr/bin/runc-shim", "does not read the state"),
        ("/nothing", "No such file"),
        ("init", "not an absolute path"),
    ] {
        let refused = guest.exec(&[HULLCTL, "reexec", program])?;
        ensure!(
            refused.code == Some(1) && refused.stderr.contains(why),
            "{refused:?}"
        );
    }
    ensure!(pids(guest)? == before);
    ensure!(
        guest
            .events("init")
            .iter()
            .filter(|e| e.state == "reborn")
            .count()
            == 4
    );
    // No descriptor is left behind, and the supervision works.
    let fds_now = guest.list("/proc/1/fd")?.len();
    ensure!(fds_now <= fds + 1, "{fds} descriptors became {fds_now}");
    guest.kill(before["s07"], 9)?;
    guest.wait_nth_event("service s07", "running", 2, |_| true)?;
    guest.hullctl(&["stop", "s08"])?;
    ensure!(guest.entry("s08")?.state == "exited");
    let _goes_down_too = guest.exec(&[HULLCTL, "poweroff"]);
    let end = guest.wait_end(guest.patience())?;
    ensure!(end.reason == "guest-shutdown", "{end:?}");
    Ok(())
}

fn twice(guest: &Guest) -> Result<()> {
    guest.wait_up()?;
    let before = pids(guest)?;
    guest.kill(1, PANIC)?;
    guest.kill(1, FAULT)?;
    guest.wait_event("init", "minimal", |_| true)?;
    let processes = guest.processes()?;
    for (name, pid) in &before {
        ensure!(
            processes.iter().any(|p| p.pid == *pid && p.state != 'Z'),
            "{name} is gone"
        );
    }
    // It reaps, and ends the machine.
    let victim = before["s03"];
    guest.kill(victim, 9)?;
    guest.wait_gone(victim)?;
    let _goes_down_too = guest.kill(1, 12);
    let end = guest.wait_end(guest.patience())?;
    ensure!(end.reason == "guest-shutdown", "{end:?}");
    Ok(())
}

fn hung(guest: &Guest) -> Result<()> {
    guest.wait_up()?;
    let watched = guest.wait_event("init", "watched", |_| true)?;
    ensure!(watched.number("within_s") == Some(30), "{watched:?}");
    // It is fed by whoever is PID 1.
    guest.hullctl(&["reexec"])?;
    guest.wait_nth_event("init", "watched", 2, |_| true)?;
    guest.kill(1, HANG)?;
    let end = guest.wait_end(4 * guest.patience())?;
    ensure!(end.reason == "guest-reset", "{end:?}");
    Ok(())
}

const EMERGENCY: &str = r#"
services:
  - name: idle
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
"#;

fn emergency(guest: &Guest) -> Result<()> {
    guest.wait_event("init", "stopped", |_| true)?;
    let shown = |text: &'static str| {
        move |log: &Log| {
            let mut lines = log.lines.iter().chain([&log.partial]);
            lines.any(|line| line.contains(text)).then_some(())
        }
    };
    let console = &guest.console;
    console.wait("the prompt", 2 * guest.patience(), shown("hullkit# "))?;
    ensure!(
        guest
            .events("service idle")
            .iter()
            .all(|e| e.state != "running")
    );
    guest.type_text("start idle\n")?;
    guest.wait_event("service idle", "running", |_| true)?;
    guest.type_text("status idle\n")?;
    console.wait("the status", guest.patience(), shown("services/idle"))?;
    guest.type_text("shell\n")?;
    console.wait("no shell", guest.patience(), shown("no such root"))?;
    guest.type_text("poweroff\n")?;
    let end = guest.wait_end(guest.patience())?;
    ensure!(end.reason == "guest-shutdown", "{end:?}");
    Ok(())
}
