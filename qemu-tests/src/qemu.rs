//! A QEMU process: started with its channels connected, killed when dropped.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use agent_protocol::PORT;
use anyhow::{Context, Result, bail};
use hull::arch::Arch;
use nix::poll::{PollFd, PollFlags, PollTimeout};

use crate::case::Machine;
use crate::image::Image;

/// How long QEMU may take to come up to its channels.
const START: Duration = Duration::from_secs(30);

/// A QEMU that runs.
#[derive(Debug)]
pub struct Qemu {
    child: Child,
    /// The port of this host that is forwarded to [`Machine::forward`].
    pub forwarded: Option<u16>,
}

/// The connected channels.
#[derive(Debug)]
pub struct Channels {
    /// The serial console.
    pub console: UnixStream,
    /// QMP.
    pub qmp: UnixStream,
    /// The agent's port.
    pub agent: UnixStream,
}

impl Qemu {
    /// Starts `image` on `machine`. The command line and QEMU's own errors
    /// are kept in `dir`.
    ///
    /// # Errors
    /// QEMU is not installed, or ends before its channels are connected: with
    /// its words.
    pub fn start(image: &Image, machine: &Machine, dir: &Path) -> Result<(Self, Channels)> {
        // Paths of unix sockets are short; the case's folder may be deep.
        let sockets = tempfile::tempdir()?;
        let listen = |name: &str| UnixListener::bind(sockets.path().join(name));
        let (console, qmp, agent) = (listen("console")?, listen("qmp")?, listen("agent")?);

        let forwarded = machine.forward.map(|_| free_port()).transpose()?;
        let args = arguments(image, machine, forwarded, sockets.path());
        let program = format!("qemu-system-{}", image.target.arch);
        let shown: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
        fs::write(
            dir.join("qemu-command"),
            format!("{program} {}\n", shown.join(" ")),
        )?;

        let errors = dir.join("qemu-stderr");
        let child = Command::new(&program)
            .args(&args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&errors)?)
            .spawn()
            .with_context(|| format!("start {program} (build/deps.sh run installs it)"))?;
        let mut qemu = Self { child, forwarded };
        let channels = Channels {
            console: qemu.accept(&console, &errors)?,
            qmp: qemu.accept(&qmp, &errors)?,
            agent: qemu.accept(&agent, &errors)?,
        };
        Ok((qemu, channels))
    }

    /// Waits for QEMU to connect.
    fn accept(&mut self, listener: &UnixListener, errors: &Path) -> Result<UnixStream> {
        let deadline = Instant::now() + START;
        loop {
            let mut fds = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
            if nix::poll::poll(&mut fds, PollTimeout::from(100u8))? > 0 {
                return Ok(listener.accept()?.0);
            }
            if let Some(status) = self.child.try_wait()? {
                let words = fs::read_to_string(errors).unwrap_or_default();
                bail!("QEMU ended at its start: {status}: {words}");
            }
            if Instant::now() > deadline {
                bail!("QEMU did not connect its channels within {START:?}");
            }
        }
    }

    /// Waits for the end of a QEMU that has closed its channels.
    ///
    /// # Errors
    /// It is not our child any more.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        self.child.wait().context("wait for QEMU")
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // Both fail only for a process that has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on just now.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn arguments(
    image: &Image,
    machine: &Machine,
    forwarded: Option<u16>,
    sockets: &Path,
) -> Vec<OsString> {
    let mut args = Vec::<OsString>::new();
    let mut add = |words: &[&str]| args.extend(words.iter().map(OsString::from));
    match image.target.arch {
        Arch::X86_64 => add(&["-M", "q35", "-cpu", "max"]),
        // The default pointer authentication costs half of TCG's speed.
        Arch::Aarch64 => add(&["-M", "virt", "-cpu", "max,pauth-impdef=on"]),
    }
    add(&[
        "-accel",
        "tcg,thread=multi",
        "-nodefaults",
        "-display",
        "none",
        "-no-reboot",
    ]);
    add(&["-m", &machine.mebibytes.to_string()]);
    add(&["-smp", &machine.processors.to_string()]);
    add(&["-kernel", &image.kernel.to_string_lossy()]);
    add(&["-initrd", &image.initrd.to_string_lossy()]);
    add(&["-append", &format!("{} {}", image.cmdline, machine.cmdline)]);
    for name in ["console", "qmp", "agent"] {
        let path = sockets.join(name);
        add(&[
            "-chardev",
            &format!("socket,id={name},path={}", path.display()),
        ]);
    }
    add(&["-serial", "chardev:console", "-qmp", "chardev:qmp"]);
    add(&["-device", "virtio-serial-pci"]);
    add(&[
        "-device",
        &format!("virtserialport,chardev=agent,name={PORT}"),
    ]);
    if machine.network {
        let forward = match (forwarded, machine.forward) {
            (Some(host), Some(guest)) => format!(",hostfwd=tcp:127.0.0.1:{host}-:{guest}"),
            _ => String::new(),
        };
        add(&["-netdev", &format!("user,id=net0{forward}")]);
        add(&["-device", "virtio-net-pci,netdev=net0,romfile="]);
    } else {
        add(&["-nic", "none"]);
    }
    add(machine.qemu);
    args
}
