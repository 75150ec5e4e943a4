//! Answers for people.

use std::fmt::Write as _;

use hullkit_bundle::control::{Change, Entry, LogLine, Status, Stream, System, Usage};
use hullkit_bundle::time::rfc3339;

/// One line an entry.
pub(super) fn list(status: &Status) -> String {
    let head = ["SECTION", "NAME", "STATE", "PID", "RESTARTS", "DETAIL"].map(str::to_owned);
    let mut rows = vec![head];
    rows.extend(status.entries.iter().map(|entry| {
        [
            entry.section.clone(),
            entry.name.clone(),
            entry.state.clone(),
            entry
                .pid
                .map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
            entry.restarts.to_string(),
            detail(entry),
        ]
    }));
    columns(&rows)
}

/// The rows below each other, in columns as wide as they must be.
fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a string does not fail.
            let _infallible = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Whether the code or signal of `entry` is that of a run before this one.
fn runs_again(entry: &Entry) -> bool {
    matches!(entry.state.as_str(), "starting" | "running" | "stopping")
}

/// What there is to say of an entry beside its state.
fn detail(entry: &Entry) -> String {
    let mut parts = Vec::new();
    let last = if runs_again(entry) { "last " } else { "" };
    match (entry.code, entry.signal) {
        (Some(code), _) => parts.push(format!("{last}code {code}")),
        (None, Some(signal)) => parts.push(format!("{last}signal {signal}")),
        (None, None) => {}
    }
    if let Some(ms) = entry.restart_in_ms {
        parts.push(format!("restarts in {}", duration(ms)));
    }
    if entry.crash_loop {
        parts.push("crash loop".to_owned());
    }
    if entry.ready == Some(false) {
        parts.push("not ready".to_owned());
    }
    if entry.healthy == Some(false) {
        parts.push("unhealthy".to_owned());
    }
    parts.extend(entry.error.clone());
    if let Some(error) = entry.log.as_ref().and_then(|log| log.error.as_ref()) {
        parts.push(format!("log: {error}"));
    }
    parts.join(", ")
}

/// The machine and its entries, or some entries.
pub(super) fn status(status: &Status) -> String {
    let mut text = String::new();
    if let Some(system) = &status.system {
        text.push_str(&machine(system));
        text.push('\n');
        text.push_str(&list(status));
        return text;
    }
    for entry in &status.entries {
        text.push_str(&one(entry));
    }
    text
}

fn machine(system: &System) -> String {
    let mut rows = vec![
        ["State:".to_owned(), system.state.clone()],
        ["Kernel:".to_owned(), system.kernel.clone()],
        ["Up:".to_owned(), duration(system.uptime_ms)],
        ["Init began at:".to_owned(), duration(system.init_ms)],
    ];
    if let Some(ms) = system.onboot_done_ms {
        rows.push(["Onboot done at:".to_owned(), duration(ms)]);
    }
    if let Some(ms) = system.services_up_ms {
        rows.push(["Services up at:".to_owned(), duration(ms)]);
    }
    if let Some(ms) = system.ready_ms {
        rows.push(["Ready at:".to_owned(), duration(ms)]);
    }
    rows.extend(
        system
            .problems
            .iter()
            .map(|problem| ["Problem:".to_owned(), problem.clone()]),
    );
    columns(&rows)
}

fn one(entry: &Entry) -> String {
    let mut rows = vec![
        [
            "Name:".to_owned(),
            format!("{}/{}", entry.section, entry.name),
        ],
        ["State:".to_owned(), entry.state.clone()],
        ["Since:".to_owned(), duration(entry.since_ms)],
        ["Restarts:".to_owned(), entry.restarts.to_string()],
    ];
    let mut add = |key: &str, value: Option<String>| {
        rows.extend(value.map(|value| [key.to_owned(), value]));
    };
    add("Pid:", entry.pid.map(|pid| pid.to_string()));
    let (code, signal) = if runs_again(entry) {
        ("Last exit code:", "Last signal:")
    } else {
        ("Exit code:", "Signal:")
    };
    add(code, entry.code.map(|code| code.to_string()));
    add(signal, entry.signal.map(|signal| signal.to_string()));
    add("Restarts in:", entry.restart_in_ms.map(duration));
    let yes_or_no = |is: bool| if is { "yes" } else { "no" }.to_owned();
    add("Ready:", entry.ready.map(yes_or_no));
    add("Healthy:", entry.healthy.map(yes_or_no));
    add("Status:", entry.status.clone());
    add("Crash loop:", entry.crash_loop.then(|| "yes".to_owned()));
    add("Error:", entry.error.clone());
    if let Some(log) = &entry.log {
        add("Log:", Some(log.path.clone()));
        add(
            "Log lost:",
            Some(log.lost.to_string()).filter(|_| log.lost > 0),
        );
        add("Log error:", log.error.clone());
    }
    columns(&rows)
}

/// A line of a log, with its newline: time, container, text. A line of standard
/// error has a `!`.
pub(super) fn log_line(line: &LogLine) -> String {
    let time = rfc3339(line.time_ms);
    let lost = match line.lost {
        0 => String::new(),
        lost => format!("{time} {} lost={lost}\n", line.id),
    };
    let mark = match line.stream {
        Stream::Stdout => "",
        Stream::Stderr => "! ",
    };
    format!("{lost}{time} {} {mark}{}\n", line.id, printable(&line.text))
}

