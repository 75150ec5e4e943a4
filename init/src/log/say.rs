//! What the log process has to say itself, in the kernel log.

use hullkit_bundle::layout::Section;

use crate::Error;
use crate::klog::{Level, Line};
use crate::supervise::Kind;

/// `hullkit: service web: says text="…"`: a line that the container `id` wrote.
pub(super) fn says(level: Level, id: &str, text: &[u8]) {
    says_line(level, id, text).write();
}

fn says_line(level: Level, id: &str, text: &[u8]) -> Line {
    let text = String::from_utf8_lossy(text);
    Line::new(level, &subject(id), "says").with("text", text)
}

/// `service web` for `services.web`.
fn subject(id: &str) -> String {
    let entry = Section::ALL.into_iter().find_map(|section| {
        let bundle = id.strip_prefix(section.as_str())?.strip_prefix('.')?;
        Some(format!("{} {bundle}", Kind::from(section).as_str()))
    });
    entry.unwrap_or_else(|| id.to_owned())
}

/// A container's file does not take its lines.
pub(super) fn file_problem(id: &str, error: &Error) {
    let text = format!("{error}; its log goes on in memory");
    Line::new(Level::Error, &subject(id), "problem")
        .with("error", text)
        .write();
}

/// It does again.
pub(super) fn file_well(id: &str, path: &str, lost: u64) {
    Line::new(Level::Info, &subject(id), "logs")
        .with("file", path)
        .with("lost", lost)
        .write();
}

/// Something went wrong, and it goes on.
pub(super) fn problem(error: &Error) {
    Line::new(Level::Error, "init log", "problem")
        .with("error", error)
        .write();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_says_what() {
        let line = says_line(Level::Error, "onboot.001-dhcp", b"no \"lease\"\xff");
        assert_eq!(
            line.render(),
            "<3>hullkit: onboot 001-dhcp: says text=\"no \\\"lease\\\"\u{fffd}\"\n"
        );
    }
}
