//! Kernel modules at boot.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use hullkit_bundle::layout::{self, Section};
use hullkit_bundle::runtime::Mount;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Booted, mounts};
use crate::Error;
use crate::cmdline::Cmdline;
use crate::modules::coldplug::{self, Part};
use crate::modules::{Modules, nodes};

/// Where the kernel learns whom to ask for a module.
const HELPER: &str = "/proc/sys/kernel/modprobe";

/// Lets the kernel ask nobody for a module, until [`run`]: there is nobody yet,
/// and to start a helper that is not there takes it milliseconds.
///
/// # Errors
/// The kernel's word.
pub(super) fn ask_nobody() -> Result<(), Error> {
    match fs::write(HELPER, "\n") {
        // A kernel without modules.
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        result => result.map_err(Error::os("write", HELPER)),
    }
}

/// Loads what the hardware and the command line ask for, and has the kernel
/// ask us for the rest.
pub(super) fn run(booted: &mut Booted) {
    match Modules::open(&booted.cmdline) {
        Ok(Some(modules)) => {
            let told = fs::write(HELPER, layout::INIT).map_err(Error::os("write", HELPER));
            booted.note("modules", told);
            booted.note("modules", make_nodes(&modules));
            load(booted, &modules);
        }
        Ok(None) => none(booted),
        Err(error) => booted.problems.push(format!("modules: {error}")),
    }
}

fn load(booted: &mut Booted, modules: &Modules) {
    if booted.cmdline.coldplug {
        let part = part(&booted.cmdline, Path::new("/"));
        let loaded = coldplug::run(modules, Path::new("/sys"), part);
        if let Some(loaded) = booted.note("modules", loaded) {
            for error in loaded.failed {
                booted.problems.push(format!("modules: {error}"));
            }
        }
    }
    for name in booted.cmdline.modules.clone() {
        booted.note("hullkit.modules", modules.load(&name));
    }
    // A machine that was booted by EFI has the folder; the filesystem for it
    // is a module in many kernels.
    if Path::new(mounts::EFIVARS).exists() && modules.load("efivarfs").is_ok() {
        mounts::mount_efivars(booted);
    }
}

/// All that the hardware needs, where an onboot container is given the
/// machine's devices (it may want to format a disk, and cannot know that one
/// is to come), or where no process would load the rest.
fn part(cmdline: &Cmdline, root: &Path) -> Part {
    if !cmdline.uevent || onboot_wants_devices(root) {
        Part::All
    } else {
        Part::Now
    }
}

fn onboot_wants_devices(root: &Path) -> bool {
    let entries = fs::read_dir(Section::Onboot.dir(root));
    entries.into_iter().flatten().flatten().any(|entry| {
        let read = |name| fs::read(entry.path().join(name)).unwrap_or_default();
        wants_devices(&read(layout::CONFIG_JSON)) || wants_devices(&read(layout::RUNTIME_JSON))
    })
}

/// What of a bundle's `config.json` or `runtime.json` is about devices.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Bundle {
    mounts: Vec<Mount>,
    linux: Linux,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Linux {
    devices: Vec<IgnoredAny>,
}

/// Whether a bundle mounts something of `/dev` or has devices of its own. A
/// broken file is another's business.
fn wants_devices(json: &[u8]) -> bool {
    let bundle: Bundle = serde_json::from_slice(json).unwrap_or_default();
    let devices = |mount: &Mount| mount.source == "/dev" || mount.source.starts_with("/dev/");
    !bundle.linux.devices.is_empty() || bundle.mounts.iter().any(devices)
}

fn make_nodes(modules: &Modules) -> Result<(), Error> {
    nodes::make(&modules.devnames()?, Path::new("/dev"))
}

/// No modules for this kernel: right where all is built in, wrong where the
/// image has another kernel's.
fn none(booted: &mut Booted) {
    let others = fs::read_dir(layout::MODULES).is_ok_and(|mut entries| entries.next().is_some());
    if others {
        booted.problems.push(format!(
            "modules: {} has none for this kernel, only another's",
            layout::MODULES
        ));
    }
    for name in &booted.cmdline.modules {
        booted
            .problems
            .push(format!("hullkit.modules: {name}: the image has no modules"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_wants_devices() {
        let yes = [
            r#"{"mounts":[{"destination":"/dev","type":"bind","source":"/dev"}]}"#,
            r#"{"mounts":[{"destination":"/x","source":"/dev/sda1","type":"ext4"}]}"#,
            r#"{"linux":{"devices":[{"path":"/dev/sda","type":"b"}]}}"#,
        ];
        let no = [
            r#"{"mounts":[{"destination":"/dev","type":"tmpfs","source":"tmpfs"}]}"#,
            r#"{"mounts":[{"destination":"/x","source":"/device"}],"linux":{}}"#,
            r#"{"mounts":7}"#,
            "",
        ];
        assert!(yes.iter().all(|json| wants_devices(json.as_bytes())));
        assert!(!no.iter().any(|json| wants_devices(json.as_bytes())));
    }

    #[test]
    fn only_onboot_containers_count() {
        let root = tempfile::tempdir().unwrap();
        let bundle = |section: Section| {
            let dir = section.dir(root.path()).join("a");
            fs::create_dir_all(&dir).unwrap();
            let json = r#"{"mounts":[{"source":"/dev"}]}"#;
            fs::write(dir.join(layout::CONFIG_JSON), json).unwrap();
        };
        let cmdline = Cmdline::default();
        bundle(Section::Services);
        assert_eq!(part(&cmdline, root.path()), Part::Now);
        bundle(Section::Onboot);
        assert_eq!(part(&cmdline, root.path()), Part::All);
    }

    #[test]
    fn without_the_uevent_process_everything_is_loaded_at_boot() {
        let cmdline = Cmdline::parse("hullkit.uevent=0");
        assert_eq!(part(&cmdline, Path::new("/nowhere")), Part::All);
    }
}
