//! The machine's power buttons: input devices that have `KEY_POWER`. ACPI's is
//! one (`button.ko`), a board's by GPIO (`gpio_keys.ko`), and a keyboard's key.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::poll::{PollFd, PollFlags};

use super::SUBJECT;
use crate::klog::{Level, Line};
use crate::sys::input;

/// `linux/input-event-codes.h`.
const KEY_POWER: u16 = 116;

/// Where the event devices are (`evdev.ko`).
const DEVICES: &str = "/dev/input";

/// The power buttons that are there.
#[derive(Debug, Default)]
pub(super) struct Buttons(Vec<Button>);

#[derive(Debug)]
struct Button {
    path: PathBuf,
    device: File,
}

impl Buttons {
    /// Opens those that are new. A device that cannot be read is none.
    pub(super) fn look(&mut self) {
        let Ok(entries) = fs::read_dir(DEVICES) else {
            return;
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            let known = self.0.iter().any(|button| button.path == path);
            if !known && let Some(device) = open(&path) {
                Line::new(Level::Info, SUBJECT, "watching")
                    .with("power_button", name(&path))
                    .write();
                self.0.push(Button { path, device });
            }
        }
    }

    /// What to wait for.
    pub(super) fn to_poll(&self) -> impl Iterator<Item = PollFd<'_>> {
        let devices = self.0.iter().map(|button| button.device.as_fd());
        devices.map(|device| PollFd::new(device, PollFlags::POLLIN))
    }

    /// Takes what the buttons say, and forgets those that are gone. Whether
    /// one was pressed.
    pub(super) fn pressed(&mut self) -> bool {
        let mut pressed = false;
        self.0.retain(|button| {
            loop {
                match input::read_press(&button.device, KEY_POWER) {
                    Ok(press) => pressed |= press,
                    Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
                }
            }
        });
        pressed
    }
}

/// What the driver calls it (`/sys/class/input`), else its path.
fn name(path: &Path) -> String {
    let file = path.file_name().unwrap_or_default();
    let told = Path::new("/sys/class/input").join(file).join("device/name");
    match fs::read_to_string(told) {
        Ok(name) => name.trim_end().to_owned(),
        Err(_) => path.display().to_string(),
    }
}

fn open(path: &Path) -> Option<File> {
    let name = path.file_name()?.to_str()?;
    if !name.starts_with("event") {
        return None;
    }
    let mut options = OpenOptions::new();
    let device = options
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .ok()?;
    input::has_key(&device, KEY_POWER)
        .is_ok_and(|has| has)
        .then_some(device)
}
