//! Whatever loses its parent is reaped.

use anyhow::{Result, ensure};
use qemu_tests::case::{ARCHES, Case};
use qemu_tests::guest::Guest;

pub(crate) const CASES: &[Case] =
    &[Case::own("orphans::ten_thousand_are_reaped", VICTIM, ten_thousand).on(ARCHES)];

const VICTIM: &str = r#"
services:
  - name: bystander
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
    backoff: {initial: 100ms}
"#;

fn ten_thousand(guest: &Guest) -> Result<()> {
    guest.wait_up()?;
    let exec = guest.exec_until(
        &["/bin/probe", "orphans", "10000"],
        None,
        4 * guest.patience(),
    )?;
    ensure!(exec.code == Some(0), "{exec:?}");
    guest.wait_status("no orphan and no zombie left", |_| {
        let processes = guest.processes().ok()?;
        let left = processes
            .iter()
            .any(|p| p.state == 'Z' || p.args.get(1).is_some_and(|arg| arg == "orphans"));
        (!left).then_some(())
    })?;
    // PID 1 has not lost sight of what is its own among them.
    guest.kill(guest.pid("bystander")?, 9)?;
    guest.wait_nth_event("service bystander", "running", 2, |_| true)?;
    ensure!(guest.entry("agent")?.restarts == 0);
    Ok(())
}
