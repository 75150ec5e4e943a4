//! `hull validate`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use super::access::Pulling;
use super::files::{self, Editing};
use super::{Global, found};
use crate::arch::Arch;
use crate::compose;
use crate::source::Finder;
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
    editing: Editing,
    /// YAML files or their URLs, checked as one; - is standard input
    #[arg(required = true, value_name = "FILE.yml")]
    files: Vec<PathBuf>,
    // Last, because its heading holds for all that follow.
    #[command(flatten)]
    pulling: Pulling,
}

/// Carries it out.
///
/// # Errors
/// All that is wrong with the files, a line each.
pub fn run(global: &Global, args: &Args) -> Result<ExitCode> {
    let remote = args.pulling.remote(global, &args.files)?;
    let spec = files::load(&args.files, &args.editing, None, &remote)?;
    note(&spec.warnings);
    if args.images {
        let store = Store::at(global.store.as_deref())?;
        let spool = std::env::temp_dir();
        let finder = Finder {
            remote: Some(&remote),
            ..Finder::local(&store, args.arch, &spool)
        };
        let composed = compose::all(&spec, args.arch, |entry| {
            anyhow::Ok(compose::Image::from(&found(&finder, &entry.image)?))
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
