//! `hull build`.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use super::access::Pulling;
use super::files::{self, Editing};
use super::{Global, maybe_empty, say, validate};
use crate::arch::Arch;
use crate::assemble::{assemble, decompress};
use crate::output::{self, Compression, Format, Target};
use crate::source::Finder;
use crate::spec::{Metadata, Spec};
use crate::store::Store;

/// The options of `hull build`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to make, separated by commas (docs/hull.md lists the formats)
    /// [default: kernel+initrd; with --o tar]
    #[arg(long, short, value_name = "FORMAT", value_delimiter = ',')]
    format: Vec<Format>,
    /// Where the results go [default: here]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// What the results' names begin with [default: the last file's name without its suffix]
    #[arg(long)]
    name: Option<String>,
    /// The one result's file; - is standard output
    #[arg(long = "o", short = 'o', alias = "output", value_name = "FILE", conflicts_with_all = ["dir", "name"])]
    output: Option<PathBuf>,
    /// Disks are at least so large, whatever is on them: 1024M, 2G, or a number of megabytes
    #[arg(long, value_name = "SIZE", value_parser = disk_size, default_value = "0")]
    size: u64,
    /// For which architecture
    #[arg(long, default_value_t = Arch::host())]
    arch: Arch,
    /// Prints the YAML files as one, with what is set and what templates stand for
    #[arg(long)]
    dry_run: bool,
    /// The kernel as it is once it has unpacked itself
    #[arg(long)]
    decompress_kernel: bool,
    /// Taken for LinuxKit's sake: what did not change is not fetched again in any case
    #[arg(long, value_name = "FILE", conflicts_with = "pull")]
    input_tar: Option<PathBuf>,
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
    editing: Editing,
    /// YAML files or their URLs; several are appended to one; - is standard input
    #[arg(required = true, value_name = "FILE.yml")]
    files: Vec<PathBuf>,
    // Last, because its heading holds for all that follow.
    #[command(flatten)]
    pulling: Pulling,
}

