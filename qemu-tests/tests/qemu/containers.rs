//! What a container is and has: namespaces, capabilities, limits, devices.

use agent_protocol::{Answer, Op};
use anyhow::{Result, bail, ensure};
use qemu_tests::case::{ARCHES, Case, KERNELS};
use qemu_tests::guest::{Guest, Probe};

pub(crate) const CASES: &[Case] = &[
    Case::shared("containers::own_processes_only", PLAIN, own_processes_only),
    Case::shared("containers::namespaces", SPACES, namespaces),
    Case::shared("containers::no_privileges_by_default", BARE, no_privileges).on(ARCHES),
    Case::shared(
        "containers::capabilities_exactly_as_given",
        CAPS,
        capabilities,
    ),
    Case::shared("containers::user_and_groups", USER, user_and_groups),
    Case::shared("containers::rlimits", RLIMITS, rlimits),
    Case::shared(
        "containers::only_standard_descriptors",
        FDS,
        only_standard_descriptors,
    ),
    Case::shared("containers::devices", DEVICES, devices),
    Case::shared("containers::own_cgroup", CGROUP, own_cgroup),
    Case::shared("containers::process_limit", PIDS, process_limit).on(KERNELS),
    Case::shared("containers::memory_limit_is_recorded", MEMORY, memory_limit).on(ARCHES),
    Case::shared("containers::environment", ENVIRONMENT, environment),
];

const PLAIN: &str = r#"
services:
  - name: plain
    image: @PROBE
    command: ["/bin/probe", "probe", "plain"]
"#;

fn own_processes_only(guest: &Guest) -> Result<()> {
    let probe = guest.probe("plain")?;
    let Answer::Processes { processes } = probe.ask(&Op::Processes)? else {
        bail!("no processes");
    };
    ensure!(
        processes.len() == 1 && processes[0].pid == 1,
        "{processes:?}"
    );
    Ok(())
}

const SPACES: &str = r#"
services:
  - name: spaces
    image: @PROBE
    command: ["/bin/probe", "probe", "spaces"]
  - name: own-spaces
    image: @PROBE
    command: ["/bin/probe", "probe", "own-spaces"]
    net: new
    ipc: new
    uts: new
    hostname: elsewhere
"#;

fn namespace(guest: &Guest, pid: i32, name: &str) -> Result<String> {
    let path = format!("/proc/{pid}/ns/{name}");
    match guest.ask(&Op::Readlink { path })? {
        Answer::Text { text } => Ok(text),
        other => bail!("{other:?}"),
    }
}

fn namespaces(guest: &Guest) -> Result<()> {
    let (plain, own) = (guest.pid("spaces")?, guest.pid("own-spaces")?);
    for (name, plain_shares, own_shares) in [
        ("mnt", false, false),
        ("pid", false, false),
        ("cgroup", false, false),
        ("net", true, false),
        ("ipc", true, false),
        ("uts", true, false),
        ("user", true, true),
    ] {
        let first = namespace(guest, 1, name)?;
        for (pid, shares) in [(plain, plain_shares), (own, own_shares)] {
            let its = namespace(guest, pid, name)?;
            ensure!(
                (its == first) == shares,
                "{name} of {pid}: {its}, of 1: {first}"
            );
        }
    }
    let hostname = guest
        .probe("own-spaces")?
        .read("/proc/sys/kernel/hostname")?;
    ensure!(hostname == "elsewhere\n", "{hostname}");
    let routes = guest.probe("own-spaces")?.read("/proc/net/dev")?;
    ensure!(!routes.contains("eth0"), "{routes}");
    Ok(())
}

const BARE: &str = r#"
services:
  - name: bare
    image: @PROBE
    command: ["/bin/probe", "probe", "bare"]
"#;

/// The five sets, as `/proc/PID/status` shows them.
fn ensure_capabilities(probe: &Probe<'_>, wanted: [u64; 5]) -> Result<()> {
    for (set, mask) in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]
        .into_iter()
        .zip(wanted)
    {
        let has = u64::from_str_radix(&probe.proc_status(set)?, 16)?;
        ensure!(has == mask, "{set} is {has:#x}, not {mask:#x}");
    }
    Ok(())
}

