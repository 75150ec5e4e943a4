//! `hull pkg`: images out of package folders.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

use super::{Global, maybe_empty, say};
use crate::arch::Arch;
use crate::pkg::{self, BUILD_YML, Origin};
use crate::reference::Reference;
use crate::spec::{self, recipe};
use crate::store::Store;

/// The commands below `hull pkg`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Makes an image in the store out of a folder with a build.yml
    Build(Build),
}

/// The options of `hull pkg build`.
#[derive(Debug, clap::Args)]
pub struct Build {
    /// For which architecture
    #[arg(long, default_value_t = Arch::host())]
    arch: Arch,
    /// The image's name in the store [default: ORG/IMAGE as in build.yml]
    #[arg(long)]
    name: Option<Reference>,
    /// The folder that holds the Debian packages which build.yml names
    #[arg(long, value_name = "DIR")]
    debs: Option<PathBuf>,
    /// The folder of the guest's programs [default: ../guest/ARCH beside hull]
    #[arg(long, value_name = "DIR", env = "HULL_GUEST", value_parser = maybe_empty())]
    guest: Option<PathBuf>,
    /// The package folder
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Carries it out.
///
/// # Errors
/// The folder's `build.yml` or a part that it names is not as it should be,
/// or the store cannot be written. The store is as it was then.
pub fn run(global: &Global, command: &Command) -> Result<ExitCode> {
    let Command::Build(args) = command;
    let store = Store::at(global.store.as_deref())?;
    build(&store, args)?;
    Ok(ExitCode::SUCCESS)
}

fn build(store: &Store, args: &Build) -> Result<()> {
    let path = args.dir.join(BUILD_YML);
    let shown = path.display().to_string();
    let text = std::fs::read(&path).with_context(|| shown.clone())?;
    let recipe = recipe::parse(&spec::Source {
        name: &shown,
        text: &text,
    })?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => recipe.name.parse().with_context(|| shown.clone())?,
    };
    let origin = Origin {
        dir: &args.dir,
        debs: args.debs.as_deref(),
        guest: args.guest.as_deref(),
        arch: args.arch,
    };
    let (config, tree) = pkg::build(&recipe, &origin)?;
    let digest = store.put_image(&name, args.arch, config, &[tree])?;
    say(&format!(
        "{} ({}), {digest}",
        name.familiar(),
        args.arch.oci()
    ))
}
