//! A file's top: `kernel`, `init`, the entries, `files`, `volumes`.

use hullkit_bundle::layout::Section;

use super::container;
use super::log;
use super::node::{Kind, Node, quoted};
use super::place::{Located, Problem};
use super::read::{Fields, Reader};
use super::supervise;
use super::types::{
    Entry, File, FileContent, Id, Kernel, LogFields, Metadata, Security, Volume, VolumeFormat,
};

/// What the files say, before anything is counted or compared.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) kernel: Kernel,
    pub(super) init: Vec<Located<String>>,
    pub(super) entries: [Vec<DraftEntry>; 3],
    pub(super) files: Vec<DraftFile>,
    pub(super) volumes: Vec<Volume>,
    pub(super) security: Option<Security>,
    pub(super) log: Option<LogFields>,
    pub(super) warnings: Vec<Problem>,
}

/// An entry, with what is wrong with it unless it wants LinuxKit's ways.
#[derive(Debug)]
pub(super) struct DraftEntry {
    pub(super) entry: Entry,
    pub(super) strict: Vec<Problem>,
}

/// A file whose owner is not yet a number.
#[derive(Debug)]
pub(super) struct DraftFile {
    pub(super) file: File,
    pub(super) uid: Option<Located<Id>>,
    pub(super) gid: Option<Located<Id>>,
}

const TOP_KEYS: &[&str] = &[
    "files",
    "init",
    "kernel",
    "log",
    "onboot",
    "onshutdown",
    "security",
    "services",
    "trust",
    "volumes",
];

/// Reads one file behind those that are in `draft` already.
pub(super) fn read(r: &mut Reader, node: &Node, draft: &mut Draft) {
    if node.kind == Kind::Null {
        return;
    }
    let Some(fields) = r.fields(node, "", TOP_KEYS) else {
        return;
    };
    if let Some(security) = fields.read(r, "security", supervise::security) {
        draft.security = Some(security);
    }
    if let Some(log) = fields.read(r, "log", log::of_all) {
        draft.log = Some(log);
    }
    fields.read(r, "kernel", |r, node, field| {
        kernel(r, node, field, &mut draft.kernel)
    });
    let init = fields.read(r, "init", |r, n, f| r.list(n, f, image));
    draft.init.extend(init.unwrap_or_default());
    for (section, entries) in Section::ALL.into_iter().zip(&mut draft.entries) {
        let read = fields.read(r, section.as_str(), |r, node, field| {
            r.list(node, field, |r, node, field| entry(r, node, field, section))
        });
        entries.extend(read.unwrap_or_default());
    }
    let warnings = &mut draft.warnings;
    let files = fields.read(r, "files", |r, node, field| {
        r.list(node, field, |r, node, field| file(r, node, field, warnings))
    });
    draft.files.extend(files.unwrap_or_default());
    if let Some(node) = fields.get("trust") {
        trust(r, node);
        draft.warnings.push(Problem {
            place: r.place(node.line),
            field: "trust".to_owned(),
            message: "not used, as in LinuxKit today; a policy says which images are taken \
                      (--policy FILE)"
                .to_owned(),
        });
    }
    let volumes = fields.read(r, "volumes", |r, n, f| r.list(n, f, volume));
    draft.volumes.extend(volumes.unwrap_or_default());
}

/// What LinuxKit used to check signatures by, and passes over now.
fn trust(r: &mut Reader, node: &Node) {
    if let Some(fields) = r.fields(node, "trust", &["image", "org"]) {
        fields.read(r, "image", Reader::texts);
        fields.read(r, "org", Reader::texts);
    }
}

const KERNEL_KEYS: &[&str] = &["binary", "cmdline", "image", "tar", "ucode"];

