//! `--set PATH=VALUE`: a value of a build file, changed from outside before
//! the file is read.

use std::str::FromStr;

use super::node::{self, Key, Kind, Node, quoted};

/// A place in the build files, and what is put there.
#[derive(Clone, Debug, PartialEq)]
pub struct Set {
    path: Vec<Step>,
    value: Kind,
    written: String,
}

/// A step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// A key of a map, or the name of an item of a list.
    Name(String),
    /// An item of a list, from 0.
    Index(usize),
}

impl FromStr for Set {
    type Err = String;

    /// `kernel.cmdline=quiet`, `services.web.env=[A=1]`,
    /// `services[0].sysctl."net.ipv4.ip_forward"='1'`. The value is YAML.
    fn from_str(text: &str) -> Result<Self, String> {
        let shape = || format!("found {}, allowed: PATH=VALUE", quoted(text));
        let at = outside_quotes(text, '=').ok_or_else(shape)?;
        let (path, value) = (&text[..at], &text[at + 1..]);
        let value = match value {
            "" => Kind::Text(String::new()),
            value => {
                let read = node::read(value.as_bytes());
                read.map_err(|e| format!("{}: {}", quoted(value), e.message))?
                    .kind
            }
        };
        Ok(Self {
            path: steps(path)?,
            value,
            written: path.to_owned(),
        })
    }
}

/// The first `wanted` that stands in no quotes.
fn outside_quotes(text: &str, wanted: char) -> Option<usize> {
    let mut quoted = false;
    text.char_indices().find_map(|(at, c)| {
        quoted ^= c == '"';
        (c == wanted && !quoted).then_some(at)
    })
}

/// `a.b[0]."c.d"`.
fn steps(path: &str) -> Result<Vec<Step>, String> {
    let wrong = |why: &str| format!("path {}: {why}", quoted(path));
    let mut steps = Vec::new();
    let mut rest = path;
    loop {
        let (name, behind) = match rest.strip_prefix('"') {
            Some(inner) => inner
                .split_once('"')
                .ok_or_else(|| wrong("a quote without an end"))?,
            None => rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len())),
        };
        if name.is_empty() {
            return Err(wrong("an empty name"));
        }
        steps.push(Step::Name(name.to_owned()));
        rest = behind;
        while let Some(inner) = rest.strip_prefix('[') {
            let index = inner.split_once(']');
            let (index, behind) = index.ok_or_else(|| wrong("a bracket without an end"))?;
            let index = index.parse().map_err(|_| wrong("an index is a number"))?;
            steps.push(Step::Index(index));
            rest = behind;
        }
        rest = match rest.strip_prefix('.') {
            Some(more) => more,
            None if rest.is_empty() => return Ok(add_keys(steps)),
            None => return Err(wrong("allowed: names and [indices] with dots between them")),
        };
    }
}

/// `binds.add` and `capabilities.add` are keys with a dot.
fn add_keys(steps: Vec<Step>) -> Vec<Step> {
    let mut joined: Vec<Step> = Vec::new();
    for step in steps {
        match (joined.last_mut(), &step) {
            (Some(Step::Name(last)), Step::Name(name))
                if name == "add" && (last == "binds" || last == "capabilities") =>
            {
                last.push_str(".add");
            }
            _ => joined.push(step),
        }
    }
    joined
}

impl Set {
    /// The path, as it was written.
    pub(super) fn path(&self) -> &str {
        &self.written
    }

    /// Puts the value into the files, or into `last`, which is read behind
    /// them.
    pub(super) fn apply(&self, files: &mut [&mut Node], last: &mut Node) -> Result<(), String> {
        match &self.path[..] {
            [Step::Name(top)] => {
                for file in files {
                    if let Kind::Map(pairs) = &mut file.kind {
                        pairs.retain(|(key, _)| key.text != *top);
                    }
                }
                put(last, &self.path, &self.value)
            }
            [Step::Name(top), item, rest @ ..] if top != "kernel" => {
                let found = find(files, top, item)?;
                put(found, rest, &self.value)
            }
            path => put(last, path, &self.value),
        }
    }
}

/// The item of the list `top`, which all files together have.
fn find<'n>(files: &'n mut [&mut Node], top: &str, wanted: &Step) -> Result<&'n mut Node, String> {
    let mut names = Vec::new();
    let lists = files.iter_mut().filter_map(|file| match &mut file.kind {
        Kind::Map(pairs) => pairs.iter_mut().find(|(key, _)| key.text == top),
        _ => None,
    });
    let items = lists.flat_map(|(_, node)| match &mut node.kind {
        Kind::List(items) => &mut items[..],
        _ => &mut [],
    });
    for (index, item) in items.enumerate() {
        let name = name_of(item);
        let is = match wanted {
            Step::Index(wanted) => *wanted == index,
            Step::Name(wanted) => name.as_ref() == Some(wanted),
        };
        if is {
            return Ok(item);
        }
        names.push(name.unwrap_or_else(|| format!("[{index}]")));
    }
    let wanted = match wanted {
        Step::Index(index) => format!("[{index}]"),
        Step::Name(name) => quoted(name),
    };
    Err(match names.as_slice() {
        [] => format!("{top} has no items"),
        names => format!("{top} has no {wanted}, only: {}", names.join(", ")),
    })
}

