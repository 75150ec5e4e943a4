//! `hull validate`.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

use super::Global;
use super::access::Pulling;
use crate::arch::Arch;
use crate::compose;
use crate::source::Finder;
use crate::spec::{self, Security, Spec};
use crate::store::Store;

/// The options of `hull validate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Checks the entries together with their images' labels, too
    #[arg(long)]
    images: bool,
    /// For which architecture, with --images
    #[arg(long, default_value_t = Arch::host())]
    arch: Arch,
    #[command(flatten)]
    pulling: Pulling,
    /// YAML files, checked as one; - is standard input
    #[arg(required = true, value_name = "FILE.yml")]
    files: Vec<PathBuf>,
}

/// Carries it out.
///
/// # Errors
/// All that is wrong with the files, a line each.
pub fn run(global: &Global, args: &Args) -> Result<ExitCode> {
    let spec = load(&args.files, None)?;
    note(&spec.warnings);
    if args.images {
        let store = Store::at(global.store.as_deref())?;
        let spool = std::env::temp_dir();
        let remote = args.pulling.remote(global, &args.files)?;
        let finder = Finder {
            remote: Some(&remote),
            ..Finder::local(&store, args.arch, &spool)
        };
        let composed = compose::all(&spec, args.arch, |entry| {
            anyhow::Ok(compose::Image::from(&finder.find(&entry.image.value)?))
        })?;
        note(composed.iter().flat_map(|c| &c.warnings));
    }
    Ok(ExitCode::SUCCESS)
}

/// Tells what is worth a word, a line each.
pub(super) fn note(notes: impl IntoIterator<Item: std::fmt::Display>) {
    for note in notes {
        // Who closed standard error does not want to know.
        let _ = writeln!(std::io::stderr(), "hull: note: {note}");
    }
}

/// Reads YAML files as one, with `security` in the place of their word.
pub(super) fn load(files: &[PathBuf], security: Option<Security>) -> Result<Spec> {
    let texts: Vec<(String, Vec<u8>)> = files.iter().map(|f| read(f)).collect::<Result<_>>()?;
    let sources: Vec<_> = texts
        .iter()
        .map(|(name, text)| spec::Source { name, text })
        .collect();
    Ok(spec::parse_as(&sources, security)?)
}

/// A file's name, for errors, and its text. `-` is standard input.
fn read(path: &Path) -> Result<(String, Vec<u8>)> {
    let name = path.display().to_string();
    let text = if name == "-" {
        let mut text = Vec::new();
        std::io::stdin().read_to_end(&mut text).map(|_| text)
    } else {
        std::fs::read(path)
    };
    let text = text.with_context(|| name.clone())?;
    Ok((name, text))
}
