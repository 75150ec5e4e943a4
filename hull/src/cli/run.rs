//! `hull run`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use hullkit_kernel::Machine;

use super::kernel::arch_of;
use super::{Global, metadata, say};
use crate::arch::Arch;
use crate::run::{self, Accel, Drive, DriveFormat, Firmware, Forward, Kvm, QemuCommand};
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
    /// A disk; made, raw, when it is missing and a size (64M, 2G) is given, in the folder of
    /// --state when it has no name. Also in LinuxKit's words: file=FILE,size=SIZE,format=FORMAT
    #[arg(long, value_name = "FILE[,SIZE]")]
    disk: Vec<Disk>,
    /// The network: user (QEMU's own), none, bridge,NAME or tap,NAME
    #[arg(long, default_value = "user", value_name = "KIND")]
    networking: Networking,
    /// A text, or a file that holds it, for the machine: on a CD, as `hull metadata create` writes
    #[arg(long, value_name = "TEXT|FILE")]
    data: Option<String>,
    /// Where the disks and the CD that are made here go [default: IMAGE-state]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// More words for the kernel's command line
    #[arg(long, value_name = "WORDS")]
    kernel_args: Vec<String>,
    /// What runs the guest: auto (KVM where it works), kvm or tcg
    #[arg(long, default_value = "auto")]
    accel: AccelChoice,
    /// Prints QEMU's command line instead
    #[arg(long)]
    dry_run: bool,
    /// What boots a disk whose name does not tell; EFI where it ends with -efi, BIOS else
    #[arg(long)]
    firmware: Option<Firmware>,
    /// LinuxKit's word for --firmware efi
    #[arg(long, conflicts_with = "firmware")]
    uefi: bool,
    /// LinuxKit's word for --accel kvm; --kvm=false: tcg
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", conflicts_with = "accel")]
    kvm: Option<bool>,
    /// Taken for LinuxKit's sake: IMAGE's name tells
    #[arg(long)]
    iso: bool,
    /// Taken for LinuxKit's sake: IMAGE's name tells
    #[arg(long)]
    kernel: bool,
    /// What `hull build` wrote: a disk (NAME.qcow2, NAME-efi.img, …), NAME.iso, NAME.efi,
    /// NAME-squashfs.img or NAME-erofs.img; else the NAME of NAME-kernel, NAME-initrd.img and
    /// NAME-cmdline. The word qemu before it is LinuxKit's way, and means nothing
    #[arg(required = true, num_args = 1..=2, value_name = "[qemu] IMAGE")]
    image: Vec<PathBuf>,
}

impl Args {
    /// What is booted. LinuxKit names what runs it first.
    fn image(&self) -> Result<&Path> {
        match self.image.as_slice() {
            [image] => Ok(image),
            [backend, image] if backend.as_os_str() == "qemu" => Ok(image),
            [other, ..] => bail!(
                "{}: hull runs images in QEMU only: hull run [qemu] IMAGE",
                other.display()
            ),
            [] => bail!("an image is missing"),
        }
    }

    fn state(&self) -> Result<PathBuf> {
        let beside = || {
            let mut name = self.image()?.as_os_str().to_owned();
            name.push("-state");
            Ok(PathBuf::from(name))
        };
        self.state.clone().map_or_else(beside, Ok)
    }

    fn firmware(&self) -> Option<Firmware> {
        let efi = self.uefi.then_some(Firmware::Efi);
        self.firmware.or(efi)
    }
}

/// `--networking`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Networking {
    User,
    None,
    /// For QEMU's `-netdev`.
    Device(String),
}

impl FromStr for Networking {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = |name: &str| !name.is_empty() && !name.contains(',');
        match text.split_once(',') {
            None if text == "user" || text == "default" => Ok(Self::User),
            None if text == "none" => Ok(Self::None),
            Some(("bridge", bridge)) if name(bridge) => {
                Ok(Self::Device(format!("bridge,br={bridge}")))
            }
            Some(("tap", tap)) if name(tap) => Ok(Self::Device(format!(
                "tap,ifname={tap},script=no,downscript=no"
            ))),
            _ => Err("allowed: user, none, bridge,NAME, tap,NAME".to_owned()),
        }
    }
}