/// Lays what this file says over what earlier ones said.
fn kernel(r: &mut Reader, node: &Node, field: &str, kernel: &mut Kernel) -> Option<()> {
    let fields = r.fields(node, field, KERNEL_KEYS)?;
    // An empty text says nothing, for these three.
    let set = |r: &mut Reader, key| fields.read(r, key, Reader::text).filter(|t| !t.is_empty());
    if set(r, "image").is_some() {
        kernel.image = fields.read(r, "image", image);
    }
    if let Some(cmdline) = set(r, "cmdline") {
        kernel.cmdline = cmdline;
    }
    if let Some(binary) = set(r, "binary") {
        kernel.binary = binary;
    }
    if let Some(tar) = fields.read(r, "tar", Reader::text) {
        kernel.tar = Some(tar).filter(|t| !t.is_empty() && t != "none");
    }
    if let Some(ucode) = fields.read(r, "ucode", Reader::text) {
        kernel.ucode = Some(ucode).filter(|t| !t.is_empty());
    }
    Some(())
}

/// An image reference; what it names is for the build to find.
fn image(r: &mut Reader, node: &Node, field: &str) -> Option<Located<String>> {
    let text = r.text(node, field)?;
    if text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        let message = format!("found {}, allowed: an image reference", quoted(&text));
        r.problem(node.line, field, message);
        return None;
    }
    Some(r.located(text, node.line))
}

fn entry(r: &mut Reader, node: &Node, field: &str, section: Section) -> Option<DraftEntry> {
    let mut keys = vec!["name", "image"];
    keys.extend(container::KEYS);
    keys.extend(supervise::keys());
    let fields = r.fields(node, field, &keys)?;
    let mark = r.mark();
    let name = fields.required(r, "name", entry_name);
    let image = fields.required(r, "image", image);
    let container = container::read(r, &fields);
    let supervise = supervise::read(r, &fields, Some(section));
    let strict = r.take_strict(mark);
    let entry = Entry {
        place: r.place(node.line),
        section,
        index: 0,
        name: name?,
        id: 0,
        image: image?,
        container,
        supervise,
    };
    Some(DraftEntry { entry, strict })
}

/// The longest name of an entry: it becomes part of a file name and of a
/// cgroup's, which have 255 bytes.
const MAX_NAME: usize = 200;

/// A name becomes a folder, a cgroup and a container id, so it holds to what
/// all of them allow.
fn entry_name(r: &mut Reader, node: &Node, field: &str) -> Option<String> {
    let name = r.text(node, field)?;
    let good = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.len() <= MAX_NAME
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if !good {
        let message = format!(
            "found {}, allowed: up to {MAX_NAME} letters, digits, _, . and -, the first a letter or digit",
            quoted(&name)
        );
        r.problem(node.line, field, message);
        return None;
    }
    Some(name)
}

const FILE_KEYS: &[&str] = &[
    "contents",
    "directory",
    "gid",
    "metadata",
    "mode",
    "optional",
    "path",
    "source",
    "symlink",
    "uid",
];

pub(super) fn file(
    r: &mut Reader,
    node: &Node,
    field: &str,
    warnings: &mut Vec<Problem>,
) -> Option<DraftFile> {
    let fields = r.fields(node, field, FILE_KEYS)?;
    let path = fields.required(r, "path", file_path);
    let content = file_content(r, &fields, field);
    let mode = match fields.get("mode") {
        Some(node) => Some(container::mode_bits(r, node, &fields.name("mode"))?),
        None => None,
    };
    let uid = fields.read(r, "uid", container::id);
    let gid = fields.read(r, "gid", container::id);
    let (path, content) = (path?, content?);
    let place = r.place(node.line);
    if let Some(shadow) = shadowed(&path) {
        warnings.push(Problem {
            place: place.clone(),
            field: field.to_owned(),
            message: format!(
                "/{path} will not be seen: a tmpfs is mounted over /{shadow} at run time"
            ),
        });
    }
    let mode = mode.unwrap_or(match content {
        FileContent::Directory => 0o700,
        FileContent::Symlink(_) => 0o777,
        _ => 0o600,
    });
    let file = File {
        place,
        path,
        content,
        mode,
        uid: 0,
        gid: 0,
    };
    Some(DraftFile { file, uid, gid })
}