/// What an item is found by: its name, a file's path, or its text.
fn name_of(item: &Node) -> Option<String> {
    let text = |node: &Node| match &node.kind {
        Kind::Text(text) => Some(text.clone()),
        _ => None,
    };
    match &item.kind {
        Kind::Map(pairs) => {
            let named = |name: &str| pairs.iter().find(|(key, _)| key.text == name);
            let (_, node) = named("name").or_else(|| named("path"))?;
            text(node)
        }
        _ => text(item),
    }
}

fn put(node: &mut Node, path: &[Step], value: &Kind) -> Result<(), String> {
    let Some((step, rest)) = path.split_first() else {
        node.kind = value.clone();
        return Ok(());
    };
    let line = node.line;
    let new = || Node {
        line,
        kind: Kind::Null,
    };
    match (step, &mut node.kind) {
        (Step::Name(name), Kind::Map(pairs)) => {
            let known = pairs.iter().position(|(key, _)| key.text == *name);
            let at = known.unwrap_or(pairs.len());
            if known.is_none() {
                let text = name.clone();
                pairs.push((Key { line, text }, new()));
            }
            put(&mut pairs[at].1, rest, value)
        }
        (Step::Index(index), Kind::List(items)) if *index <= items.len() => {
            if *index == items.len() {
                items.push(new());
            }
            put(&mut items[*index], rest, value)
        }
        (Step::Name(_), kind @ Kind::Null) => {
            *kind = Kind::Map(Vec::new());
            put(node, path, value)
        }
        (Step::Index(0), kind @ Kind::Null) => {
            *kind = Kind::List(Vec::new());
            put(node, path, value)
        }
        (Step::Name(name), _) => {
            let found = node.describe();
            Err(format!("no key {} in {found}", quoted(name)))
        }
        (Step::Index(index), _) => Err(format!("no item [{index}] in {}", node.describe())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str, yaml: &[&str]) -> Result<Vec<String>, String> {
        let read = |text: &&str| node::read(text.as_bytes()).unwrap();
        let mut nodes: Vec<Node> = yaml.iter().map(read).collect();
        let mut last = Node {
            line: 1,
            kind: Kind::Map(Vec::new()),
        };
        let mut files: Vec<&mut Node> = nodes.iter_mut().collect();
        text.parse::<Set>()?.apply(&mut files, &mut last)?;
        nodes.push(last);
        let text = |node: &Node| super::super::metadata::value(node).to_string();
        Ok(nodes.iter().map(text).collect())
    }

    #[test]
    fn a_value_is_put_where_its_path_leads() {
        let services = "services: [{name: a, image: x}, {name: b.c, env: [A=1]}]";
        for (text, expected) in [
            ("services.a.image=y:1", r#"{"image":"y:1","name":"a"}"#),
            ("services[0].uid=7", r#"{"image":"x","name":"a","uid":7}"#),
            ("services.a.env=[A=1, B=2]", r#"{"env":["A=1","B=2"],"#),
            ("services.\"b.c\".env[1]=X=2", r#"{"env":["A=1","X=2"],"#),
            ("services[1].env[0]=", r#"{"env":[""],"#),
            (
                "services.a.binds.add=['/a:/b']",
                r#"{"binds.add":["/a:/b"],"#,
            ),
            (
                "services.a.sysctl.\"net.ipv4.ip_forward\"='1'",
                r#""sysctl":{"net.ipv4.ip_forward":"1"}"#,
            ),
            ("services.a={name: n}", r#"[{"name":"n"},"#),
        ] {
            let [file, last] = &set(text, &[services]).unwrap()[..] else {
                panic!("{text}");
            };
            assert!(file.contains(expected), "{text}: {file}");
            assert_eq!(last, "{}");
        }
    }

    #[test]
    fn what_is_no_item_is_said_last() {
        let files = ["kernel: {cmdline: a}\ninit: [x]", "init: [y]"];
        let kernel = set("kernel.cmdline=a=b c", &files).unwrap();
        assert_eq!(kernel[2], r#"{"kernel":{"cmdline":"a=b c"}}"#);
        let init = set("init=[z]", &files).unwrap();
        assert_eq!(init[1..], ["{}", r#"{"init":["z"]}"#]);
        let item = set("init.y=z", &files).unwrap();
        assert_eq!(item[1], r#"{"init":["z"]}"#);
        let second = set("init[1]=z", &files).unwrap();
        assert_eq!(second[1], r#"{"init":["z"]}"#);
    }

    #[test]
    fn what_leads_nowhere_is_an_error() {
        let services = "services: [{name: a, image: x}]";
        for (text, word) in [
            ("a", "allowed: PATH=VALUE"),
            ("=1", "an empty name"),
            ("a..b=1", "an empty name"),
            ("a[x]=1", "an index is a number"),
            ("a[0=1", "a bracket without an end"),
            ("a[0]b=1", "allowed: names"),
            ("security=[", "not YAML"),
            ("services.b.uid=1", "services has no \"b\", only: a"),
            ("services[3].uid=1", "services has no [3], only: a"),
            ("onboot.a.uid=1", "onboot has no items"),
            ("services.a.image.x=1", "no key \"x\" in the text \"x\""),
            ("services.a.image[0]=1", "no item [0] in the text"),
        ] {
            let error = set(text, &[services]).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