/// Carries it out.
///
/// # Errors
/// The YAML or an image is not as it should be, or the results cannot be
/// written. Nothing is written then.
pub fn run(global: &Global, args: &Args) -> Result<ExitCode> {
    let place = Place::of(args)?;
    let remote = args.pulling.remote(global, &args.files)?;
    let spec = files::load(&args.files, &args.editing, None, &remote)?;
    if args.dry_run {
        validate::note(&spec.warnings);
        say(spec.metadata(Metadata::Yaml, &str::to_owned).trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.input_tar.is_some() {
        validate::note([
            "--input-tar: not read; hull fetches again only what changed, and makes the same of it",
        ]);
    }
    let store = Store::at(global.store.as_deref())?;
    let spool = std::env::temp_dir();
    let finder = Finder {
        remote: Some(&remote),
        ..Finder::local(&store, args.arch, &spool)
    };
    let results = build(args, &spec, &finder, &place)?;
    validate::note(&results.notes);
    match &args.output {
        Some(output) => place.hand_over(&results.paths, output)?,
        None => {
            for path in results.paths {
                // The files are there, whether or not anybody can be told of
                // them.
                let _ = writeln!(io::stdout(), "{}", path.display());
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn build(args: &Args, spec: &Spec, finder: &Finder<'_>, place: &Place) -> Result<output::Results> {
    let mut system = assemble(spec, finder, args.guest.as_deref())?;
    if args.decompress_kernel
        && let Some(kernel) = &system.kernel
    {
        let unpacked = decompress::decompressed(kernel);
        system.kernel = Some(unpacked.context("--decompress-kernel")?);
    }
    validate::note(&system.notes);
    let formats = &place.formats;
    let needs_stub = formats.iter().any(|format| format.needs_stub(args.arch));
    let stub = needs_stub
        .then(|| finder.find(&args.efi_stub)?.tree(finder.spool))
        .transpose()?;
    let cache = finder.store.cache();
    let target = Target {
        dir: &place.dir,
        name: &place.name,
        arch: args.arch,
        stub: stub.as_ref(),
        compression: args.compress,
        time: args.time,
        disk_size: args.size,
        cache: Some(&cache),
    };
    Ok(output::write(&system, formats, &target)?)
}

/// What is made, and where.
struct Place {
    formats: Vec<Format>,
    dir: PathBuf,
    name: String,
    /// Holds the result until it goes where `--o` says.
    passing: Option<tempfile::TempDir>,
}

impl Place {
    fn of(args: &Args) -> Result<Self> {
        let mut formats = args.format.clone();
        formats.sort_unstable();
        formats.dedup();
        if formats.is_empty() {
            formats.push(match args.output {
                Some(_) => Format::Tar,
                None => Format::KernelInitrd,
            });
        }
        if args.decompress_kernel
            && let Some(format) = formats.iter().find(|format| format.starts_kernel())
        {
            bail!("--decompress-kernel: what starts {format} does not start an unpacked kernel");
        }
        let Some(output) = &args.output else {
            return Ok(Self {
                formats,
                dir: args.dir.clone().unwrap_or_else(|| ".".into()),
                name: name(args)?,
                passing: None,
            });
        };
        if let [one] = formats.as_slice()
            && one.endings().len() != 1
        {
            bail!("--o: {one} is several files: --dir and --name say where they go");
        }
        if formats.len() > 1 {
            bail!("--o: one file cannot be several formats");
        }
        // Beside the file, so that it appears there as a whole.
        let beside = match output.parent() {
            Some(dir) if dir != Path::new("") => dir.to_owned(),
            _ => ".".into(),
        };
        let beside = match output.as_os_str() == "-" {
            true => std::env::temp_dir(),
            false => beside,
        };
        let passing = tempfile::tempdir_in(&beside)
            .with_context(|| format!("--o: making a folder in {}", beside.display()))?;
        Ok(Self {
            formats,
            dir: passing.path().to_owned(),
            name: "result".to_owned(),
            passing: Some(passing),
        })
    }

    /// The one result goes where it was asked for.
    fn hand_over(&self, results: &[PathBuf], output: &Path) -> Result<()> {
        let ([result], Some(_)) = (results, &self.passing) else {
            bail!("--o: there is not one result");
        };
        let shown = output.display();
        if output.as_os_str() != "-" {
            return std::fs::rename(result, output).with_context(|| format!("--o {shown}"));
        }
        let copied = File::open(result).and_then(|mut file| {
            let mut out = io::stdout().lock();
            io::copy(&mut file, &mut out)?;
            out.flush()
        });
        copied.context("writing to standard output")
    }
}

/// A size in bytes; a plain number is mebibytes, as to LinuxKit.
fn disk_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a size such as 1024M or 2G");
    let (digits, unit) = match text.strip_suffix(['M', 'G']) {
        Some(digits) if text.ends_with('G') => (digits, 1 << 30),
        Some(digits) => (digits, 1 << 20),
        None => (text, 1 << 20),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).ok_or_else(wrong)
}

fn name(args: &Args) -> Result<String> {
    let name = match (&args.name, args.files.last()) {
        (Some(name), _) => name.clone(),
        // As LinuxKit calls what comes of standard input.
        (None, Some(file)) if file == Path::new("-") => "moby".to_owned(),
        (None, Some(file)) => stem(file),
        (None, None) => String::new(),
    };
    if !name.is_empty() && !name.contains('/') {
        return Ok(name);
    }
    if let (None, Some(file)) = (&args.name, args.files.last())
        && file.is_dir()
    {
        let file = file.display();
        bail!(
            "{file}: is a folder; a YAML file is wanted (a package folder is built by `hull pkg \
             build {file}`)"
        );
    }
    bail!("--name: {name:?} cannot begin a file's name")
}

fn stem(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}