/// The folder, a tmpfs at run time, that `path` lies in.
fn shadowed(path: &str) -> Option<&'static str> {
    let first = path.split('/').next().unwrap_or_default();
    ["var", "run", "tmp"].into_iter().find(|top| *top == first)
}

/// A path in the image, without slashes around it.
pub(super) fn file_path(r: &mut Reader, node: &Node, field: &str) -> Option<String> {
    let text = r.text(node, field)?;
    let path: Vec<&str> = text
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if path.is_empty() || path.contains(&"..") {
        let message = format!(
            "found {}, allowed: a path below the root, without ..",
            quoted(&text)
        );
        r.problem(node.line, field, message);
        return None;
    }
    Some(path.join("/"))
}

fn file_content(r: &mut Reader, fields: &Fields<'_>, field: &str) -> Option<FileContent> {
    let before = r.mark();
    let contents = fields.read(r, "contents", Reader::text);
    let mut text = |key| fields.read(r, key, Reader::text).filter(|t| !t.is_empty());
    let (source, symlink) = (text("source"), text("symlink"));
    let directory = fields.read(r, "directory", Reader::boolean) == Some(true);
    let optional = fields.read(r, "optional", Reader::boolean) == Some(true);
    let forms = [("yaml", Metadata::Yaml), ("json", Metadata::Json)];
    let metadata = fields.read(r, "metadata", |r, n, f| r.word(n, f, &forms));
    if r.mark() > before {
        return None;
    }
    let mut found: Vec<(&str, FileContent)> = Vec::new();
    found.extend(contents.map(|text| ("contents", FileContent::Contents(text))));
    found.extend(source.map(|path| ("source", FileContent::Source { path, optional })));
    found.extend(symlink.map(|to| ("symlink", FileContent::Symlink(to))));
    found.extend(directory.then_some(("directory", FileContent::Directory)));
    found.extend(metadata.map(|form| ("metadata", FileContent::Metadata(form))));
    const ONE: &str = "exactly one of contents, source, symlink, directory: true, metadata";
    if found.len() != 1 {
        let names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
        let names = if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(" and ")
        };
        r.problem(fields.line, field, format!("found {names}, allowed: {ONE}"));
        return None;
    }
    found.pop().map(|(_, content)| content)
}

const VOLUME_KEYS: &[&str] = &["format", "image", "name", "platforms", "readonly"];

fn volume(r: &mut Reader, node: &Node, field: &str) -> Option<Volume> {
    let fields = r.fields(node, field, VOLUME_KEYS)?;
    let name = fields.required(r, "name", volume_name);
    let formats = [
        ("filesystem", VolumeFormat::Filesystem),
        ("oci", VolumeFormat::Oci),
    ];
    let readonly = fields.read(r, "readonly", Reader::boolean);
    let format = fields.read(r, "format", |r, n, f| r.word(n, f, &formats));
    let platforms = fields.read(r, "platforms", Reader::texts);
    let is_said = |node: &Node| node.kind != Kind::Text(String::new());
    let image = fields.get("image").filter(|node| is_said(node));
    let image = image.and_then(|node| self::image(r, node, &fields.name("image")));
    Some(Volume {
        place: r.place(node.line),
        name: name?,
        image,
        readonly: readonly.unwrap_or(false),
        format: format.unwrap_or_default(),
        platforms: platforms.unwrap_or_default(),
    })
}

fn volume_name(r: &mut Reader, node: &Node, field: &str) -> Option<String> {
    let name = r.text(node, field)?;
    let good = !name.is_empty()
        && name.len() <= MAX_NAME
        && name
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
    if !good {
        let message = format!(
            "found {}, allowed: up to {MAX_NAME} of a-z, 0-9, _ and -",
            quoted(&name)
        );
        r.problem(node.line, field, message);
        return None;
    }
    Some(name)
}
