//! YAML text as a tree whose nodes know their lines.
//!
//! We build the tree from the parser's events ourselves, because a typed
//! deserializer forgets what good errors need: where a value stood once it is
//! read, whether it was quoted, and what else was wrong in the same file.
//! Depth, size and aliases are bounded here, so that nothing behind this has
//! to care. Scalars are resolved as LinuxKit's parser (Go's yaml.v3) does.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

/// Lists and maps within one another.
const MAX_DEPTH: usize = 64;
/// Nodes of a file, each alias counted in full.
const MAX_NODES: usize = 200_000;
/// Keys of a map.
const MAX_KEYS: usize = 4096;
/// Bytes of a file, and of the text that its aliases repeat.
const MAX_BYTES: usize = 16 << 20;

/// A value and its line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// From 1.
    pub(super) line: usize,
    pub(super) kind: Kind,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Int(i128),
    /// A number that is no integer.
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a map.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Key {
    pub(super) line: usize,
    pub(super) text: String,
}

impl Node {
    /// What it is, for "found …".
    pub(super) fn describe(&self) -> String {
        match &self.kind {
            Kind::Null => "nothing".to_owned(),
            Kind::Bool(b) => format!("the boolean {b}"),
            Kind::Int(n) => format!("the number {n}"),
            Kind::Float(n) => format!("the number {n}"),
            Kind::Text(t) => format!("the text {}", quoted(t)),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a map".to_owned(),
        }
    }
}

/// `text` in quotes, cut to a length that fits on a line.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut short: String = text.chars().take(LONGEST).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("\"{short}\"")
}

/// What is wrong with a text as YAML.
#[derive(Debug, PartialEq)]
pub(super) struct SyntaxError {
    pub(super) line: usize,
    pub(super) message: String,
}

fn error<T>(line: usize, message: impl Into<String>) -> Result<T, SyntaxError> {
    Err(SyntaxError {
        line,
        message: message.into(),
    })
}

/// Reads the one document of `text`; an empty text is [`Kind::Null`].
pub(super) fn read(text: &[u8]) -> Result<Node, SyntaxError> {
    if text.len() > MAX_BYTES {
        return error(1, format!("larger than {} MiB", MAX_BYTES >> 20));
    }
    let text = std::str::from_utf8(text).map_err(|e| {
        let valid = text.get(..e.valid_up_to()).unwrap_or_default();
        SyntaxError {
            line: 1 + valid.iter().filter(|b| **b == b'\n').count(),
            message: "not UTF-8".to_owned(),
        }
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => builder.take(event, span.start.line())?,
            Err(e) => {
                let message = format!("not YAML: {}", e.info());
                return error(e.marker().line().max(1), message);
            }
        }
    }
    Ok(builder.root.unwrap_or(Node {
        line: 1,
        kind: Kind::Null,
    }))
}

