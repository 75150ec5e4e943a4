//! What containers and clients do that means no good: PID 1 answers, and ends
//! it when it is told to.

use anyhow::{Result, ensure};
use qemu_tests::case::{Case, Machine};
use qemu_tests::event::Event;
use qemu_tests::guest::{Guest, HULLCTL};
use qemu_tests::soak::{self, Held};

pub(crate) const CASES: &[Case] = &[
    Case::own("abuse::busy_services_are_stopped", BUSY, busy).machine(Machine {
        mebibytes: 768,
        ..Machine::PLAIN
    }),
    Case::own("abuse::a_full_run", VICTIM, full_run),
    Case::own(
        "abuse::everything_is_killed",
        soak::MASSACRE,
        everything_is_killed,
    ),
    Case::own(
        "abuse::every_signal_and_bad_clients",
        CLIENTS,
        signals_and_clients,
    ),
];

const BUSY: &str = r#"
services:
  - name: bystander
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
  - name: bomb
    image: @PROBE
    command: ["/bin/probe", "act", "bomb"]
    resources: {pids: {limit: 64}}
    stopTimeout: 1s
  - name: hog
    image: @PROBE
    command: ["/bin/probe", "act", "hog"]
    stopTimeout: 1s
  - name: flood
    image: @PROBE
    command: ["/bin/probe", "act", "flood"]
    stopTimeout: 1s
"#;

/// Whether no process is left in the cgroup of `service`.
fn is_empty(guest: &Guest, service: &str) -> bool {
    let path = format!("/sys/fs/cgroup/hullkit/services/{service}/cgroup.events");
    match guest.read(&path) {
        Ok(events) => events.contains("populated 0"),
        // It has gone with the container.
        Err(_) => true,
    }
}

fn busy(guest: &Guest) -> Result<()> {
    guest.wait_up()?;
    for name in ["bomb", "hog", "flood"] {
        ensure!(!is_empty(guest, name), "{name}");
        guest.hullctl(&["list"])?;
        // On a slow machine it may be still there when PID 1 stops waiting.
        let _stuck_or_not = guest.exec(&[HULLCTL, "stop", name])?;
        guest.wait_status(&format!("{name} left nothing"), |_| {
            is_empty(guest, name).then_some(())
        })?;
    }
    let lines = guest.hullctl(&["logs", "-n", "5", "flood"])?;
    ensure!(lines.lines().count() == 5, "{lines}");
    ensure!(guest.entry("bystander")?.restarts == 0);
    Ok(())
}

const VICTIM: &str = r#"
services:
  - name: victim
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
    backoff: {initial: 100ms, max: 500ms}
  - name: bystander
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
"#;

fn full_run(guest: &Guest) -> Result<()> {
    guest.wait_up()?;
    let bystander = guest.pid("bystander")?;
    let fill = guest.exec(&["/bin/probe", "act", "fill=/run/filler"])?;
    ensure!(fill.code == Some(0), "{fill:?}");
    // The runtime has no place for its state: PID 1 says so and tries on.
    guest.kill(guest.pid("victim")?, 9)?;
    let failed = |e: &Event| e.fields.contains_key("error");
    guest.wait_nth_event("service victim", "failed", 1, failed)?;
    ensure!(guest.pid("bystander")? == bystander);
    guest.hullctl(&["reexec"])?;
    ensure!(guest.pid("bystander")? == bystander);
    let remove = guest.ask(&agent_protocol::Op::Remove {
        path: "/run/filler".to_owned(),
    });
    remove?;
    guest.wait_state("victim", "running")?;
    guest.hullctl(&["restart", "bystander"])?;
    Ok(())
}

fn everything_is_killed(guest: &Guest) -> Result<()> {
    guest.wait_up()?;
    let before = Held::by(guest)?;
    soak::massacre(guest, 1, &before)
}

const CLIENTS: &str = r#"
services:
  - name: steady
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
  - name: pest
    image: @PROBE
    command: ["/bin/probe", "act", "pester=/run/hullkit/control.sock"]
    binds: ["/run/hullkit:/run/hullkit"]
    stopTimeout: 1s
  - name: viewpest
    image: @PROBE
    command: ["/bin/probe", "act", "pester=/run/hullkit/view.sock"]
    uid: 1000
    binds: ["/run/hullkit:/run/hullkit"]
    stopTimeout: 1s
"#;

/// Those that mean the machine's end.
const ENDS: [i32; 8] = [2, 10, 12, 15, 30, 37, 38, 39];

fn signals_and_clients(guest: &Guest) -> Result<()> {
    guest.wait_up()?;
    let steady = guest.pid("steady")?;
    for _ in 0..5 {
        guest.hullctl(&["list"])?;
    }
    for name in ["pest", "viewpest"] {
        guest.hullctl(&["stop", name])?;
    }
    for signal in (1..=64).filter(|signal| !ENDS.contains(signal)) {
        guest.kill(1, signal)?;
    }
    // SIGSEGV and its like begin new lives.
    guest.wait_event("init", "reborn", |_| true)?;
    guest.hullctl(&["restart", "pest"])?;
    ensure!(guest.pid("steady")? == steady);
    ensure!(guest.entry("steady")?.restarts == 0);
    Ok(())
}
