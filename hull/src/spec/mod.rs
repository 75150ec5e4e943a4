//! The YAML: read, checked, typed.
//!
//! [`parse`] takes the texts of one or more files and gives a [`Spec`] in
//! which every value is valid, or all that is wrong, a line each. It does no
//! I/O. `docs/yaml.md` describes the format.
//!
//! The way of a text: [`node`] makes a tree that knows its lines, [`read`]
//! and the modules of the sections type it, [`check`] compares what only the
//! whole shows.

mod capability;
pub(crate) mod check;
mod container;
mod document;
pub mod label;
mod log;
mod metadata;
mod node;
mod place;
mod read;
pub mod recipe;
mod resources;
pub mod schema;
mod set;
mod sockets;
mod supervise;
mod template;
mod text;
mod types;
mod watch;

pub use capability::{Capability, CapabilityName};
pub use place::{Located, Place, Problem, Problems};
pub use set::Set;
pub use types::{
    BackoffFields, Bind, BindNsFields, Container, Device, Entry, File, FileContent, HealthFields,
    Id, IdMapping, Kernel, LogFields, Metadata, Namespace, ReadyFields, Rlimit, Runtime, Security,
    SocketFields, Spec, Supervise, Tmpfs, Volume, VolumeFormat,
};

pub(crate) use container::resolve as resolve_id;
pub(crate) use resources::as_linuxkit as resources_as_linuxkit;
pub(crate) use text::signal;

/// The text of one YAML file.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// How errors name it: its path, or `-`.
    pub name: &'a str,
    /// Its bytes; UTF-8 is checked.
    pub text: &'a [u8],
}

/// Reads the files of a build, in order, as one.
///
/// # Errors
/// All that is wrong with them, a line each.
pub fn parse(files: &[Source<'_>]) -> Result<Spec, Problems> {
    parse_as(files, None)
}

/// [`parse`], with `security` in the place of what the files say at their top.
///
/// # Errors
/// All that is wrong with them, a line each.
pub fn parse_as(files: &[Source<'_>], security: Option<Security>) -> Result<Spec, Problems> {
    let options = Options {
        security,
        ..Options::default()
    };
    parse_with(files, &options)
}

/// How files are read.
#[derive(Clone, Copy, Default)]
pub struct Options<'a> {
    /// In the place of what the files say at their top.
    pub security: Option<Security>,
    /// What is changed in them, in this order.
    pub sets: &'a [Set],
    /// What an image that begins with `@` stands for; none: it stays as it is.
    pub template: Option<&'a Template<'a>>,
}

/// The image that a text stands for in the file of a number (from 0), or what
/// is wrong with it.
pub type Template<'a> = dyn Fn(usize, &str) -> Result<String, String> + 'a;

/// [`parse`], with more to say about it.
///
/// # Errors
/// All that is wrong with the files and with what is set in them, a line each.
pub fn parse_with(files: &[Source<'_>], options: &Options<'_>) -> Result<Spec, Problems> {
    let mut readers: Vec<read::Reader> = files.iter().map(|f| read::Reader::new(f.name)).collect();
    let mut nodes = Vec::new();
    for (file, r) in files.iter().zip(&mut readers) {
        match node::read(file.text) {
            Ok(node) => nodes.push(node),
            Err(e) => r.problem(e.line, "", e.message),
        }
    }
    // Where a file cannot be read, the others are only looked at.
    if nodes.len() == files.len() {
        change(&mut readers, &mut nodes, options.sets);
        for (number, (r, node)) in readers.iter_mut().zip(&mut nodes).enumerate() {
            if let Some(resolve) = options.template {
                template::resolve(r, node, &|text| resolve(number, text));
            }
        }
    }
    let mut draft = document::Draft::default();
    let mut whole = serde_json::Value::Null;
    for (r, node) in readers.iter_mut().zip(&nodes) {
        document::read(r, node, &mut draft);
        metadata::append(&mut whole, node);
    }
    let mut problems = Vec::new();
    for r in readers {
        let mut found: Vec<Problem> = r.into_problems().into_iter().map(|(_, p)| p).collect();
        found.sort_by_key(|problem| problem.place.line);
        problems.extend(found);
    }
    // What is wrong by itself first: behind it, comparing would find ghosts.
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    draft.security = options.security.or(draft.security);
    let mut spec = check::finish(draft).map_err(Problems)?;
    spec.document = whole;
    Ok(spec)
}

/// Carries out what is set: in the files, or in one more that is read last.
fn change(readers: &mut Vec<read::Reader>, nodes: &mut Vec<node::Node>, sets: &[Set]) {
    if sets.is_empty() {
        return;
    }
    let mut r = read::Reader::new("--set");
    let mut last = node::Node {
        line: 1,
        kind: node::Kind::Map(Vec::new()),
    };
    for set in sets {
        let mut files: Vec<&mut node::Node> = nodes.iter_mut().collect();
        if let Err(message) = set.apply(&mut files, &mut last) {
            r.problem(1, set.path(), message);
        }
    }
    readers.push(r);
    nodes.push(last);
}

impl Spec {
    /// All entries, in the order in which ids are counted.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.onboot
            .iter()
            .chain(&self.onshutdown)
            .chain(&self.services)
    }

    /// The volume of this name.
    #[must_use]
    pub fn volume(&self, name: &str) -> Option<&Volume> {
        self.volumes.iter().find(|volume| volume.name == name)
    }
}
