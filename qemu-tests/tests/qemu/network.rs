//! The network: a lease from QEMU's DHCP server, and no card at all.

use anyhow::{Context, Result, ensure};
use qemu_tests::case::{Case, EVERYWHERE, Machine};
use qemu_tests::guest::Guest;

pub(crate) const CASES: &[Case] = &[
    Case::shared("network::dhcp_gets_a_lease", DHCP, gets_a_lease).on(EVERYWHERE),
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
