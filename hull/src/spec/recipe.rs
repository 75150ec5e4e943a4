//! `build.yml`: how a package folder becomes an image. `docs/pkg.md` describes
//! it; keys that LinuxKit's `build.yml` has mean the same.

use std::collections::BTreeMap;

use super::document;
use super::metadata;
use super::node::{self, Node, quoted};
use super::place::{Located, Problems};
use super::read::Reader;
use super::types::{File, Id};
use super::{Source, label, text};
use crate::arch::Arch;

/// A package, read and checked.
#[derive(Clone, Debug, Default)]
pub struct Recipe {
    /// The image's name: `ORG/IMAGE`.
    pub name: String,
    /// The architectures that it is for; empty: all.
    pub arches: Vec<Arch>,
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// Further arguments, or the whole command.
    pub cmd: Vec<String>,
    /// `NAME=VALUE`.
    pub env: Vec<String>,
    /// The working folder.
    pub workdir: Option<String>,
    /// The signal that asks it to stop, by name or number.
    pub stop_signal: Option<String>,
    /// The image's labels, those of `config` and `hullkit` among them.
    pub labels: BTreeMap<String, String>,
    /// Debian packages, by name.
    pub debs: Vec<Located<String>>,
    /// What is not taken from those: a path, or `dir/*` patterns by prefix.
    pub exclude: Vec<String>,
    /// Programs of our own build.
    pub binaries: Vec<Binary>,
    /// Files, as in a system image's `files`.
    pub files: Vec<File>,
}

/// A program of our own build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    /// Its name in `out/guest/ARCH`.
    pub name: Located<String>,
    /// Where it goes in the image, without a leading `/`.
    pub path: String,
}

const KEYS: &[&str] = &[
    "arches",
    "binaries",
    "cmd",
    "config",
    "debs",
    "entrypoint",
    "env",
    "exclude",
    "files",
    "hullkit",
    "image",
    "labels",
    "org",
    "stopSignal",
    "workdir",
];

/// Where an image belongs whose file does not say.
const ORG: &str = "hullkit";

/// Reads the text of a `build.yml`.
///
/// # Errors
/// All that is wrong with it, a line each.
pub fn parse(source: &Source<'_>) -> Result<Recipe, Problems> {
    let mut r = Reader::new(source.name);
    let recipe = match node::read(source.text) {
        Ok(node) => recipe(&mut r, &node),
        Err(e) => {
            r.problem(e.line, "", e.message);
            None
        }
    };
    let problems: Vec<_> = r
        .into_problems()
        .into_iter()
        .map(|(_, problem)| problem)
        .collect();
    match recipe {
        Some(recipe) if problems.is_empty() => Ok(recipe),
        _ => Err(Problems(problems)),
    }
}

fn recipe(r: &mut Reader, node: &Node) -> Option<Recipe> {
    let fields = r.fields(node, "", KEYS)?;
    let org = fields.read(r, "org", name_part);
    let image = fields.required(r, "image", name_part);
    let mut labels = fields
        .read(r, "labels", Reader::text_map)
        .unwrap_or_default();
    if let Some((name, text)) = fields.read(r, "config", moby_label) {
        labels.insert(name, text);
    }
    if let Some((name, text)) = fields.read(r, "hullkit", hullkit_label) {
        labels.insert(name, text);
    }
    let signal = fields.read(r, "stopSignal", |r, node, field| {
        r.parsed(node, field, |word| {
            text::signal(word).map(|_| word.to_owned())
        })
    });
    let mut texts = |key| fields.read(r, key, Reader::texts).unwrap_or_default();
    Some(Recipe {
        entrypoint: texts("entrypoint"),
        cmd: texts("cmd"),
        env: texts("env"),
        exclude: texts("exclude"),
        workdir: fields.read(r, "workdir", Reader::text),
        stop_signal: signal.map(|word| word.value),
        arches: list(&fields, r, "arches", arch),
        debs: list(&fields, r, "debs", deb),
        binaries: list(&fields, r, "binaries", binary),
        files: list(&fields, r, "files", file),
        labels,
        name: format!("{}/{}", org.as_deref().unwrap_or(ORG), image?),
    })
}

