//! `hull build`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};

use super::access::Pulling;
use super::{Global, maybe_empty, validate};
use crate::arch::Arch;
use crate::assemble::assemble;
use crate::output::{self, Compression, Format, Target};
use crate::source::Finder;
use crate::store::Store;

/// The options of `hull build`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to make, separated by commas (docs/hull.md lists the formats)
    #[arg(
        long,
        value_name = "FORMAT",
        value_delimiter = ',',
        default_value = "kernel+initrd"
    )]
    format: Vec<Format>,
    /// Where the results go
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// What the results' names begin with [default: the first file's name without its suffix]
    #[arg(long)]
    name: Option<String>,
    /// For which architecture
    #[arg(long, default_value_t = Arch::host())]
    arch: Arch,
    /// Compression of initrds and of root filesystems: none, lz4, zstd or gzip
    #[arg(long, value_name = "HOW", default_value_t)]
    compress: Compression,
    /// When root filesystems are said to have been made, in seconds since the epoch
    #[arg(
        long,
        value_name = "SECONDS",
        env = "SOURCE_DATE_EPOCH",
        default_value_t = 0
    )]
    time: u32,
    /// The image in the store that holds systemd's EFI stub, for what EFI boots
    #[arg(long, value_name = "IMAGE", default_value = "hullkit/efi-stub")]
    efi_stub: String,
    /// The folder of the guest's programs [default: ../guest/ARCH beside hull]
    #[arg(long, value_name = "DIR", env = "HULL_GUEST", value_parser = maybe_empty())]
    guest: Option<PathBuf>,
    #[command(flatten)]
    pulling: Pulling,
    /// YAML files; several are appended to one
    #[arg(required = true, value_name = "FILE.yml")]
    files: Vec<PathBuf>,
}

/// Carries it out.
///
/// # Errors
/// The YAML or an image is not as it should be, or the results cannot be
/// written. Nothing is written then.
pub fn run(global: &Global, args: &Args) -> Result<ExitCode> {
    let name = name(args)?;
    let spec = validate::load(&args.files, None)?;
    let store = Store::at(global.store.as_deref())?;
    let spool = std::env::temp_dir();
    let remote = args.pulling.remote(global, &args.files)?;
    let finder = Finder {
        remote: Some(&remote),
        ..Finder::local(&store, args.arch, &spool)
    };
    let system = assemble(&spec, &finder, args.guest.as_deref())?;
    validate::note(&system.notes);
    let mut formats = args.format.clone();
    formats.sort_unstable();
    formats.dedup();
    let needs_stub = formats.iter().any(|format| format.needs_stub(args.arch));
    let stub = needs_stub
        .then(|| finder.find(&args.efi_stub)?.tree(finder.spool))
        .transpose()?;
    let cache = store.cache();
    let target = Target {
        dir: &args.dir,
        name: &name,
        arch: args.arch,
        stub: stub.as_ref(),
        compression: args.compress,
        time: args.time,
        cache: Some(&cache),
    };
    let results = output::write(&system, &formats, &target)?;
    validate::note(&results.notes);
    for path in results.paths {
        // The files are there, whether or not anybody can be told of them.
        let _ = writeln!(std::io::stdout(), "{}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn name(args: &Args) -> Result<String> {
    let name = match (&args.name, args.files.first()) {
        (Some(name), _) => name.clone(),
        (None, Some(file)) => stem(file),
        (None, None) => String::new(),
    };
    if name.is_empty() || name.contains('/') {
        bail!("--name: {name:?} cannot begin a file's name");
    }
    Ok(name)
}

fn stem(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}
