//! Typed reading of a tree: every reader says what it found and what is
//! allowed, and goes on, so that one run names all that is wrong.

use std::sync::Arc;

use super::node::{Key, Kind, Node, quoted};
use super::place::{Located, Place, Problem};

/// Problems after which no more are kept.
pub(super) const MAX_PROBLEMS: usize = 100;

/// How wrong a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// Not of the form that the key has.
    Form,
    /// Of the right form, without meaning. LinuxKit finds such a value only
    /// when it uses it, so a label's may be replaced by the YAML's.
    Meaning,
    /// LinuxKit writes it down as it stands, and the container fails at run
    /// time; wrong unless the entry says `security: linuxkit`.
    Strict,
}

/// What a reader needs to know, and where it puts what is wrong.
#[derive(Debug)]
pub(super) struct Reader {
    file: Arc<str>,
    problems: Vec<(Weight, Problem)>,
}

impl Reader {
    pub(super) fn new(file: &str) -> Self {
        Self {
            file: file.into(),
            problems: Vec::new(),
        }
    }

    pub(super) fn place(&self, line: usize) -> Place {
        Place {
            file: Arc::clone(&self.file),
            line,
        }
    }

    pub(super) fn problem(&mut self, line: usize, field: &str, message: impl Into<String>) {
        self.report(Weight::Form, line, field, message.into());
    }

    pub(super) fn meaning(&mut self, line: usize, field: &str, message: impl Into<String>) {
        self.report(Weight::Meaning, line, field, message.into());
    }

    pub(super) fn strict(&mut self, line: usize, field: &str, message: impl Into<String>) {
        self.report(Weight::Strict, line, field, message.into());
    }

    fn report(&mut self, weight: Weight, line: usize, field: &str, message: String) {
        if self.problems.len() < MAX_PROBLEMS {
            let problem = Problem {
                place: self.place(line),
                field: field.to_owned(),
                message,
            };
            self.problems.push((weight, problem));
        }
    }

    /// How many problems there are so far.
    pub(super) fn mark(&self) -> usize {
        self.problems.len()
    }

    /// What is read after `mark` and has no meaning is not used, as LinuxKit
    /// has it: wrong all the same, but not to LinuxKit.
    pub(super) fn unused(&mut self, mark: usize) {
        for (weight, _) in self.problems.iter_mut().skip(mark) {
            if *weight == Weight::Meaning {
                *weight = Weight::Strict;
            }
        }
    }

    /// Takes the problems after `mark` that only matter unless LinuxKit's
    /// ways are asked for.
    pub(super) fn take_strict(&mut self, mark: usize) -> Vec<Problem> {
        let (strict, others): (Vec<_>, Vec<_>) = self
            .problems
            .split_off(mark.min(self.problems.len()))
            .into_iter()
            .partition(|(weight, _)| *weight == Weight::Strict);
        self.problems.extend(others);
        strict.into_iter().map(|(_, problem)| problem).collect()
    }

    pub(super) fn into_problems(self) -> Vec<(Weight, Problem)> {
        self.problems
    }

    pub(super) fn located<T>(&self, value: T, line: usize) -> Located<T> {
        Located {
            value,
            place: self.place(line),
        }
    }

    fn wrong<T>(&mut self, node: &Node, field: &str, allowed: &str) -> Option<T> {
        let hint = match (&node.kind, allowed) {
            (Kind::Int(_) | Kind::Float(_) | Kind::Bool(_), "text") => "; put it in quotes",
            (Kind::Text(t), "true or false") if is_old_bool(t) => "; YAML 1.2 has no yes and no",
            _ => "",
        };
        let message = format!("found {}, allowed: {allowed}{hint}", node.describe());
        self.problem(node.line, field, message);
        None
    }

    pub(super) fn text(&mut self, node: &Node, field: &str) -> Option<String> {
        match &node.kind {
            Kind::Text(text) if text.contains('\0') => {
                self.problem(node.line, field, "text with a NUL byte");
                None
            }
            Kind::Text(text) => Some(text.clone()),
            _ => self.wrong(node, field, "text"),
        }
    }

    pub(super) fn boolean(&mut self, node: &Node, field: &str) -> Option<bool> {
        match node.kind {
            Kind::Bool(value) => Some(value),
            _ => self.wrong(node, field, "true or false"),
        }
    }

