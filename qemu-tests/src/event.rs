//! The lines that PID 1 writes to the kernel log, as events.
//!
//! A line on the console is `[    1.234567] hullkit: SUBJECT: STATE
//! key=value …`; a value with spaces stands in double quotes, in which `\"`,
//! `\\`, `\n` and `\t` are one character each (`docs/kernel-log.md`).

use std::collections::BTreeMap;
use std::time::Duration;

/// What the kernel wrote, when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelLine<'a> {
    /// Since the kernel's start.
    pub at: Duration,
    /// The text behind the time stamp.
    pub text: &'a str,
}

/// One change of state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Since the kernel's start.
    pub at: Duration,
    /// Of what: `service web`, `onboot 000-dhcp`, `init`.
    pub subject: String,
    /// To what: `running`, `failed`.
    pub state: String,
    /// The rest of the words that are no `key=value`, with a space between.
    pub words: String,
    /// The values.
    pub fields: BTreeMap<String, String>,
}

impl Event {
    /// The field as a number.
    #[must_use]
    pub fn number(&self, field: &str) -> Option<u64> {
        self.fields.get(field)?.parse().ok()
    }
}

/// Takes a line of the console apart: `[    1.234567] text`.
#[must_use]
pub fn kernel_line(line: &str) -> Option<KernelLine<'_>> {
    let (stamp, text) = line.strip_prefix('[')?.split_once("] ")?;
    let (seconds, micros) = stamp.trim_start().split_once('.')?;
    if micros.len() != 6 {
        return None;
    }
    Some(KernelLine {
        at: Duration::from_secs(seconds.parse().ok()?)
            + Duration::from_micros(micros.parse().ok()?),
        text,
    })
}

/// Reads a console line of PID 1; none where it is another's.
#[must_use]
pub fn parse(line: &str) -> Option<Event> {
    let KernelLine { at, text } = kernel_line(line)?;
    let (subject, rest) = text.strip_prefix("hullkit: ")?.split_once(": ")?;
    let mut words = split_words(rest).into_iter();
    let state = words.next()?;
    let mut event = Event {
        at,
        subject: subject.to_owned(),
        state,
        words: String::new(),
        fields: BTreeMap::new(),
    };
    for word in words {
        match word.split_once('=') {
            Some((key, value)) if is_key(key) => {
                event.fields.insert(key.to_owned(), value.to_owned());
            }
            _ => {
                if !event.words.is_empty() {
                    event.words.push(' ');
                }
                event.words.push_str(&word);
            }
        }
    }
    Some(event)
}

fn is_key(key: &str) -> bool {
    !key.is_empty()
        && key
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Splits at spaces that are not in double quotes, and takes the quotes off.
fn split_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => quoted = !quoted,
            '\\' if quoted => match chars.next() {
                Some('n') => word.push('\n'),
                Some('t') => word.push('\t'),
                other => word.extend(other),
            },
            ' ' if !quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            c => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_service_line_has_its_parts() {
        let event = parse("[    2.500001] hullkit: service web: failed signal=9 restart_in_ms=200")
            .unwrap();
        assert_eq!(event.at, Duration::from_micros(2_500_001));
        assert_eq!(event.subject, "service web");
        assert_eq!(event.state, "failed");
        assert_eq!(event.number("signal"), Some(9));
        assert_eq!(event.number("restart_in_ms"), Some(200));
        assert_eq!(event.words, "");
    }

    #[test]
    fn a_quoted_value_keeps_its_spaces_and_quotes() {
        let event = parse(r#"[1.000000] hullkit: boot: problem error="no \"x\" in a=b" n=1"#);
        let event = event.unwrap();
        assert_eq!(event.fields["error"], r#"no "x" in a=b"#);
        assert_eq!(event.fields["n"], "1");
    }

    #[test]
    fn words_that_are_no_fields_are_kept() {
        let event = parse("[1.000000] hullkit: boot: mounted 9 filesystems ms=3").unwrap();
        assert_eq!(
            (event.state.as_str(), event.words.as_str()),
            ("mounted", "9 filesystems")
        );
        assert_eq!(event.number("ms"), Some(3));
    }

    #[test]
    fn lines_of_others_are_no_events() {
        for line in [
            "",
            "hullkit: service web: running pid=1",
            "[    1.5] hullkit: service web: running",
            "[    1.500000] Run /init as init process",
            "[    1.500000] hullkit: no state",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_line_makes_it_fail(line in "\\PC*") {
            let _ = parse(&line);
            let _ = parse(&format!("[    1.000000] hullkit: {line}"));
        }

        #[test]
        fn any_value_comes_back(value in "[ -~]*") {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            let line = format!("[    1.000000] hullkit: a b: c key=\"{quoted}\"");
            let event = parse(&line).unwrap();
            prop_assert_eq!(event.fields.get("key"), Some(&value));
        }
    }
}
