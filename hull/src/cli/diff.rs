//! `hull diff`: what two system images have not in common.

use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Global, say};
use crate::arch::Arch;
use crate::source::Finder;
use crate::store::Store;
use crate::system::{self, System, compare};

/// What `hull diff` exits with where it finds something, as diff(1) does.
const DIFFERENT: u8 = 1;
/// What it exits with where it cannot compare.
pub(super) const TROUBLE: u8 = 2;

/// The options of `hull diff`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// For programs
    #[arg(long)]
    json: bool,
    /// The architecture, of images with several
    #[arg(long, default_value_t = Arch::host())]
    arch: Arch,
    /// The first: the PREFIX of a kernel+initrd, an initrd, a tar, dir:DIR, oci:DIR[:TAG],
    /// docker-archive:FILE or the name of an image in the store
    #[arg(value_name = "A")]
    first: String,
    /// The second
    #[arg(value_name = "B")]
    second: String,
}

/// Carries it out.
///
/// # Errors
/// One of them is not there, broken, or of a form that cannot be read.
pub fn run(global: &Global, args: &Args) -> Result<ExitCode> {
    let store = Store::at(global.store.as_deref())?;
    let spool = std::env::temp_dir();
    let finder = Finder::local(&store, args.arch, &spool);
    let first = system::open(&args.first, &finder, &spool)?;
    let second = system::open(&args.second, &finder, &spool)?;
    let found = compare::compare(&first.tree, &second.tree)
        .with_context(|| format!("comparing {} with {}", args.first, args.second))?;
    if !global.quiet {
        match args.json {
            true => {
                let mut value = found.json();
                value["first"] = side(&args.first, &first);
                value["second"] = side(&args.second, &second);
                say(&serde_json::to_string_pretty(&value)?)?;
            }
            false => found.lines().iter().try_for_each(|line| say(line))?,
        }
    }
    Ok(match found.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(DIFFERENT),
    })
}

/// What was compared, for programs.
fn side(name: &str, system: &System) -> Value {
    json!({"name": name, "form": system.form.as_str()})
}
