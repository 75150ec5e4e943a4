//! Logs that are kept on a disk.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use qemu_tests::case::{Case, Machine};
use qemu_tests::disk::{Disk, SLOT};
use qemu_tests::guest::Guest;

pub(crate) const CASES: &[Case] =
    &[
        Case::own("logfiles::outlive_the_machine", LOGGED, outlive_the_machine).machine(Machine {
            qemu: SLOT,
            ..Machine::PLAIN
        }),
    ];

/// The disk comes late; `mounter` mounts it, and fills it when it is told to.
const LOGGED: &str = r#"
log: {path: /var/disk/log/, maxSize: 64K, maxFiles: 3}
services:
  - name: mounter
    image: @PROBE
    command: ["/bin/probe", "act", "await=/dev/vda", "mount=/dev/vda:/var/disk",
      "await=/var/fill", "fill=/var/disk/filler", "print=full",
      "await=/var/drain", "remove=/var/disk/filler", "term=wait"]
    capabilities: [CAP_SYS_ADMIN]
    devices: [{path: all, type: b}]
    binds: ["/dev:/dev", "/var:/var:rshared,rbind"]
    rootfsPropagation: shared
    after: [early, steady, spill]
    log: none
  - name: early
    image: @PROBE
    command: ["/bin/probe", "act", "lines=200", "term=wait", "print=last words"]
    log: {path: /var/disk/early.log}
  - name: steady
    image: @PROBE
    command: ["/bin/probe", "act", "ticks=20"]
    log: {path: /var/disk/steady.log, maxSize: 4M}
  - name: spill
    image: @PROBE
    command: ["/bin/probe", "act", "lines=10", "await=/var/spill", "lines=20000", "term=wait"]
    binds: ["/var:/var"]
    log: {path: /var/disk/spill.log, maxSize: 4M}
  - name: burst
    image: @PROBE
    command: ["/bin/probe", "act", "await=/var/burst", "lines=6000", "term=wait"]
    binds: ["/var:/var"]
"#;

fn outlive_the_machine(guest: &Guest) -> Result<()> {
    let before = guest.dir().join("before");
    fs::create_dir(&before)?;
    fs::write(before.join("early.log"), "of the boot before\nhalf a li")?;
    let before = before.to_str().context("a path that is not UTF-8")?;
    let disk = Disk::ext4(guest.dir().join("disk.img"), 8, &["-m", "0", "-d", before])?;
    guest.wait_up()?;
    let absent = guest.entry("early")?.log.context("it has a log")?;
    let absent = absent.error.unwrap_or_default();
    ensure!(absent.contains("no disk is mounted"), "{absent}");
    disk.plug(guest, "disk1", "1")?;
    wait_log(guest, "early", |error| error.is_none())?;

    // 1. The log process is killed, again and again, while lines come, and
    //    more of them than burst's files may hold.
    touch(guest, "burst")?;
    for _ in 0..5 {
        let pid = log_process(guest)?;
        guest.kill(pid, 9)?;
        guest.wait_gone(pid)?;
        let next = guest.wait_status("a new log process", |_| log_process(guest).ok())?;
        ensure!(next != pid);
        wait_growth(guest, "steady")?;
    }
    wait_last_line(guest, "burst", "line 6000")?;
    // 2. The disk is full, and there is more than memory holds.
    touch(guest, "fill")?;
    guest.wait_status("the disk is full", |_| {
        let lines = guest.hullctl(&["logs", "mounter"]).ok()?;
        lines.contains("full").then_some(())
    })?;
    touch(guest, "spill")?;
    guest.wait_event("service spill", "problem", |event| {
        let error = event.fields.get("error");
        error.is_some_and(|e| e.contains("No space left") && e.contains("goes on in memory"))
    })?;
    wait_log(guest, "spill", |error| {
        error.is_some_and(|error| error.contains("No space left"))
    })?;
    wait_last_line(guest, "spill", "line 20000")?;
    touch(guest, "drain")?;
    // The disk is tried again after half a minute at most.
    guest.wait_event("service spill", "logs", |event| {
        event.number("lost") > Some(0)
    })?;
    wait_log(guest, "spill", |error| error.is_none())?;
    let spilled = guest.entry("spill")?.log.context("it has a log")?.lost;
    wait_growth(guest, "steady")?;

    let _goes_down_too = guest.exec(&[qemu_tests::guest::HULLCTL, "poweroff"]);
    guest.wait_poweroff(guest.patience())?;
    disk.is_clean()?;
    on_the_disk(&disk, spilled)
}

