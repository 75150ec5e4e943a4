//! The network: a lease from QEMU's DHCP server, and no card at all.

use anyhow::{Context, Result, ensure};
use qemu_tests::case::{Case, EVERYWHERE, KERNELS, Machine};
use qemu_tests::guest::Guest;

pub(crate) const CASES: &[Case] = &[
    Case::shared("network::dhcp_gets_a_lease", DHCP, gets_a_lease).on(EVERYWHERE),
    Case::shared("network::interfaces_of_a_container", INTERFACES, interfaces).on(KERNELS),
    Case::own(
        "network::no_card_is_named_and_the_boot_goes_on",
        DHCP,
        no_card,
    )
    .machine(Machine {
        network: false,
        ..Machine::PLAIN
    }),
];

const DHCP: &str = r#"
onboot:
  - name: dhcp
    image: hullkit/dhcp
    command: ["/usr/bin/dhcp", "--one-shot"]
    timeout: 20s
"#;

/// What QEMU's user network gives: address 10.0.2.15, gateway 10.0.2.2, name
/// server 10.0.2.3.
fn gets_a_lease(guest: &Guest) -> Result<()> {
    let bundle = guest.bundle("dhcp")?;
    let entry = guest.entry(&bundle)?;
    ensure!(
        entry.state == "exited" && entry.code == Some(0),
        "{entry:?}"
    );
    let addresses = guest.read("/proc/net/fib_trie")?;
    ensure!(addresses.contains("10.0.2.15"), "{addresses}");
    // Addresses are hexadecimal there, the lowest byte first.
    let routes = guest.read("/proc/net/route")?;
    let default = routes
        .lines()
        .find(|line| line.split_whitespace().nth(1) == Some("00000000"))
        .with_context(|| format!("no default route: {routes}"))?;
    ensure!(default.starts_with("eth0\t00000000\t0202000A"), "{default}");
    let resolv = guest.read("/run/resolvconf/resolv.conf")?;
    ensure!(
        resolv.lines().any(|line| line == "nameserver 10.0.2.3"),
        "{resolv}"
    );
    Ok(())
}

const INTERFACES: &str = r#"
services:
  - name: interfaces
    image: @PROBE
    command: ["/bin/probe", "probe", "interfaces"]
    net: new
    runtime:
      interfaces:
        - {name: dummy0, add: dummy}
        - {name: moved0, add: dummy, createInRoot: true}
        - {name: inside, add: veth, peer: outside}
"#;

fn interfaces(guest: &Guest) -> Result<()> {
    let names = |text: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        lines.map(|(name, _)| name.trim().to_owned()).collect()
    };
    let mut inside = names(&guest.probe("interfaces")?.read("/proc/net/dev")?);
    inside.sort_unstable();
    ensure!(inside == ["dummy0", "inside", "lo", "moved0"], "{inside:?}");
    let outside = names(&guest.read("/proc/net/dev")?);
    ensure!(outside.contains(&"outside".to_owned()), "{outside:?}");
    ensure!(
        !outside.iter().any(|name| name.starts_with("dummy")),
        "{outside:?}"
    );
    Ok(())
}

fn no_card(guest: &Guest) -> Result<()> {
    let failed = guest.wait_event("onboot 000-dhcp", "failed", |_| true)?;
    ensure!(
        failed.number("code").is_some_and(|code| code != 0) || failed.number("signal").is_some(),
        "{failed:?}"
    );
    guest.wait_up()?;
    let entry = guest.entry("000-dhcp")?;
    ensure!(entry.state == "failed", "{entry:?}");
    let log = guest.hullctl(&["logs", "000-dhcp"])?;
    ensure!(!log.trim().is_empty(), "it says nothing of why");
    Ok(())
}