/// A change of state, with its newline.
pub(super) fn change(change: &Change) -> String {
    let time = rfc3339(change.time_ms);
    let lost = match change.lost {
        0 => String::new(),
        lost => format!("{time} lost={lost}\n"),
    };
    let what = match &change.entry {
        None => format!("machine {}", change.state),
        Some(entry) => {
            let pid = entry.pid.map(|pid| format!(" pid {pid}"));
            let detail = detail(entry);
            let detail = (!detail.is_empty()).then(|| format!(" ({detail})"));
            format!(
                "{}/{} {}{}{}",
                entry.section,
                entry.name,
                change.state,
                pid.unwrap_or_default(),
                detail.unwrap_or_default()
            )
        }
    };
    format!("{lost}{time} {what}\n")
}

/// What entries use: `cpu` is what they have used between two samples that lie
/// `ms` milliseconds apart.
pub(super) fn top(before: &[Usage], after: &[Usage], ms: u64) -> String {
    let mut used: Vec<(u64, &Usage)> = after
        .iter()
        .map(|entry| {
            let same = |other: &&Usage| other.section == entry.section && other.name == entry.name;
            let before = before.iter().find(same).map_or(0, |b| b.cpu_us);
            (entry.cpu_us.saturating_sub(before), entry)
        })
        .collect();
    used.sort_by_key(|(cpu_us, _)| std::cmp::Reverse(*cpu_us));
    let mut rows = vec![["SECTION", "NAME", "CPU%", "MEMORY", "PIDS"].map(str::to_owned)];
    rows.extend(used.into_iter().map(|(cpu_us, entry)| {
        // In tenths of a percent: microseconds to milliseconds.
        let tenths = cpu_us / ms.max(1);
        [
            entry.section.clone(),
            entry.name.clone(),
            format!("{}.{}", tenths / 10, tenths % 10),
            bytes(entry.memory),
            entry.pids.to_string(),
        ]
    }));
    columns(&rows)
}

/// `512 B`, `4.0 KiB`, `1.2 GiB`.
fn bytes(count: u64) -> String {
    let (mut value, mut rest) = (count, 0);
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    while value >= 1024 {
        let Some(next) = units.next() else {
            break;
        };
        (value, rest, unit) = (value / 1024, value % 1024, next);
    }
    match unit {
        "B" => format!("{value} B"),
        _ => format!("{value}.{} {unit}", rest * 10 / 1024),
    }
}

/// Without what would move a terminal's cursor or change its state.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// `950 ms`, `12.3 s`, `2 h 5 min`.
fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{ms} ms"),
        1..60 => format!("{seconds}.{} s", ms % 1000 / 100),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web() -> Entry {
        Entry {
            section: "services".to_owned(),
            name: "web".to_owned(),
            state: "backoff".to_owned(),
            since_ms: 1500,
            restarts: 3,
            signal: Some(9),
            restart_in_ms: Some(1600),
            crash_loop: true,
            ..Entry::default()
        }
    }

    #[test]
    fn a_list() {
        let dhcp = Entry {
            section: "onboot".to_owned(),
            name: "000-dhcp".to_owned(),
            state: "exited".to_owned(),
            code: Some(0),
            ..Entry::default()
        };
        let status = Status {
            system: None,
            entries: vec![dhcp, web()],
        };
        assert_eq!(
            list(&status),
            "SECTION   NAME      STATE    PID  RESTARTS  DETAIL\n\
             onboot    000-dhcp  exited   -    0         code 0\n\
             services  web       backoff  -    3         signal 9, restarts in 1.6 s, crash loop\n"
        );
    }

    #[test]
    fn one_entry() {
        let text = status(&Status {
            system: None,
            entries: vec![web()],
        });
        assert!(
            text.starts_with("Name:         services/web\nState:        backoff\n"),
            "{text}"
        );
    }

    #[test]
    fn who_runs_again_shows_its_last_end() {
        let running = Entry {
            state: "running".to_owned(),
            restart_in_ms: None,
            crash_loop: false,
            ..web()
        };
        assert_eq!(detail(&running), "last signal 9");
        assert!(
            one(&running).contains("\nLast signal:  9\n"),
            "{}",
            one(&running)
        );
    }

    #[test]
    fn what_is_used() {
        let usage = |name: &str, cpu_us, memory| Usage {
            section: "services".to_owned(),
            name: name.to_owned(),
            cpu_us,
            memory,
            pids: 2,
        };
        let before = [usage("web", 1_000_000, 0)];
        let after = [usage("db", 10_000, 500), usage("web", 1_250_000, 1_300_000)];
        assert_eq!(
            top(&before, &after, 1000),
            "SECTION   NAME  CPU%  MEMORY   PIDS\n\
             services  web   25.0  1.2 MiB  2\n\
             services  db    1.0   500 B    2\n"
        );
    }

    #[test]
    fn a_change() {
        let text = change(&Change {
            time_ms: 0,
            state: "backoff".to_owned(),
            entry: Some(web()),
            lost: 3,
        });
        assert_eq!(
            text,
            "1970-01-01T00:00:00.000Z lost=3\n\
             1970-01-01T00:00:00.000Z services/web backoff \
             (signal 9, restarts in 1.6 s, crash loop)\n"
        );
    }

    #[test]
    fn durations() {
        for (ms, text) in [
            (950, "950 ms"),
            (12_345, "12.3 s"),
            (61_000, "1 min 1 s"),
            (7_500_000, "2 h 5 min"),
        ] {
            assert_eq!(duration(ms), text);
        }
    }

    #[test]
    fn a_log_line_keeps_to_itself() {
        let line = LogLine {
            time_ms: 0,
            id: "services.web".to_owned(),
            stream: Stream::Stderr,
            text: "\x1b[2Jä".to_owned(),
            n: 2,
            lost: 2,
        };
        assert_eq!(
            log_line(&line),
            "1970-01-01T00:00:00.000Z services.web lost=2\n\
             1970-01-01T00:00:00.000Z services.web ! \u{fffd}[2Jä\n"
        );
    }
}
