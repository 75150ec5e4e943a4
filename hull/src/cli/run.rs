//! `hull run`.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use hullkit_kernel::Machine;

use super::kernel::arch_of;
use super::{Global, say};
use crate::arch::Arch;
use crate::run::{Accel, Drive, DriveFormat, Forward, Kvm, QemuCommand};
use crate::store::Store;

/// The options of `hull run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The guest's architecture [default: that of the kernel]
    #[arg(long)]
    arch: Option<Arch>,
    /// Memory in MiB
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    mem: u32,
    /// Processors
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    cpus: u32,
    /// Leads a TCP port of this machine, at 127.0.0.1, to one of the guest's
    #[arg(long, value_name = "HOST:GUEST")]
    publish: Vec<Forward>,
    /// A raw disk image, made when it is missing and a size (64M, 2G) is given
    #[arg(long, value_name = "FILE[,SIZE]")]
    disk: Vec<Disk>,
    /// More words for the kernel's command line
    #[arg(long, value_name = "WORDS")]
    kernel_args: Vec<String>,
    /// What runs the guest: auto (KVM where it works), kvm or tcg
    #[arg(long, default_value = "auto")]
    accel: AccelChoice,
    /// Prints QEMU's command line instead
    #[arg(long)]
    dry_run: bool,
    /// What `hull build` wrote: PREFIX-kernel, PREFIX-initrd.img, PREFIX-cmdline
    prefix: PathBuf,
}

/// `--accel`.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum AccelChoice {
    Auto,
    Kvm,
    Tcg,
}

/// `--disk`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Disk {
    file: PathBuf,
    size: Option<u64>,
}

impl FromStr for Disk {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (file, size) = match text.rsplit_once(',') {
            None => (text, None),
            Some((file, size)) => (
                file,
                Some(bytes(size).ok_or(format!("{size:?} is not a size such as 64M or 2G"))?),
            ),
        };
        if file.is_empty() {
            return Err("there is no file's name".to_owned());
        }
        Ok(Self {
            file: file.into(),
            size,
        })
    }
}

/// A size in bytes; K, M, G and T are powers of 1024.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return None,
    };
    let number: u64 = digits.parse().ok()?;
    number.checked_mul(1 << unit).filter(|&size| size > 0)
}

/// Carries it out: success when the guest powered itself off.
///
/// # Errors
/// The image is not there, or QEMU cannot be started or failed.
pub fn run(global: &Global, args: &Args) -> Result<ExitCode> {
    let arch = arch(args)?;
    let mut qemu = QemuCommand::of_prefix(arch, &args.prefix)?
        .memory_mib(args.mem)
        .cpus(args.cpus)
        .reboots()
        .net(args.publish.iter().copied());
    for words in &args.kernel_args {
        qemu = qemu.append(words);
    }
    for disk in &args.disk {
        if !args.dry_run {
            make(disk)?;
        }
        qemu = qemu.drive(Drive {
            file: disk.file.clone(),
            format: DriveFormat::Raw,
            readonly: false,
        });
    }
    let qemu = qemu.accel(accel(global, args, arch)?);
    if args.dry_run {
        say(&qemu.to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    let status = qemu.command().status().with_context(|| {
        let program = qemu.program();
        format!("{program} cannot be started (on Debian: apt-get install qemu-system-x86 qemu-system-arm)")
    })?;
    if status.success() {
        return Ok(ExitCode::SUCCESS);
    }
    bail!("{} ended with {status}", qemu.program())
}

/// The architecture to boot: what the kernel is for, where that can be told.
/// QEMU boots any file in silence, and hangs.
fn arch(args: &Args) -> Result<Arch> {
    let path = kernel(args);
    let mut head = Vec::new();
    // What is not there is named by who opens the files to boot.
    if let Ok(file) = File::open(&path) {
        file.take(1024)
            .read_to_end(&mut head)
            .with_context(|| format!("reading {}", path.display()))?;
    }
    let made_for = Machine::of_image(&head).map(arch_of);
    match (args.arch, made_for) {
        (Some(asked), Some(is)) if asked != is => bail!(
            "{} is a kernel for {is}, and --arch asks for {asked}",
            path.display()
        ),
        (asked, is) => Ok(asked.or(is).unwrap_or_else(Arch::host)),
    }
}

/// The kernel's file.
fn kernel(args: &Args) -> PathBuf {
    let mut path = args.prefix.clone().into_os_string();
    path.push("-kernel");
    path.into()
}

fn accel(global: &Global, args: &Args, arch: Arch) -> Result<Accel> {
    Ok(match args.accel {
        AccelChoice::Kvm => Accel::Kvm,
        AccelChoice::Tcg => Accel::Tcg,
        AccelChoice::Auto => {
            let store = Store::at(global.store.as_deref())?;
            Kvm::new(store.dir().join("kvm")).choose(arch, &kernel(args))
        }
    })
}

/// Makes a disk's file where it lacks: sparse, all zero.
fn make(disk: &Disk) -> Result<()> {
    if disk.file.exists() {
        return Ok(());
    }
    let name = disk.file.display();
    let Some(size) = disk.size else {
        bail!("--disk {name}: there is no such file, and no size to make it with ({name},1G)");
    };
    File::create_new(&disk.file)
        .and_then(|file| file.set_len(size))
        .with_context(|| format!("making the disk {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_has_a_file_and_perhaps_a_size() {
        let disk = |file: &str, size| Disk {
            file: file.into(),
            size,
        };
        assert_eq!("a.img".parse(), Ok(disk("a.img", None)));
        assert_eq!("a.img,64M".parse(), Ok(disk("a.img", Some(64 << 20))));
        assert_eq!("a,b,2G".parse(), Ok(disk("a,b", Some(2 << 30))));
        for bad in ["", ",1G", "a,", "a,1X", "a,0", "a,99999999999T"] {
            assert!(bad.parse::<Disk>().is_err(), "{bad}");
        }
    }
}
