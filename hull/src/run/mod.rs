//! QEMU: the command line that boots what `hull build` wrote, as a typed
//! builder that tests and benchmarks use as well.
//!
//! Machines: q35 and virt, virtio devices, every CPU feature that the
//! accelerator can give.

mod built;
mod kvm;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

pub use built::kernel_beside;
pub use kvm::Kvm;

use crate::arch::Arch;

/// A virtual machine to be started.
#[derive(Clone, Debug)]
pub struct QemuCommand {
    arch: Arch,
    boot: Boot,
    memory_mib: u32,
    cpus: u32,
    accel: Accel,
    serial: Serial,
    channels: Vec<Channel>,
    net: Option<Vec<Forward>>,
    drives: Vec<Drive>,
    cd: Option<PathBuf>,
    monitor: Option<PathBuf>,
    reboots: bool,
    extra: Vec<OsString>,
}

/// What the machine starts with.
#[derive(Clone, Debug)]
enum Boot {
    /// A kernel that QEMU loads.
    Kernel {
        kernel: PathBuf,
        initrd: Option<PathBuf>,
        cmdline: String,
    },
    /// The firmware: a BIOS, or an EFI in flash memory (code, variables) that
    /// is given a program or finds one.
    Firmware {
        flash: Option<(PathBuf, PathBuf)>,
        program: Option<PathBuf>,
    },
}

/// What starts a machine that is given no kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Firmware {
    /// A BIOS.
    Bios,
    /// An EFI.
    Efi,
}

/// What runs the guest's instructions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Accel {
    /// QEMU itself, a thread per processor.
    #[default]
    Tcg,
    /// QEMU itself, counting instructions: the guest's clock advances by them
    /// (a nanosecond each), so that times do not depend on the host.
    Icount,
    /// The host's processor.
    Kvm,
}

/// Where the guest's first serial port goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Serial {
    /// The terminal that QEMU runs on; Ctrl-A X ends the machine.
    #[default]
    Terminal,
    /// A file.
    File(PathBuf),
    /// A unix socket that QEMU listens on; nobody need be there.
    Socket(PathBuf),
    /// Nowhere.
    None,
}

/// A virtio-serial port: `/dev/virtio-ports/NAME` in the guest, a unix socket
/// that QEMU listens on outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// The port's name in the guest.
    pub name: String,
    /// The socket's path.
    pub socket: PathBuf,
}

/// A TCP port of the host, at its loopback address, that leads to one of the
/// guest's; written `HOST:GUEST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The host's port; 0 lets the system choose.
    pub host: u16,
    /// The guest's port.
    pub guest: u16,
}

/// A disk: a raw image file, or one in QEMU's own format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drive {
    /// The file.
    pub file: PathBuf,
    /// Its format.
    pub format: DriveFormat,
    /// The guest may not write to it.
    pub readonly: bool,
}

/// The format of a [`Drive`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriveFormat {
    /// The disk's bytes.
    #[default]
    Raw,
    /// qcow2.
    Qcow2,
    /// VMware's.
    Vmdk,
    /// Microsoft's.
    Vhd,
}

/// A text that is no port forwarding.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not HOST:GUEST, two port numbers")]
pub struct BadForward(pub String);

impl FromStr for Forward {
    type Err = BadForward;

    fn from_str(text: &str) -> Result<Self, BadForward> {
        let parsed = text.split_once(':').and_then(|(host, guest)| {
            let guest = guest.strip_suffix("/tcp").unwrap_or(guest);
            Some(Self {
                host: host.parse().ok()?,
                guest: guest.parse().ok().filter(|&port| port != 0)?,
            })
        });
        parsed.ok_or_else(|| BadForward(text.to_owned()))
    }
}

