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
mod supervise;
mod text;
mod types;
mod watch;

pub use capability::{Capability, CapabilityName};
pub use place::{Located, Place, Problem, Problems};
pub use types::{
    BackoffFields, Bind, BindNsFields, Container, Device, Entry, File, FileContent, HealthFields,
    Id, IdMapping, Kernel, LogFields, Metadata, Namespace, ReadyFields, Rlimit, Runtime, Security,
    Spec, Supervise, Tmpfs, Volume, VolumeFormat,
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
    let mut draft = document::Draft::default();
    let mut whole = serde_json::Value::Null;
    let mut problems = Vec::new();
    for file in files {
        let mut r = read::Reader::new(file.name);
        match node::read(file.text) {
            Ok(node) => {
                document::read(&mut r, &node, &mut draft);
                metadata::append(&mut whole, &node);
            }
            Err(e) => r.problem(e.line, "", e.message),
        }
        let mut found: Vec<Problem> = r.into_problems().into_iter().map(|(_, p)| p).collect();
        found.sort_by_key(|problem| problem.place.line);
        problems.extend(found);
    }
    // What is wrong by itself first: behind it, comparing would find ghosts.
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    draft.security = security.or(draft.security);
    let mut spec = check::finish(draft).map_err(Problems)?;
    spec.document = whole;
    Ok(spec)
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
