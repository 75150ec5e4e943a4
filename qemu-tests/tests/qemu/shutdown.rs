//! The way down.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use qemu_tests::case::{Case, EVERYWHERE, KERNELS};
use qemu_tests::event;
use qemu_tests::guest::{Guest, HULLCTL};
use serde_json::json;

pub(crate) const CASES: &[Case] = &[
    Case::own("shutdown::poweroff", "", poweroff).on(EVERYWHERE),
    Case::own("shutdown::reboot", "", reboot).on(EVERYWHERE),
    Case::own(
        "shutdown::in_reverse_order_then_onshutdown",
        ORDER,
        in_order,
    ),
    Case::own(
        "shutdown::stubborn_service_is_killed_in_time",
        STUBBORN,
        stubborn,
    )
    .on(KERNELS),
    Case::own("shutdown::power_button", "", power_button),
    Case::own("shutdown::signal_to_init", "", signal_to_init),
];

/// From the first line of the way down to the kernel's last, in a machine
/// whose services end when they are asked. Emulated, so far above real time.
const LIMIT: Duration = Duration::from_secs(5);

/// Asks for the machine's end. The agent goes down too, maybe before it has
/// answered.
fn ask(guest: &Guest, how: &str) {
    let _answer = guest.exec(&[HULLCTL, how]);
}

/// How long the way down took, by the kernel's clock.
fn took(guest: &Guest) -> Result<Duration> {
    let begin = guest.wait_event("init", "stopping", |_| true)?.at;
    let log = guest.console.lock();
    let end = log
        .lines
        .iter()
        .filter_map(|line| event::kernel_line(line))
        .find(|line| line.text.starts_with("reboot: "))
        .context("the kernel did not say that it ends")?;
    Ok(end.at - begin)
}

fn poweroff(guest: &Guest) -> Result<()> {
    guest.wait_up()?;
    ask(guest, "poweroff");
    guest.wait_poweroff(guest.patience())?;
    let took = took(guest)?;
    ensure!(took < LIMIT, "{took:?}");
    Ok(())
}

fn reboot(guest: &Guest) -> Result<()> {
    guest.wait_up()?;
    ask(guest, "reboot");
    let end = guest.wait_end(guest.patience())?;
    ensure!(end.reason == "guest-reset", "{end:?}");
    let took = took(guest)?;
    ensure!(took < LIMIT, "{took:?}");
    Ok(())
}

const ORDER: &str = r#"
services:
  - name: base
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait", "sleep=200"]
  - name: front
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait", "sleep=200"]
    requires: [base]
onshutdown:
  - name: one
    image: @PROBE
    command: ["/bin/probe", "act", "sleep=100"]
  - name: fails
    image: @PROBE
    command: ["/bin/probe", "act", "exit=4"]
  - name: two
    image: @PROBE
    command: ["/bin/probe", "act"]
"#;

fn in_order(guest: &Guest) -> Result<()> {
    guest.wait_up()?;
    ask(guest, "poweroff");
    guest.wait_poweroff(guest.patience())?;
    let at = |subject: &str, state: &str| {
        let events = guest.events(subject);
        let found = events.iter().rev().find(|e| e.state == state);
        found
            .map(|e| e.at)
            .with_context(|| format!("{subject}: no {state}"))
    };
    let story = [
        at("init", "stopping")?,
        at("service front", "exited")?,
        at("service base", "stopping")?,
        at("service base", "exited")?,
        at("onshutdown 000-one", "running")?,
        at("onshutdown 000-one", "exited")?,
        at("onshutdown 001-fails", "failed")?,
        at("onshutdown 002-two", "running")?,
        at("onshutdown 002-two", "exited")?,
    ];
    ensure!(story.is_sorted(), "{story:?}");
    Ok(())
}

const STUBBORN: &str = r#"
services:
  - name: stubborn
    image: @PROBE
    command: ["/bin/probe", "act", "term=ignore", "forever"]
    stopTimeout: 1s
  - name: stopped
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
    stopTimeout: 1s
  - name: frozen
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
    stopTimeout: 1s
"#;

/// One that does not want to end, and two that cannot hear that they should.
fn stubborn(guest: &Guest) -> Result<()> {
    const SIGSTOP: i32 = 19;
    guest.wait_up()?;
    guest.kill(guest.pid("stopped")?, SIGSTOP)?;
    guest.ask(&agent_protocol::Op::Write {
        path: "/host/sys/fs/cgroup/hullkit/services/frozen/cgroup.freeze".to_owned(),
        text: "1".to_owned(),
    })?;
    ask(guest, "poweroff");
    guest.wait_poweroff(guest.patience())?;
    let took = took(guest)?;
    ensure!(
        took >= Duration::from_secs(1),
        "{took:?}: it was not waited for"
    );
    ensure!(took < Duration::from_secs(1) + LIMIT, "{took:?}");
    for name in ["stubborn", "stopped", "frozen"] {
        let all = guest.events(&format!("service {name}"));
        let killed = |e: &event::Event| e.number("signal") == Some(9) && e.state != "stopping";
        ensure!(all.iter().any(killed), "{name}: {all:?}");
    }
    Ok(())
}

/// ACPI's. A machine without firmware has its button at a GPIO, for which
/// Debian's arm64 cloud kernel has no driver.
fn power_button(guest: &Guest) -> Result<()> {
    // Its driver comes after the services; a press before that is nobody's.
    guest.wait_event("init uevent", "watching", |event| {
        event
            .fields
            .get("power_button")
            .is_some_and(|name| name == "Power Button")
    })?;
    guest.qmp.execute("system_powerdown", &json!({}))?;
    guest.wait_poweroff(guest.patience())
}

/// By the usual conventions: SIGUSR2 powers off.
fn signal_to_init(guest: &Guest) -> Result<()> {
    guest.wait_up()?;
    // The agent goes down too, maybe before it has answered.
    let _answer = guest.kill(1, 12);
    guest.wait_poweroff(guest.patience())
}