impl QemuCommand {
    /// A machine of `arch` that boots `kernel`: 512 MiB, one processor, the
    /// console on the terminal, no network.
    #[must_use]
    pub fn new(arch: Arch, kernel: impl Into<PathBuf>) -> Self {
        let boot = Boot::Kernel {
            kernel: kernel.into(),
            initrd: None,
            cmdline: String::new(),
        };
        Self::booting(arch, boot)
    }

    fn booting(arch: Arch, boot: Boot) -> Self {
        Self {
            arch,
            boot,
            memory_mib: 512,
            cpus: 1,
            accel: Accel::default(),
            serial: Serial::default(),
            channels: Vec::new(),
            net: None,
            drives: Vec::new(),
            cd: None,
            monitor: None,
            reboots: false,
            extra: Vec::new(),
        }
    }

    /// The initrd.
    #[must_use]
    pub fn initrd(mut self, path: impl Into<PathBuf>) -> Self {
        if let Boot::Kernel { initrd, .. } = &mut self.boot {
            *initrd = Some(path.into());
        }
        self
    }

    /// The kernel's command line, in place of the one before.
    #[must_use]
    pub fn cmdline(mut self, text: impl Into<String>) -> Self {
        if let Boot::Kernel { cmdline, .. } = &mut self.boot {
            *cmdline = text.into();
        }
        self
    }

    /// More words behind the kernel's command line; where the firmware boots,
    /// the command line is in the image, and they are left out.
    #[must_use]
    pub fn append(mut self, words: &str) -> Self {
        if let Boot::Kernel { cmdline, .. } = &mut self.boot {
            if !cmdline.is_empty() && !words.is_empty() {
                cmdline.push(' ');
            }
            cmdline.push_str(words);
        }
        self
    }

    /// The kernel that QEMU is given, if it is.
    #[must_use]
    pub fn kernel(&self) -> Option<&Path> {
        match &self.boot {
            Boot::Kernel { kernel, .. } => Some(kernel),
            Boot::Firmware { .. } => None,
        }
    }

    /// Memory, in MiB.
    #[must_use]
    pub fn memory_mib(mut self, memory: u32) -> Self {
        self.memory_mib = memory;
        self
    }

    /// Processors.
    #[must_use]
    pub fn cpus(mut self, cpus: u32) -> Self {
        self.cpus = cpus;
        self
    }

    /// What runs the guest.
    #[must_use]
    pub fn accel(mut self, accel: Accel) -> Self {
        self.accel = accel;
        self
    }

    /// Where the console goes.
    #[must_use]
    pub fn serial(mut self, serial: Serial) -> Self {
        self.serial = serial;
        self
    }

    /// One more virtio-serial port.
    #[must_use]
    pub fn channel(mut self, name: impl Into<String>, socket: impl Into<PathBuf>) -> Self {
        self.channels.push(Channel {
            name: name.into(),
            socket: socket.into(),
        });
        self
    }

    /// A network card on QEMU's user network, with these ports forwarded.
    #[must_use]
    pub fn net(mut self, forwards: impl IntoIterator<Item = Forward>) -> Self {
        self.net.get_or_insert_default().extend(forwards);
        self
    }

    /// One more disk.
    #[must_use]
    pub fn drive(mut self, drive: Drive) -> Self {
        self.drives.push(drive);
        self
    }

    /// Without the disks so far, for somebody who plugs them in later.
    #[must_use]
    pub fn without_drives(mut self) -> Self {
        self.drives.clear();
        self
    }

    /// A CD in its drive.
    #[must_use]
    pub fn cd(mut self, iso: impl Into<PathBuf>) -> Self {
        self.cd = Some(iso.into());
        self
    }

    /// A unix socket on which QEMU answers QMP.
    #[must_use]
    pub fn monitor(mut self, socket: impl Into<PathBuf>) -> Self {
        self.monitor = Some(socket.into());
        self
    }

    /// A reboot of the guest is one; without this it ends QEMU.
    #[must_use]
    pub fn reboots(mut self) -> Self {
        self.reboots = true;
        self
    }