    /// An integer of the type that is asked for.
    pub(super) fn integer<T>(&mut self, node: &Node, field: &str) -> Option<T>
    where
        T: TryFrom<i128> + Bounds,
    {
        let allowed = || format!("a whole number from {} to {}", T::LOWEST, T::HIGHEST);
        match whole(&node.kind).and_then(|n| T::try_from(n).ok()) {
            Some(value) => Some(value),
            None => self.wrong(node, field, &allowed()),
        }
    }

    /// A number, whole or not.
    pub(super) fn number(&mut self, node: &Node, field: &str) -> Option<f64> {
        match node.kind {
            #[allow(clippy::cast_precision_loss, reason = "a factor, of a few digits")]
            Kind::Int(n) => Some(n as f64),
            Kind::Float(n) => Some(n),
            _ => self.wrong(node, field, "a number"),
        }
    }

    /// A list, each item by `item`. None when anything in it is wrong.
    pub(super) fn list<T>(
        &mut self,
        node: &Node,
        field: &str,
        mut item: impl FnMut(&mut Self, &Node, &str) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Kind::List(items) = &node.kind else {
            return self.wrong(node, field, "a list");
        };
        let mut values = Vec::with_capacity(items.len());
        for (n, node) in items.iter().enumerate() {
            values.extend(item(self, node, &format!("{field}[{n}]")));
        }
        (values.len() == items.len()).then_some(values)
    }

    pub(super) fn texts(&mut self, node: &Node, field: &str) -> Option<Vec<String>> {
        self.list(node, field, Self::text)
    }

    /// A text that `parse` understands.
    pub(super) fn parsed<T>(
        &mut self,
        node: &Node,
        field: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Located<T>> {
        let text = self.text(node, field)?;
        match parse(&text) {
            Ok(value) => Some(self.located(value, node.line)),
            Err(message) => {
                self.meaning(node.line, field, message);
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(
        &mut self,
        node: &Node,
        field: &str,
        words: &[(&str, T)],
    ) -> Option<T> {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        if let Kind::Text(text) = &node.kind {
            if let Some((_, value)) = words.iter().find(|(word, _)| word == text) {
                return Some(*value);
            }
            let hint = did_you_mean(text, &known);
            let message = format!(
                "found {}{hint}, allowed: {}",
                node.describe(),
                known.join(", ")
            );
            self.problem(node.line, field, message);
            return None;
        }
        self.wrong(node, field, &known.join(", "))
    }

    /// The pairs of a map, whatever its keys.
    pub(super) fn pairs<'n>(&mut self, node: &'n Node, field: &str) -> Option<&'n [(Key, Node)]> {
        match &node.kind {
            Kind::Map(pairs) => Some(pairs),
            _ => self.wrong(node, field, "a map"),
        }
    }

    /// A map of texts.
    pub(super) fn text_map(
        &mut self,
        node: &Node,
        field: &str,
    ) -> Option<std::collections::BTreeMap<String, String>> {
        let pairs = self.pairs(node, field)?;
        let mut map = std::collections::BTreeMap::new();
        for (key, value) in pairs {
            if let Some(text) = self.text(value, &join(field, &key.text)) {
                map.insert(key.text.clone(), text);
            }
        }
        (map.len() == pairs.len()).then_some(map)
    }

    /// A map whose other keys do not matter.
    pub(super) fn any_fields<'n>(&mut self, node: &'n Node, field: &str) -> Option<Fields<'n>> {
        let pairs = self.pairs(node, field)?;
        Some(Fields {
            pairs,
            line: node.line,
            field: field.to_owned(),
        })
    }

    /// A map with known keys; each other key is named as wrong.
    pub(super) fn fields<'n>(
        &mut self,
        node: &'n Node,
        field: &str,
        keys: &[&str],
    ) -> Option<Fields<'n>> {
        let pairs = self.pairs(node, field)?;
        for (key, _) in pairs {
            if !keys.contains(&key.text.as_str()) {
                self.problem(key.line, field, unknown_key(&key.text, keys));
            }
        }
        self.any_fields(node, field)
    }
}

/// The whole number that this is, also as `5.0`, which JSON's schemas and
/// LinuxKit take for one.
fn whole(kind: &Kind) -> Option<i128> {
    /// Up to here a float names each whole number.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match kind {
        Kind::Int(n) => Some(*n),
        #[allow(clippy::cast_possible_truncation, reason = "whole, and in the range")]
        Kind::Float(n) if n.fract() == 0.0 && n.abs() <= EXACT => Some(*n as i128),
        _ => None,
    }
}