fn no_privileges(guest: &Guest) -> Result<()> {
    let probe = guest.probe("bare")?;
    ensure_capabilities(&probe, [0; 5])?;
    // 2: a filter.
    ensure!(probe.proc_status("Seccomp")? == "2");
    ensure!(probe.proc_status("NoNewPrivs")? == "1");
    Ok(())
}

const CAPS: &str = r#"
services:
  - name: caps
    image: @PROBE
    command: ["/bin/probe", "probe", "caps"]
    capabilities: [CAP_CHOWN, CAP_NET_BIND_SERVICE]
    ambient: [CAP_KILL]
"#;

/// CHOWN is 0, KILL 5, NET_BIND_SERVICE 10.
fn capabilities(guest: &Guest) -> Result<()> {
    let all = 1 | 1 << 5 | 1 << 10;
    let probe = guest.probe("caps")?;
    // The ambient capability is effective as well: exec makes it so.
    ensure_capabilities(&probe, [all, all, all, all, 1 << 5])
}

const USER: &str = r#"
services:
  - name: user
    image: @PROBE
    command: ["/bin/probe", "probe", "user"]
    uid: 1234
    gid: 2345
    additionalGids: [3456, 4567]
"#;

fn user_and_groups(guest: &Guest) -> Result<()> {
    let probe = guest.probe("user")?;
    let four = |id: &str| [id; 4].join("\t");
    ensure!(probe.proc_status("Uid")? == four("1234"));
    ensure!(probe.proc_status("Gid")? == four("2345"));
    ensure!(probe.proc_status("Groups")? == "3456 4567");
    ensure_capabilities(&probe, [0; 5])
}

const RLIMITS: &str = r#"
services:
  - name: rlimits
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
    rlimits: ["nofile,100,200", "RLIMIT_CORE,0,0"]
"#;

fn rlimits(guest: &Guest) -> Result<()> {
    let pid = guest.pid("rlimits")?;
    let limits = guest.read(&format!("/proc/{pid}/limits"))?;
    let words = |name: &str| -> Vec<String> {
        let line = limits.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect()
    };
    ensure!(words("Max open files")[..2] == ["100", "200"], "{limits}");
    ensure!(words("Max core file size")[..2] == ["0", "0"], "{limits}");
    Ok(())
}

const FDS: &str = r#"
services:
  - name: fds
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
"#;

fn only_standard_descriptors(guest: &Guest) -> Result<()> {
    let pid = guest.pid("fds")?;
    let Answer::Names { names } = guest.ask(&Op::List {
        path: format!("/proc/{pid}/fd"),
    })?
    else {
        bail!("no names");
    };
    ensure!(names == ["0", "1", "2"], "{names:?}");
    for (fd, kind) in [(0, "/dev/null"), (1, "pipe:["), (2, "pipe:[")] {
        let path = format!("/proc/{pid}/fd/{fd}");
        let Answer::Text { text } = guest.ask(&Op::Readlink { path })? else {
            bail!("no text");
        };
        ensure!(text.starts_with(kind), "{fd} is {text}");
    }
    Ok(())
}

const DEVICES: &str = r#"
services:
  - name: devices
    image: @PROBE
    command: ["/bin/probe", "probe", "devices"]
"#;

fn devices(guest: &Guest) -> Result<()> {
    let probe = guest.probe("devices")?;
    let Answer::Names { names } = probe.ask(&Op::List {
        path: "/dev".to_owned(),
    })?
    else {
        bail!("no names");
    };
    for wanted in [
        "fd", "full", "null", "ptmx", "pts", "random", "stderr", "stdin", "stdout", "tty",
        "urandom", "zero",
    ] {
        ensure!(
            names.iter().any(|name| name == wanted),
            "no {wanted}: {names:?}"
        );
    }
    for unwanted in [
        "kmsg", "mem", "kcore", "ttyS0", "ttyAMA0", "vport0p1", "vda",
    ] {
        ensure!(
            names.iter().all(|name| name != unwanted),
            "{unwanted}: {names:?}"
        );
    }
    probe.ask(&Op::Write {
        path: "/dev/null".to_owned(),
        text: "x".to_owned(),
    })?;
    ensure!(probe.read("/dev/null")?.is_empty());
    Ok(())
}

