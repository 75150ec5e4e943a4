//! Where PID 1's own output goes, and the kernel log.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;

use nix::unistd;

use super::Booted;
use crate::Error;

/// Opens `/dev/console` as descriptors 0, 1 and 2, or `/dev/null` on a machine
/// that has no console, and lets `/dev/kmsg` take all that is written to it.
pub(super) fn open(booted: &mut Booted) {
    booted.note("console", standard_descriptors());
    let path = "/proc/sys/kernel/printk_devkmsg";
    // By default the kernel drops what a program writes in a burst: a boot.
    // It takes the word only with its newline.
    booted.note(
        "console",
        fs::write(path, "on\n").map_err(Error::os("write", path)),
    );
}

fn standard_descriptors() -> Result<(), Error> {
    let file = console()
        .or_else(|_| null())
        .map_err(Error::os("open", "/dev/null"))?;
    unistd::dup2_stdin(&file).map_err(Error::os("dup", "stdin"))?;
    unistd::dup2_stdout(&file).map_err(Error::os("dup", "stdout"))?;
    unistd::dup2_stderr(&file).map_err(Error::os("dup", "stderr"))
}

/// `O_NOCTTY`: the console is for a shell to have as its terminal.
fn console() -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(nix::libc::O_NOCTTY)
        .open("/dev/console")
}

fn null() -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/null")
}
