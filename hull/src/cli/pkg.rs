//! `hull pkg`: images out of package folders.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use super::access::Access;
use super::{Global, maybe_empty, say};
use crate::arch::{Arch, UnknownArch};
use crate::pkg::{self, BUILD_YML, Origin};
use crate::reference::Reference;
use crate::spec::{self, recipe};
use crate::store::Store;

/// The commands below `hull pkg`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Makes images in the store out of folders with a build.yml
    Build(Build),
    /// Makes them, and brings them to a registry
    Push(Push),
    /// Prints the names of the images that package folders make
    ShowTag(ShowTag),
    /// Brings what the store has of a package, all architectures below one index, to a registry
    #[command(alias = "index")]
    Manifest(Manifest),
}

/// Which packages.
#[derive(Debug, clap::Args)]
pub struct Packages {
    /// In the place of org in build.yml
    #[arg(long)]
    org: Option<String>,
    /// The file's name in the folder
    #[arg(long, value_name = "FILE", default_value = BUILD_YML)]
    build_yml: String,
    /// The package folders
    #[arg(required = true, value_name = "DIR")]
    dirs: Vec<PathBuf>,
}

/// The options of `hull pkg build`.
#[derive(Debug, clap::Args)]
pub struct Build {
    /// For which architectures [default: this machine's]
    #[arg(long, value_delimiter = ',')]
    arch: Vec<Arch>,
    /// The same in LinuxKit's words
    #[arg(
        long,
        value_name = "linux/ARCH",
        value_delimiter = ',',
        value_parser = platform,
        conflicts_with = "arch"
    )]
    platforms: Vec<Arch>,
    /// The image's name in the store [default: ORG/IMAGE as in build.yml]
    #[arg(long)]
    name: Option<Reference>,
    /// The folder that holds the Debian packages which build.yml names
    #[arg(long, value_name = "DIR")]
    debs: Option<PathBuf>,
    /// The folder of the guest's programs [default: ../guest/ARCH beside hull]
    #[arg(long, value_name = "DIR", env = "HULL_GUEST", value_parser = maybe_empty())]
    guest: Option<PathBuf>,
    /// Taken for LinuxKit's sake: hull builds in any case
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    packages: Packages,
}

/// The options of `hull pkg push`.
#[derive(Debug, clap::Args)]
pub struct Push {
    /// Brings what is in the store already
    #[arg(long, conflicts_with = "force")]
    nobuild: bool,
    #[command(flatten)]
    release: Release,
    #[command(flatten)]
    build: Build,
}

/// The options of `hull pkg manifest`.
#[derive(Debug, clap::Args)]
pub struct Manifest {
    #[command(flatten)]
    release: Release,
    #[command(flatten)]
    packages: Packages,
}

/// How it goes to a registry.
#[derive(Debug, clap::Args)]
pub struct Release {
    /// Also with this tag
    #[arg(long, value_name = "TAG")]
    release: Option<String>,
    #[command(flatten)]
    access: Access,
}

/// The options of `hull pkg show-tag`.
#[derive(Debug, clap::Args)]
pub struct ShowTag {
    /// In full: docker.io/hullkit/dhcp:latest
    #[arg(long)]
    canonical: bool,
    #[command(flatten)]
    packages: Packages,
}

/// `linux/ARCH`.
fn platform(text: &str) -> Result<Arch, String> {
    let arch = text.strip_prefix("linux/").ok_or("allowed: linux/ARCH")?;
    arch.parse().map_err(|e: UnknownArch| e.to_string())
}

/// Carries it out.
///
/// # Errors
/// A folder's `build.yml` or a part that it names is not as it should be, or
/// the store cannot be written. The store is as it was then.
pub fn run(global: &Global, command: &Command) -> Result<ExitCode> {
    let store = Store::at(global.store.as_deref())?;
    match command {
        Command::Build(args) => {
            build(&store, args)?;
        }
        Command::Push(args) => {
            let names = match args.nobuild {
                true => args.build.names()?,
                false => build(&store, &args.build)?,
            };
            push(global, &store, &args.release, &names)?;
        }
        Command::ShowTag(args) => {
            for name in args.packages.names()? {
                say(&match args.canonical {
                    true => name.to_string(),
                    false => name.familiar(),
                })?;
            }
        }
        Command::Manifest(args) => push(global, &store, &args.release, &args.packages.names()?)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Brings images to their registries, and each as the release, too.
fn push(global: &Global, store: &Store, args: &Release, names: &[Reference]) -> Result<()> {
    let client = args.access.client(global);
    for name in names {
        let mut places = vec![name.clone()];
        if let Some(tag) = &args.release {
            let text = format!("{}/{}:{tag}", name.registry(), name.repository());
            places.push(text.parse().context("--release")?);
        }
        for to in places {
            let digest = client.push(store, name, &[], &to)?;
            say(&format!("{} {digest}", to.familiar()))?;
        }
    }
    Ok(())
}

impl Packages {
    /// The names of the images that they make.
    fn names(&self) -> Result<Vec<Reference>> {
        let dirs = self.dirs.iter();
        dirs.map(|dir| name_of(dir, &self.build_yml, self.org.as_deref()))
            .collect()
    }
}

impl Build {
    fn names(&self) -> Result<Vec<Reference>> {
        let names = self.packages.names()?;
        match (&self.name, names.len()) {
            (None, _) => Ok(names),
            (Some(name), 1) => Ok(vec![name.clone()]),
            (Some(_), _) => bail!("--name: several images cannot have one name"),
        }
    }

    fn arches(&self) -> Vec<Arch> {
        match (self.arch.as_slice(), self.platforms.as_slice()) {
            ([], []) => vec![Arch::host()],
            ([], platforms) => platforms.to_vec(),
            (arches, _) => arches.to_vec(),
        }
    }
}

/// The name of the image that a package folder makes.
pub(super) fn image_of(dir: &Path) -> Result<Reference> {
    name_of(dir, BUILD_YML, None)
}

fn name_of(dir: &Path, build_yml: &str, org: Option<&str>) -> Result<Reference> {
    let (shown, text) = read(dir, build_yml)?;
    let source = spec::Source {
        name: &shown,
        text: &text,
    };
    let name = recipe::name(&source, org)?;
    name.parse().with_context(|| shown)
}

/// A folder's build.yml: its name, for errors, and its text.
fn read(dir: &Path, build_yml: &str) -> Result<(String, Vec<u8>)> {
    let path = dir.join(build_yml);
    let shown = path.display().to_string();
    let text = std::fs::read(&path).with_context(|| shown.clone())?;
    Ok((shown, text))
}

/// Builds all of them; their names.
fn build(store: &Store, args: &Build) -> Result<Vec<Reference>> {
    let names = args.names()?;
    for (dir, name) in args.packages.dirs.iter().zip(&names) {
        let (shown, text) = read(dir, &args.packages.build_yml)?;
        let recipe = recipe::parse(&spec::Source {
            name: &shown,
            text: &text,
        })?;
        for arch in args.arches() {
            let origin = Origin {
                dir,
                debs: args.debs.as_deref(),
                guest: args.guest.as_deref(),
                arch,
            };
            let (config, tree) = pkg::build(&recipe, &origin)?;
            let digest = store.put_image(name, arch, config, &[tree])?;
            say(&format!("{} ({}), {digest}", name.familiar(), arch.oci()))?;
        }
    }
    Ok(names)
}
