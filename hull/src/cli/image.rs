//! `hull image`: the local store.

use std::process::ExitCode;

use anyhow::{Result, bail};
use serde_json::json;

use super::access::{Access, Trust};
use super::{Global, say};
use crate::arch::Arch;
use crate::digest::Digest;
use crate::export;
use crate::reference::Reference;
use crate::source::{Error, Finder, Image, Rootfs, Source};
use crate::store::{Listed, Store};

/// The commands below `hull image`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Brings images from a registry into the store
    Pull(Pull),
    /// Brings an image of the store to a registry
    Push(Push),
    /// Brings an image into the store
    Import(Import),
    /// Lists the images
    Ls(List),
    /// Removes an image, and what no other needs of it
    Rm(Remove),
    /// Prints an image's configuration and layers as JSON
    Inspect(Inspect),
    /// Writes an image of the store to an OCI layout or an archive for Docker
    Export(Export),
    /// Removes what no image needs, and what interrupted pulls left
    Gc(Gc),
}

/// The options of `hull image pull`.
#[derive(Debug, clap::Args)]
pub struct Pull {
    /// Only this architecture; may be given several times [default: this machine's]
    #[arg(long, value_delimiter = ',')]
    arch: Vec<Arch>,
    /// Every architecture that hull knows and the image has
    #[arg(long, conflicts_with = "arch")]
    all: bool,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    trust: Trust,
    /// The images' names
    #[arg(required = true, value_name = "NAME")]
    names: Vec<Reference>,
}

/// The options of `hull image push`.
#[derive(Debug, clap::Args)]
pub struct Push {
    /// Only this architecture; may be given several times [default: all that the store has]
    #[arg(long, value_delimiter = ',')]
    arch: Vec<Arch>,
    #[command(flatten)]
    access: Access,
    /// The image's name in the store
    name: Reference,
    /// Its name in the registry [default: the same]
    to: Option<Reference>,
}

/// The options of `hull image export`.
#[derive(Debug, clap::Args)]
pub struct Export {
    /// Only this architecture [default: all that the store has; of docker-archive: this machine's]
    #[arg(long)]
    arch: Option<Arch>,
    /// The image's name in the store
    name: Reference,
    /// oci:DIR[:TAG], or docker-archive:FILE (- is standard output)
    to: String,
}

/// The options of `hull image gc`.
#[derive(Debug, clap::Args)]
pub struct Gc {
    /// Removes nothing: reads and hashes everything, and says which images
    /// are broken
    #[arg(long)]
    check: bool,
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
        Command::Pull(args) => pull(global, &store, args)?,
        Command::Push(args) => push(global, &store, args)?,
        Command::Export(args) => export(&store, args)?,
        Command::Gc(args) => return gc(&store, args),
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

fn pull(global: &Global, store: &Store, args: &Pull) -> Result<()> {
    let client = args.access.client(global);
    let arches = match (args.all, args.arch.as_slice()) {
        (true, _) => &[],
        (false, []) => &[Arch::host()][..],
        (false, arches) => arches,
    };
    let policy = args.trust.policy()?;
    for name in &args.names {
        for pulled in client.pull(store, name, arches, policy.as_ref())? {
            told(name, pulled.arch, pulled.digest)?;
        }
    }
    Ok(())
}

fn push(global: &Global, store: &Store, args: &Push) -> Result<()> {
    let to = args.to.as_ref().unwrap_or(&args.name);
    let client = args.access.client(global);
    let digest = client.push(store, &args.name, &args.arch, to)?;
    say(&format!("{} {digest}", to.familiar()))
}

fn told(name: &Reference, arch: Arch, digest: Digest) -> Result<()> {
    say(&format!("{} ({}) {digest}", name.familiar(), arch.oci()))
}

fn export(store: &Store, args: &Export) -> Result<()> {
    let to: Source = args.to.parse()?;
    let arches = match (args.arch, &to) {
        (Some(arch), _) => vec![arch],
        (None, Source::DockerArchive(_)) => vec![Arch::host()],
        (None, _) => Arch::ALL.to_vec(),
    };
    let mut images = Vec::new();
    for arch in arches {
        if let Some(image) = store.find(&args.name.familiar(), &args.name, arch)? {
            images.push((arch, image));
        }
    }
    let Some((_, first)) = images.first() else {
        return Err(store.not_found(&args.name).into());
    };
    match to {
        Source::Oci { dir, tag } => {
            let tag = tag.as_deref().or(args.name.tag()).unwrap_or("latest");
            let digest = export::to_layout(&images, &dir, tag)?;
            say(&format!("oci:{}:{tag} {digest}", dir.display()))
        }
        Source::DockerArchive(file) => {
            export::to_docker_archive(first, &args.name, &file, &std::env::temp_dir())?;
            Ok(())
        }
        Source::Dir(_) | Source::Name(_) => {
            bail!(
                "{}: an image is exported to oci:DIR[:TAG] or docker-archive:FILE",
                args.to
            )
        }
    }
}

fn gc(store: &Store, args: &Gc) -> Result<ExitCode> {
    if !args.check {
        let freed = store.gc()?;
        say(&format!(
            "removed {} files, {}",
            freed.files,
            megabytes(freed.bytes)
        ))?;
        return Ok(ExitCode::SUCCESS);
    }
    let broken = store.check()?;
    if broken.is_empty() {
        say("every image is whole")?;
        return Ok(ExitCode::SUCCESS);
    }
    bail!(broken.join("\n"))
}

fn import(store: &Store, args: &Import) -> Result<()> {
    bring(store, args.arch, &args.name, &args.from)
}

/// Brings what `from` names into the store, as `name`.
pub(super) fn bring(store: &Store, arch: Option<Arch>, name: &Reference, from: &str) -> Result<()> {
    let spool = std::env::temp_dir();
    let find = |arch| Finder::local(store, arch, &spool).find(from);
    let from: Source = from.parse()?;
    let images = match (arch, &from) {
        (Some(arch), _) => vec![(arch, find(arch)?)],
        (None, Source::Dir(_)) => vec![(Arch::host(), find(Arch::host())?)],
        (None, _) => all(find)?,
    };
    for (arch, image) in images {
        let digest = store.import(name, arch, &image)?;
        told(name, arch, digest)?;
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
        table += &format!(
            "\n{:width$}  {:5}  {}  {}",
            image.name,
            image.arch,
            &digest[..12],
            megabytes(image.size)
        );
    }
    table
}

fn megabytes(bytes: u64) -> String {
    #[allow(
        clippy::cast_precision_loss,
        reason = "one digit behind the point is shown"
    )]
    let size = bytes as f64 / 1e6;
    format!("{size:.1} MB")
}

fn inspect(store: &Store, args: &Inspect) -> Result<()> {
    let spool = std::env::temp_dir();
    let image = Finder::local(store, args.arch, &spool).find(&args.image)?;
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
