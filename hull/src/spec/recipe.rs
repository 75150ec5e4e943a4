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
    /// What is not taken from those: paths, with all that is below them.
    pub exclude: Vec<String>,
    /// Programs of our own build.
    pub binaries: Vec<Binary>,
    /// Symbolic links: (path, without a leading `/`; target).
    pub links: Vec<(String, String)>,
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
    "links",
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

/// The name of the image that a `build.yml` makes, whatever else it says, also
/// one of LinuxKit's with keys that we have not. `org` stands in the place of
/// the file's.
///
/// # Errors
/// What is wrong with the keys of the name, a line each.
pub fn name(source: &Source<'_>, org: Option<&str>) -> Result<String, Problems> {
    let mut r = Reader::new(source.name);
    let name = match node::read(source.text) {
        Ok(node) => {
            let fields = r.any_fields(&node, "");
            fields.and_then(|fields| image_name(&mut r, &fields, org))
        }
        Err(e) => {
            r.problem(e.line, "", e.message);
            None
        }
    };
    name.ok_or_else(|| Problems(r.into_problems().into_iter().map(|(_, p)| p).collect()))
}

fn image_name(
    r: &mut Reader,
    fields: &super::read::Fields<'_>,
    org: Option<&str>,
) -> Option<String> {
    let said = fields.read(r, "org", name_part);
    let image = fields.required(r, "image", name_part)?;
    Some(format!(
        "{}/{image}",
        org.or(said.as_deref()).unwrap_or(ORG)
    ))
}

fn recipe(r: &mut Reader, node: &Node) -> Option<Recipe> {
    let fields = r.fields(node, "", KEYS)?;
    let name = image_name(r, &fields, None);
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
        links: fields.read(r, "links", links).unwrap_or_default(),
        labels,
        name: name?,
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

/// Many names for one thing, as busybox has them: target → paths.
fn links(r: &mut Reader, node: &Node, field: &str) -> Option<Vec<(String, String)>> {
    let mut links = Vec::new();
    for (target, paths) in r.pairs(node, field)? {
        let field = super::read::join(field, &target.text);
        let paths = r.list(paths, &field, document::file_path)?;
        links.extend(paths.into_iter().map(|path| (path, target.text.clone())));
    }
    Some(links)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Recipe, String> {
        let source = Source {
            name: "build.yml",
            text: text.as_bytes(),
        };
        parse(&source).map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_recipe_is_read_whole() {
        let recipe = read(
            "image: web\norg: me\narches: [amd64]\nentrypoint: [/web]\nstopSignal: SIGQUIT\n\
             config: {net: host, readonly: true}\nhullkit: {restart: on-failure}\n\
             debs: [libc6]\nbinaries: [{name: dhcp, path: /usr/bin/dhcp}]\n\
             files: [{path: /etc/x, contents: y, uid: 7}]\nlinks: {/bin/busybox: [bin/sh, /bin/ls]}\n",
        )
        .unwrap();
        assert_eq!(recipe.name, "me/web");
        assert_eq!(recipe.arches, [Arch::X86_64]);
        assert_eq!(
            recipe.labels["org.mobyproject.config"],
            r#"{"net":"host","readonly":true}"#
        );
        assert_eq!(
            recipe.labels["org.hullkit.config"],
            r#"{"restart":"on-failure"}"#
        );
        assert_eq!(recipe.binaries[0].path, "usr/bin/dhcp");
        assert_eq!(
            (recipe.files[0].path.as_str(), recipe.files[0].uid),
            ("etc/x", 7)
        );
        let links = [("bin/sh", "/bin/busybox"), ("bin/ls", "/bin/busybox")];
        assert!(
            recipe
                .links
                .iter()
                .map(|(p, t)| (p.as_str(), t.as_str()))
                .eq(links)
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, wrong) in [
            ("org: me\n", "build.yml:1: the key \"image\" is missing"),
            (
                "image: web\nimgae: x\n",
                "build.yml:2: unknown key \"imgae\" (did you mean \"image\"?)",
            ),
            (
                "image: Web\n",
                "build.yml:1: image: found \"Web\", allowed:",
            ),
            (
                "image: web\narches: [mips]\n",
                "build.yml:2: arches[0]: architecture \"mips\"",
            ),
            (
                "image: web\ndebs: [../x]\n",
                "build.yml:2: debs[0]: found \"../x\"",
            ),
            (
                "image: web\nconfig: {readonly: 1}\n",
                "build.yml:2: config.readonly: found the number 1",
            ),
            (
                "image: web\nconfig: {capabilities: [CAP_X]}\n",
                "build.yml:2: config.capabilities",
            ),
            (
                "image: web\nhullkit: {restart: sometimes}\n",
                "build.yml:2: hullkit.restart: found",
            ),
            (
                "image: web\nbinaries: [{name: ../x, path: /x}]\n",
                "build.yml:2: binaries[0].name",
            ),
            (
                "image: web\nfiles: [{path: x, contents: y, uid: web}]\n",
                "build.yml:2: files[0]",
            ),
            (
                "image: web\nlinks: {/bin/x: [../y]}\n",
                "build.yml:2: links./bin/x[0]",
            ),
            (
                "image: web\nstopSignal: SIGNOPE\n",
                "build.yml:2: stopSignal: unknown signal",
            ),
        ] {
            let problems = read(text).unwrap_err();
            assert!(problems.starts_with(wrong), "{text}: {problems}");
            assert_eq!(problems.lines().count(), 1, "{problems}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(image: x\n)?[a-z:\\[\\]{}, \n/\"]{0,80}") {
            let _ = read(&text);
        }
    }
}