    /// Words for QEMU that this type has no name for.
    #[must_use]
    pub fn extra(mut self, words: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.extra.extend(words.into_iter().map(Into::into));
        self
    }

    /// QEMU's program for the architecture.
    #[must_use]
    pub fn program(&self) -> &'static str {
        match self.arch {
            Arch::X86_64 => "qemu-system-x86_64",
            Arch::Aarch64 => "qemu-system-aarch64",
        }
    }

    /// Ready to be spawned.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.program());
        command.args(self.args());
        command
    }

    /// QEMU's arguments.
    #[must_use]
    pub fn args(&self) -> Vec<OsString> {
        let mut args = Args::default();
        self.machine(&mut args);
        self.boot.args(&mut args);
        self.console(&mut args);
        args.option("-device", "virtio-rng-pci");
        self.devices(&mut args);
        args.0.extend(self.extra.iter().cloned());
        args.0
    }

    fn machine(&self, args: &mut Args) {
        let machine = match self.arch {
            Arch::X86_64 => "q35",
            Arch::Aarch64 => "virt",
        };
        let cpu = match (self.accel, self.arch) {
            (Accel::Kvm, _) => "host",
            (_, Arch::X86_64) => "max",
            // The architecture's own pointer signing costs half of the speed.
            (_, Arch::Aarch64) => "max,pauth-impdef=on",
        };
        args.option("-machine", machine).option("-cpu", cpu);
        match self.accel {
            Accel::Tcg => args.option("-accel", "tcg,thread=multi"),
            Accel::Icount => args
                .option("-accel", "tcg")
                .option("-icount", "shift=0,sleep=off"),
            Accel::Kvm => args.option("-accel", "kvm"),
        };
        args.option("-m", self.memory_mib.to_string())
            .option("-smp", self.cpus.to_string());
        args.flag("-nodefaults").flag("-no-user-config");
        if !self.reboots {
            args.flag("-no-reboot");
        }
        args.option("-display", "none");
    }

    fn console(&self, args: &mut Args) {
        match &self.serial {
            // The monitor behind Ctrl-A C, as `-nographic` has it.
            Serial::Terminal => args.option("-serial", "mon:stdio"),
            Serial::File(path) => args.option("-serial", prefixed("file:", path)),
            Serial::Socket(path) => {
                let mut chardev = OsString::from("socket,id=serial0,server=on,wait=off,path=");
                chardev.push(comma_safe(path));
                args.option("-chardev", chardev)
                    .option("-serial", "chardev:serial0")
            }
            Serial::None => args.option("-serial", "none"),
        };
        if let Some(socket) = &self.monitor {
            let mut qmp = OsString::from("unix:");
            qmp.push(comma_safe(socket));
            qmp.push(",server=on,wait=off");
            args.option("-qmp", qmp);
        }
    }

    fn devices(&self, args: &mut Args) {
        if let Some(forwards) = &self.net {
            let mut user = String::from("user,id=net0");
            for Forward { host, guest } in forwards {
                user += &format!(",hostfwd=tcp:127.0.0.1:{host}-:{guest}");
            }
            args.option("-netdev", user)
                // Without the ROM: nothing is booted from the network.
                .option("-device", "virtio-net-pci,netdev=net0,romfile=");
        }
        if !self.channels.is_empty() {
            args.option("-device", "virtio-serial-pci");
        }
        for (n, channel) in self.channels.iter().enumerate() {
            let mut chardev =
                OsString::from(format!("socket,id=channel{n},server=on,wait=off,path="));
            chardev.push(comma_safe(&channel.socket));
            args.option("-chardev", chardev);
            let name = &channel.name;
            args.option(
                "-device",
                format!("virtserialport,chardev=channel{n},name={name}"),
            );
        }
        let firmware = matches!(self.boot, Boot::Firmware { .. });
        // The firmware boots the first disk, and looks at no other; but for a
        // CD that boots and a disk of its own beside it.
        let first = self.drives.first();
        let boots_disk = firmware && first.is_some_and(|d| d.readonly || self.cd.is_none());
        for (n, drive) in self.drives.iter().enumerate() {
            let order = if boots_disk && n == 0 {
                ",bootindex=0"
            } else {
                ""
            };
            args.option("-drive", drive.option(n))
                .option("-device", format!("virtio-blk-pci,drive=disk{n}{order}"));
        }
        if let Some(iso) = &self.cd {
            let mut drive =
                OsString::from("if=none,id=cd0,media=cdrom,format=raw,readonly=on,file=");
            drive.push(comma_safe(iso));
            args.option("-drive", drive);
            let order = match (firmware, boots_disk) {
                (true, false) => ",bootindex=0",
                (true, true) => ",bootindex=1",
                (false, _) => "",
            };
            let drive = match self.arch {
                Arch::X86_64 => "ide-cd",
                Arch::Aarch64 => {
                    args.option("-device", "virtio-scsi-pci");
                    "scsi-cd"
                }
            };
            args.option("-device", format!("{drive},drive=cd0{order}"));
        }
    }
}

