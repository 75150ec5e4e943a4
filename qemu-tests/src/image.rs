//! From a case's YAML to what QEMU boots, by the real `hull build`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use anyhow::{Context, Result, bail};
use hull::arch::Arch;
use hull::output::Format;
use hull::run::QemuCommand;

use crate::case::{Machine, Target};
use crate::{cpio, places};

/// What stands before the YAML of every case: the kernel, and the agent with
/// its view of the whole guest. `no_timer_check`: on a host that is busy the
/// kernel finds that an emulated timer does not tick, and panics.
const BASE: &str = r#"
kernel:
  image: hullkit/kernel:@KERNEL
  cmdline: "@CONSOLE panic=-1 no_timer_check"
services:
  - name: agent
    image: @PROBE
    command: ["/bin/probe", "port"]
    security: linuxkit
    capabilities: [all]
    readonly: true
    pid: host
    devices:
      - {path: all, type: c}
    binds:
      - /dev:/dev:rw,rbind
      - /run:/run:rw,rbind
      - /sys:/sys:rw,rbind
      - /:/host:rw,rbind
      - /init:/usr/bin/hullctl:ro
"#;

/// What QEMU boots.
#[derive(Clone, Debug)]
pub struct Image {
    /// For which machine.
    pub target: Target,
    prefix: PathBuf,
    command: QemuCommand,
}

impl Image {
    /// Builds an image for `target` in the folder `dir`, out of the base
    /// (where `machine` asks for it) and `parts`: (file name, YAML).
    ///
    /// # Errors
    /// `hull build` refuses it: with its words.
    pub fn build(
        target: Target,
        dir: &Path,
        machine: &Machine,
        parts: &[(&str, &str)],
    ) -> Result<Self> {
        // The kernel looks for a second archive behind an unpacked one only.
        let changed = !machine.tamper.is_empty() || machine.made.is_some();
        let compress = changed.then_some("none");
        Self::build_as(target, dir, machine, compress, parts)
    }

    /// The same with this compression of the initrd, or the default.
    ///
    /// # Errors
    /// `hull build` refuses it: with its words.
    pub fn build_as(
        target: Target,
        dir: &Path,
        machine: &Machine,
        compress: Option<&str>,
        parts: &[(&str, &str)],
    ) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let base = machine.base.then_some(("base", BASE));
        let mut files = Vec::new();
        for (name, yaml) in base.iter().chain(parts) {
            let file = dir.join(format!("{}.yml", name.replace("::", "-")));
            fs::write(&file, fill_in(target, yaml)?)?;
            files.push(file);
        }
        let output = hull_build_as(target.arch, dir, machine.format, compress, &files)?;
        if !output.status.success() {
            bail!(
                "hull build: {}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        let image = Self {
            target,
            prefix: dir.join(NAME),
            command: built(target.arch, dir, machine)?,
        };
        let made = machine.made.map(|make| make()).unwrap_or_default();
        let tamper = machine.tamper.iter();
        let tamper = tamper.map(|(path, content)| (*path, content.as_bytes()));
        let made = made.iter();
        let made = made.map(|(path, content)| (path.as_str(), content.as_slice()));
        image.tamper(&tamper.chain(made).collect::<Vec<_>>())?;
        Ok(image)
    }

    /// QEMU's command line for it on `machine`, but for the channels and the
    /// network.
    #[must_use]
    pub fn command(&self, machine: &Machine) -> QemuCommand {
        self.command
            .clone()
            .append(machine.cmdline)
            .memory_mib(machine.mebibytes)
            .cpus(machine.processors)
            .accel(machine.accel)
            .extra(machine.qemu.iter().copied())
    }

    /// The same kernel with another initrd, which holds one program as
    /// `/init` and is not compressed.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn with_only_init(&self, program: &Path) -> Result<Self> {
        let content = fs::read(program).with_context(|| format!("read {}", program.display()))?;
        let initrd = self.file("only-init.img");
        fs::write(&initrd, cpio::archive_of(0o755, &[("init", &content)]))?;
        Ok(Self {
            command: self.command.clone().initrd(initrd),
            ..self.clone()
        })
    }

    /// The file of the built image with this suffix: `kernel`, `initrd.img`.
    #[must_use]
    pub fn file(&self, suffix: &str) -> PathBuf {
        self.prefix.with_file_name(format!("{NAME}-{suffix}"))
    }

    /// Replaces files of the image.
    fn tamper(&self, files: &[(&str, &[u8])]) -> Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        let file = self.file("initrd.img");
        let mut initrd = fs::read(&file)?;
        // An archive begins at a multiple of four.
        initrd.resize(initrd.len().next_multiple_of(4), 0);
        initrd.extend(cpio::archive(files));
        Ok(fs::write(&file, initrd)?)
    }
}

/// QEMU's command line for what was built.
fn built(arch: Arch, dir: &Path, machine: &Machine) -> Result<QemuCommand> {
    let format: Format = machine.format.parse()?;
    // Kernel, initrd and command line are found beside the disk.
    let beside =
        |ending: &str| ["-kernel", "-cmdline"].contains(&ending) || ending.ends_with("initrd.img");
    let mut endings = format.endings().iter();
    let disk = endings.find(|ending| !beside(ending)).unwrap_or(&"");
    let path = dir.join(format!("{NAME}{disk}"));
    let command = QemuCommand::of_built(arch, &path, machine.firmware)?;
    Ok(if machine.disk {
        command
    } else {
        command.without_drives()
    })
}