/// A list or map that has begun and not ended.
struct Open {
    line: usize,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map {
        pairs: Vec<(Key, Node)>,
        /// The key whose value comes next.
        key: Option<Key>,
        /// What `<<` brings, first come first.
        merged: Vec<Vec<(Key, Node)>>,
    },
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    /// Ended nodes that an alias may name, with their count of nodes and bytes.
    anchors: HashMap<usize, (Node, usize, usize)>,
    nodes: usize,
    aliased_bytes: usize,
    documents: usize,
    root: Option<Node>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), SyntaxError> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return error(line, "a second document; one file is one document");
                }
                Ok(())
            }
            Event::Alias(id) => {
                let node = self.alias(id, line)?;
                self.put(node, 0)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let kind = scalar(&text, style, tag.as_deref(), line)?;
                self.count(1, line)?;
                self.put(Node { line, kind }, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                only_tag(tag.as_deref(), "seq", line)?;
                self.begin(line, anchor, Content::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                only_tag(tag.as_deref(), "map", line)?;
                let content = Content::Map {
                    pairs: Vec::new(),
                    key: None,
                    merged: Vec::new(),
                };
                self.begin(line, anchor, content)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(line),
        }
    }

    fn count(&mut self, nodes: usize, line: usize) -> Result<(), SyntaxError> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return error(line, format!("more than {MAX_NODES} values"));
        }
        Ok(())
    }

    fn begin(&mut self, line: usize, anchor: usize, content: Content) -> Result<(), SyntaxError> {
        if self.open.len() >= MAX_DEPTH {
            return error(line, format!("nested deeper than {MAX_DEPTH} levels"));
        }
        self.count(1, line)?;
        self.open.push(Open {
            line,
            anchor,
            content,
        });
        Ok(())
    }

    fn end(&mut self, line: usize) -> Result<(), SyntaxError> {
        let Some(open) = self.open.pop() else {
            return error(line, "not YAML: an end without a beginning");
        };
        let kind = match open.content {
            Content::List(items) => Kind::List(items),
            Content::Map {
                mut pairs, merged, ..
            } => {
                for (key, node) in merged.into_iter().flatten() {
                    if !pairs.iter().any(|(known, _)| known.text == key.text) {
                        pairs.push((key, node));
                    }
                }
                Kind::Map(pairs)
            }
        };
        let node = Node {
            line: open.line,
            kind,
        };
        self.put(node, open.anchor)
    }

    /// A copy of what the alias names, if there is room for it.
    fn alias(&mut self, id: usize, line: usize) -> Result<Node, SyntaxError> {
        let Some((node, nodes, bytes)) = self.anchors.get(&id) else {
            return error(line, "an alias within what it names");
        };
        let (nodes, bytes) = (*nodes, *bytes);
        let depth = self.open.len() + depth(node);
        if depth > MAX_DEPTH {
            return error(line, format!("nested deeper than {MAX_DEPTH} levels"));
        }
        self.aliased_bytes = self.aliased_bytes.saturating_add(bytes);
        if self.aliased_bytes > MAX_BYTES {
            return error(line, "aliases repeat too much text");
        }
        let copy = node.clone();
        self.count(nodes, line)?;
        Ok(copy)
    }

    /// Puts an ended node where it belongs.
    fn put(&mut self, node: Node, anchor: usize) -> Result<(), SyntaxError> {
        if anchor > 0 {
            let (nodes, bytes) = size(&node);
            self.anchors.insert(anchor, (node.clone(), nodes, bytes));
            self.aliased_bytes = self.aliased_bytes.saturating_add(bytes);
            if self.aliased_bytes > MAX_BYTES {
                return error(node.line, "anchors hold too much text");
            }
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open {
                content: Content::List(items),
                ..
            }) => items.push(node),
            Some(Open {
                content: Content::Map { pairs, key, merged },
                ..
            }) => match key.take() {
                None => *key = Some(as_key(node)?),
                Some(k) if k.text == MERGE => merged.extend(merge_sources(node)?),
                Some(k) => {
                    if let Some((first, _)) = pairs.iter().find(|(known, _)| known.text == k.text) {
                        let message = format!(
                            "key {} a second time; first on line {}",
                            quoted(&k.text),
                            first.line
                        );
                        return error(k.line, message);
                    }
                    if pairs.len() >= MAX_KEYS {
                        return error(k.line, format!("more than {MAX_KEYS} keys in a map"));
                    }
                    pairs.push((k, node));
                }
            },
        }
        Ok(())
    }
}

/// The key that merges other maps into its own.
const MERGE: &str = "<<";

fn as_key(node: Node) -> Result<Key, SyntaxError> {
    match node.kind {
        Kind::Text(text) => Ok(Key {
            line: node.line,
            text,
        }),
        _ => error(
            node.line,
            format!("a key must be text; found {}", node.describe()),
        ),
    }
}

