//! Modules for the devices that are there at boot.
//!
//! Each device that a module may drive says so in its `modalias`. A module
//! that is loaded may bring further devices (a virtio bus its disks), so the
//! walk is repeated until it finds nothing new.
//!
//! It is done in two parts. PID 1 loads what containers rely on from their
//! start ([`Part::Now`]). The rest (controllers whose disks take a second to
//! answer, input, sensors) is loaded by the uevent process while containers
//! start already.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use super::{Loaded, Modules};
use crate::Error;

/// What to load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What containers rely on: networks, quick disks, the buses of virtual
    /// machines.
    Now,
    /// Everything.
    All,
}

/// Folders of the kernel's modules that [`Part::Now`] takes.
const NOW: [&str; 17] = [
    "kernel/drivers/block/",
    "kernel/drivers/bus/",
    "kernel/drivers/char/tpm/",
    "kernel/drivers/char/virtio_console",
    "kernel/drivers/hv/",
    "kernel/drivers/net/",
    "kernel/drivers/nvdimm/",
    "kernel/drivers/nvme/",
    "kernel/drivers/of/",
    "kernel/drivers/pci/",
    "kernel/drivers/rtc/",
    "kernel/drivers/tty/",
    "kernel/drivers/vdpa/",
    "kernel/drivers/virtio/",
    "kernel/drivers/xen/",
    "kernel/fs/",
    "kernel/net/",
];

impl Part {
    /// Whether the module with this file belongs to it.
    fn takes(self, path: &str) -> bool {
        self == Self::All || NOW.iter().any(|folder| path.starts_with(folder))
    }

    /// Whether to look at the devices of `bus`. The kernel asks the firmware
    /// for each ACPI device, which takes longer than all other buses together;
    /// a device that a driver of this part would want is on the platform bus
    /// as well, under the same name.
    fn looks_at(self, bus: &str) -> bool {
        !SILENT_BUSES.contains(&bus) && (self == Self::All || bus != "acpi")
    }
}

/// Devices of these buses have no modalias, or all the same, or nothing that
/// a module would drive; a big machine has thousands of them.
const SILENT_BUSES: [&str; 7] = [
    "clockevents",
    "clocksource",
    "container",
    "event_source",
    "memory",
    "node",
    "workqueue",
];

/// Loads what drives the devices below `sys` (`/sys` in the guest).
///
/// # Errors
/// `modules.alias` cannot be read.
pub fn run(modules: &Modules, sys: &Path, part: Part) -> Result<Loaded, Error> {
    let mut known: BTreeSet<Vec<u8>> = BTreeSet::new();
    let mut total = Loaded::default();
    loop {
        let fresh: Vec<Vec<u8>> = scan(sys, part).difference(&known).cloned().collect();
        if fresh.is_empty() {
            return Ok(total);
        }
        let loaded = modules.load_for(&fresh, |path| part.takes(path))?;
        let done = loaded.count == 0;
        total.count += loaded.count;
        total.failed.extend(loaded.failed);
        if done {
            return Ok(total);
        }
        known.extend(fresh);
    }
}

/// The modaliases of the devices on all buses, and of input devices, which
/// have one and no bus.
fn scan(sys: &Path, part: Part) -> BTreeSet<Vec<u8>> {
    let mut found = BTreeSet::new();
    for bus in names(&sys.join("bus")) {
        if part.looks_at(&bus) {
            scan_folder(&sys.join("bus").join(bus).join("devices"), &mut found);
        }
    }
    if part == Part::All {
        scan_folder(&sys.join("class/input"), &mut found);
    }
    found
}

fn scan_folder(folder: &Path, found: &mut BTreeSet<Vec<u8>>) {
    for device in names(folder) {
        if let Some(modalias) = read(&folder.join(device).join("modalias")) {
            found.insert(modalias);
        }
    }
}

/// The entries of a folder; none where it is not there. What is not UTF-8 is
/// no name of the kernel's.
fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect()
}

/// A `modalias`: one line, at most a page. A device may go while it is read.
fn read(path: &Path) -> Option<Vec<u8>> {
    let mut page = [0; 4096];
    let length = File::open(path).ok()?.read(&mut page).ok()?;
    let line = page.get(..length)?.trim_ascii_end();
    (!line.is_empty()).then(|| line.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_of_buses_and_inputs_are_found_once() {
        let sys = tempfile::tempdir().unwrap();
        let device = |folder: &str, modalias: &str| {
            let folder = sys.path().join(folder);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("modalias"), modalias).unwrap();
        };
        device("bus/pci/devices/a", "pci:v1\n");
        device("bus/pci/devices/b", "pci:v1\n");
        device("bus/virtio/devices/v", "virtio:d1\n");
        device("bus/memory/devices/m", "memory\n");
        device("bus/acpi/devices/p", "acpi:PNP1:\n");
        device("class/input/input0", "input:b0\n");
        device("bus/pci/devices/empty", "\n");
        fs::create_dir_all(sys.path().join("bus/pci/devices/none")).unwrap();
        let scan = |part| Vec::from_iter(super::scan(sys.path(), part));
        let now = [&b"pci:v1"[..], b"virtio:d1"];
        assert_eq!(scan(Part::Now), now);
        let all = [&b"acpi:PNP1:"[..], b"input:b0", b"pci:v1", b"virtio:d1"];
        assert_eq!(scan(Part::All), all);
    }

    #[test]
    fn what_containers_rely_on_is_loaded_before_them() {
        for path in [
            "kernel/drivers/net/virtio_net.ko",
            "kernel/drivers/block/virtio_blk.ko.xz",
            "kernel/drivers/char/virtio_console.ko",
        ] {
            assert!(Part::Now.takes(path), "{path}");
        }
        let later = "kernel/drivers/ata/ahci.ko";
        assert!(!Part::Now.takes(later) && Part::All.takes(later));
    }
}