/// The name of the built files.
const NAME: &str = "image";

/// Runs `hull build` over `files`.
///
/// # Errors
/// It cannot be started.
pub fn hull_build(arch: Arch, dir: &Path, files: &[PathBuf]) -> Result<Output> {
    hull_build_as(arch, dir, "kernel+initrd", None, files)
}

/// The same in another format, with the default compression or another.
fn hull_build_as(
    arch: Arch,
    dir: &Path,
    format: &str,
    compress: Option<&str>,
    files: &[PathBuf],
) -> Result<Output> {
    let hull = places::hull();
    let mut command = Command::new(&hull);
    command.arg("build");
    if let Some(how) = compress {
        command.args(["--compress", how]);
    }
    command
        .args(["--format", format, "--name", NAME])
        .args(["--arch", arch.uname(), "--dir"])
        .arg(dir)
        .args(files)
        .env("HULL_STORE", places::store())
        .env("HULL_GUEST", places::guest())
        // An image that is missing is not looked for on the network.
        .env("HULL_OFFLINE", "1")
        .output()
        .with_context(|| format!("start {} (make build makes it)", hull.display()))
}

/// Puts in what a case's YAML leaves open: `@PROBE`, the image of the agent
/// and the probes; `@KERNEL`, the kernel's tag; `@CONSOLE`, the console's
/// argument; `@OUT`, the folder of what was built; `@ZEROSN`, the same image as
/// `@PROBE` with N MiB of zeros in it; `@SERVICE`, the image of the benchmark's
/// services. The YAML `@EXAMPLE NAME` is
/// that file of the examples, as it stands.
fn fill_in(target: Target, yaml: &str) -> Result<String> {
    if let Some(name) = yaml.strip_prefix("@EXAMPLE ") {
        let file = places::examples().join(name);
        return fs::read_to_string(&file).with_context(|| format!("read {}", file.display()));
    }
    let console = match target.arch {
        // On a busy host the kernel's trial of its timer fails, and it panics;
        // on KVM it does not try either.
        Arch::X86_64 => "console=ttyS0 no_timer_check",
        Arch::Aarch64 => "console=ttyAMA0",
    };
    let probe = probe_image(target.arch)?;
    let mut yaml = yaml.to_owned();
    if let Some(rest) = yaml.split("@ZEROS").nth(1) {
        let size: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let image = zeros_image(target.arch, size.parse()?)?;
        let image = format!("dir:{}", image.display());
        yaml = yaml.replace(&format!("@ZEROS{size}"), &image);
    }
    if yaml.contains("@SERVICE") {
        let image = service_image(target.arch)?;
        yaml = yaml.replace("@SERVICE", &format!("dir:{}", image.display()));
    }
    Ok(yaml
        .replace("@PROBE", &format!("dir:{}", probe.display()))
        .replace("@KERNEL", target.kernel)
        .replace("@CONSOLE", console)
        .replace("@OUT", &places::out().display().to_string()))
}

/// The folder of the image that agent and probes share; made anew by each
/// process that runs tests, once.
fn probe_image(arch: Arch) -> Result<PathBuf> {
    static MADE: Mutex<Vec<Arch>> = Mutex::new(Vec::new());
    let dir = places::out()
        .join("qemu-tests/images")
        .join(format!("probe-{arch}"));
    let mut made = MADE.lock().expect("nobody panicked while making it");
    if !made.contains(&arch) {
        make_probe_image(arch, &dir).with_context(|| format!("make {}", dir.display()))?;
        made.push(arch);
    }
    Ok(dir)
}

/// The folder of the benchmark's image: one program, and where to mount.
fn service_image(arch: Arch) -> Result<PathBuf> {
    let dir = places::out()
        .join("qemu-tests/images")
        .join(format!("service-{arch}"));
    for folder in ["bin", "dev", "etc", "proc", "sys", "tmp"] {
        fs::create_dir_all(dir.join(folder))?;
    }
    let program = places::program(arch, "bench-service");
    fs::copy(&program, dir.join("bin/service"))
        .with_context(|| format!("copy {} (make build makes it)", program.display()))?;
    Ok(dir)
}

/// The probes' image with a file of zeros, which takes no room on this disk.
fn zeros_image(arch: Arch, mebibytes: u64) -> Result<PathBuf> {
    let dir = places::out()
        .join("qemu-tests/images")
        .join(format!("zeros{mebibytes}-{arch}"));
    make_probe_image(arch, &dir).with_context(|| format!("make {}", dir.display()))?;
    let file = fs::File::create(dir.join("zeros"))?;
    file.set_len(mebibytes << 20)?;
    Ok(dir)
}

fn make_probe_image(arch: Arch, dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    for folder in [
        "bin", "data", "dev", "etc", "host", "proc", "run", "sys", "tmp", "usr/bin", "var",
    ] {
        fs::create_dir_all(dir.join(folder))?;
    }
    // The places that a bind mounts a file on.
    fs::write(dir.join("usr/bin/hullctl"), "")?;
    fs::write(dir.join("etc/lower"), "of the image\n")?;
    // A link that leads out, for the cases that try to leave.
    symlink("/../../../../etc", dir.join("data/out"))?;
    let agent = places::program(arch, "qemu-agent");
    fs::copy(&agent, dir.join("bin/probe"))
        .with_context(|| format!("copy {} (make build makes it)", agent.display()))?;
    Ok(())
}
