//! From the kernel to the services, on stock distribution kernels.

use anyhow::{Context, Result, ensure};
use hullkit_bundle::control::Entry;
use qemu_tests::case::{Case, EVERYWHERE, Machine};
use qemu_tests::event::Event;
use qemu_tests::guest::Guest;

pub(crate) const CASES: &[Case] = &[
    Case::shared("boot::reaches_the_services", "", reaches_the_services).on(EVERYWHERE),
    Case::shared(
        "boot::hardware_gets_its_modules",
        "",
        hardware_gets_its_modules,
    )
    .on(EVERYWHERE),
    Case::shared("boot::nothing_goes_wrong", "", nothing_goes_wrong).on(EVERYWHERE),
    Case::shared(
        "boot::the_console_tells_the_story",
        "",
        the_console_tells_the_story,
    )
    .on(EVERYWHERE),
    Case::own("boot::two_processors", "", reaches_the_services).machine(Machine {
        processors: 2,
        ..Machine::PLAIN
    }),
];

fn reaches_the_services(guest: &Guest) -> Result<()> {
    guest.wait_up()?;
    let system = guest
        .status()?
        .system
        .context("hullctl status: no system")?;
    ensure!(system.state == "running", "{system:?}");
    ensure!(system.kernel.starts_with(guest.target.kernel), "{system:?}");
    let onboot = system.onboot_done_ms.context("no onboot_done_ms")?;
    let services = system.services_up_ms.context("no services_up_ms")?;
    ensure!(
        system.init_ms <= onboot && onboot <= services && services <= system.uptime_ms,
        "not in order: {system:?}"
    );
    Ok(())
}

/// virtio_net is a module in both kernels; nobody names it.
fn hardware_gets_its_modules(guest: &Guest) -> Result<()> {
    let modules = guest.read("/proc/modules")?;
    ensure!(
        modules.lines().any(|line| line.starts_with("virtio_net ")),
        "{modules}"
    );
    guest.read("/sys/class/net/eth0/address")?;
    Ok(())
}

fn nothing_goes_wrong(guest: &Guest) -> Result<()> {
    let system = guest
        .status()?
        .system
        .context("hullctl status: no system")?;
    ensure!(system.problems.is_empty(), "{:?}", system.problems);
    let log = guest.console.lock();
    let trouble = ["WARNING: ", "BUG: ", "Call Trace", "segfault"];
    for line in &log.lines {
        ensure!(!trouble.iter().any(|t| line.contains(t)), "{line}");
    }
    Ok(())
}

fn the_console_tells_the_story(guest: &Guest) -> Result<()> {
    let booting = guest.wait_event("init", "booting", |_| true)?;
    let running = guest.wait_event("init", "running", |_| true)?;
    let agent = guest.wait_event("service agent", "running", |_| true)?;
    ensure!(booting.at <= running.at && running.at <= agent.at);
    let pid = agent.number("pid").context("running without pid")?;
    ensure!(i64::from(guest.pid("agent")?) == i64::try_from(pid)?);
    for entry in guest.status()?.entries {
        wait_said(guest, &entry)?;
    }
    Ok(())
}

/// Waits for the line by which `entry` came to be in its state.
fn wait_said(guest: &Guest, entry: &Entry) -> Result<()> {
    let kind = match entry.section.as_str() {
        "services" => "service",
        section => section,
    };
    let subject = format!("{kind} {}", entry.name);
    let says_so = |event: &Event| match entry.state.as_str() {
        "backoff" => event.number("restart_in_ms").is_some(),
        state => event.state == state,
    };
    // Who waits has not changed its state yet.
    if entry.state == "waiting" {
        return Ok(());
    }
    let what = format!("the line by which {subject} is {}", entry.state);
    guest.console.wait(&what, guest.patience(), |log| {
        let mut lines = log.events.iter().filter(|e| e.subject == subject);
        lines.any(says_so).then_some(())
    })
}
