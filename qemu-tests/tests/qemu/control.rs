//! What `hullctl` asks, and who may ask.

use anyhow::{Context, Result, ensure};
use hullkit_bundle::control::{Change, Reply};
use qemu_tests::case::{ARCHES, Case, KERNELS, Machine};
use qemu_tests::guest::{Guest, HULLCTL};
use serde_json::json;

pub(crate) const CASES: &[Case] = &[
    Case::shared("control::kill_wait_and_events", ASKED, kill_wait_and_events).on(ARCHES),
    Case::shared("control::top_and_version", "", top_and_version),
    Case::shared(
        "control::who_may_look_changes_nothing",
        VIEWERS,
        who_may_look,
    ),
    Case::shared("control::logs_since", "", logs_since),
    Case::shared("control::a_program_in_a_container", INSIDE, exec).on(KERNELS),
    Case::shared("control::logs_of_the_kernel", "", logs_of_the_kernel),
    Case::own("control::says_that_all_is_ready", "", says_ready).machine(Machine {
        cmdline: "hullkit.ready=virtio:hullkit.ready",
        qemu: &[
            "-chardev",
            "ringbuf,id=ready,size=64",
            "-device",
            "virtserialport,chardev=ready,name=hullkit.ready",
        ],
        ..Machine::PLAIN
    }),
];

const ASKED: &str = r#"
services:
  - name: asked
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
    backoff: {initial: 100ms, max: 100ms}
  - name: gives-up
    image: @PROBE
    command: ["/bin/probe", "act", "exit=3"]
    restart: never
"#;

fn kill_wait_and_events(guest: &Guest) -> Result<()> {
    guest.hullctl(&["wait", "asked", "--timeout", "60"])?;
    let pid = guest.pid("asked")?;
    guest.hullctl(&["kill", "-s", "TERM", "asked"])?;
    guest.wait_gone(pid)?;
    guest.hullctl(&["wait", "asked"])?;
    ensure!(guest.pid("asked")? != pid);
    guest.hullctl(&["stop", "--no-wait", "asked"])?;
    guest.wait_state("asked", "exited")?;
    let refused = guest.exec(&[HULLCTL, "kill", "asked"])?;
    ensure!(refused.code == Some(4), "{refused:?}");
    guest.hullctl(&["start", "asked"])?;
    // One that has failed for good is not waited for.
    guest.wait_state("gives-up", "failed")?;
    let failed = guest.exec(&[HULLCTL, "wait", "gives-up"])?;
    ensure!(failed.code == Some(1), "{failed:?}");
    events(guest)
}

/// A service that comes and goes is heard of.
fn events(guest: &Guest) -> Result<()> {
    std::thread::scope(|scope| {
        let listener = scope.spawn(|| {
            guest.exec_until(
                &[HULLCTL, "events", "--json"],
                Some(
                    "\"state\":\"running\",\"entry\":{\"section\":\"services\",\"name\":\"asked\"",
                ),
                guest.patience(),
            )
        });
        // The listener may come later than the first of them.
        while !listener.is_finished() {
            guest.hullctl(&["restart", "asked"])?;
        }
        let heard = listener.join().expect("the listener does not panic")?;
        ensure!(!heard.timed_out, "{heard:?}");
        let changes = heard.stdout.lines().map(|line| {
            match serde_json::from_str(line).with_context(|| line.to_owned())? {
                Reply::Event(change) => Ok(*change),
                other => anyhow::bail!("{other:?}"),
            }
        });
        let changes: Vec<Change> = changes.collect::<Result<_>>()?;
        let of_asked = changes
            .iter()
            .filter(|c| c.entry.as_ref().is_some_and(|entry| entry.name == "asked"));
        ensure!(of_asked.count() > 0, "{changes:?}");
        Ok(())
    })
}

fn top_and_version(guest: &Guest) -> Result<()> {
    guest.wait_up()?;
    let text = guest.hullctl(&["top", "--json"])?;
    let Reply::Top { entries } = serde_json::from_str(&text)? else {
        anyhow::bail!("{text}");
    };
    let agent = entries.iter().find(|entry| entry.name == "agent");
    let agent = agent.context("no agent")?;
    ensure!(
        agent.cpu_us > 0 && agent.memory > 0 && agent.pids > 0,
        "{agent:?}"
    );
    let table = guest.hullctl(&["top"])?;
    ensure!(table.starts_with("SECTION"), "{table}");
    let version = guest.hullctl(&["version", "--json"])?;
    ensure!(version.contains("\"protocol\":1"), "{version}");
    let none = guest.exec(&[HULLCTL, "kexec"])?;
    ensure!(
        none.code == Some(1) && none.stderr.contains("kexec"),
        "{none:?}"
    );
    let bash = guest.hullctl(&["completion", "bash"])?;
    ensure!(bash.contains("complete -F _hullctl hullctl"), "{bash}");
    Ok(())
}

