//! `hull image`: the local store.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use super::{Global, say};
use crate::arch::Arch;
use crate::reference::Reference;
use crate::source::{Error, Finder, Image, Rootfs, Source};
use crate::store::{Listed, Store};

/// The commands below `hull image`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Brings an image into the store
    Import(Import),
    /// Lists the images
    Ls(List),
    /// Removes an image, and what no other needs of it
    Rm(Remove),
    /// Prints an image's configuration and layers as JSON
    Inspect(Inspect),
}

/// The options of `hull image import`.
#[derive(Debug, clap::Args)]
pub struct Import {
    /// Only this architecture [default: all that FROM has; of a folder: this machine's]
    #[arg(long)]
    arch: Option<Arch>,
    /// The image's name in the store
    name: Reference,
    /// oci:DIR[:TAG], docker-archive:FILE or dir:DIR
    from: String,
}

/// The options of `hull image ls`.
#[derive(Debug, clap::Args)]
pub struct List {
    /// For programs
    #[arg(long)]
    json: bool,
}

/// The options of `hull image rm`.
#[derive(Debug, clap::Args)]
pub struct Remove {
    /// Only this architecture
    #[arg(long)]
    arch: Option<Arch>,
    /// The images' names
    #[arg(required = true)]
    names: Vec<Reference>,
}

/// The options of `hull image inspect`.
#[derive(Debug, clap::Args)]
pub struct Inspect {
    /// The architecture
    #[arg(long, default_value_t = Arch::host())]
    arch: Arch,
    /// A name in the store, oci:DIR[:TAG], docker-archive:FILE or dir:DIR
    image: String,
}

/// Carries it out.
///
/// # Errors
/// The image or the store is not as it should be.
pub fn run(global: &Global, command: &Command) -> Result<ExitCode> {
    let store = Store::at(global.store.as_deref())?;
    match command {
        Command::Import(args) => import(&store, args)?,
        Command::Ls(args) => list(&store, args)?,
        Command::Rm(args) => {
            for name in &args.names {
                for gone in store.remove(name, args.arch)? {
                    say(&format!("removed {} ({})", gone.name, gone.arch))?;
                }
            }
        }
        Command::Inspect(args) => inspect(&store, args)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn import(store: &Store, args: &Import) -> Result<()> {
    let spool = std::env::temp_dir();
    let find = |arch| {
        let store = &store;
        let spool = &spool;
        Finder { store, arch, spool }.find(&args.from)
    };
    let from: Source = args.from.parse()?;
    let images = match (args.arch, &from) {
        (Some(arch), _) => vec![(arch, find(arch)?)],
        (None, Source::Dir(_)) => vec![(Arch::host(), find(Arch::host())?)],
        (None, _) => all(find)?,
    };
    for (arch, image) in images {
        let digest = store.import(&args.name, arch, &image)?;
        say(&format!(
            "{} ({}) {digest}",
            args.name.familiar(),
            arch.oci()
        ))?;
    }
    Ok(())
}

/// The image for every architecture that there is.
fn all(find: impl Fn(Arch) -> Result<Image, Error>) -> Result<Vec<(Arch, Image)>, Error> {
    let mut found = Vec::new();
    let mut lacking = None;
    for arch in Arch::ALL {
        match find(arch) {
            Ok(image) => found.push((arch, image)),
            Err(error @ (Error::Arch { .. } | Error::NoArch { .. })) => lacking = Some(error),
            Err(error) => return Err(error),
        }
    }
    match lacking {
        Some(error) if found.is_empty() => Err(error),
        _ => Ok(found),
    }
}

fn list(store: &Store, args: &List) -> Result<()> {
    let images = store.list()?;
    if args.json {
        let images: Vec<_> = images
            .iter()
            .map(|i| json!({"name": i.name, "arch": i.arch, "digest": i.digest.to_string(), "size": i.size}))
            .collect();
        return say(&serde_json::to_string_pretty(&images)?);
    }
    say(&table(&images))
}

fn table(images: &[Listed]) -> String {
    let width = images.iter().map(|i| i.name.len()).max().unwrap_or(0);
    let width = width.max("NAME".len());
    let mut table = format!("{:width$}  ARCH   DIGEST        SIZE", "NAME");
    for image in images {
        let digest = image.digest.hex();
        #[allow(
            clippy::cast_precision_loss,
            reason = "one digit behind the point is shown"
        )]
        let size = image.size as f64 / 1e6;
        table += &format!(
            "\n{:width$}  {:5}  {}  {size:.1} MB",
            image.name,
            image.arch,
            &digest[..12]
        );
    }
    table
}

fn inspect(store: &Store, args: &Inspect) -> Result<()> {
    let finder = Finder {
        store,
        arch: args.arch,
        spool: &std::env::temp_dir(),
    };
    let image = finder.find(&args.image)?;
    let layers: Vec<_> = match &image.rootfs {
        Rootfs::Tree(_) => Vec::new(),
        Rootfs::Layers(layers) => layers
            .iter()
            .map(|layer| json!({"name": layer.name, "size": layer.len}))
            .collect(),
    };
    let config: serde_json::Value = serde_json::from_slice(&image.raw_config)?;
    let whole = json!({"id": image.id, "config": config, "layers": layers});
    say(&serde_json::to_string_pretty(&whole)?)
}
