//! Hardware that comes later gets its modules too.

use anyhow::{Result, ensure};
use qemu_tests::case::{Case, KERNELS, Machine};
use qemu_tests::guest::Guest;
use serde_json::json;

pub(crate) const CASES: &[Case] = &[Case::own("hotplug::network_card", "", network_card)
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
    })];

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