/// The maps that the value of `<<` stands for.
fn merge_sources(node: Node) -> Result<Vec<Vec<(Key, Node)>>, SyntaxError> {
    let line = node.line;
    match node.kind {
        Kind::Map(pairs) => Ok(vec![pairs]),
        Kind::List(items) => items
            .into_iter()
            .map(|item| match item.kind {
                Kind::Map(pairs) => Ok(pairs),
                _ => error(item.line, "<< takes maps only"),
            })
            .collect(),
        _ => error(line, "<< takes a map or a list of maps"),
    }
}

fn depth(node: &Node) -> usize {
    match &node.kind {
        Kind::List(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Kind::Map(pairs) => 1 + pairs.iter().map(|(_, n)| depth(n)).max().unwrap_or(0),
        _ => 0,
    }
}

/// Nodes and bytes of text.
fn size(node: &Node) -> (usize, usize) {
    let add = |(n, b), (m, c)| (n + m, b + c);
    match &node.kind {
        Kind::Text(text) => (1, text.len()),
        Kind::List(items) => items.iter().map(size).fold((1, 0), add),
        Kind::Map(pairs) => pairs
            .iter()
            .map(|(k, n)| add(size(n), (0, k.text.len())))
            .fold((1, 0), add),
        _ => (1, 0),
    }
}

/// The last part of a core tag (`!!str` → `str`).
fn core_tag(tag: Option<&Tag>, line: usize) -> Result<Option<&str>, SyntaxError> {
    match tag {
        None => Ok(None),
        Some(tag) if tag.is_yaml_core_schema() => Ok(Some(&tag.suffix)),
        Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => Ok(Some("str")),
        Some(tag) => error(
            line,
            format!("the tag {}{} is not known here", tag.handle, tag.suffix),
        ),
    }
}

fn only_tag(tag: Option<&Tag>, allowed: &str, line: usize) -> Result<(), SyntaxError> {
    match core_tag(tag, line)? {
        None => Ok(()),
        Some(name) if name == allowed => Ok(()),
        Some(name) => error(line, format!("the tag !!{name} does not fit here")),
    }
}

fn scalar(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    line: usize,
) -> Result<Kind, SyntaxError> {
    let resolved = || {
        if style == ScalarStyle::Plain {
            plain(text)
        } else {
            Kind::Text(text.to_owned())
        }
    };
    let wanted = match core_tag(tag, line)? {
        None => return Ok(resolved()),
        Some("str") => return Ok(Kind::Text(text.to_owned())),
        Some(wanted) => wanted,
    };
    let kind = plain(text);
    match (wanted, &kind) {
        ("null", Kind::Null)
        | ("bool", Kind::Bool(_))
        | ("int", Kind::Int(_))
        | ("float", Kind::Float(_) | Kind::Int(_)) => Ok(kind),
        _ => error(
            line,
            format!("{} does not fit the tag !!{wanted}", quoted(text)),
        ),
    }
}

/// What an unquoted scalar is.
fn plain(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" => return Kind::Bool(true),
        "false" | "False" | "FALSE" => return Kind::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Kind::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Kind::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Kind::Float(f64::NAN),
        _ => {}
    }
    let begins_as_number = text
        .trim_start_matches(['+', '-'])
        .starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if begins_as_number {
        if let Some(n) = integer(text) {
            return Kind::Int(n);
        }
        if let Some(n) = float(text) {
            return Kind::Float(n);
        }
    }
    Kind::Text(text.to_owned())
}

/// An integer as Go's parser reads it: a leading 0 is octal, `_` is nothing.
fn integer(text: &str) -> Option<i128> {
    let digits = text.replace('_', "");
    let (negative, digits) = match digits.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, digits.strip_prefix('+').unwrap_or(&digits)),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, digits.get(2..)?),
        [b'0', b'o' | b'O', ..] => (8, digits.get(2..)?),
        [b'0', b'b' | b'B', ..] => (2, digits.get(2..)?),
        [b'0', _, ..] => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let value = i128::from_str_radix(digits, radix).ok()?;
    Some(if negative { -value } else { value })
}

fn float(text: &str) -> Option<f64> {
    let digits = text.replace('_', "");
    let well_formed = digits
        .chars()
        .all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
    if well_formed {
        digits.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
