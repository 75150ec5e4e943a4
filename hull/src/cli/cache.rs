//! `hull cache`: LinuxKit's commands for the local store, under their names.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use super::access::Access;
use super::{Global, image, say};
use crate::arch;
use crate::export;
use crate::layer::Layer;
use crate::reference::Reference;
use crate::source::archived::{self, Archived};
use crate::store::Store;
use crate::tree::Tree;
use crate::tree::scan::scan;

/// The commands below `hull cache`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Lists the images (hull image ls)
    Ls(image::List),
    /// Removes images (hull image rm)
    Rm(image::Remove),
    /// Removes all images
    Clean(Clean),
    /// Brings images from a registry (hull image pull)
    Pull(image::Pull),
    /// Brings images to a registry (hull image push)
    Push(Push),
    /// Writes an image to a tar
    Export(Export),
    /// Brings the images of a tar into the store, under the names that they have there
    Import(Import),
}

/// The options of `hull cache clean`.
#[derive(Debug, clap::Args)]
pub struct Clean {
    /// Only those that their registry has, too, and the same
    #[arg(long)]
    published_only: bool,
    #[command(flatten)]
    access: Access,
}

/// The options of `hull cache push`.
#[derive(Debug, clap::Args)]
pub struct Push {
    /// The name in the registry [default: the same]
    #[arg(long, value_name = "NAME")]
    remote_name: Option<Reference>,
    #[command(flatten)]
    access: Access,
    /// The images' names in the store
    #[arg(required = true, value_name = "NAME")]
    names: Vec<Reference>,
}

/// The options of `hull cache export`.
#[derive(Debug, clap::Args)]
pub struct Export {
    /// The architecture
    #[arg(long, default_value_t = arch::Arch::host())]
    arch: arch::Arch,
    /// The file; - is standard output
    #[arg(long, value_name = "FILE")]
    outfile: PathBuf,
    /// oci: a tar of an OCI layout; docker: as `docker save` writes it; filesystem: its files
    #[arg(long, default_value = "oci")]
    format: ExportFormat,
    /// The name in the tar [default: the same]
    #[arg(long = "name", value_name = "NAME")]
    tag: Option<Reference>,
    /// The image's name in the store
    name: Reference,
}

/// `--format`.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ExportFormat {
    Oci,
    Docker,
    Filesystem,
}

/// The options of `hull cache import`.
#[derive(Debug, clap::Args)]
pub struct Import {
    /// A tar of an OCI layout, or what `docker save` wrote; - is standard input
    file: PathBuf,
}

/// Carries it out.
///
/// # Errors
/// The image, the tar, the registry or the store is not as it should be.
pub fn run(global: &Global, command: Command) -> Result<ExitCode> {
    let store = Store::at(global.store.as_deref())?;
    match command {
        Command::Ls(args) => return image::run(global, &image::Command::Ls(args)),
        Command::Rm(args) => return image::run(global, &image::Command::Rm(args)),
        Command::Pull(args) => return image::run(global, &image::Command::Pull(args)),
        Command::Clean(args) => clean(global, &store, &args)?,
        Command::Push(args) => push(global, &store, &args)?,
        Command::Export(args) => export(&store, &args)?,
        Command::Import(args) => import(&store, &args.file)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn clean(global: &Global, store: &Store, args: &Clean) -> Result<()> {
    let client = args.access.client(global);
    for listed in store.list()? {
        let name: Reference = listed.name.parse()?;
        let arch: arch::Arch = listed.arch.parse()?;
        if args.published_only {
            let published = client.resolve(&name).is_ok_and(|there| {
                let mut manifests = there.manifests.iter();
                manifests.any(|one| one.arch == arch && one.digest == listed.digest)
            });
            if !published {
                say(&format!("kept {} ({arch})", listed.name))?;
                continue;
            }
        }
        for gone in store.remove(&name, Some(arch))? {
            say(&format!("removed {} ({})", gone.name, gone.arch))?;
        }
    }
    store.gc()?;
    Ok(())
}

fn push(global: &Global, store: &Store, args: &Push) -> Result<()> {
    if args.remote_name.is_some() && args.names.len() > 1 {
        bail!("--remote-name: several images cannot have one name");
    }
    let client = args.access.client(global);
    for name in &args.names {
        let to = args.remote_name.as_ref().unwrap_or(name);
        let digest = client.push(store, name, &[], to)?;
        say(&format!("{} {digest}", to.familiar()))?;
    }
    Ok(())
}

fn export(store: &Store, args: &Export) -> Result<()> {
    let spool = std::env::temp_dir();
    let found = store.find(&args.name.familiar(), &args.name, args.arch)?;
    let image = found.ok_or_else(|| store.not_found(&args.name))?;
    let name = args.tag.as_ref().unwrap_or(&args.name);
    match args.format {
        ExportFormat::Docker => export::to_docker_archive(&image, name, &args.outfile, &spool)?,
        ExportFormat::Filesystem => export::to_tar(&image.tree(&spool)?, &args.outfile)?,
        ExportFormat::Oci => {
            let dir = tempfile::tempdir_in(&spool).context("making a folder for the layout")?;
            export::to_layout(&[(args.arch, image)], dir.path(), &name.to_string())?;
            export::to_tar(&scan(dir.path())?, &args.outfile)?;
        }
    }
    Ok(())
}

fn import(store: &Store, file: &Path) -> Result<()> {
    let spool = std::env::temp_dir();
    // What is read in two ways has to have a name.
    let mut named = None;
    if file == Path::new("-") {
        let mut spooled = tempfile::NamedTempFile::new_in(&spool).context("making a file")?;
        io::copy(&mut io::stdin().lock(), &mut spooled).context("reading standard input")?;
        named = Some(spooled);
    }
    let path = named.as_ref().map_or(file, |spooled| spooled.path());
    let shown = file.display().to_string();
    let members = members(path, &shown, &spool)?;
    let dir = tempfile::tempdir_in(&spool).context("making a folder for the images")?;
    let images: Vec<(String, String)> = match archived::images(file, &members)? {
        Archived::Layout(names) => {
            archived::lay_out(&members, dir.path())?;
            let at = dir.path().display();
            let from = |(tag, name): (String, String)| (format!("oci:{at}:{tag}"), name);
            names.into_iter().map(from).collect()
        }
        Archived::Docker(names) => {
            let from = format!("docker-archive:{}", path.display());
            names.into_iter().map(|name| (from.clone(), name)).collect()
        }
    };
    for (from, name) in images {
        let name: Reference = name.parse().with_context(|| shown.clone())?;
        image::bring(store, None, &name, &from).with_context(|| shown.clone())?;
    }
    Ok(())
}

/// What is in a tar, which reads as a layer.
fn members(path: &Path, shown: &str, spool: &Path) -> Result<Tree> {
    let file = File::open(path).with_context(|| shown.to_owned())?;
    let len = file.metadata().with_context(|| shown.to_owned())?.len();
    let archive = Layer::of_tar(shown.to_owned(), Arc::new(file), 0, len);
    let mut members = Tree::new();
    archive.apply(&mut members, spool)?;
    Ok(members)
}