const CGROUP: &str = r#"
services:
  - name: grouped
    image: @PROBE
    command: ["/bin/probe", "probe", "grouped"]
    resources:
      cpu: {shares: 512}
      pids: {limit: 77}
      memory: {limit: 67108864}
"#;

fn own_cgroup(guest: &Guest) -> Result<()> {
    let pid = guest.pid("grouped")?;
    // The agent's own view of the cgroups is the guest's.
    let path = guest.read(&format!("/proc/{pid}/cgroup"))?;
    ensure!(path == "0::/hullkit/services/grouped\n", "{path}");
    let dir = "/sys/fs/cgroup/hullkit/services/grouped";
    ensure!(guest.read(&format!("{dir}/pids.max"))? == "77\n");
    ensure!(guest.read(&format!("{dir}/memory.max"))? == "67108864\n");
    ensure!(guest.read(&format!("{dir}/cgroup.procs"))?.trim() == pid.to_string());
    let weight: u32 = guest.read(&format!("{dir}/cpu.weight"))?.trim().parse()?;
    ensure!((1..100).contains(&weight), "512 shares are weight {weight}");
    // It sees itself at the root of a namespace of its own.
    ensure!(guest.probe("grouped")?.read("/proc/self/cgroup")? == "0::/\n");
    Ok(())
}

const PIDS: &str = r#"
services:
  - name: many
    image: @PROBE
    command: ["/bin/probe", "probe", "many"]
    resources:
      pids: {limit: 20}
"#;

fn process_limit(guest: &Guest) -> Result<()> {
    let probe = guest.probe("many")?;
    let Answer::Count { count } = probe.ask(&Op::Threads { count: 100 })? else {
        bail!("no count");
    };
    ensure!(
        (1..20).contains(&count),
        "{count} threads under a limit of 20"
    );
    Ok(())
}

const MEMORY: &str = r#"
services:
  - name: hungry
    image: @PROBE
    command: ["/bin/probe", "probe", "hungry"]
    resources:
      memory: {limit: 33554432}
    backoff: {initial: 100ms}
"#;

fn memory_limit(guest: &Guest) -> Result<()> {
    let probe = guest.probe("hungry")?;
    probe.ask(&Op::Allocate { mebibytes: 8 })?;
    // It is killed in the middle of it; there is no answer but that.
    let answer = probe.try_ask(&Op::Allocate { mebibytes: 64 })?;
    ensure!(matches!(answer, Answer::Failed { .. }), "{answer:?}");
    let failed = guest.wait_event("service hungry", "failed", |_| true)?;
    ensure!(failed.number("signal") == Some(9), "{failed:?}");
    ensure!(
        failed.fields.get("oom").map(String::as_str) == Some("true"),
        "{failed:?}"
    );
    guest.wait_nth_event("service hungry", "running", 2, |_| true)?;
    Ok(())
}

const ENVIRONMENT: &str = r#"
services:
  - name: environment
    image: @PROBE
    command: ["/bin/probe", "act", "term=wait"]
    env: ["A=1", "B=two words"]
    cwd: /data
    oomScoreAdj: 123
"#;

fn environment(guest: &Guest) -> Result<()> {
    let pid = guest.pid("environment")?;
    let env = guest.read(&format!("/proc/{pid}/environ"))?;
    let env: Vec<&str> = env.split_terminator('\0').collect();
    ensure!(
        env.contains(&"A=1") && env.contains(&"B=two words"),
        "{env:?}"
    );
    // Nothing of PID 1's or the runtime's own environment gets in.
    let known = ["A=", "B=", "HOME=", "PATH="];
    ensure!(
        env.iter()
            .all(|var| known.iter().any(|k| var.starts_with(k))),
        "{env:?}"
    );
    let path = format!("/proc/{pid}/cwd");
    let Answer::Text { text } = guest.ask(&Op::Readlink { path })? else {
        bail!("no text");
    };
    ensure!(text.ends_with("/data"), "{text}");
    ensure!(guest.read(&format!("/proc/{pid}/oom_score_adj"))? == "123\n");
    Ok(())
}
