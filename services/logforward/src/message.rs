//! A line on its way: RFC 5424, or a JSON object.

use std::fmt::Write as _;

use hullkit_bundle::control::{LogLine, Stream};
use hullkit_bundle::time::rfc3339;
use serde_json::json;

use crate::config::Form;

/// The severity of a line of standard error (RFC 5424, table 2: error).
const ERROR: u8 = 3;
/// That of lines that are lost: warning.
const WARNING: u8 = 4;
/// That of all others: informational.
const INFO: u8 = 6;

/// The largest number of the parameter `sequenceId` (RFC 5424, 7.3.1), after
/// which it goes on with 1.
const LAST_SEQUENCE: u64 = 2_147_483_647;

/// What does not change from line to line.
#[derive(Clone, Debug)]
pub struct Sender {
    /// The form.
    pub form: Form,
    /// The facility's number.
    pub facility: u8,
    /// The machine's name.
    pub host: String,
}

impl Sender {
    /// A line that a container wrote, without an end.
    #[must_use]
    pub fn line(&self, line: &LogLine) -> Vec<u8> {
        let severity = match line.stream {
            Stream::Stdout => INFO,
            Stream::Stderr => ERROR,
        };
        match self.form {
            Form::Syslog => self.syslog(line, severity, word(line.stream), &line.text),
            Form::Json => {
                let object = json!({
                    "time": rfc3339(line.time_ms), "host": self.host, "id": line.id,
                    "stream": word(line.stream), "n": line.n, "text": line.text,
                });
                object.to_string().into_bytes()
            }
        }
    }

    /// That `lost` lines before `next` will not come.
    #[must_use]
    pub fn lost(&self, lost: u64, next: &LogLine) -> Vec<u8> {
        match self.form {
            Form::Syslog => {
                let text = format!("{lost} lines were lost");
                self.syslog(next, WARNING, "lost", &text)
            }
            Form::Json => {
                let object = json!({
                    "time": rfc3339(next.time_ms), "host": self.host, "id": next.id, "lost": lost,
                });
                object.to_string().into_bytes()
            }
        }
    }

    fn syslog(&self, line: &LogLine, severity: u8, kind: &str, text: &str) -> Vec<u8> {
        let mut message = String::new();
        let priority = self.facility * 8 + severity;
        let time = rfc3339(line.time_ms);
        let host = name(&self.host, 255);
        let app = name(
            line.id
                .split_once('.')
                .map_or(&line.id, |(_, bundle)| bundle),
            48,
        );
        let sequence = line.n % LAST_SEQUENCE + 1;
        // Writing to a string does not fail.
        let _infallible = write!(
            message,
            "<{priority}>1 {time} {host} {app} - {kind} [meta sequenceId=\"{sequence}\"] {text}"
        );
        message.into_bytes()
    }
}

fn word(stream: Stream) -> &'static str {
    match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    }
}

/// A header's field: printable ASCII, no space, not empty.
fn name(text: &str, most: usize) -> String {
    let printable = |c: char| if c.is_ascii_graphic() { c } else { '_' };
    let name: String = text.chars().map(printable).take(most).collect();
    if name.is_empty() {
        "-".to_owned()
    } else {
        name
    }
}

/// A message of a stream of syslog: with its length in front (RFC 6587,
/// 3.4.1). JSON has an end of line.
pub fn frame(form: Form, message: &[u8], to: &mut Vec<u8>) {
    if form == Form::Syslog {
        to.extend(format!("{} ", message.len()).bytes());
    }
    to.extend(message);
    if form == Form::Json {
        to.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(text: &str) -> LogLine {
        LogLine {
            time_ms: 1_795_490_133_250,
            id: "services.web".to_owned(),
            stream: Stream::Stderr,
            text: text.to_owned(),
            n: 6,
            lost: 0,
        }
    }

    fn sender(form: Form) -> Sender {
        Sender {
            form,
            facility: 3,
            host: "my host".to_owned(),
        }
    }

    #[test]
    fn as_the_rfc_has_it() {
        let message = sender(Form::Syslog).line(&line("hello \u{e4}"));
        assert_eq!(
            String::from_utf8(message).unwrap(),
            "<27>1 2026-11-24T03:15:33.250Z my_host web - stderr [meta sequenceId=\"7\"] hello \u{e4}"
        );
        let lost = sender(Form::Syslog).lost(3, &line(""));
        assert!(lost.starts_with(b"<28>1 ") && lost.ends_with(b"] 3 lines were lost"));
    }

    #[test]
    fn as_json() {
        let message = sender(Form::Json).line(&line("a\nb"));
        let object: serde_json::Value = serde_json::from_slice(&message).unwrap();
        assert_eq!(object["text"], "a\nb");
        assert_eq!(
            (&object["n"], &object["stream"]),
            (&json!(6), &json!("stderr"))
        );
        assert!(!message.contains(&b'\n'));
    }

    #[test]
    fn frames() {
        let mut stream = Vec::new();
        frame(Form::Syslog, b"abc", &mut stream);
        frame(Form::Json, b"{}", &mut stream);
        assert_eq!(stream, b"3 abc{}\n");
    }

    proptest! {
        /// Whatever a container is called and writes, the header has its
        /// fields.
        #[test]
        fn a_header_has_seven_fields(id: String, text: String, host: String) {
            let mut line = line(&text);
            line.id = id;
            let sender = Sender { host, ..sender(Form::Syslog) };
            let message = String::from_utf8(sender.line(&line)).unwrap();
            let header: Vec<&str> = message.splitn(7, ' ').collect();
            prop_assert!(header[..6].iter().all(|field| !field.is_empty()));
            prop_assert!(header[6].starts_with("[meta sequenceId=\"7\"] "));
            prop_assert!(message.ends_with(&text));
        }
    }
}
