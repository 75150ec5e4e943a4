//! Writes JSON. What this runtime says has few shapes; a derived serializer
//! for each of them, with a formatter for each layout, is a sixth of a static
//! program.

use std::fmt::{self, Write};

/// A JSON value in the making, on one line or indented by two spaces a level.
#[derive(Debug, Default)]
pub struct Json {
    text: String,
    /// How deep we are, where each entry has its own line.
    level: Option<usize>,
    /// Whether an entry was written at this level already.
    filled: bool,
}

impl Json {
    /// On one line.
    #[must_use]
    pub fn compact() -> Self {
        Self::default()
    }

    /// Indented.
    #[must_use]
    pub fn pretty() -> Self {
        Self {
            level: Some(0),
            ..Self::default()
        }
    }

    /// What was written.
    #[must_use]
    pub fn finish(self) -> String {
        self.text
    }

    fn next_entry(&mut self) {
        if self.filled {
            self.text.push(',');
        }
        self.filled = true;
        self.new_line();
    }

    fn new_line(&mut self) {
        if let Some(level) = self.level {
            self.text.push('\n');
            self.text.extend(std::iter::repeat_n("  ", level));
        }
    }

    fn group(&mut self, ends: [char; 2], fill: impl FnOnce(&mut Self)) {
        self.text.push(ends[0]);
        let outer = std::mem::replace(&mut self.filled, false);
        self.level = self.level.map(|level| level + 1);
        fill(self);
        self.level = self.level.map(|level| level.saturating_sub(1));
        if self.filled {
            self.new_line();
        }
        self.text.push(ends[1]);
        self.filled = outer;
    }

    /// An object; `fill` writes its fields.
    pub fn object(&mut self, fill: impl FnOnce(&mut Self)) {
        self.group(['{', '}'], fill);
    }

    /// A list; `fill` writes its entries, each behind an [`Json::entry`].
    pub fn list(&mut self, fill: impl FnOnce(&mut Self)) {
        self.group(['[', ']'], fill);
    }

    /// Begins an entry of a list.
    pub fn entry(&mut self) -> &mut Self {
        self.next_entry();
        self
    }

    /// Begins a field of an object.
    pub fn field(&mut self, name: &str) -> &mut Self {
        self.next_entry();
        self.string(name);
        self.text.push(':');
        if self.level.is_some() {
            self.text.push(' ');
        }
        self
    }

    /// A text.
    pub fn string(&mut self, text: &str) {
        self.text.push('"');
        for c in text.chars() {
            match c {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                '\t' => self.text.push_str("\\t"),
                '\r' => self.text.push_str("\\r"),
                c if u32::from(c) < 0x20 => {
                    let hex = |digit: u32| char::from_digit(digit, 16).unwrap_or('0');
                    let code = u32::from(c);
                    self.text.push_str("\\u00");
                    self.text.push(hex(code / 16));
                    self.text.push(hex(code % 16));
                }
                c => self.text.push(c),
            }
        }
        self.text.push('"');
    }

    /// A whole number, `true`, `false` or `null`.
    pub fn word(&mut self, word: &dyn fmt::Display) {
        // Writing to a text cannot fail.
        let _written = write!(self.text, "{word}");
    }

    /// A list of texts.
    pub fn strings<'a>(&mut self, texts: impl IntoIterator<Item = &'a str>) {
        self.list(|json| {
            for text in texts {
                json.entry().string(text);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::Json;

    fn write(json: &mut Json, value: &Value) {
        match value {
            Value::Object(map) => json.object(|json| {
                for (name, value) in map {
                    write(json.field(name), value);
                }
            }),
            Value::Array(list) => json.list(|json| {
                for value in list {
                    write(json.entry(), value);
                }
            }),
            Value::String(text) => json.string(text),
            other => json.word(&other),
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<String>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            Just(Value::Null),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(any::<String>(), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_and_looks_as_others_write_it(value in any_value()) {
            let mut pretty = Json::pretty();
            write(&mut pretty, &value);
            prop_assert_eq!(pretty.finish(), serde_json::to_string_pretty(&value).unwrap());
            let mut compact = Json::compact();
            write(&mut compact, &value);
            prop_assert_eq!(compact.finish(), serde_json::to_string(&value).unwrap());
        }
    }
}
