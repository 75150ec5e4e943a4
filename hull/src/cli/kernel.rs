//! `hull kernel`: a distribution's kernel package becomes an image.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use hullkit_kernel::{
    Btf, Kernel, Machine, ModuleCompression, Options, PackageFiles, Selection, Signatures,
};
use oci_spec::image::{Config, ConfigBuilder};

use super::{Global, say};
use crate::arch::Arch;
use crate::deb::{self, Control, Package};
use crate::reference::Reference;
use crate::store::Store;
use crate::tree::{Content, Meta, Node, Tree};

/// The largest file of a package that is read, in bytes.
const MAX_FILE: u64 = 256 << 20;
/// All that is kept of a package at once, in bytes: five times Debian's.
const MAX_FILES: u64 = 1 << 30;

/// The commands below `hull kernel`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Makes an image out of a Debian kernel package, without installing it
    Import(Import),
}

/// The options of `hull kernel import`.
#[derive(Debug, clap::Args)]
pub struct Import {
    /// The image's name in the store [default: hullkit/kernel:SERIES, e.g. hullkit/kernel:6.12]
    #[arg(long)]
    name: Option<Reference>,
    /// Which modules: `default`, `all`, or a file that lists them (docs/kernel.md)
    #[arg(long, value_name = "default|all|FILE", default_value = "default")]
    modules: String,
    /// What becomes of the modules' signatures
    #[arg(long, value_enum, default_value_t = KeepOrStrip::Strip)]
    module_signatures: KeepOrStrip,
    /// What becomes of the modules' types and tables for tracing [default: as the signatures]
    #[arg(long, value_enum)]
    module_btf: Option<KeepOrStrip>,
    /// How each module is stored
    #[arg(long, value_enum, default_value_t = Packing::Zstd)]
    module_compression: Packing,
    /// Refuse a package of any other architecture
    #[arg(long)]
    arch: Option<Arch>,
    /// linux-image-….deb; where a distribution packs modules apart, that too
    #[arg(required = true, value_name = "PACKAGE.deb")]
    packages: Vec<PathBuf>,
}

/// What becomes of a part of each module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeepOrStrip {
    /// Left as it is: signatures for Secure Boot and lockdown, types for BPF and tracing
    Keep,
    /// Cut off: modules load faster; without a signature they taint the kernel
    Strip,
}

/// How a module is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Packing {
    /// As NAME.ko.zst: a quarter of the memory where the root is in RAM
    Zstd,
    /// As NAME.ko, which every other program reads as well
    None,
}

/// Carries it out.
///
/// # Errors
/// The package, the list or the store is not as it should be.
pub fn run(global: &Global, command: &Command) -> Result<ExitCode> {
    let Command::Import(args) = command;
    let store = Store::at(global.store.as_deref())?;
    import(&store, args)?;
    Ok(ExitCode::SUCCESS)
}

fn import(store: &Store, args: &Import) -> Result<()> {
    let options = options(args)?;
    let mut files = PackageFiles::new();
    let mut control: Option<Control> = None;
    for path in &args.packages {
        let this = read_package(path, &mut files)?;
        check_architecture(path, &this, control.as_ref(), args.arch)?;
        control.get_or_insert(this);
    }
    let control = control.context("no package was given")?;
    let shown = shown(&args.packages);
    let kernel = files.into_kernel(&options).with_context(|| shown.clone())?;
    let arch = arch_of(kernel.machine);
    ensure!(
        arch.oci() == control.architecture,
        "{shown}: the package is for {}, its kernel for {}",
        control.architecture,
        arch.oci(),
    );

    let name = match &args.name {
        Some(name) => name.clone(),
        None => format!("hullkit/kernel:{}", kernel.series()).parse()?,
    };
    let config = config(&kernel, &control, &options)?;
    let summary = format!(
        "{} ({}): kernel {}, {} of {} modules",
        name.familiar(),
        arch.oci(),
        kernel.release,
        kernel.modules(),
        kernel.modules_in_package,
    );
    let digest = store.put_image(&name, arch, config, &[layer(kernel)?])?;
    say(&format!("{summary}, {digest}"))
}

/// What the command line says of the modules.
fn options(args: &Import) -> Result<Options> {
    let signatures = match args.module_signatures {
        KeepOrStrip::Keep => Signatures::Keep,
        KeepOrStrip::Strip => Signatures::Strip,
    };
    let btf = match args.module_btf.unwrap_or(args.module_signatures) {
        KeepOrStrip::Keep => Btf::Keep,
        KeepOrStrip::Strip => Btf::Strip,
    };
    ensure!(
        (signatures, btf) != (Signatures::Keep, Btf::Strip),
        "--module-btf strip would break the signatures that --module-signatures keep keeps",
    );
    Ok(Options {
        modules: selection(&args.modules)?,
        signatures,
        btf,
        compression: match args.module_compression {
            Packing::Zstd => ModuleCompression::Zstd,
            Packing::None => ModuleCompression::None,
        },
    })
}

