//! Answers for people.

use std::fmt::Write as _;

use hullkit_bundle::control::{Entry, LogLine, Status, Stream, System};

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
    columns(&rows)
}

/// A line of a log, with its newline: time, container, text. A line of standard
/// error has a `!`.
pub(super) fn log_line(line: &LogLine) -> String {
    let time = timestamp(line.time_ms);
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

/// `2026-11-24T03:15:33.250Z`: RFC 3339, by the algorithm for days of the
/// proleptic Gregorian calendar in eras of 400 years.
fn timestamp(unix_ms: u64) -> String {
    let (seconds, ms) = (unix_ms / 1000, unix_ms % 1000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days are counted from the first of March of the year 0, so that the leap
    // day is a year's last.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 {
        (year, month + 3)
    } else {
        (year + 1, month - 9)
    };
    let year = year + era * 400;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
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
    fn times() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(timestamp(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(timestamp(1_795_490_133_250), "2026-11-24T03:15:33.250Z");
        assert_eq!(timestamp(4_107_542_399_999), "2100-02-28T23:59:59.999Z");
        assert_eq!(timestamp(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
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
            lost: 2,
        };
        assert_eq!(
            log_line(&line),
            "1970-01-01T00:00:00.000Z services.web lost=2\n\
             1970-01-01T00:00:00.000Z services.web ! \u{fffd}[2Jä\n"
        );
    }
}
