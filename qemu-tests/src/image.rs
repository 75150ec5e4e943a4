//! From a case's YAML to what QEMU boots, by the real `hull build`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use anyhow::{Context, Result, bail};
use hull::arch::Arch;
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
        let compress = (!machine.tamper.is_empty()).then_some("none");
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
        let output = hull_build(target.arch, dir, compress, &files)?;
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
            command: QemuCommand::of_prefix(target.arch, &dir.join(NAME))?,
        };
        image.tamper(machine.tamper)?;
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
    fn tamper(&self, files: &[(&str, &str)]) -> Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        let files: Vec<(&str, &[u8])> = files
            .iter()
            .map(|(path, content)| (*path, content.as_bytes()))
            .collect();
        let file = self.file("initrd.img");
        let mut initrd = fs::read(&file)?;
        // An archive begins at a multiple of four.
        initrd.resize(initrd.len().next_multiple_of(4), 0);
        initrd.extend(cpio::archive(&files));
        Ok(fs::write(&file, initrd)?)
    }
}

/// The name of the built files.
const NAME: &str = "image";

/// Runs `hull build` over `files`, with its default compression or another.
///
/// # Errors
/// It cannot be started.
pub fn hull_build(
    arch: Arch,
    dir: &Path,
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
        .args(["--name", NAME, "--arch", arch.uname(), "--dir"])
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
/// argument; `@OUT`, the folder of what was built. The YAML `@EXAMPLE NAME` is
/// that file of the examples, as it stands.
fn fill_in(target: Target, yaml: &str) -> Result<String> {
    if let Some(name) = yaml.strip_prefix("@EXAMPLE ") {
        let file = places::examples().join(name);
        return fs::read_to_string(&file).with_context(|| format!("read {}", file.display()));
    }
    let console = match target.arch {
        Arch::X86_64 => "console=ttyS0",
        Arch::Aarch64 => "console=ttyAMA0",
    };
    let probe = probe_image(target.arch)?;
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
