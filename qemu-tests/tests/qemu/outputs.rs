//! Each format that a machine can boot, booted: by its firmware where it has
//! one, with the root mounted where it lies on a disk.

use anyhow::{Context, Result, ensure};
use hull::run::Firmware;
use qemu_tests::case::{ARM_6_12, Case, Machine, Target, X86_6_1, X86_6_12};
use qemu_tests::event::Event;
use qemu_tests::guest::Guest;
use serde_json::json;

const OLD: &[Target] = &[X86_6_1];
const ARM: &[Target] = &[ARM_6_12];
const BOTH: &[Target] = &[X86_6_12, ARM_6_12];

pub(crate) const CASES: &[Case] = &[
    case("outputs::two_gigabytes_in_256_mib", BIG, on_squashfs).machine(Machine {
        mebibytes: 256,
        ..of("kernel+squashfs")
    }),
    case("outputs::kernel_erofs", WRITABLE, on_erofs)
        .machine(of("kernel+erofs"))
        .on(OLD),
    case("outputs::kernel_iso", WRITABLE, on_squashfs).machine(of("kernel+iso")),
    case("outputs::uki", WRITABLE, in_memory).machine(of("uki")),
    case("outputs::iso_bios", WRITABLE, on_squashfs).machine(of("iso-bios")),
    case("outputs::iso_efi", WRITABLE, on_squashfs)
        .machine(of("iso-efi"))
        .on(BOTH),
    case("outputs::iso_efi_initrd", WRITABLE, in_memory).machine(of("iso-efi-initrd")),
    case("outputs::raw_bios", WRITABLE, on_squashfs)
        .machine(of("raw-bios"))
        .on(OLD),
    case("outputs::raw_efi", WRITABLE, on_squashfs)
        .machine(of("raw-efi"))
        .on(ARM),
    case("outputs::raw_hybrid_by_bios", WRITABLE, on_squashfs).machine(of("raw-hybrid")),
    case("outputs::raw_hybrid_by_efi", WRITABLE, on_squashfs).machine(Machine {
        firmware: Some(Firmware::Efi),
        ..of("raw-hybrid")
    }),
    case("outputs::qcow2_bios", WRITABLE, on_squashfs).machine(of("qcow2-bios")),
    case("outputs::qcow2_efi", WRITABLE, on_squashfs).machine(of("qcow2-efi")),
    case("outputs::vmdk", WRITABLE, on_squashfs).machine(of("vmdk")),
    case("outputs::dynamic_vhd", WRITABLE, on_squashfs).machine(of("dynamic-vhd")),
    case("outputs::vhd", WRITABLE, on_squashfs).machine(Machine {
        firmware: Some(Firmware::Efi),
        ..of("vhd")
    }),
    case("outputs::aws", WRITABLE, on_squashfs).machine(of("aws")),
    case(
        "outputs::initrd_larger_than_memory",
        HUGE,
        says_what_it_needs,
    )
    .machine(Machine {
        mebibytes: 256,
        ..Machine::PLAIN
    }),
    case(
        "outputs::disk_that_comes_later",
        WRITABLE,
        waits_for_its_disk,
    )
    .machine(Machine {
        disk: false,
        qemu: &["-device", "pcie-root-port,id=root1,chassis=1"],
        ..of("kernel+squashfs")
    }),
];

const fn case(name: &'static str, yaml: &'static str, check: fn(&Guest) -> Result<()>) -> Case {
    Case::own(name, yaml, check)
}

const fn of(format: &'static str) -> Machine {
    Machine {
        format,
        ..Machine::PLAIN
    }
}

/// A container that writes, so that an overlay lies over the root.
const WRITABLE: &str = r#"
services:
  - name: writer
    image: @PROBE
    command: ["/bin/probe", "act", "write=/data/x:written", "term=wait"]
"#;

/// The same beside a file of 2 GiB.
const BIG: &str = r#"
services:
  - name: writer
    image: @ZEROS2048
    command: ["/bin/probe", "act", "write=/data/x:written", "term=wait"]
"#;

/// More than the machine has.
const HUGE: &str = r#"
services:
  - name: writer
    image: @ZEROS400
    command: ["/bin/probe", "act", "term=wait"]
"#;

fn on_squashfs(guest: &Guest) -> Result<()> {
    on(guest, "squashfs")
}

fn on_erofs(guest: &Guest) -> Result<()> {
    on(guest, "erofs")
}

/// The root is that filesystem, the containers run, and nothing went wrong.
fn on(guest: &Guest, filesystem: &str) -> Result<()> {
    guest.wait_up()?;
    let mounts = guest.mounts(1)?;
    let root = mounts.iter().rev().find(|mount| mount.target == "/");
    let root = root.context("there is no root")?;
    ensure!(root.fstype == filesystem, "{root:?}");
    ensure!(root.options.iter().any(|o| o == "ro"), "{root:?}");
    guest.wait_event("root", "found", |e| e.text("type") == Some(filesystem))?;
    works(guest)
}

fn in_memory(guest: &Guest) -> Result<()> {
    guest.wait_up()?;
    works(guest)
}

fn works(guest: &Guest) -> Result<()> {
    let written = "/host/containers/services/writer/rootfs/data/x";
    guest.wait_file(written, "written")?;
    let system = guest.status()?.system.context("no system")?;
    ensure!(system.problems.is_empty(), "{:?}", system.problems);
    // What tells that the initrd was whole is not part of the system.
    for file in [
        "/host/begin.hullkit",
        "/host/end.hullkit",
        "/host/root.hullkit",
    ] {
        ensure!(guest.read(file).is_err(), "{file} is there");
    }
    Ok(())
}

/// It says what it waits for, and goes on when the disk is plugged in.
fn waits_for_its_disk(guest: &Guest) -> Result<()> {
    let limit = 3 * guest.patience();
    guest.console.wait("that it waits", limit, |log| {
        let mut events = log.events.iter();
        let waits = |e: &&Event| e.subject == "root" && e.state == "waiting";
        events.find(waits).map(drop)
    })?;
    let image = guest.dir().join("image-squashfs.img");
    guest.qmp.execute(
        "blockdev-add",
        &json!({"driver": "raw", "node-name": "late", "read-only": true,
            "file": {"driver": "file", "filename": image}}),
    )?;
    guest.qmp.execute(
        "device_add",
        &json!({"driver": "virtio-blk-pci", "drive": "late", "bus": "root1"}),
    )?;
    on_squashfs(guest)
}

/// One line with what there is and what there should be, before the kernel
/// gives up.
fn says_what_it_needs(guest: &Guest) -> Result<()> {
    let line = guest
        .console
        .wait("what is missing", 3 * guest.patience(), |log| {
            let mut lines = log.lines.iter();
            lines
                .find(|line| line.contains("hullkit: init: no-system"))
                .cloned()
        })?;
    ensure!(
        line.contains("the initrd does not fit into the machine's"),
        "{line}"
    );
    let wanted = line
        .split("at least ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let wanted: u32 = wanted.context("no number")?.parse()?;
    ensure!((500..1500).contains(&wanted), "{line}");
    Ok(())
}
