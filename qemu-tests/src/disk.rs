//! A disk of the host's making: formatted by the real `mkfs.ext4`, plugged in
//! while the guest runs, and looked at again when the guest has ended.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::guest::Guest;

/// What a machine needs for [`Disk::plug`], on QEMU's command line.
pub const SLOT: &[&str] = &["-device", "pcie-root-port,id=root1,chassis=1"];

/// A disk, in a file.
#[derive(Debug)]
pub struct Disk {
    file: PathBuf,
}

impl Disk {
    /// An ext4 of so many MiB in the file `file`. `args`: of `mkfs.ext4`.
    ///
    /// # Errors
    /// There is no room for it, or no `mkfs.ext4`.
    pub fn ext4(file: PathBuf, mebibytes: u64, args: &[&str]) -> Result<Self> {
        File::create(&file)?.set_len(mebibytes << 20)?;
        let disk = Self { file };
        let made = disk.tool("mkfs.ext4", &[&["-q", "-F"], args].concat())?;
        ensure!(made.status.success(), "{made:?}");
        Ok(disk)
    }

    fn tool(&self, name: &str, args: &[&str]) -> Result<Output> {
        Command::new(name)
            .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
            .args(args)
            .arg(&self.file)
            .output()
            .with_context(|| format!("{name}: build/deps.sh test installs it"))
    }

    /// Plugs it into the slot of a running guest ([`SLOT`]), as `id`, with the
    /// serial number `serial`.
    ///
    /// # Errors
    /// QEMU refuses.
    pub fn plug(&self, guest: &Guest, id: &str, serial: &str) -> Result<()> {
        let path = self.file.to_str().context("a path that is not UTF-8")?;
        guest.qmp.execute(
            "blockdev-add",
            &json!({"driver": "file", "node-name": id, "filename": path}),
        )?;
        guest.qmp.execute(
            "device_add",
            &json!({"driver": "virtio-blk-pci", "id": id, "drive": id, "bus": "root1",
                    "serial": serial}),
        )?;
        Ok(())
    }

    /// Whether its filesystem was unmounted and is as it should be; the guest
    /// has ended.
    ///
    /// # Errors
    /// It is not: in the words of `fsck.ext4`.
    pub fn is_clean(&self) -> Result<()> {
        let state = self.tool("dumpe2fs", &["-h"])?;
        let state = String::from_utf8_lossy(&state.stdout).into_owned();
        ensure!(!state.contains("needs_recovery"), "{state}");
        let checked = self.tool("fsck.ext4", &["-f", "-n"])?;
        ensure!(checked.status.code() == Some(0), "{checked:?}");
        Ok(())
    }

    /// The content of a file in it; empty where there is none.
    ///
    /// # Errors
    /// `debugfs` is not there.
    pub fn read(&self, path: &Path) -> Result<String> {
        let request = format!("cat {}", path.display());
        let read = self.tool("debugfs", &["-R", &request])?;
        String::from_utf8(read.stdout).context("a file on the disk")
    }
}
