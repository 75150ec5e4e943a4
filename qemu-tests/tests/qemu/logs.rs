//! What containers write.

use anyhow::{Context, Result, ensure};
use hullkit_bundle::control::{LogLine, Stream};
use qemu_tests::case::{ARCHES, Case};
use qemu_tests::guest::{Guest, HULLCTL};

pub(crate) const CASES: &[Case] = &[
    Case::shared("logs::every_line_in_order", TALKER, every_line_in_order).on(ARCHES),
    Case::shared("logs::streams_and_times", STREAMS, streams_and_times),
    Case::shared("logs::onboot_entries_too", ONBOOT, onboot_entries_too),
    Case::shared("logs::follow", TICKER, follow),
    Case::own(
        "logs::the_log_process_comes_back",
        WRITER,
        log_process_comes_back,
    ),
];

fn logs(guest: &Guest, args: &[&str]) -> Result<Vec<LogLine>> {
    let text = guest.hullctl(&[&["logs", "--json"], args].concat())?;
    text.lines()
        .map(|line| serde_json::from_str(line).with_context(|| line.to_owned()))
        .collect()
}

fn texts(lines: &[LogLine]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

/// Asks for the log until it holds `count` lines.
fn wait_lines(guest: &Guest, name: &str, count: usize) -> Result<Vec<LogLine>> {
    guest.wait_status(&format!("{count} lines of {name}"), |_| {
        logs(guest, &[name])
            .ok()
            .filter(|lines| lines.len() >= count)
    })
}

const TALKER: &str = r#"
services:
  - name: talker
    image: @PROBE
    command: ["/bin/probe", "act", "lines=200", "term=wait"]
"#;

fn every_line_in_order(guest: &Guest) -> Result<()> {
    let lines = wait_lines(guest, "talker", 200)?;
    ensure!(lines.len() == 200);
    for (n, line) in (1..).zip(&lines) {
        ensure!(
            line.text == format!("line {n}") && line.lost == 0,
            "{line:?}"
        );
        ensure!(line.id == "services.talker", "{line:?}");
    }
    let last = logs(guest, &["-n", "3", "talker"])?;
    ensure!(
        texts(&last) == ["line 198", "line 199", "line 200"],
        "{last:?}"
    );
    let plain = guest.hullctl(&["logs", "-n", "1", "talker"])?;
    ensure!(plain.trim_end().ends_with("line 200"), "{plain}");
    Ok(())
}

const STREAMS: &str = r#"
services:
  - name: streams
    image: @PROBE
    command: ["/bin/probe", "act", "print=to stdout", "error=to stderr", "term=wait"]
"#;

fn streams_and_times(guest: &Guest) -> Result<()> {
    let mut lines = wait_lines(guest, "streams", 2)?;
    lines.sort_by_key(|line| line.text.clone());
    ensure!(texts(&lines) == ["to stderr", "to stdout"], "{lines:?}");
    ensure!(lines[0].stream == Stream::Stderr && lines[1].stream == Stream::Stdout);
    // QEMU's clock is the host's: this is no year of the epoch.
    ensure!(lines[0].time_ms > 1_700_000_000_000, "{lines:?}");
    Ok(())
}

const ONBOOT: &str = r#"
onboot:
  - name: says
    image: @PROBE
    command: ["/bin/probe", "act", "print=from onboot"]
"#;

fn onboot_entries_too(guest: &Guest) -> Result<()> {
    let bundle = guest.bundle("says")?;
    let lines = wait_lines(guest, &bundle, 1)?;
    ensure!(texts(&lines) == ["from onboot"], "{lines:?}");
    Ok(())
}

const TICKER: &str = r#"
services:
  - name: ticker
    image: @PROBE
    command: ["/bin/probe", "act", "print=tick", "sleep=300", "exit=0"]
    backoff: {initial: 100ms, max: 100ms}
"#;

fn follow(guest: &Guest) -> Result<()> {
    wait_lines(guest, "ticker", 1)?;
    // None of the lines that are there already: what it shows came later.
    let argv = [HULLCTL, "logs", "-f", "-n", "0", "--json", "ticker"];
    let exec = guest.exec_until(&argv, Some("tick"), guest.patience())?;
    ensure!(exec.stdout.contains("tick"), "no line came: {exec:?}");
    Ok(())
}

const WRITER: &str = r#"
services:
  - name: writer
    image: @PROBE
    command: ["/bin/probe", "probe", "writer"]
  - name: burst
    image: @PROBE
    command: ["/bin/probe", "act", "lines=50", "term=wait"]
"#;

fn log_process_comes_back(guest: &Guest) -> Result<()> {
    wait_lines(guest, "burst", 50)?;
    let log_pid = || -> Result<i32> {
        let processes = guest.processes()?;
        let log = processes.iter().find(|p| {
            p.args
                .first()
                .is_some_and(|arg| arg.contains("hullkit-log"))
        });
        Ok(log.context("there is no log process")?.pid)
    };
    let first = log_pid()?;
    guest.kill(first, 9)?;
    // A container that writes meanwhile is not held up and not killed.
    guest.hullctl(&["restart", "burst"])?;
    let lines = wait_lines(guest, "burst", 100)?;
    ensure!(log_pid()? != first);
    // What the first one had read is there as well.
    let wanted: Vec<String> = (0..100).map(|n| format!("line {}", n % 50 + 1)).collect();
    ensure!(texts(&lines) == wanted, "{lines:?}");
    ensure!(lines.iter().all(|line| line.lost == 0));
    ensure!(guest.entry("writer")?.restarts == 0 && guest.entry("burst")?.restarts == 0);
    Ok(())
}
