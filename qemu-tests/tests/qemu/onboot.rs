//! Onboot entries: order, and what their failure means.

use std::time::Duration;

use anyhow::{Result, ensure};
use qemu_tests::case::{Case, EVERYWHERE};
use qemu_tests::guest::Guest;

pub(crate) const CASES: &[Case] = &[
    Case::shared("onboot::one_after_another", ORDER, one_after_another).on(EVERYWHERE),
    Case::shared(
        "onboot::a_failure_is_named_and_the_boot_goes_on",
        FAILURE,
        failure,
    ),
    Case::shared("onboot::too_slow_is_killed", TIMEOUT, timeout),
    Case::own("onboot::on_failure_stop", STOP, stop),
    Case::own("onboot::on_failure_reboot", REBOOT, reboot),
    Case::own("onboot::on_failure_poweroff", POWEROFF, poweroff),
];

fn ensure_never_ran(guest: &Guest, subject: &str) -> Result<()> {
    let events = guest.events(subject);
    ensure!(events.iter().all(|e| e.state != "running"), "{events:?}");
    Ok(())
}

const ORDER: &str = r#"
onboot:
  - name: order-a
    image: @PROBE
    command: ["/bin/probe", "act", "sleep=150", "append=/run/onboot-order:a"]
    binds: ["/run:/run"]
  - name: order-b
    image: @PROBE
    command: ["/bin/probe", "act", "append=/run/onboot-order:b"]
    binds: ["/run:/run"]
  - name: order-c
    image: @PROBE
    command: ["/bin/probe", "act", "append=/run/onboot-order:c"]
    binds: ["/run:/run"]
"#;

fn one_after_another(guest: &Guest) -> Result<()> {
    ensure!(guest.read("/run/onboot-order")? == "a\nb\nc\n");
    let mut ended = Duration::ZERO;
    for name in ["order-a", "order-b", "order-c"] {
        let subject = format!("onboot {}", guest.bundle(name)?);
        let running = guest.wait_event(&subject, "running", |_| true)?;
        let exited = guest.wait_event(&subject, "exited", |e| e.number("code") == Some(0))?;
        ensure!(ended <= running.at && running.at <= exited.at, "{name}");
        ended = exited.at;
        ensure!(guest.entry(&guest.bundle(name)?)?.state == "exited");
    }
    // No service runs before the last of them.
    let agent = guest.wait_event("service agent", "running", |_| true)?;
    ensure!(ended <= agent.at);
    Ok(())
}

const FAILURE: &str = r#"
onboot:
  - name: fails
    image: @PROBE
    command: ["/bin/probe", "act", "exit=3"]
"#;

fn failure(guest: &Guest) -> Result<()> {
    let bundle = guest.bundle("fails")?;
    guest.wait_event(&format!("onboot {bundle}"), "failed", |e| {
        e.number("code") == Some(3)
    })?;
    let entry = guest.entry(&bundle)?;
    ensure!(
        entry.state == "failed" && entry.code == Some(3),
        "{entry:?}"
    );
    Ok(())
}

const TIMEOUT: &str = r#"
onboot:
  - name: too-slow
    image: @PROBE
    command: ["/bin/probe", "act", "term=ignore", "forever"]
    timeout: 500ms
"#;

fn timeout(guest: &Guest) -> Result<()> {
    let bundle = guest.bundle("too-slow")?;
    let failed = guest.wait_event(&format!("onboot {bundle}"), "failed", |_| true)?;
    let ran = failed.number("ms").unwrap_or_default();
    ensure!((500..5000).contains(&ran), "{failed:?}");
    let entry = guest.entry(&bundle)?;
    ensure!(entry.state == "failed", "{entry:?}");
    Ok(())
}

const STOP: &str = r#"
onboot:
  - name: must-work
    image: @PROBE
    command: ["/bin/probe", "act", "exit=1"]
    onFailure: stop
  - name: next
    image: @PROBE
    command: ["/bin/probe", "act"]
"#;

/// The agent is a service and so does not run: the console has to do.
fn stop(guest: &Guest) -> Result<()> {
    guest.wait_event("onboot 000-must-work", "failed", |e| {
        e.number("code") == Some(1)
    })?;
    guest.wait_event("init", "stopped", |_| true)?;
    ensure_never_ran(guest, "onboot 001-next")?;
    ensure_never_ran(guest, "service agent")?;
    ensure!(!guest.has_ended());
    Ok(())
}

const REBOOT: &str = r#"
onboot:
  - name: must-work
    image: @PROBE
    command: ["/bin/probe", "act", "exit=1"]
    onFailure: reboot
"#;

fn reboot(guest: &Guest) -> Result<()> {
    let end = guest.wait_end(2 * guest.patience())?;
    ensure!(end.reason == "guest-reset", "{end:?}");
    ensure_never_ran(guest, "service agent")
}

const POWEROFF: &str = r#"
onboot:
  - name: must-work
    image: @PROBE
    command: ["/bin/probe", "act", "exit=1"]
    onFailure: poweroff
"#;

fn poweroff(guest: &Guest) -> Result<()> {
    guest.wait_poweroff(2 * guest.patience())?;
    ensure_never_ran(guest, "service agent")
}