/// The list at `key`, each item by `item`; empty where it is absent.
fn list<T>(
    fields: &super::read::Fields<'_>,
    r: &mut Reader,
    key: &str,
    item: impl FnMut(&mut Reader, &Node, &str) -> Option<T>,
) -> Vec<T> {
    fields
        .read(r, key, |r, node, field| r.list(node, field, item))
        .unwrap_or_default()
}

/// A part of an image's name, as registries have it.
fn name_part(r: &mut Reader, node: &Node, field: &str) -> Option<String> {
    let parsed = r.parsed(node, field, |part| {
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-/".contains(&b);
        if !part.is_empty() && part.bytes().all(good) {
            return Ok(part.to_owned());
        }
        Err(format!(
            "found {}, allowed: a-z, 0-9, . _ - /",
            quoted(part)
        ))
    });
    parsed.map(|part| part.value)
}

fn arch(r: &mut Reader, node: &Node, field: &str) -> Option<Arch> {
    r.parsed(node, field, |name| {
        name.parse()
            .map_err(|e: crate::arch::UnknownArch| e.to_string())
    })
    .map(|arch| arch.value)
}

/// A Debian package's name (Debian policy, section 5.6.7).
fn deb(r: &mut Reader, node: &Node, field: &str) -> Option<Located<String>> {
    r.parsed(node, field, |name| {
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b);
        if name.len() > 1 && name.bytes().all(good) {
            return Ok(name.to_owned());
        }
        Err(format!(
            "found {}, allowed: a Debian package's name",
            quoted(name)
        ))
    })
}

fn binary(r: &mut Reader, node: &Node, field: &str) -> Option<Binary> {
    let fields = r.fields(node, field, &["name", "path"])?;
    let name = fields.required(r, "name", |r, node, field| {
        r.parsed(node, field, |name| {
            if !name.is_empty() && !name.starts_with('.') && !name.contains('/') {
                return Ok(name.to_owned());
            }
            Err(format!(
                "found {}, allowed: a program's name, such as \"dhcp\"",
                quoted(name)
            ))
        })
    });
    let path = fields.required(r, "path", document::file_path);
    Some(Binary {
        name: name?,
        path: path?,
    })
}

/// A file as in a system image; its owner is a number here, for there is no
/// entry to name.
fn file(r: &mut Reader, node: &Node, field: &str) -> Option<File> {
    let mut shadowed = Vec::new();
    let draft = document::file(r, node, field, &mut shadowed)?;
    let mut number = |id: Option<Located<Id>>| match id {
        None => 0,
        Some(Located {
            value: Id::Number(number),
            ..
        }) => number,
        Some(Located {
            value: Id::Entry(name),
            place,
        }) => {
            let message = format!("found {}, allowed: a number, root", quoted(&name));
            r.problem(place.line, field, message);
            0
        }
    };
    let (uid, gid) = (number(draft.uid), number(draft.gid));
    Some(File {
        uid,
        gid,
        ..draft.file
    })
}

/// `config` as the text of LinuxKit's label, if that can be read.
fn moby_label(r: &mut Reader, node: &Node, field: &str) -> Option<(String, String)> {
    let text = metadata::value(node).to_string();
    let read = label::moby(field, &text).map(|label| label.if_used);
    checked_label(r, node, field, label::MOBY, text, read)
}

/// `hullkit` as the text of our label, if that can be read.
fn hullkit_label(r: &mut Reader, node: &Node, field: &str) -> Option<(String, String)> {
    let text = metadata::value(node).to_string();
    let read = label::hullkit(field, &text).map(|label| label.if_used);
    checked_label(r, node, field, label::HULLKIT, text, read)
}

fn checked_label(
    r: &mut Reader,
    node: &Node,
    field: &str,
    name: &str,
    text: String,
    read: Result<Vec<super::Problem>, Problems>,
) -> Option<(String, String)> {
    let problems = match read {
        Ok(if_used) => if_used,
        Err(Problems(problems)) => problems,
    };
    for problem in &problems {
        let inner = if problem.field.is_empty() {
            field.to_owned()
        } else {
            format!("{field}.{}", problem.field)
        };
        r.problem(node.line, &inner, problem.message.clone());
    }
    problems.is_empty().then(|| (name.to_owned(), text))
}
