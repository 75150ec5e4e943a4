//! What is wrong with an image shows on the console and in `hullctl status`,
//! and the rest of it runs.

use anyhow::{Context, Result, ensure};
use qemu_tests::case::{Case, Machine};
use qemu_tests::guest::Guest;

pub(crate) const CASES: &[Case] = &[
    Case::own("broken::config_json", VICTIMS, config_json).machine(Machine {
        tamper: &[
            (
                "containers/services/cut/config.json",
                "{\"ociVersion\": \"1.2",
            ),
            (
                "containers/services/wrong/config.json",
                "{\"ociVersion\": 12}",
            ),
            ("containers/services/empty/config.json", ""),
        ],
        ..Machine::PLAIN
    }),
    Case::own("broken::missing_module", "", missing_module).machine(Machine {
        cmdline: "hullkit.modules=no_such_module",
        ..Machine::PLAIN
    }),
    Case::own("broken::unknown_option", "", unknown_option).machine(Machine {
        cmdline: "hullkit.no_such_option=1",
        ..Machine::PLAIN
    }),
    Case::shared(
        "broken::bind_target_that_a_readonly_root_lacks",
        BIND,
        bind_target,
    ),
    Case::shared("broken::bind_source_that_is_not_there", SOURCE, bind_source),
];

const VICTIMS: &str = r#"
services:
  - name: cut
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
  - name: wrong
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
  - name: empty
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
  - name: sound
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
"#;

fn config_json(guest: &Guest) -> Result<()> {
    guest.wait_up()?;
    guest.wait_state("sound", "running")?;
    for name in ["cut", "wrong", "empty"] {
        let subject = format!("service {name}");
        let shown = guest.console.wait(&subject, guest.patience(), |log| {
            let mut events = log.events.iter();
            events
                .find(|e| e.subject == subject && e.fields.contains_key("error"))
                .cloned()
        })?;
        ensure!(shown.fields["error"].contains("config.json"), "{shown:?}");
        let entry = guest.entry(name)?;
        ensure!(
            ["failed", "skipped", "backoff"].contains(&entry.state.as_str()),
            "{entry:?}"
        );
        let error = entry.error.as_ref().context("status names no error")?;
        ensure!(error.contains("config.json"), "{entry:?}");
    }
    Ok(())
}

fn missing_module(guest: &Guest) -> Result<()> {
    guest.wait_up()?;
    problem(guest, "no_such_module")
}

fn unknown_option(guest: &Guest) -> Result<()> {
    guest.wait_up()?;
    problem(guest, "no_such_option")
}

/// Whether what PID 1 has to say of the boot names `word`, in both places.
fn problem(guest: &Guest, word: &str) -> Result<()> {
    guest.wait_event("init", "problem", |e| {
        e.fields
            .get("error")
            .is_some_and(|error| error.contains(word))
    })?;
    let system = guest
        .status()?
        .system
        .context("hullctl status: no system")?;
    ensure!(
        system.problems.iter().any(|line| line.contains(word)),
        "{system:?}"
    );
    Ok(())
}

/// `hull build` makes the mount points that a read-only root lacks; this one
/// lies where another bind hides them.
const BIND: &str = r#"
services:
  - name: no-target
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
    readonly: true
    binds: ["/etc:/data:ro", "/tmp:/data/place/that/is/not/there"]
    backoff: {initial: 2s}
"#;

fn bind_target(guest: &Guest) -> Result<()> {
    named(guest, "no-target", "/data/place/that/is/not/there")
}

const SOURCE: &str = r#"
services:
  - name: no-source
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
    binds: ["/source/that/is/not/there:/data"]
    backoff: {initial: 2s}
"#;

fn bind_source(guest: &Guest) -> Result<()> {
    named(guest, "no-source", "/source/that/is/not/there")
}

fn named(guest: &Guest, service: &str, word: &str) -> Result<()> {
    let failed = guest.wait_event(&format!("service {service}"), "failed", |_| true)?;
    let error = failed.fields.get("error").context("failed without error")?;
    ensure!(error.contains(word), "{failed:?}");
    let entry = guest.entry(service)?;
    ensure!(
        entry.error.as_ref().is_some_and(|e| e.contains(word)),
        "{entry:?}"
    );
    Ok(())
}
