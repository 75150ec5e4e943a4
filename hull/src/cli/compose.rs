//! `hull compose`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use hullkit_bundle::{RuntimeConfig, Supervision};
use oci_spec::image::Config as ImageConfig;
use serde::{Deserialize, Serialize};

use super::access::Pulling;
use super::files::{self, Editing};
use super::{Global, found, say, validate};
use crate::arch::Arch;
use crate::compose::{self, Composed, oci};
use crate::source::Finder;
use crate::spec::{self, Entry, Problems, Security, Spec, label};
use crate::store::Store;

/// The options of `hull compose`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Reads one entry, its image's config and its label from a JSON file, as
    /// LinuxKit's own results are kept, and prints {"error", "config", "runtime"}
    #[arg(long, value_name = "CASE.json", conflicts_with_all = ["file", "entry"])]
    from_case: Option<PathBuf>,
    /// For entries that do not say [default: the file's word; of a case: linuxkit]
    #[arg(long, value_name = "default|linuxkit|strict")]
    security: Option<Security>,
    /// For which architecture
    #[arg(long, default_value_t = Arch::host())]
    arch: Arch,
    #[command(flatten)]
    editing: Editing,
    /// A YAML file or its URL; - is standard input
    #[arg(required_unless_present = "from_case", value_name = "FILE.yml")]
    file: Option<PathBuf>,
    /// One entry, by its name or as SECTION/NAME [default: all]
    entry: Option<String>,
    // Last, because its heading holds for all that follow.
    #[command(flatten)]
    pulling: Pulling,
}

/// Carries it out.
///
/// # Errors
/// The YAML, an image or its label is not as it should be, or there is no
/// such entry. A case that is refused is no error: that is its result.
pub fn run(global: &Global, args: &Args) -> Result<ExitCode> {
    let text = match (&args.from_case, &args.file) {
        (Some(case), _) => from_case(case, args)?,
        (None, Some(file)) => from_file(global, file, args)?,
        (None, None) => bail!("a file is missing"),
    };
    say(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// An entry's two files, and which entry's.
#[derive(Serialize)]
struct Printed<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<String>,
    config: &'a oci::Config,
    runtime: &'a RuntimeConfig,
}

fn from_file(global: &Global, file: &Path, args: &Args) -> Result<String> {
    let files = [file.to_owned()];
    let remote = args.pulling.remote(global, &files)?;
    let spec = files::load(&files, &args.editing, args.security, &remote)?;
    let store = Store::at(global.store.as_deref())?;
    let spool = std::env::temp_dir();
    let finder = Finder {
        remote: Some(&remote),
        ..Finder::local(&store, args.arch, &spool)
    };
    let image = |entry: &Entry| anyhow::Ok(compose::Image::from(&found(&finder, &entry.image)?));
    if let Some(wanted) = &args.entry {
        let entry = find(&spec, wanted)?;
        let composed = compose::entry(&spec, args.arch, entry, &image(entry)?)?;
        validate::note(spec.warnings.iter().chain(&composed.warnings));
        return Ok(serde_json::to_string_pretty(&printed(None, &composed))?);
    }
    let all = compose::all(&spec, args.arch, image)?;
    let warnings = all.iter().flat_map(|c| &c.warnings);
    validate::note(spec.warnings.iter().chain(warnings));
    let list: Vec<Printed<'_>> = spec
        .entries()
        .zip(&all)
        .map(|(entry, composed)| printed(Some(path(entry)), composed))
        .collect();
    Ok(serde_json::to_string_pretty(&list)?)
}

fn printed(entry: Option<String>, composed: &Composed) -> Printed<'_> {
    Printed {
        entry,
        config: &composed.config,
        runtime: &composed.runtime,
    }
}

/// `SECTION/NAME`.
fn path(entry: &Entry) -> String {
    format!("{}/{}", entry.section.as_str(), entry.name)
}

/// The entry that `wanted` names; of several with one name the services'
/// first.
fn find<'s>(spec: &'s Spec, wanted: &str) -> Result<&'s Entry> {
    let named = |entry: &&Entry| entry.name == wanted || path(entry) == wanted;
    let services = spec.services.iter().find(named);
    services
        .or_else(|| spec.entries().find(named))
        .with_context(|| {
            let known: Vec<String> = spec.entries().map(path).collect();
            format!("no entry {wanted:?}; there are: {}", known.join(", "))
        })
}

/// One of LinuxKit's own results, without the result.
#[derive(Deserialize)]
struct Case {
    yaml: String,
    section: String,
    index: usize,
    #[serde(default)]
    label: Option<String>,
    #[serde(default)]
    image_config: Option<ImageConfig>,
}

/// What we make of a case.
#[derive(Default, Serialize)]
struct Outcome {
    error: Option<String>,
    config: Option<oci::Config>,
    runtime: Option<RuntimeConfig>,
}

fn from_case(path: &Path, args: &Args) -> Result<String> {
    let name = path.display().to_string();
    let text = std::fs::read(path).with_context(|| name.clone())?;
    let case: Case = serde_json::from_slice(&text).with_context(|| name.clone())?;
    let outcome = match compose_case(&case, args)? {
        Ok(composed) => Outcome {
            error: None,
            config: Some(composed.config),
            // LinuxKit's part of it, which is what there is to compare.
            runtime: Some(RuntimeConfig {
                supervision: Supervision::default(),
                ..composed.runtime
            }),
        },
        Err(problems) => Outcome {
            error: Some(problems.to_string()),
            ..Outcome::default()
        },
    };
    Ok(serde_json::to_string_pretty(&outcome)?)
}

/// The outer error: the case itself is not as it should be.
fn compose_case(case: &Case, args: &Args) -> Result<Result<Composed, Problems>> {
    let source = spec::Source {
        name: "case.yml",
        text: case.yaml.as_bytes(),
    };
    let security = args.security.unwrap_or(Security::LinuxKit);
    let spec = match spec::parse_as(&[source], Some(security)) {
        Ok(spec) => spec,
        Err(problems) => return Ok(Err(problems)),
    };
    let entry = spec
        .entries()
        .find(|e| e.section.as_str() == case.section && e.index == case.index)
        .with_context(|| format!("the case has no {}[{}]", case.section, case.index))?;
    let mut image = case.image_config.clone().unwrap_or_default();
    if let Some(text) = &case.label {
        let mut labels = image.labels().clone().unwrap_or_default();
        labels.insert(label::MOBY.to_owned(), text.clone());
        image.set_labels(Some(labels));
    }
    Ok(compose::entry(&spec, args.arch, entry, &image.into()))
}
