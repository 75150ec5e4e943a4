//! Hardware that comes later gets its modules too.

use anyhow::{Result, ensure};
use qemu_tests::case::{Case, KERNELS, Machine};
use qemu_tests::disk::{Disk, SLOT};
use qemu_tests::guest::Guest;
use serde_json::json;

pub(crate) const CASES: &[Case] = &[
    Case::own("hotplug::network_card", "", network_card)
        .on(KERNELS)
        .machine(Machine {
            network: false,
            qemu: &[
                "-device",
                "pcie-root-port,id=root1,chassis=1",
                "-netdev",
                "user,id=later",
            ],
            ..Machine::PLAIN
        }),
    Case::own("hotplug::disk_has_its_names", "", disk).machine(Machine {
        qemu: SLOT,
        ..Machine::PLAIN
    }),
];

fn network_card(guest: &Guest) -> Result<()> {
    guest.wait_up()?;
    let loaded = |guest: &Guest| -> Result<bool> {
        let modules = guest.read("/proc/modules")?;
        Ok(modules.lines().any(|line| line.starts_with("virtio_net ")))
    };
    ensure!(!loaded(guest)?, "virtio_net is loaded with no card there");
    guest.qmp.execute(
        "device_add",
        &json!({"driver": "virtio-net-pci", "netdev": "later", "bus": "root1", "romfile": ""}),
    )?;
    guest.wait_file("/proc/modules", "virtio_net ")?;
    guest.wait_file("/proc/net/dev", "eth0:")?;
    Ok(())
}

/// A disk with a filesystem of the real `mkfs.ext4`: its links come and go with
/// it.
fn disk(guest: &Guest) -> Result<()> {
    const UUID: &str = "67e55044-10b1-426f-9247-bb680e5fe0c8";
    guest.wait_up()?;
    let disk = Disk::ext4(
        guest.dir().join("disk.img"),
        8,
        &["-U", UUID, "-L", "my data"],
    )?;
    disk.plug(guest, "disk1", "hull 1")?;
    let by = |kind: &str| guest.list(&format!("/dev/disk/{kind}")).unwrap_or_default();
    let has = |kind: &str, name: &str| by(kind).iter().any(|link| link == name);
    guest.wait_status("the disk's names", |_| {
        let all =
            has("by-uuid", UUID) && has("by-label", "my\\x20data") && has("by-id", "virtio-hull_1");
        all.then_some(())
    })?;
    let place = by("by-path");
    ensure!(
        place.iter().any(|name| name.starts_with("pci-")),
        "{place:?}"
    );
    guest.qmp.execute("device_del", &json!({"id": "disk1"}))?;
    guest.wait_status("no names without the disk", |_| {
        let kinds = ["by-uuid", "by-label", "by-id", "by-path"];
        kinds.iter().all(|kind| by(kind).is_empty()).then_some(())
    })
}
