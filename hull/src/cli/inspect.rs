//! `hull inspect`: what is in a system image, by size.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use super::{Global, say};
use crate::arch::Arch;
use crate::source::Finder;
use crate::store::Store;
use crate::system::{self, sizes};

/// The options of `hull inspect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How far folders are opened
    #[arg(long, value_name = "N", default_value_t = 2)]
    depth: usize,
    /// For programs
    #[arg(long)]
    json: bool,
    /// The architecture, of images with several
    #[arg(long, default_value_t = Arch::host())]
    arch: Arch,
    /// The PREFIX of a kernel+initrd, an initrd, a tar, dir:DIR, oci:DIR[:TAG],
    /// docker-archive:FILE or the name of an image in the store
    image: String,
}

/// Carries it out.
///
/// # Errors
/// It is not there, broken, or of a form that cannot be read.
pub fn run(global: &Global, args: &Args) -> Result<ExitCode> {
    let store = Store::at(global.store.as_deref())?;
    let spool = std::env::temp_dir();
    let finder = Finder::local(&store, args.arch, &spool);
    let system = system::open(&args.image, &finder, &spool)?;
    let sizes = sizes::sizes(&system.tree);
    let form = system.form.as_str();
    if args.json {
        let whole = json!({"name": args.image, "form": form, "tree": sizes.json(args.depth)});
        say(&serde_json::to_string_pretty(&whole)?)?;
    } else {
        let (files, bytes) = (sizes.files, sizes.bytes);
        say(&format!(
            "{} ({form}): {files} files, {bytes} bytes",
            args.image
        ))?;
        for line in sizes.lines(args.depth) {
            say(&line)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
