//! Lines to the kernel log, in the form of `docs/kernel-log.md`:
//!
//! ```text
//! hullkit: SUBJECT: STATE key=value …
//! ```

use std::fmt::{Display, Write as _};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::sync::OnceLock;

/// The kernel's log, once there is a `/dev` to open it in.
static KMSG: OnceLock<File> = OnceLock::new();

/// The longest line that is written, in bytes; the kernel refuses records of
/// more than 1024.
const MAX_LINE: usize = 960;

/// How much a line matters: the kernel's own scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// `KERN_ERR`.
    Error,
    /// `KERN_INFO`.
    Info,
}

impl Level {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Error => "<3>",
            Self::Info => "<6>",
        }
    }
}

/// Opens `/dev/kmsg`. Without it, lines go to standard error.
pub fn open() {
    if let Ok(file) = OpenOptions::new().write(true).open("/dev/kmsg") {
        // A second call keeps the first file.
        let _already_open = KMSG.set(file);
    }
}

/// A line being made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Without its newline, with the level in front.
    text: String,
}

impl Line {
    /// A line without keys.
    #[must_use]
    pub fn new(level: Level, subject: &str, state: &str) -> Self {
        let mut text = format!("{}hullkit: ", level.prefix());
        escape(&mut text, subject);
        text.push_str(": ");
        text.push_str(state);
        Self { text }
    }

    /// The same with ` key=value`.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Display) -> Self {
        let value = value.to_string();
        // Writing to a string does not fail.
        let _infallible = write!(self.text, " {key}=");
        let bare =
            |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '\\' | '=');
        if !value.is_empty() && value.chars().all(bare) {
            self.text.push_str(&value);
        } else {
            self.text.push('"');
            escape(&mut self.text, &value);
            self.text.push('"');
        }
        self
    }

    /// The same with ` key=value`, if there is a value.
    #[must_use]
    pub fn with_some(self, key: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// The line as the kernel takes it: priority, text, newline; cut where it
    /// is too long.
    #[must_use]
    pub fn render(&self) -> String {
        if self.text.len() <= MAX_LINE {
            return format!("{}\n", self.text);
        }
        let cut = (0..=MAX_LINE).rev().find_map(|end| self.text.get(..end));
        format!("{}…\n", cut.unwrap_or_default())
    }

    /// Writes the line, in one `write(2)`. What cannot be written is lost:
    /// there is nobody to tell.
    pub fn write(&self) {
        let line = self.render();
        let _lost = match KMSG.get() {
            Some(mut file) => file.write_all(line.as_bytes()),
            None => std::io::stderr().write_all(line.get(3..).unwrap_or_default().as_bytes()),
        };
    }
}

/// Appends `value` so that it stays on its line and inside its quotes. Text
/// that is not ASCII stays as it is.
fn escape(text: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            c if c.is_control() => text.extend(c.escape_unicode()),
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn has_its_documented_form() {
        let line = Line::new(Level::Info, "onboot 000-dhcp", "exited")
            .with("code", 0)
            .with("ms", 83);
        assert_eq!(
            line.render(),
            "<6>hullkit: onboot 000-dhcp: exited code=0 ms=83\n"
        );
    }

    #[test]
    fn quotes_what_would_not_read_back() {
        let line = Line::new(Level::Error, "service web", "failed")
            .with("error", "mount \"/a\\b\":\nno\x1b[31m such")
            .with("empty", "")
            .with("path", "/straße");
        assert_eq!(
            line.render(),
            "<3>hullkit: service web: failed error=\"mount \\\"/a\\\\b\\\":\\nno\\u{1b}[31m such\" \
             empty=\"\" path=/straße\n"
        );
    }

    proptest! {
        #[test]
        fn is_one_line_that_the_kernel_takes(subject: String, value in "\\PC{0,2000}|.*") {
            let line = Line::new(Level::Info, &subject, "running").with("key", value).render();
            prop_assert!(line.len() < 1024);
            prop_assert_eq!(line.chars().filter(|c| c.is_control()).count(), 1);
            prop_assert!(line.ends_with('\n'));
        }
    }
}
