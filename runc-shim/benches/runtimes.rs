//! Our runtime against crun and runc, and against a bare process in new
//! namespaces, in one guest: what a container's life takes, and what it holds.
//!
//! Needs HULLKIT_KERNEL, HULLKIT_RUNC_SHIM (the static program, with
//! `qemu-agent` beside it) and HULLKIT_PEERS, a folder of Debian packages with
//! crun, runc, their libraries, and Podman's filter. Prints the tables of `docs/performance.md`.
//! The guest's clock counts instructions (QEMU's `-icount`).

#[path = "../tests/guest/case.rs"]
#[allow(dead_code, reason = "here a case has no judge")]
mod case;
#[path = "../tests/guest/cpio.rs"]
#[allow(dead_code, reason = "of the tests' guests")]
mod cpio;
#[path = "../tests/guest/debs.rs"]
mod debs;
#[path = "../tests/guest/machine.rs"]
#[allow(dead_code, reason = "its initrd is for another guest")]
mod machine;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use cpio::Archive;
use serde_json::{Value, json};

fn setting(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Ours and its peers, by the names of their programs.
const RUNTIMES: [&str; 3] = ["runc-shim", "crun", "runc"];

/// What is measured of each, with `$r` the runtime, and what comes before and
/// after it.
const LIVES: [(&str, &str, &str, &str); 4] = [
    (
        "create, start, delete",
        "",
        "$r create --bundle /b c@ -- $r start c@ -- $r delete --force c@",
        "",
    ),
    ("run", "", "$r run --bundle /b c@", ""),
    (
        "run, with a seccomp filter",
        "",
        "$r run --bundle /f c@",
        "",
    ),
    (
        "exec",
        "$r run --detach --bundle /s s",
        "$r exec s /bin/true",
        "$r delete --force s",
    ),
];

/// Of each; the clock counts instructions, so they hardly differ.
const ROUNDS: &str = "5";

fn main() {
    // cargo test and cargo clippy ask for nothing.
    let settings = ["HULLKIT_KERNEL", "HULLKIT_RUNC_SHIM", "HULLKIT_PEERS"].map(setting);
    let [Some(kernel), Some(program), Some(peers)] = settings else {
        println!("skipped: HULLKIT_KERNEL, HULLKIT_RUNC_SHIM and HULLKIT_PEERS do not name files");
        return;
    };
    let program = PathBuf::from(program);
    let unpacked = tempfile::tempdir().unwrap();
    debs::unpack(Path::new(&peers), unpacked.path());
    let initrd = initrd(&program, unpacked.path());
    let options = [&machine::COUNTING[..], &["-m", "1024"]].concat();
    let console = machine::boot_as(&options, &program, Path::new(&kernel), &initrd);
    times(&console);
    sizes(&program, unpacked.path());
}

/// A figure of the console.
struct Figure {
    /// Microseconds: the median, the least, the most.
    time: [u64; 3],
    /// kB.
    peak: u64,
}

fn figure(console: &str, name: &str) -> Figure {
    let begin = format!("=== {name}\n");
    let part = console.split_once(&begin).map(|(_, rest)| rest);
    let part = part
        .and_then(|rest| rest.split("=== ").next())
        .unwrap_or_default();
    let line = part.lines().find_map(|line| line.strip_prefix("measured "));
    let numbers: Vec<u64> = line
        .unwrap_or_else(|| panic!("{name} was not measured:\n{part}"))
        .split(' ')
        .map(|number| number.parse().unwrap())
        .collect();
    let [median, least, most, peak] = numbers[..] else {
        panic!("{name}: {numbers:?}");
    };
    Figure {
        time: [median, least, most],
        peak,
    }
}

fn milliseconds(microseconds: u64) -> String {
    format!("{}.{:02}", microseconds / 1000, microseconds % 1000 / 10)
}

/// Two decimals of a ratio.
fn ratio(one: u64, other: u64) -> String {
    milliseconds(one * 1000 / other.max(1))
}

fn times(console: &str) {
    let bare = figure(console, "bare");
    println!(
        "| what | runtime | ms | peak, MB | ÷ crun | ÷ bare |\n| --- | --- | --- | --- | --- | --- |"
    );
    let row = |what: &str, who: &str, figure: &Figure, crun: &Figure| {
        let [median, least, most] = figure.time.map(milliseconds);
        let peak = ratio(figure.peak, 1000);
        let (to_crun, to_bare) = (
            ratio(figure.time[0], crun.time[0]),
            ratio(figure.time[0], bare.time[0]),
        );
        println!("| {what} | {who} | {median} [{least}–{most}] | {peak} | {to_crun} | {to_bare} |");
    };
    for (what, ..) in LIVES {
        let of = |runtime: &str| figure(console, &format!("{runtime} {what}"));
        for runtime in RUNTIMES {
            row(what, runtime, &of(runtime), &of("crun"));
        }
    }
    let crun = figure(console, "crun run");
    row("clone3 and execve alone", "none", &bare, &crun);
}

fn sizes(program: &Path, unpacked: &Path) {
    println!("\n| program | MB |\n| --- | --- |");
    for (name, path) in [
        ("runc-shim", program.to_owned()),
        ("crun, with shared libraries", unpacked.join("usr/bin/crun")),
        (
            "runc, with shared libraries",
            unpacked.join("usr/sbin/runc"),
        ),
    ] {
        println!(
            "| {name} | {} |",
            ratio(fs::metadata(path).unwrap().len(), 1_000_000)
        );
    }
}

/// The container that `runc spec` makes, without a terminal.
fn config(args: &[&str], seccomp: Option<&Value>) -> Value {
    let rights = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    let mut config = case::plain("");
    config["ociVersion"] = json!("1.0.2");
    config["process"]["args"] = json!(args);
    config["process"]["noNewPrivileges"] = json!(true);
    config["process"]["capabilities"] =
        json!({"bounding": rights, "effective": rights, "permitted": rights});
    config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}]);
    config["hostname"] = json!("bench");
    let mounts = config["mounts"].as_array_mut().unwrap();
    mounts.push(json!({"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]}));
    mounts.push(json!({"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]}));
    config["linux"] = json!({
        "resources": {"devices": [{"allow": false, "access": "rwm"}]},
        "namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "cgroup"}],
        "maskedPaths": ["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"],
        "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
    });
    if let Some(seccomp) = seccomp {
        config["linux"]["seccomp"] = seccomp.clone();
    }
    config
}

/// Podman's default filter for a container without capabilities, as its
/// package has it.
fn filter(unpacked: &Path) -> Value {
    let text = fs::read(unpacked.join("usr/share/containers/seccomp.json"));
    let profile: Value = serde_json::from_slice(&text.expect("Podman's profile")).unwrap();
    // Some are for other machines, or for who has a capability.
    let ours = |rule: &&Value| {
        let includes = &rule["includes"];
        let arches = includes["arches"].as_array();
        includes["caps"].is_null() && arches.is_none_or(|all| all.contains(&json!("amd64")))
    };
    let rules = profile["syscalls"].as_array().unwrap().iter().filter(ours);
    let rules: Vec<Value> = rules
        .map(|rule| {
            let mut kept = json!({"names": rule["names"], "action": rule["action"]});
            for key in ["args", "errnoRet"] {
                if !rule[key].is_null() {
                    kept[key] = rule[key].clone();
                }
            }
            kept
        })
        .collect();
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": rules
    })
}

fn initrd(program: &Path, unpacked: &Path) -> Vec<u8> {
    let mut archive = Archive::default();
    for folder in [
        "proc",
        "sys",
        "dev",
        "run",
        "tmp",
        "mnt",
        "usr",
        "usr/bin",
        "usr/lib",
        "usr/lib64",
        "rootfs",
        "b",
        "f",
        "s",
    ] {
        archive.folder(folder);
    }
    for name in ["bin", "proc", "sys", "dev", "tmp"] {
        archive.folder(&format!("rootfs/{name}"));
    }
    for name in ["bin", "lib", "lib64"] {
        archive.link(name, &format!("usr/{name}"));
    }
    archive.device("dev/console", 5, 1);
    debs::add_libraries(&mut archive, unpacked);
    let busybox = PathBuf::from("/bin/busybox");
    for (place, path) in [
        ("usr/bin/runc-shim", program.to_owned()),
        ("usr/bin/qemu-agent", program.with_file_name("qemu-agent")),
        ("usr/bin/crun", unpacked.join("usr/bin/crun")),
        ("usr/bin/runc", unpacked.join("usr/sbin/runc")),
        ("usr/bin/busybox", busybox.clone()),
        ("rootfs/bin/busybox", busybox),
    ] {
        let content = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        archive.file(place, 0o755, &content);
    }
    for name in ["true", "sleep"] {
        archive.link(&format!("rootfs/bin/{name}"), "busybox");
    }
    let seccomp = filter(unpacked);
    for (bundle, config) in [
        ("b", config(&["/bin/true"], None)),
        ("f", config(&["/bin/true"], Some(&seccomp))),
        ("s", config(&["/bin/sleep", "1000"], None)),
    ] {
        archive.file(
            &format!("{bundle}/config.json"),
            0o644,
            config.to_string().as_bytes(),
        );
    }
    archive.file("init", 0o755, script().as_bytes());
    archive.finish()
}

/// The guest's first process: makes the initramfs fit for pivot_root, mounts
/// what a runtime needs, measures. The root is read-only, as in our images.
fn script() -> String {
    let mut script = "#!/bin/busybox sh
bb=/bin/busybox
if [ \"$1\" != pivoted ]; then
    $bb mount -o bind / /mnt; cd /mnt; $bb mount --move . /
    exec $bb chroot . /bin/busybox sh /init pivoted
fi
cd /
$bb mount -t proc proc /proc; $bb mount -t sysfs sysfs /sys; $bb mount -t devtmpfs dev /dev
$bb mkdir -p /dev/pts; $bb mount -t devpts devpts /dev/pts; $bb mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup
$bb mount -t tmpfs run /run; $bb mount -t tmpfs tmp /tmp
$bb --install -s /bin; export PATH=/bin
exec </dev/null >/dev/console 2>&1
mount -o remount,bind,ro /; mount --make-rshared /
echo === bare; qemu-agent bare ROUNDS /bin/busybox true
".replace("ROUNDS", ROUNDS);
    for runtime in RUNTIMES {
        for (what, before, measured, after) in LIVES {
            let command = format!(
                "echo === {runtime} {what}; {before}; qemu-agent measure {ROUNDS} {measured}; {after}\n"
            );
            script += &command
                .replace("; ;", ";")
                .replace("; \n", "\n")
                .replace("$r", &format!("{runtime} --root /run/{runtime}"));
        }
    }
    script + "echo === end\npoweroff -f\n"
}