/// The command line as one would type it.
impl fmt::Display for QemuCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program())?;
        for arg in self.args() {
            let arg = arg.to_string_lossy();
            if arg.contains([' ', '"', '$', '\\', '*', ';', '&', '\'']) {
                write!(f, " '{}'", arg.replace('\'', r"'\''"))?;
            } else {
                write!(f, " {arg}")?;
            }
        }
        Ok(())
    }
}

impl Boot {
    fn args(&self, args: &mut Args) {
        match self {
            Self::Kernel {
                kernel,
                initrd,
                cmdline,
            } => {
                args.option("-kernel", kernel);
                if let Some(initrd) = initrd {
                    args.option("-initrd", initrd);
                }
                if !cmdline.is_empty() {
                    args.option("-append", cmdline);
                }
            }
            Self::Firmware { flash, program } => {
                if let Some((code, variables)) = flash {
                    // What the firmware notes for itself is forgotten.
                    for (mode, file) in [("readonly", code), ("snapshot", variables)] {
                        let mut drive =
                            OsString::from(format!("if=pflash,format=raw,{mode}=on,file="));
                        drive.push(comma_safe(file));
                        args.option("-drive", drive);
                    }
                }
                if let Some(program) = program {
                    args.option("-kernel", program);
                }
            }
        }
    }
}

impl Drive {
    fn option(&self, n: usize) -> OsString {
        let format = match self.format {
            DriveFormat::Raw => "raw",
            DriveFormat::Qcow2 => "qcow2",
            DriveFormat::Vmdk => "vmdk",
            DriveFormat::Vhd => "vpc",
        };
        let readonly = if self.readonly { ",readonly=on" } else { "" };
        let mut option = OsString::from(format!(
            "if=none,id=disk{n},format={format}{readonly},file="
        ));
        option.push(comma_safe(&self.file));
        option
    }
}

/// In QEMU's options a comma within a value is written twice.
fn comma_safe(path: &Path) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let mut safe = Vec::new();
    for &byte in path.as_os_str().as_bytes() {
        safe.push(byte);
        if byte == b',' {
            safe.push(byte);
        }
    }
    OsString::from_vec(safe)
}

fn prefixed(prefix: &str, path: &Path) -> OsString {
    let mut text = OsString::from(prefix);
    text.push(path);
    text
}

#[derive(Default)]
struct Args(Vec<OsString>);

impl Args {
    fn flag(&mut self, name: &str) -> &mut Self {
        self.0.push(name.into());
        self
    }

    fn option(&mut self, name: &str, value: impl AsRef<OsStr>) -> &mut Self {
        self.0.push(name.into());
        self.0.push(value.as_ref().to_owned());
        self
    }
}

#[cfg(test)]
mod tests;