/// The modules that `--modules` asks for.
fn selection(modules: &str) -> Result<Selection> {
    match modules {
        "default" => Ok(Selection::default()),
        "all" => Ok(Selection::All),
        file => {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("reading the module list {file}"))?;
            Ok(Selection::parse(file, &text)?)
        }
    }
}

/// Adds what the package at `path` has of a kernel to `files`.
fn read_package(path: &Path, files: &mut PackageFiles) -> Result<Control> {
    let mut package = Package::open(path)?;
    let control = package.control().clone();
    let (mut total, mut wanted) = (0, false);
    for entry in package.entries()? {
        let mut entry = entry?;
        // What is not UTF-8 is refused by name where it is a module.
        let name = entry.path.to_string_lossy().into_owned();
        if !PackageFiles::wants(&name) {
            continue;
        }
        wanted = true;
        let shown = || path.display();
        ensure!(
            entry.kind == deb::Kind::File,
            "{}: {name} is not a plain file",
            shown()
        );
        total += entry.size;
        ensure!(
            total <= MAX_FILES,
            "{}: the kernel's files take more than {MAX_FILES} bytes",
            shown(),
        );
        let bytes = entry.contents(MAX_FILE)?;
        files
            .add(&name, bytes)
            .with_context(|| shown().to_string())?;
    }
    ensure!(
        wanted,
        "{}: there is neither a kernel nor a module in the package {}: \
         give linux-image-….deb, and linux-modules-….deb where there is one",
        path.display(),
        control.package,
    );
    Ok(control)
}

/// That a package is for an architecture of ours, the one that was asked for,
/// and the same as the package before it.
fn check_architecture(
    path: &Path,
    control: &Control,
    before: Option<&Control>,
    asked: Option<Arch>,
) -> Result<()> {
    let path = path.display();
    let has = &control.architecture;
    if Machine::from_debian(has).is_none() {
        bail!("{path}: a package for {has}; kernels are imported for amd64 and arm64");
    }
    if let Some(asked) = asked.filter(|asked| asked.oci() != has) {
        bail!(
            "{path}: a package for {has}, and --arch asks for {}",
            asked.oci()
        );
    }
    match before {
        Some(before) if before.architecture != *has => {
            bail!(
                "{path}: a package for {has}, after one for {}",
                before.architecture
            )
        }
        _ => Ok(()),
    }
}

/// The architecture, in the words of the rest.
pub(super) fn arch_of(machine: Machine) -> Arch {
    match machine {
        Machine::X86_64 => Arch::X86_64,
        Machine::Aarch64 => Arch::Aarch64,
    }
}

/// What the image says of itself.
fn config(kernel: &Kernel, control: &Control, options: &Options) -> Result<Config> {
    let signatures = match options.signatures {
        Signatures::Keep => "kept",
        Signatures::Strip => "stripped",
    };
    let labels = [
        (
            "org.opencontainers.image.title",
            format!("Linux {}", kernel.release),
        ),
        ("org.opencontainers.image.version", control.version.clone()),
        ("org.hullkit.kernel.release", kernel.release.clone()),
        ("org.hullkit.kernel.package", control.package.clone()),
        (
            "org.hullkit.kernel.module-signatures",
            signatures.to_owned(),
        ),
    ];
    let labels: HashMap<String, String> = labels
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    Ok(ConfigBuilder::default().labels(labels).build()?)
}

/// The image's one layer: `kernel`, `kernel.tar`, `kernel-config`.
fn layer(kernel: Kernel) -> Result<Tree> {
    let mut tree = Tree::new();
    tree.add(
        "kernel.tar",
        Node::file(Meta::root(0o644), kernel_tar(&kernel)?),
    )?;
    tree.add("kernel", Node::file(Meta::root(0o644), kernel.image))?;
    if let Some(config) = kernel.config {
        tree.add("kernel-config", Node::file(Meta::root(0o644), config))?;
    }
    Ok(tree)
}

/// `kernel.tar`, in a file without a name: with all modules it has 120 MB.
fn kernel_tar(kernel: &Kernel) -> Result<Content> {
    let file = tempfile::tempfile().context("making a temporary file")?;
    let mut out = BufWriter::with_capacity(1 << 18, &file);
    kernel.write_tar(&mut out)?;
    out.flush().context("writing a temporary file")?;
    drop(out);
    let len = length(&file).context("reading a temporary file")?;
    Ok(Content::Range {
        file: Arc::new(file),
        offset: 0,
        len,
    })
}

fn length(file: &File) -> std::io::Result<u64> {
    Ok(file.metadata()?.len())
}

/// The packages' names for a message.
fn shown(packages: &[PathBuf]) -> String {
    let names: Vec<String> = packages
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    names.join(", ")
}