/// `--accel`.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum AccelChoice {
    Auto,
    Kvm,
    Tcg,
}

/// `--disk`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Disk {
    /// None: one that is made in the folder of --state.
    file: Option<PathBuf>,
    size: Option<u64>,
    format: Option<DriveFormat>,
}

impl FromStr for Disk {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size = |text: &str| {
            bytes(text).ok_or_else(|| format!("{text:?} is not a size such as 64M or 2G"))
        };
        let mut disk = Self::default();
        if !["file=", "size=", "format="]
            .iter()
            .any(|key| text.starts_with(key))
        {
            let file = match text.rsplit_once(',') {
                None => text,
                Some((file, rest)) => {
                    disk.size = Some(size(rest)?);
                    file
                }
            };
            if file.is_empty() {
                return Err("there is no file's name".to_owned());
            }
            disk.file = Some(file.into());
            return Ok(disk);
        }
        for word in text.split(',') {
            match word.split_once('=') {
                Some(("file", file)) if !file.is_empty() => disk.file = Some(file.into()),
                Some(("size", text)) => disk.size = Some(size(text)?),
                Some(("format", "raw")) => disk.format = Some(DriveFormat::Raw),
                Some(("format", "qcow2")) => disk.format = Some(DriveFormat::Qcow2),
                _ => {
                    return Err(format!(
                        "found {word:?}, allowed: file=FILE, size=SIZE, format=raw|qcow2"
                    ));
                }
            }
        }
        if disk.file.is_none() && disk.size.is_none() {
            return Err("neither a file nor a size".to_owned());
        }
        Ok(disk)
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
    let image = args.image()?;
    let mut qemu = QemuCommand::of_built(arch, image, args.firmware())?
        .memory_mib(args.mem)
        .cpus(args.cpus)
        .reboots();
    qemu = connected(qemu, args)?;
    if qemu.kernel().is_none() && !args.kernel_args.is_empty() {
        bail!(
            "--kernel-args: the command line of {} is in it; build it with another",
            image.display()
        );
    }
    for words in &args.kernel_args {
        qemu = qemu.append(words);
    }
    for (number, disk) in args.disk.iter().enumerate() {
        qemu = qemu.drive(drive(args, number, disk)?);
    }
    if let Some(data) = &args.data {
        qemu = qemu.cd(metadata_cd(args, data)?);
    }
    let accel = accel(global, args, arch, &qemu)?;
    let qemu = qemu.accel(accel);
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
    let path = run::kernel_beside(args.image()?);
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

fn accel(global: &Global, args: &Args, arch: Arch, qemu: &QemuCommand) -> Result<Accel> {
    let said = args.kvm.map(|kvm| match kvm {
        true => AccelChoice::Kvm,
        false => AccelChoice::Tcg,
    });
    Ok(match said.unwrap_or(args.accel) {
        AccelChoice::Kvm => Accel::Kvm,
        AccelChoice::Tcg => Accel::Tcg,
        AccelChoice::Auto => {
            let store = Store::at(global.store.as_deref())?;
            match qemu.kernel() {
                Some(kernel) => Kvm::new(store.dir().join("kvm")).choose(arch, kernel),
                // Whether KVM works is tried with a kernel.
                None => Accel::Tcg,
            }
        }
    })
}

/// With the network that is asked for.
fn connected(qemu: QemuCommand, args: &Args) -> Result<QemuCommand> {
    let device = match &args.networking {
        Networking::User => return Ok(qemu.net(args.publish.iter().copied())),
        _ if !args.publish.is_empty() => bail!("--publish: needs --networking user"),
        Networking::None => return Ok(qemu),
        Networking::Device(device) => device,
    };
    let words = ["-netdev".to_owned(), format!("{device},id=outside")];
    let card = ["-device", "virtio-net-pci,netdev=outside"];
    Ok(qemu.extra(words).extra(card))
}

/// A disk of the command line, made where it lacks: sparse, all zero.
fn drive(args: &Args, number: usize, disk: &Disk) -> Result<Drive> {
    let file = match &disk.file {
        Some(file) => file.clone(),
        None => state_file(args, &format!("disk{number}.img"))?,
    };
    let by_name = match file.extension() {
        Some(suffix) if suffix == "qcow2" && file.exists() => DriveFormat::Qcow2,
        _ => DriveFormat::Raw,
    };
    let drive = Drive {
        format: disk.format.unwrap_or(by_name),
        readonly: false,
        file,
    };
    if args.dry_run || drive.file.exists() {
        return Ok(drive);
    }
    let name = drive.file.display();
    let Some(size) = disk.size else {
        bail!("--disk {name}: there is no such file, and no size to make it with ({name},1G)");
    };
    if drive.format != DriveFormat::Raw {
        bail!("--disk {name}: there is no such file, and only raw disks are made here");
    }
    File::create_new(&drive.file)
        .and_then(|file| file.set_len(size))
        .with_context(|| format!("making the disk {name}"))?;
    Ok(drive)
}

/// A CD with a text, or with what a file of that name holds.
fn metadata_cd(args: &Args, data: &str) -> Result<PathBuf> {
    if args
        .image()?
        .extension()
        .is_some_and(|suffix| suffix == "iso")
    {
        bail!("--data: the machine boots from the CD that would hold it");
    }
    let iso = state_file(args, "data.iso")?;
    if args.dry_run {
        return Ok(iso);
    }
    let text = match Path::new(data).is_file() {
        true => std::fs::read(data).with_context(|| format!("--data {data}"))?,
        false => data.as_bytes().to_vec(),
    };
    metadata::write(&iso, &text)?;
    Ok(iso)
}

/// The path of a file that is made for the machine.
fn state_file(args: &Args, name: &str) -> Result<PathBuf> {
    let dir = args.state()?;
    if !args.dry_run {
        std::fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
    }
    Ok(dir.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_has_a_file_and_perhaps_a_size() {
        let disk = |file: &str, size| Disk {
            file: Some(file.into()),
            size,
            format: None,
        };
        assert_eq!("a.img".parse(), Ok(disk("a.img", None)));
        assert_eq!("a.img,64M".parse(), Ok(disk("a.img", Some(64 << 20))));
        assert_eq!("a,b,2G".parse(), Ok(disk("a,b", Some(2 << 30))));
        for bad in ["", ",1G", "a,", "a,1X", "a,0", "a,99999999999T"] {
            assert!(bad.parse::<Disk>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_disk_in_linuxkits_words() {
        assert_eq!("file=a.img,size=1G".parse(), "a.img,1G".parse::<Disk>());
        let unnamed = Disk {
            size: Some(1 << 30),
            format: Some(DriveFormat::Qcow2),
            ..Disk::default()
        };
        assert_eq!("size=1G,format=qcow2".parse(), Ok(unnamed));
        for bad in [
            "file=",
            "format=raw",
            "size=x",
            "file=a,format=vdi",
            "file=a,b",
        ] {
            assert!(bad.parse::<Disk>().is_err(), "{bad}");
        }
    }

    #[test]
    fn networks_are_told_by_a_word() {
        assert_eq!("user".parse(), Ok(Networking::User));
        assert_eq!("default".parse(), Ok(Networking::User));
        assert_eq!("none".parse(), Ok(Networking::None));
        let bridge = Networking::Device("bridge,br=br0".to_owned());
        assert_eq!("bridge,br0".parse(), Ok(bridge));
        for bad in ["", "bridge", "tap,", "tap,a,b", "vmnet"] {
            assert!(bad.parse::<Networking>().is_err(), "{bad}");
        }
    }
}
