//! The examples that people start from, and the main job on real input.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use qemu_tests::case::{ARCHES, Case, Machine};
use qemu_tests::console::Log;
use qemu_tests::guest::Guest;
use qemu_tests::resp::Redis;

pub(crate) const CASES: &[Case] = &[
    Case::own(
        "examples::minimal_has_a_shell_that_powers_off",
        MINIMAL,
        minimal,
    )
    .on(ARCHES)
    .machine(Machine {
        base: false,
        ..Machine::PLAIN
    }),
    Case::own("examples::redis_survives_being_killed", REDIS, redis)
        .on(ARCHES)
        .machine(Machine {
            forward: Some(6379),
            ..Machine::PLAIN
        }),
];

const MINIMAL: &str = "@EXAMPLE minimal.yml";
const REDIS: &str = "@EXAMPLE redis.yml";

/// As `make boot` is used: the console is all there is.
fn minimal(guest: &Guest) -> Result<()> {
    // The kernel writes on the same console, also behind a prompt.
    let shown = |text: &'static str| {
        move |log: &Log| {
            let mut lines = log.lines.iter().chain([&log.partial]);
            lines.any(|line| line.contains(text)).then_some(())
        }
    };
    let console = &guest.console;
    console.wait("the shell's prompt", 2 * guest.patience(), shown("~ # "))?;
    guest.type_text("echo six=$((2 * 3))\n")?;
    console.wait("the shell's answer", guest.patience(), shown("six=6"))?;
    guest.type_text("poweroff\n")?;
    guest.wait_poweroff(guest.patience())
}

fn redis(guest: &Guest) -> Result<()> {
    guest.wait_up()?;
    let address = guest.forwarded()?;
    let limit: Duration = 2 * guest.patience();
    let mut client = Redis::connect(address, limit)?;
    ensure!(client.command(&["SET", "hull", "kit"])?.as_deref() == Some("OK"));
    ensure!(client.command(&["GET", "hull"])?.as_deref() == Some("kit"));
    ensure!(client.command(&["INCR", "count"])?.as_deref() == Some("1"));

    let pid = guest.pid("redis")?;
    let kernel = client.command(&["INFO", "server"])?.context("no INFO")?;
    ensure!(kernel.contains("redis_version:"), "{kernel}");
    guest.kill(pid, 9)?;
    guest.wait_event("service redis", "failed", |e| e.number("signal") == Some(9))?;
    let mut client = Redis::connect(address, limit)?;
    ensure!(client.command(&["SET", "hull", "again"])?.as_deref() == Some("OK"));
    ensure!(client.command(&["GET", "hull"])?.as_deref() == Some("again"));
    ensure!(guest.pid("redis")? != pid);
    Ok(())
}