/// What the host finds.
fn on_the_disk(disk: &Disk, spilled: u64) -> Result<()> {
    let early = disk.read(Path::new("/early.log"))?;
    let rest = early.strip_prefix("of the boot before\nhalf a li\n");
    let lines: Vec<&str> = rest.with_context(|| early.clone())?.lines().collect();
    ensure!(lines.len() == 201 && numbers(&lines[..200])? == (0, 1, 200));
    ensure!(
        lines[200].ends_with(" stdout last words") && lines[200].contains('T'),
        "{}",
        lines[200]
    );
    let file = |suffix: &str| {
        let path = format!("/log/services.burst.log{suffix}");
        disk.read(Path::new(&path))
    };
    let parts = [file(".2")?, file(".1")?, file("")?];
    let sizes = parts.each_ref().map(String::len);
    ensure!(
        sizes.iter().all(|size| (1..=64 << 10).contains(size)),
        "{sizes:?}"
    );
    ensure!(file(".3")?.is_empty(), "more than three files");
    let burst = parts.concat();
    let (lost, first, last) = numbers(&burst.lines().collect::<Vec<_>>())?;
    ensure!(
        lost == 0 && first > 1 && last == 6000,
        "{lost} {first} {last}"
    );
    let steady = disk.read(Path::new("/steady.log"))?;
    let (lost, first, last) = numbers(&steady.lines().collect::<Vec<_>>())?;
    ensure!(lost == 0 && first == 1, "{lost} {first} {last}");
    let spill = disk.read(Path::new("/spill.log"))?;
    let spill: Vec<&str> = spill.lines().collect();
    // The first ten are numbered by themselves.
    let (early, late) = spill.split_at_checked(10).context("too few lines")?;
    ensure!(numbers(early)? == (0, 1, 10));
    let (lost, first, last) = numbers(late)?;
    let there = late.iter().filter(|line| value(line, " line ").is_some());
    let there = u64::try_from(there.count())?;
    ensure!(
        last == 20_000 && lost == spilled && there + lost == 20_000,
        "{there} lines from {first} to {last}, {lost} lost; {spilled} by status"
    );
    Ok(())
}

/// The number behind `word` in a line.
fn value(line: &str, word: &str) -> Option<u64> {
    line.split_once(word)?.1.parse().ok()
}

/// How many lines are counted as lost, the first number, the last; nothing
/// else is missing or there twice.
fn numbers(lines: &[&str]) -> Result<(u64, u64, u64)> {
    let (mut all, mut gone) = (0, 0);
    let (mut first, mut last) = (None, 0);
    for line in lines {
        if let Some(count) = value(line, " lost ") {
            gone += count;
            all += count;
            continue;
        }
        let number = value(line, " stdout line ").with_context(|| format!("{line:?}"))?;
        ensure!(
            first.is_none() || number == last + gone + 1,
            "{number} behind {last}, {gone} lost"
        );
        (first, last, gone) = (first.or(Some(number)), number, 0);
    }
    Ok((all, first.context("no lines")?, last))
}

fn touch(guest: &Guest, name: &str) -> Result<()> {
    let path = format!("/host/var/{name}");
    let text = String::new();
    guest
        .ask(&agent_protocol::Op::Write { path, text })
        .map(drop)
}

/// Waits until the error of a service's log file is as wanted.
fn wait_log(guest: &Guest, name: &str, wanted: impl Fn(Option<&str>) -> bool) -> Result<()> {
    guest.wait_status(&format!("the log file of {name}"), |status| {
        let entry = status.entries.iter().find(|entry| entry.name == name)?;
        let log = entry.log.as_ref()?;
        wanted(log.error.as_deref()).then_some(())
    })
}

fn last_line(guest: &Guest, name: &str) -> Option<String> {
    guest.hullctl(&["logs", "-n", "1", name]).ok()
}

fn wait_last_line(guest: &Guest, name: &str, text: &str) -> Result<()> {
    guest.wait_status(&format!("{name}: {text}"), |_| {
        last_line(guest, name)?
            .trim_end()
            .ends_with(text)
            .then_some(())
    })
}

fn wait_growth(guest: &Guest, name: &str) -> Result<()> {
    let now = last_line(guest, name);
    guest.wait_status(&format!("more of {name}"), |_| {
        let later = last_line(guest, name)?;
        (Some(&later) != now.as_ref() && !later.is_empty()).then_some(())
    })
}

fn log_process(guest: &Guest) -> Result<i32> {
    let processes = guest.processes()?;
    let log = processes.iter().find(|process| {
        let name = process.args.first();
        process.state != 'Z' && name.is_some_and(|arg| arg.contains("hullkit-log"))
    });
    Ok(log.context("there is no log process")?.pid)
}
