//! What is wrong with an image shows on the console and in `hullctl status`,
//! and the rest of it runs.

use anyhow::{Context, Result, ensure};
use hull::arch::Arch;
use hull::{compose, spec};
use qemu_tests::case::{Case, Machine, Made};
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
    Case::own("broken::every_byte", SOUND, every_byte).machine(Machine {
        made: Some(damaged_bundles),
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

const SOUND: &str = r#"
onboot:
  - name: sound
    image: @PROBE
    command: ["/bin/probe", "act"]
services:
  - name: sound
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
"#;

/// The bundles that are damaged: of services, and of onboot entries.
const SERVICES: usize = 48;
const ONBOOT: usize = 16;

/// What they are composed of, before they are damaged.
const WHOLE: &str = r#"
onboot:
  - {name: b, image: x, command: [/bin/true], readonly: true, timeout: 10s}
services:
  - name: b
    image: x
    command: [/bin/true]
    readonly: true
    capabilities: [CAP_KILL]
    binds: ["/run:/run"]
    restart: on-failure
    backoff: {initial: 5s, max: 60s}
    ready: {tcp: 80, timeout: 5s}
    health: {exec: [/bin/true], interval: 5s}
    startLimit: {burst: 3, interval: 1m}
    log: {path: /var/disk/b.log}
    runtime: {mkdir: [/run/b]}
"#;

/// Knuth's constants for a linear congruential generator.
struct Random(u64);

impl Random {
    /// A number below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % end
    }
}

fn seed() -> u64 {
    let seed = std::env::var("HULLKIT_SEED").ok();
    seed.and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

/// Cuts a text off, or turns some bits of one of its bytes.
fn damage(text: &str, random: &mut Random) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    let at = random.below(bytes.len());
    match random.below(3) {
        0 => bytes.truncate(at),
        _ => bytes[at] ^= u8::try_from(1 + random.below(255)).unwrap_or(1),
    }
    bytes
}

/// Bundles with a damaged `config.json` or `runtime.json`, without a root: one
/// whose damage does no harm fails for that.
fn damaged_bundles() -> Made {
    let source = spec::Source {
        name: "whole.yml",
        text: WHOLE.as_bytes(),
    };
    let whole = spec::parse(&[source]).unwrap_or_else(|e| panic!("{e}"));
    let image = |_: &spec::Entry| Ok::<_, spec::Problems>(oci_image());
    let composed = compose::all(&whole, Arch::X86_64, image).unwrap_or_else(|e| panic!("{e}"));
    let mut random = Random(seed());
    let sections = [("onboot", "9", ONBOOT), ("services", "b", SERVICES)];
    let mut made = Vec::new();
    for ((section, prefix, count), composed) in sections.into_iter().zip(&composed) {
        for n in 0..count {
            let (config, runtime) = (composed.config_json(), composed.runtime_json());
            let (config, runtime) = match n % 2 {
                0 => (damage(&config, &mut random), runtime.into_bytes()),
                _ => (config.into_bytes(), damage(&runtime, &mut random)),
            };
            let folder = format!("containers/{section}/{prefix}{n:02}-b");
            made.push((format!("{folder}/"), Vec::new()));
            made.push((format!("{folder}/config.json"), config));
            made.push((format!("{folder}/runtime.json"), runtime));
        }
    }
    made
}

fn oci_image() -> compose::Image {
    compose::Image {
        config: serde_json::from_str("{}").unwrap_or_else(|e| panic!("{e}")),
        healthcheck: None,
    }
}

fn every_byte(guest: &Guest) -> Result<()> {
    let seed = seed();
    damaged_are_named(guest).with_context(|| format!("HULLKIT_SEED={seed}"))
}

fn damaged_are_named(guest: &Guest) -> Result<()> {
    guest.wait_up()?;
    guest.wait_state("sound", "running")?;
    let status = guest.status()?;
    ensure!(status.entries.len() == ONBOOT + SERVICES + 3, "{status:?}");
    let sound = guest.entry("000-sound")?;
    ensure!(
        sound.state == "exited" && sound.code == Some(0),
        "{sound:?}"
    );
    for n in 0..SERVICES {
        guest.wait_event(&format!("service b{n:02}-b"), "failed", |_| true)?;
    }
    for n in 0..ONBOOT {
        let event = guest.wait_event(&format!("onboot 9{n:02}-b"), "failed", |_| true)?;
        ensure!(event.fields.contains_key("error"), "{event:?}");
    }
    ensure!(
        guest
            .events("init")
            .iter()
            .all(|event| event.state != "reborn")
    );
    Ok(())
}
