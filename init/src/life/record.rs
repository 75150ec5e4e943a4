//! The text in which PID 1 leaves its state: a record a line,
//!
//! ```text
//! WORD KEY=VALUE KEY=VALUE …
//! ```
//!
//! Values have no white space; what would break a line is written as `%XX`.
//! Whoever reads passes over words and keys that it does not know, and takes
//! those that are missing as they are at the beginning. So a field can be added
//! without a new version.

use std::cell::RefCell;
use std::fmt::{self, Display, Write as _};
use std::os::fd::{AsRawFd, RawFd};
use std::str::FromStr;

use crate::escape;

/// Text being written.
#[derive(Debug, Default)]
pub struct Writer {
    text: String,
    highest: RawFd,
}

impl Writer {
    /// Begins a record.
    pub fn record(&mut self, word: &str) -> &mut Self {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(word);
        self
    }

    /// A field with a value that needs no escape: a number, a word of ours.
    pub fn field(&mut self, key: &str, value: impl Display) -> &mut Self {
        // Writing to a string does not fail.
        let _infallible = write!(self.text, " {key}={value}");
        self
    }

    /// A field, if there is a value.
    pub fn some(&mut self, key: &str, value: Option<impl Display>) -> &mut Self {
        match value {
            Some(value) => self.field(key, value),
            None => self,
        }
    }

    /// A field that is there or not.
    pub fn flag(&mut self, key: &str, value: bool) -> &mut Self {
        self.some(key, value.then_some(1))
    }

    /// A field with any text.
    pub fn text(&mut self, key: &str, value: &str) -> &mut Self {
        let _infallible = write!(self.text, " {key}=");
        for c in value.chars() {
            if c.is_whitespace() || c.is_control() || c == '%' {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    let _infallible = write!(self.text, "%{byte:02x}");
                }
            } else {
                self.text.push(c);
            }
        }
        self
    }

    /// A field with a descriptor that is to stay open.
    pub fn fd(&mut self, key: &str, fd: &impl AsRawFd) -> &mut Self {
        let fd = fd.as_raw_fd();
        self.highest = self.highest.max(fd);
        self.field(key, fd)
    }

    /// A record that was written before, and has not changed since.
    fn again(&mut self, text: &str, highest: RawFd) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(text);
        self.highest = self.highest.max(highest);
    }

    /// The text so far, as whole lines, and the highest descriptor in it.
    #[must_use]
    pub fn finish(mut self) -> (String, RawFd) {
        self.text.push('\n');
        (self.text, self.highest)
    }
}

/// A record's text, kept as long as what it is about does not change: the state
/// is written at each step, and little of it is new.
#[derive(Default)]
pub struct Memo(RefCell<Option<(String, RawFd)>>);

impl Memo {
    /// To be called before whatever it is about is changed.
    pub fn forget(&mut self) {
        *self.0.get_mut() = None;
    }

    /// Writes the record, which `make` makes where it is not known.
    pub fn write(&self, to: &mut Writer, make: impl FnOnce(&mut Writer)) {
        let mut known = self.0.borrow_mut();
        let (text, highest) = known.get_or_insert_with(|| {
            let mut writer = Writer::default();
            make(&mut writer);
            (writer.text, writer.highest)
        });
        to.again(text, *highest);
    }
}

/// It is no part of what it stands by.
impl fmt::Debug for Memo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memo")
    }
}

/// A record that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// What it is about.
    pub word: &'a str,
    fields: Vec<(&'a str, &'a str)>,
}

impl<'a> Record<'a> {
    /// The records in `text`.
    pub fn parse(text: &'a str) -> impl Iterator<Item = Self> + 'a {
        text.lines().filter_map(|line| {
            let mut parts = line.split(' ');
            let word = parts.next().filter(|word| !word.is_empty())?;
            let fields = parts.filter_map(|part| part.split_once('=')).collect();
            Some(Self { word, fields })
        })
    }

    /// The value of a field as it is written.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&'a str> {
        let found = self.fields.iter().find(|(name, _)| *name == key);
        found.map(|(_, value)| *value)
    }

    /// The value of a field, if it is a `T`.
    #[must_use]
    pub fn parsed<T: FromStr>(&self, key: &str) -> Option<T> {
        self.get(key)?.parse().ok()
    }

    /// The values of all fields of this name that are a `T`.
    pub fn all<T: FromStr>(&self, key: &str) -> impl Iterator<Item = T> {
        let fields = self.fields.iter().filter(move |(name, _)| *name == key);
        fields.filter_map(|(_, value)| value.parse().ok())
    }

    /// The texts of all fields of this name.
    pub fn texts(&self, key: &str) -> impl Iterator<Item = String> {
        let fields = self.fields.iter().filter(move |(name, _)| *name == key);
        fields.map(|(_, value)| escape::undo(value, b'%', 2, 16))
    }

    /// Whether the field is there.
    #[must_use]
    pub fn flag(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The text of a field.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<String> {
        self.get(key).map(|value| escape::undo(value, b'%', 2, 16))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn has_its_documented_form() {
        let mut writer = Writer::default();
        writer
            .record("entry")
            .text("name", "a b%")
            .field("since", 7);
        writer.record("log").flag("listens", true).flag("no", false);
        let (text, _) = writer.finish();
        assert_eq!(text, "entry name=a%20b%25 since=7\nlog listens=1\n");
        let records: Vec<_> = Record::parse(&text).collect();
        assert_eq!(records[0].parsed::<u64>("since"), Some(7));
        assert!(records[1].flag("listens") && !records[1].flag("no"));
    }

    #[test]
    fn a_memo_is_made_once_until_it_is_forgotten() {
        let mut memo = Memo::default();
        let write = |memo: &Memo, value: u32| {
            let mut writer = Writer::default();
            memo.write(writer.record("first"), |to| {
                to.record("second")
                    .fd("value", &i32::try_from(value).unwrap());
            });
            writer.finish()
        };
        let one = ("first\nsecond value=1\n".to_owned(), 1);
        assert_eq!(write(&memo, 1), one);
        assert_eq!(write(&memo, 2), one);
        memo.forget();
        assert_eq!(write(&memo, 2).0, "first\nsecond value=2\n");
    }

    proptest! {
        #[test]
        fn any_text_comes_back(name: String, error: String) {
            let mut writer = Writer::default();
            writer.record("entry").text("name", &name).text("error", &error);
            let (text, _) = writer.finish();
            let records: Vec<_> = Record::parse(&text).collect();
            prop_assert_eq!(records.len(), 1);
            prop_assert_eq!(records[0].text("name"), Some(name));
            prop_assert_eq!(records[0].text("error"), Some(error));
        }

        #[test]
        fn rubbish_is_passed_over(text: String) {
            for record in Record::parse(&text) {
                let _any = record.text("name");
            }
        }
    }
}