/// Neither uid 0 nor the control socket: the one for looking is for all.
const VIEWERS: &str = r#"
services:
  - name: looks
    image: @PROBE
    command: ["/bin/hullctl", "--json", "list"]
    uid: 1000
    restart: never
    binds: ["/run/hullkit:/run/hullkit", "/init:/bin/hullctl:ro"]
  - name: touches
    image: @PROBE
    command: ["/bin/hullctl", "stop", "looks"]
    uid: 1000
    restart: never
    binds: ["/run/hullkit:/run/hullkit", "/init:/bin/hullctl:ro"]
"#;

fn who_may_look(guest: &Guest) -> Result<()> {
    let looks = guest.wait_state("looks", "exited")?;
    ensure!(looks.code == Some(0), "{looks:?}");
    let said = guest.hullctl(&["logs", "looks"])?;
    ensure!(said.contains("\"agent\""), "{said}");
    let touches = guest.wait_state("touches", "failed")?;
    ensure!(touches.code == Some(1), "{touches:?}");
    let said = guest.hullctl(&["logs", "touches"])?;
    ensure!(said.contains("Permission denied"), "{said}");
    Ok(())
}

fn logs_since(guest: &Guest) -> Result<()> {
    guest.wait_up()?;
    let all = guest.hullctl(&["logs", "--json", "--since", "1d"])?;
    let later = guest.hullctl(&["logs", "--json", "--since", "2100-01-01T00:00:00Z"])?;
    ensure!(!all.is_empty() && later.is_empty(), "{all} {later}");
    Ok(())
}

fn logs_of_the_kernel(guest: &Guest) -> Result<()> {
    guest.wait_up()?;
    let text = guest.hullctl(&["logs", "-k", "--json"])?;
    ensure!(text.contains("hullkit: service agent: running"), "{text}");
    let last = guest.hullctl(&["logs", "-k", "-n", "3"])?;
    ensure!(last.lines().count() == 3, "{last}");
    // A follower is told of what comes.
    let exec = guest.exec_until(
        &[HULLCTL, "logs", "-k", "-f", "-n", "1"],
        Some("kernel"),
        guest.patience(),
    )?;
    ensure!(!exec.timed_out, "{exec:?}");
    Ok(())
}

fn says_ready(guest: &Guest) -> Result<()> {
    guest.wait_up()?;
    guest.hullctl(&["wait", "--timeout", "60"])?;
    let question = json!({"device": "ready", "size": 64});
    guest.wait_status("the host hears of it", |_| {
        let said = guest.qmp.execute("ringbuf-read", &question).ok()?;
        said.as_str()?.contains("READY=1").then_some(())
    })
}

const INSIDE: &str = r#"
services:
  - name: inside
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
"#;

fn exec(guest: &Guest) -> Result<()> {
    guest.hullctl(&["wait", "inside"])?;
    let run = |args: &[&str]| guest.exec(&[&[HULLCTL, "exec"], args].concat());
    let said = run(&[
        "inside",
        "/bin/probe",
        "act",
        "print=out",
        "error=err",
        "exit=7",
    ])?;
    ensure!(
        said.code == Some(7) && said.stdout == "out\n" && said.stderr == "err\n",
        "{said:?}"
    );
    // With a terminal, lines end as a terminal's do.
    let tty = run(&["-t", "inside", "/bin/probe", "act", "print=out"])?;
    ensure!(tty.code == Some(0) && tty.stdout == "out\r\n", "{tty:?}");
    let none = run(&["inside", "/bin/nothing"])?;
    ensure!(
        none.code == Some(255) && none.stderr.contains("/bin/nothing"),
        "{none:?}"
    );
    let killed = run(&["inside", "/bin/probe", "act", "signal=9"])?;
    ensure!(killed.code == Some(128 + 9), "{killed:?}");
    // The client is killed: its program is asked to end. It takes no SIGTERM
    // before it waits for one.
    let argv = [HULLCTL, "exec", "inside", "/bin/probe", "act"];
    let steps = [
        "term=ignore",
        "print=here",
        "term=wait",
        "write=/tmp/ended:well",
    ];
    let argv = [&argv[..], &steps].concat();
    let left = guest.exec_until(&argv, Some("here"), guest.patience())?;
    ensure!(!left.timed_out && left.stdout == "here\n", "{left:?}");
    let root = format!("/proc/{}/root", guest.pid("inside")?);
    guest.wait_file(&format!("{root}/tmp/ended"), "well")?;
    guest.hullctl(&["stop", "inside"])?;
    let stopped = run(&["inside", "/bin/probe", "act"])?;
    ensure!(stopped.code == Some(4), "{stopped:?}");
    Ok(())
}