/// A map whose keys are known ones.
#[derive(Clone, Debug)]
pub(super) struct Fields<'n> {
    pairs: &'n [(Key, Node)],
    pub(super) line: usize,
    field: String,
}

impl<'n> Fields<'n> {
    /// The value of `key`.
    pub(super) fn get(&self, key: &str) -> Option<&'n Node> {
        self.pairs
            .iter()
            .find(|(known, _)| known.text == key)
            .map(|(_, node)| node)
    }

    /// The line of the key itself.
    pub(super) fn key_line(&self, key: &str) -> Option<usize> {
        self.pairs
            .iter()
            .find(|(known, _)| known.text == key)
            .map(|(known, _)| known.line)
    }

    /// The full name of `key`.
    pub(super) fn name(&self, key: &str) -> String {
        join(&self.field, key)
    }

    /// The value of `key`, read by `read`; none where the key is absent or
    /// its value wrong.
    pub(super) fn read<T>(
        &self,
        reader: &mut Reader,
        key: &str,
        read: impl FnOnce(&mut Reader, &Node, &str) -> Option<T>,
    ) -> Option<T> {
        read(reader, self.get(key)?, &self.name(key))
    }

    /// Like [`Self::read`], where absence is wrong.
    pub(super) fn required<T>(
        &self,
        reader: &mut Reader,
        key: &str,
        read: impl FnOnce(&mut Reader, &Node, &str) -> Option<T>,
    ) -> Option<T> {
        if self.get(key).is_none() {
            reader.problem(
                self.line,
                &self.field,
                format!("the key \"{key}\" is missing"),
            );
        }
        self.read(reader, key, read)
    }
}

/// The integers that YAML may ask for.
pub(super) trait Bounds {
    const LOWEST: i128;
    const HIGHEST: i128;
}

macro_rules! bounds {
    ($($int:ty),*) => { $(impl Bounds for $int {
        const LOWEST: i128 = <$int>::MIN as i128;
        const HIGHEST: i128 = <$int>::MAX as i128;
    })* };
}
bounds!(u8, u16, u32, u64, i32, i64);

/// `field.key`, or `key` at the top.
pub(super) fn join(field: &str, key: &str) -> String {
    if field.is_empty() {
        key.to_owned()
    } else {
        format!("{field}.{key}")
    }
}

fn is_old_bool(text: &str) -> bool {
    matches!(
        text.to_ascii_lowercase().as_str(),
        "yes" | "no" | "on" | "off" | "y" | "n"
    )
}

fn unknown_key(key: &str, allowed: &[&str]) -> String {
    let mut sorted = allowed.to_vec();
    sorted.sort_unstable();
    format!(
        "unknown key {}{}, allowed: {}",
        quoted(key),
        did_you_mean(key, allowed),
        sorted.join(", ")
    )
}

/// Names that are allowed, as many as a line bears.
pub(super) fn listed(names: &[&str]) -> String {
    const MOST: usize = 50;
    match names.get(..MOST) {
        Some(first) if names.len() > MOST => {
            format!("{} and {} more", first.join(", "), names.len() - MOST)
        }
        _ => names.join(", "),
    }
}

/// ` (did you mean "…"?)`, or nothing where nothing is near.
pub(super) fn did_you_mean(text: &str, known: &[&str]) -> String {
    // A file with thousands of names, each wrong, must not take minutes.
    const MOST: usize = 200;
    if known.len() > MOST {
        return String::new();
    }
    near(text, known)
        .first()
        .map(|name| format!(" (did you mean \"{name}\"?)"))
        .unwrap_or_default()
}

/// The names that a text may have been meant for, nearest first.
pub(super) fn near<'k>(text: &str, known: &[&'k str]) -> Vec<&'k str> {
    const LONGEST: usize = 64;
    if text.len() > LONGEST {
        return Vec::new();
    }
    let plain = |s: &str| s.to_lowercase().replace(['-', '_', '.', ' '], "");
    let wanted = plain(text);
    let mut near: Vec<(usize, &str)> = known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(&wanted, &plain(name)), *name))
        .filter(|(distance, name)| *distance <= 1.max(name.chars().count() / 3))
        .collect();
    near.sort_by_key(|(distance, _)| *distance);
    near.into_iter().map(|(_, name)| name).collect()
}
