//! Whether KVM works: not whether `/dev/kvm` is there, but whether a kernel
//! boots on it. In some places (nested, emulated) it can be opened, and guests
//! then hang or crash.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Accel, QemuCommand, Serial};
use crate::arch::Arch;
use crate::atomic;
use crate::digest::Digest;

/// The probe gives up after this long. A kernel prints its first line within a
/// tenth of it where KVM works.
const LIMIT: Duration = Duration::from_secs(4);
/// How often the probe looks for output.
const TICK: Duration = Duration::from_millis(20);
/// Every kernel's first line has this in it.
const BOOTED: &[u8] = b"Linux version ";

/// The probe of KVM, with a cache of its verdict.
#[derive(Clone, Debug)]
pub struct Kvm {
    cache: PathBuf,
}

impl Kvm {
    /// Keeps its verdicts in the folder `cache`.
    #[must_use]
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self {
            cache: cache.into(),
        }
    }

    /// What runs guests of `arch` best on this machine. The verdict on KVM is
    /// kept for as long as the host's kernel, QEMU and this guest kernel stay
    /// the same; a cache that cannot be written is no error.
    #[must_use]
    pub fn choose(&self, arch: Arch, kernel: &Path) -> Accel {
        if arch != Arch::host() || !usable(Path::new("/dev/kvm")) {
            return Accel::Tcg;
        }
        let verdict = self.cache.join(key(arch, kernel).hex());
        let works = match std::fs::read(&verdict) {
            Ok(text) => text == b"yes\n",
            Err(_) => {
                let works = boots(arch, kernel);
                let text: &[u8] = if works { b"yes\n" } else { b"no\n" };
                let _kept = std::fs::create_dir_all(&self.cache)
                    .and_then(|()| atomic::write(&verdict, text));
                works
            }
        };
        if works { Accel::Kvm } else { Accel::Tcg }
    }
}

fn usable(device: &Path) -> bool {
    std::fs::File::options()
        .read(true)
        .write(true)
        .open(device)
        .is_ok()
}

/// What a verdict holds for: the host's boot, QEMU's program, the kernel's
/// bytes (a rebuilt image has the same kernel under a new date).
fn key(arch: Arch, kernel: &Path) -> Digest {
    let mut all = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let program = QemuCommand::new(arch, kernel).program();
    let qemu = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path)
            .map(|dir| dir.join(program))
            .find(|path| path.is_file())
    });
    if let Some(path) = qemu
        && let Ok(meta) = path.metadata()
    {
        all.extend(format!("{}{:?}", path.display(), meta.modified().ok()).bytes());
    }
    all.extend(std::fs::read(kernel).unwrap_or_default());
    Digest::of(&all)
}

/// Boots `kernel` with nothing behind it and waits for its first words.
fn boots(arch: Arch, kernel: &Path) -> bool {
    let console = match arch {
        Arch::X86_64 => "earlyprintk=serial,ttyS0 console=ttyS0",
        Arch::Aarch64 => "earlycon console=ttyAMA0",
    };
    let mut command = QemuCommand::new(arch, kernel)
        .accel(Accel::Kvm)
        .memory_mib(256)
        .cmdline(format!("{console} panic=-1"))
        .serial(Serial::Terminal)
        .command();
    says_hello(&mut command).unwrap_or(false)
}

fn says_hello(command: &mut Command) -> io::Result<bool> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let said = listen(&mut child);
    child.kill()?;
    child.wait()?;
    said
}

fn listen(child: &mut Child) -> io::Result<bool> {
    let mut output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    nix::fcntl::fcntl(
        &output,
        nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK),
    )?;
    let (begun, mut heard) = (Instant::now(), Vec::new());
    let mut buffer = [0; 4096];
    while begun.elapsed() < LIMIT {
        match output.read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(n) => {
                heard.extend_from_slice(&buffer[..n]);
                if heard.windows(BOOTED.len()).any(|part| part == BOOTED) {
                    return Ok(true);
                }
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(TICK),
            Err(e) => return Err(e),
        }
    }
    Ok(false)
}
