//! A QEMU process: started with its channels connected, killed when dropped.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use agent_protocol::PORT;
use anyhow::{Context, Result, bail};
use hull::run::{Forward, QemuCommand, Serial};

use crate::case::Machine;
use crate::image::Image;

/// How long QEMU may take to open its channels.
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
    /// QMP. The machine stands still until it is told to go on (`cont`), so
    /// that nothing is said before somebody listens.
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
        let socket = |name: &str| sockets.path().join(name);
        let forwarded = machine.forward.map(|_| free_port()).transpose()?;
        let command = image
            .command(machine)
            .serial(Serial::Socket(socket("console")))
            .channel(PORT, socket("agent"))
            .monitor(socket("qmp"))
            .extra(["-S"]);
        let command = network(command, machine, forwarded);
        fs::write(dir.join("qemu-command"), format!("{command}\n"))?;

        let errors = dir.join("qemu-stderr");
        let child = command
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&errors)?)
            .spawn()
            .with_context(|| {
                format!(
                    "start {} (build/deps.sh run installs it)",
                    command.program()
                )
            })?;
        let mut qemu = Self { child, forwarded };
        let channels = Channels {
            console: qemu.connect(&socket("console"), &errors)?,
            qmp: qemu.connect(&socket("qmp"), &errors)?,
            agent: qemu.connect(&socket("agent"), &errors)?,
        };
        Ok((qemu, channels))
    }

    /// Connects to a socket that QEMU opens as it starts.
    fn connect(&mut self, socket: &Path, errors: &Path) -> Result<UnixStream> {
        let deadline = Instant::now() + START;
        loop {
            match UnixStream::connect(socket) {
                Ok(stream) => return Ok(stream),
                Err(e) if Instant::now() > deadline => {
                    return Err(e).with_context(|| format!("connect {}", socket.display()));
                }
                // Not there yet.
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
            if let Some(status) = self.child.try_wait()? {
                let words = fs::read_to_string(errors).unwrap_or_default();
                bail!("QEMU ended at its start: {status}: {words}");
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

fn network(command: QemuCommand, machine: &Machine, forwarded: Option<u16>) -> QemuCommand {
    if !machine.network {
        return command;
    }
    let forward = machine.forward.zip(forwarded);
    command.net(forward.map(|(guest, host)| Forward { host, guest }))
}

/// A port that nobody listens on just now.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
