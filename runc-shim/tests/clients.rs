//! The programs that people run containers with, in a real kernel with cgroup
//! v2, each told to use our runtime: podman, containerd's `ctr`, and Docker.
//!
//! Needs HULLKIT_KERNEL (one kernel), HULLKIT_RUNC_SHIM (the static program,
//! with `qemu-agent` beside it) and HULLKIT_CLIENTS, a folder of Debian
//! packages that hold those programs and their libraries; without them it is
//! skipped. HULLKIT_CASE picks cases by name, HULLKIT_CONSOLE names a file for
//! the console.

#[path = "guest/case.rs"]
#[allow(dead_code, reason = "its configurations are for the other guest")]
mod case;
#[path = "guest/cpio.rs"]
mod cpio;
#[path = "guest/debs.rs"]
mod debs;
#[path = "guest/machine.rs"]
#[allow(dead_code, reason = "its initrd is for the other guest")]
mod machine;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use case::Case;
use cpio::Archive;

fn setting(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

#[test]
fn clients_in_a_guest() {
    let settings = ["HULLKIT_KERNEL", "HULLKIT_RUNC_SHIM", "HULLKIT_CLIENTS"].map(setting);
    let [Some(kernel), Some(program), Some(clients)] = settings else {
        println!(
            "skipped: HULLKIT_KERNEL, HULLKIT_RUNC_SHIM and HULLKIT_CLIENTS do not name files"
        );
        return;
    };
    let only = setting("HULLKIT_CASE");
    let mut cases = cases();
    cases.retain(|case| {
        only.as_ref()
            .is_none_or(|only| case.name.contains(only.as_str()))
    });
    let program = PathBuf::from(program);
    let initrd = initrd(&program, Path::new(&clients), &cases);
    let console = machine::boot(&program, Path::new(&kernel), &initrd, &["-m", "2560"]);
    let failed: Vec<String> = cases
        .iter()
        .filter_map(|case| case.judge(&console).err())
        .collect();
    for f in &failed {
        println!("FAILED {f}");
    }
    assert!(failed.is_empty(), "{} cases", failed.len());
    println!("{} cases passed", cases.len());
}

/// The programs, of all that the packages hold.
const PROGRAMS: [&str; 7] = [
    "usr/bin/podman",
    "usr/bin/conmon",
    "usr/bin/containerd",
    "usr/bin/containerd-shim-runc-v2",
    "usr/bin/ctr",
    "usr/bin/docker",
    "usr/sbin/dockerd",
];

/// What they read.
const FILES: [(&str, &str); 6] = [
    ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
    ("etc/group", "root:x:0:\n"),
    ("etc/hosts", "127.0.0.1 localhost\n"),
    ("etc/resolv.conf", ""),
    (
        "etc/containers/policy.json",
        "{\"default\": [{\"type\": \"insecureAcceptAnything\"}]}\n",
    ),
    (
        "etc/containers/containers.conf",
        "[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\nruntime = \"runc-shim\"\n[engine.runtimes]\nrunc-shim = [\"/usr/bin/runc-shim\"]\n[containers]\nlog_driver = \"k8s-file\"\nnetns = \"none\"\n",
    ),
];

fn initrd(program: &Path, packages: &Path, cases: &[Case]) -> Vec<u8> {
    let mut archive = Archive::default();
    for folder in [
        "proc",
        "sys",
        "dev",
        "run",
        "tmp",
        "mnt",
        "root",
        "cases",
        "etc",
        "etc/containers",
        "var",
        "var/tmp",
        "var/lib",
        "usr",
        "usr/bin",
        "usr/sbin",
        "usr/lib",
        "usr/lib64",
        "image",
        "image/bin",
        "image/tmp",
        "image/etc",
    ] {
        archive.folder(folder);
    }
    archive.link("var/run", "/run");
    for name in ["bin", "sbin", "lib", "lib64"] {
        archive.link(name, &format!("usr/{name}"));
    }
    archive.device("dev/console", 5, 1);
    for (name, text) in FILES {
        archive.file(name, 0o644, text.as_bytes());
    }
    let unpacked = tempfile::tempdir().unwrap();
    debs::unpack(packages, unpacked.path());
    debs::add_libraries(&mut archive, unpacked.path());
    for name in PROGRAMS {
        let content = fs::read(unpacked.path().join(name))
            .unwrap_or_else(|e| panic!("{name} of HULLKIT_CLIENTS: {e}"));
        archive.file(name, 0o755, &content);
    }
    let seccomp = "usr/share/containers/seccomp.json";
    archive.folder("usr/share");
    archive.folder("usr/share/containers");
    archive.file(
        seccomp,
        0o644,
        &fs::read(unpacked.path().join(seccomp)).expect("golang-github-containers-common"),
    );
    let beside = program.with_file_name("qemu-agent");
    for (name, path) in [("runc-shim", program), ("qemu-agent", &beside)] {
        archive.file(
            &format!("usr/bin/{name}"),
            0o755,
            &fs::read(path).expect("the static programs"),
        );
    }
    // dockerd ends where there is none of this name, whatever it was told to use.
    archive.link("usr/bin/runc", "runc-shim");
    let busybox = fs::read("/bin/busybox").expect("busybox-static is installed");
    archive.file("usr/bin/busybox", 0o755, &busybox);
    archive.file("image/bin/busybox", 0o755, &busybox);
    archive.file(
        "image/etc/passwd",
        0o644,
        b"root:x:0:0::/root:/bin/sh\nu:x:1000:1000::/home/u:/bin/sh\n",
    );
    archive.file("init", 0o755, include_bytes!("guest/clients.sh"));
    for case in cases {
        archive.file(
            &format!("cases/{}", case.name),
            0o755,
            case.script.as_bytes(),
        );
    }
    archive.finish()
}

fn case(name: &'static str, script: &str) -> Case {
    Case::new(name, "").script(script)
}

fn cases() -> Vec<Case> {
    let mut cases = podman();
    cases.extend(containerd());
    cases.extend(docker());
    cases
}

fn podman() -> Vec<Case> {
    vec![
        case(
            "1-podman-run",
            "podman run --rm busybox echo hello from inside; echo rc=$?
            podman run --rm busybox sh -c 'exit 7'; echo rc=$?
            podman run --rm --user 1000 busybox sh -c 'echo by name > /dev/stdout; id -u; grep -e Seccomp: -e CapEff /proc/self/status | tr \"\\t\" \" \"'
            podman run --rm busybox nothing-of-that-name; echo missing=$?
            echo typed | podman run --rm -i busybox cat",
        )
        .says("hello from inside")
        .says("rc=0")
        .says("rc=7")
        .says("by name")
        .says("1000")
        .says("Seccomp: 2")
        .says("CapEff: 0000000000000000")
        .says("missing=127")
        .says("typed"),
        case(
            "2-podman-terminal",
            "podman run --rm -t busybox sh -c 'tty; echo to the console > /dev/console'
            qemu-agent terminal wait=# 'type=tty; stty size; exit 6\\n' -- podman run --rm -it busybox sh",
        )
        .says("/dev/pts/0")
        .says("to the console")
        .says("24 80")
        .says("exit status: 6"),
        case(
            "3-podman-detached",
            "podman run -d --name c --memory 32m busybox sh -c 'trap \"echo stopping; exit 3\" TERM; echo logged; while :; do sleep 1; done' > /dev/null; echo rc=$?
            wait_for 'podman logs c | grep logged'; podman logs c
            podman exec c sh -c 'echo executed; cat /sys/fs/cgroup/memory.max; exit 9'; echo rc=$?
            podman exec -t c tty; podman exec -d c touch /tmp/detached; podman exec --user 1000 c id -u
            podman exec c nothing-of-that-name; echo missing=$?
            podman pause c > /dev/null; podman inspect c --format 'is {{.State.Status}}'; podman unpause c > /dev/null
            podman top c pid args | grep -c sleep; podman update --memory 64m c > /dev/null; podman exec c cat /sys/fs/cgroup/memory.max
            podman exec c ls /tmp/detached; podman stop -t 20 c; podman logs c; podman inspect c --format 'ended {{.State.ExitCode}}'
            podman rm c; podman ps -a -q | wc -l; ls /run/runc-shim; find /sys/fs/cgroup -name 'libpod-*'",
        )
        .says("rc=0")
        .says("logged")
        .says("executed")
        .says("33554432")
        .says("rc=9")
        .says("/dev/pts/0")
        .says("1000")
        .says("missing=127")
        .says("is paused")
        .says("2")
        .says("67108864")
        .says("/tmp/detached")
        .says("stopping")
        .says("ended 3")
        .says("0"),
        case(
            "4-podman-kill",
            "podman run -d --name k --read-only --read-only-tmpfs=false --cap-drop all --pids-limit 50 --ulimit nofile=99:99 busybox sleep 1000 > /dev/null
            podman exec k sh -c 'ulimit -n; cat /sys/fs/cgroup/pids.max; touch /x'; podman kill k; podman wait k; podman rm -f k > /dev/null; echo rc=$?
            podman create --name n busybox true > /dev/null; podman start -a n; echo rc=$?; podman rm n > /dev/null; podman run --rm --privileged busybox sh -c 'grep CapEff /proc/self/status | tr -s \"[:space:]\" \" \"; mount -t tmpfs x /tmp && echo mounted'",
        )
        .says("99")
        .says("50")
        .says("touch: /x: Read-only file system")
        .says("137")
        .says("rc=0")
        .says("CapEff: 000001ffffffffff mounted"),
    ]
}

fn containerd() -> Vec<Case> {
    vec![
        case(
            "5-ctr-run",
            "run='ctr run --runc-binary /usr/bin/runc-shim --snapshotter native'; i=docker.io/library/busybox:latest
            $run --rm $i a echo hello from ctr; echo rc=$?; $run --rm $i b sh -c 'exit 5'; echo rc=$?; $run --rm $i m nothing-of-that-name 2>&1 | grep -o 'find the program: No such file or directory'
            qemu-agent terminal wait=# 'type=tty; exit 6\\n' -- $run --rm -t $i t sh",
        )
        .says("hello from ctr")
        .says("rc=0")
        .says("rc=5")
        .says("find the program: No such file or directory")
        .says("/dev/pts/0")
        .says("exit status: 6"),
        case(
            "6-ctr-tasks",
            "run='ctr run --runc-binary /usr/bin/runc-shim --snapshotter native'; i=docker.io/library/busybox:latest; $run -d $i d sleep 1000; echo rc=$?
            ctr task exec --exec-id e1 d sh -c 'echo executed; exit 9'; echo rc=$?; qemu-agent terminal wait=# 'type=tty; exit 4\\n' -- ctr task exec -t --exec-id e2 d sh
            ctr task pause d; ctr task ls | tr -s ' ' | grep -o PAUSED; ctr task resume d; ctr task ls | grep -o RUNNING; ctr task ps d | wc -l
            ctr task kill -s KILL d; wait_for 'ctr task ls | grep STOPPED'; ctr task rm d; ctr container rm d; ctr container ls -q | wc -l
            find /run/containerd/runc -name state.json | wc -l",
        )
        .says("rc=0")
        .says("executed")
        .says("rc=9")
        .says("/dev/pts/0")
        .says("exit status: 4")
        .says("PAUSED")
        .says("RUNNING")
        .says("2")
        .says("0"),
    ]
}

fn docker() -> Vec<Case> {
    vec![
        case(
            "7-docker-run",
            "docker info --format '{{.DefaultRuntime}} {{.CgroupDriver}} {{.CgroupVersion}}'; run='docker run --rm --network none'
            $run busybox echo hello from docker; echo rc=$?; $run busybox sh -c 'exit 5'; echo rc=$?; $run busybox nothing-of-that-name; echo missing=$?; $run busybox /etc/passwd; echo forbidden=$?
            $run --user 1000 busybox sh -c 'id -u; grep -e Seccomp: /proc/self/status | tr \"\\t\" \" \"'; echo typed | $run -i busybox cat
            qemu-agent terminal wait=# 'type=tty; exit 6\\n' -- $run -it busybox sh",
        )
        .says("runc-shim cgroupfs 2")
        .says("hello from docker")
        .says("rc=0")
        .says("rc=5")
        .says("missing=127")
        .says("forbidden=126")
        .says("1000")
        .says("Seccomp: 2")
        .says("typed")
        .says("/dev/pts/0")
        .says("exit status: 6"),
        case(
            "8-docker-detached",
            "docker run -d --name web --network none --memory 32m --pids-limit 50 busybox sh -c 'trap \"echo stopping; exit 3\" TERM; echo logged; while :; do sleep 1; done' > /dev/null; echo rc=$?
            wait_for 'docker logs web | grep logged'; docker exec web sh -c 'echo executed; cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max; exit 9'; echo exec=$?
            docker pause web > /dev/null; docker inspect web --format 'is {{.State.Status}}'; docker unpause web > /dev/null
            docker update --memory 64m --memory-swap 64m web > /dev/null; docker exec web cat /sys/fs/cgroup/memory.max
            docker stop -t 60 web > /dev/null; docker logs web | tail -1; docker inspect web --format 'ended {{.State.ExitCode}}'; docker rm web > /dev/null; docker ps -a -q | wc -l
            find /run/docker/runtime-* -name state.json | wc -l; find /sys/fs/cgroup/docker -mindepth 1 -type d | wc -l",
        )
        .says("rc=0")
        .says("executed")
        .says("33554432")
        .says("50")
        .says("exec=9")
        .says("is paused")
        .says("67108864")
        .says("stopping")
        .says("ended 3")
        .says("0"),
    ]
}
