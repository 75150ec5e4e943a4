//! Known ways out of a container, each tried.
//!
//! | CVE | tried by |
//! | --- | --- |
//! | 2016-9962 | `exec-no-descriptors` in `commands.rs` |
//! | 2019-5736 | `own-file` and `own-file-overwritten` in `cases.rs`, `exec-own-file-overwritten` in `commands.rs` |
//! | 2019-16884 | `proc-false`, `proc-inside` and `link-into-proc` in `cases.rs` |
//! | 2019-19921 | `race-of-proc`, and `proc-is-a-link` in `cases.rs` |
//! | 2021-30465 | `race-of-a-mount` |
//! | 2023-27561 | `race-of-proc` |
//! | 2024-21626 | `folder-by-descriptor`, `program-by-descriptor`, `descriptors` |
//! | 2025-31133 | `race-of-null`, `null-is-a-link`, `masked-through-a-link` |
//! | 2025-52565 | `race-of-console`, `console-is-a-link` |
//! | 2025-52881 | `race-of-a-mount`, `label-written-elsewhere`, `parameter-by-a-link` |

use serde_json::{Value, json};

use crate::case::Case;

fn bind(source: &str, place: &str) -> Value {
    json!({"destination": place, "type": "bind", "source": source, "options": ["rbind"]})
}

/// Runs the container again and again while another process makes `place` a
/// folder, a link to `target`, a folder, …; then says how it went. What counts
/// is what the containers say: one that could not be made is as good.
fn race(place: &str, target: &str) -> String {
    format!(
        "mkdir -p /tmp/volume /tmp/trap; echo trap > /tmp/trap/trapped; cp -a /rootfs /tmp/root
        while :; do ln -s {target} /tmp/link; rmdir {place} 2>/dev/null; mv -T /tmp/link {place} 2>/dev/null; rm -f {place} /tmp/link 2>/dev/null; mkdir {place} 2>/dev/null; done &
        racer=$!; n=0; while [ $n -lt 6 ]; do n=$((n+1)); timeout 5 runc-shim --root /run/state run --bundle . $1$n 2>&1 | grep -v ^runc-shim; done
        kill -9 $racer; wait $racer 2>/dev/null; cat /proc/mounts | grep trap | grep -v volume || echo host clean; ls /run/state | grep $1 || echo nothing left
        rm -rf /tmp/volume /tmp/root /tmp/trap; echo tried $n"
    )
}

pub(crate) fn all() -> Vec<Case> {
    let mut cases = races();
    cases.extend(descriptors());
    cases.extend(paths());
    cases
}

fn races() -> Vec<Case> {
    vec![
        // CVE-2021-30465, CVE-2025-52881: where a volume is mounted becomes a
        // link meanwhile, out of the root or into /proc, so that what the
        // runtime writes there ends up elsewhere. That the mount goes away with
        // its folder is the kernel's doing.
        Case::new("race-of-a-mount", "grep '^trap ' /proc/self/mounts | grep -v '^trap /data/x ' && echo escaped; ls -d /cases 2>/dev/null && echo escaped; grep -v 1 /proc/sys/net/ipv4/ip_forward && echo escaped; echo ran")
            .namespace("network")
            .with("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}))
            .with("/mounts/-", bind("/tmp/volume", "/data"))
            .with("/mounts/-", json!({"destination": "/data/x", "type": "tmpfs", "source": "trap"}))
            .script(&race("/tmp/volume/x", "/proc/sys"))
            .says("host clean")
            .says("nothing left")
            .says("tried 6")
            .never_says("escaped"),
        // CVE-2023-27561, CVE-2019-19921: /proc becomes a link, and is then
        // mounted where no masked path covers it.
        Case::new("race-of-proc", "[ -e /data/self/status ] && echo escaped; [ -e /proc/kcore ] && [ $(head -c 4 /proc/kcore | wc -c) != 0 ] && echo unmasked; echo ran")
            .with("/root", json!({"path": "/tmp/root"}))
            .with("/linux/maskedPaths", json!(["/proc/kcore"]))
            .script(&race("/tmp/root/proc", "/data"))
            .says("nothing left")
            .says("tried 6")
            .never_says("escaped")
            .never_says("unmasked"),
        // CVE-2025-31133: /dev/null becomes a link, and what is to be hidden is
        // covered by what it leads to, which can then be written.
        Case::new("race-of-null", "head -c 4 /proc/kcore | wc -c | grep -v '^0$' && echo unmasked; grep -c core_pattern /proc/self/mountinfo | grep -v '^0$' && echo escaped; echo ran")
            .with("/root", json!({"path": "/tmp/root"}))
            .with("/mounts", json!([{"destination": "/proc", "type": "proc", "source": "proc"}]))
            .with("/linux/maskedPaths", json!(["/proc/kcore", "/proc/keys"]))
            .script(&race("/tmp/root/dev/null", "/proc/sys/kernel/core_pattern"))
            .says("nothing left")
            .says("tried 6")
            .never_says("escaped")
            .never_says("unmasked"),
        race_of_console(),
    ]
}

/// CVE-2025-52565: what becomes the console, or where that is put, becomes a
/// link into /proc, which can then be written, or is covered where a mask or a
/// label counts on it. Another process makes /dev/console and /dev/pts/0 of the
/// image files and links in turn.
fn race_of_console() -> Case {
    let target = "/proc/sys/kernel/core_pattern";
    Case::new("race-of-console", "grep ' /dev/console ' /proc/self/mountinfo | grep -v ' - devpts ' && echo escaped; grep ' /proc/.* - devpts ' /proc/self/mountinfo && echo escaped; echo x > /dev/console; echo ran")
        .with("/process/terminal", json!(true))
        .with("/root", json!({"path": "/tmp/root"}))
        .with("/mounts", json!([
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666", "mode=0620"]}
        ]))
        .with("/linux/readonlyPaths", json!(["/proc/sys"]))
        .script(&format!(
            "cp -a /rootfs /tmp/root; mkdir -p /tmp/root/dev/pts; before=$(cat {target})
            while :; do for f in console pts/0; do ln -s {target} /tmp/root/link; mv -T /tmp/root/link /tmp/root/dev/$f; : > /tmp/root/file; mv -T /tmp/root/file /tmp/root/dev/$f; done; done &
            racer=$!; n=0; while [ $n -lt 12 ]; do n=$((n+1)); timeout 9 runc-shim --root /run/state run --bundle . $1$n < /dev/null > /tmp/out 2>&1; tr -d '\\r' < /tmp/out | grep -e escaped -e ran -e lies >> /tmp/all; done
            kill -9 $racer; wait $racer 2>/dev/null; sort -u /tmp/all; [ \"$before\" = \"$(cat {target})\" ] && echo untouched; ls /run/state | grep $1 || echo nothing left; rm -rf /tmp/root /tmp/all; echo tried $n"
        ))
        .says("ran")
        .says("untouched")
        .says("nothing left")
        .says("tried 12")
        .never_says("escaped")
}

/// CVE-2024-21626: a descriptor of the runtime's that leads to the host.
fn descriptors() -> Vec<Case> {
    let loops = "mkdir /tmp/b; n=0; while [ $n -lt 20 ]; do sed s/@/$n/ config.json > /tmp/b/config.json; runc-shim --root /run/state run --bundle /tmp/b $1 2>&1; n=$((n+1)); done; echo tried $n";
    vec![
        Case::new("folder-by-descriptor", "[ -e cases ] || [ -e ../../cases ] || [ -e ../../../cases ] && echo escaped; pwd")
            .with("/process/cwd", json!("/proc/self/fd/@"))
            .script(loops)
            .says("tried 20")
            .says("runc-shim: run folder-by-descriptor: enter the working directory /proc/self/fd/19: No such file or directory")
            .never_says("escaped"),
        Case::new("program-by-descriptor", "")
            .with("/process/args", json!(["/proc/self/fd/@/bin/busybox", "echo", "escaped"]))
            .script(loops)
            .says("tried 20")
            .never_says("escaped"),
        Case::new("descriptors", "ls /proc/self/fd | tr '\\n' ' '; echo; ls -l /proc/1/fd | grep -c '/run/state\\|/sys/fs/cgroup\\|memfd'")
            .script("exec 7</cases; exec 8</; runc-shim --root /run/state run --bundle . $1; runc-shim --root /run/state create --bundle . $1; runc-shim --root /run/state start $1; usleep 300000; runc-shim --root /run/state delete --force $1")
            .says("0 1 2 3 ")
            .says("0"),
    ]
}

fn paths() -> Vec<Case> {
    let in_copy = |change: &str| {
        format!(
            "cp -a /rootfs /tmp/root; {change}; runc-shim --root /run/state run --bundle . $1; echo rc=$?; rm -rf /tmp/root"
        )
    };
    vec![
        Case::new("null-is-a-link", "echo never")
            .with("/root", json!({"path": "/tmp/root"}))
            .with("/mounts", json!([{"destination": "/proc", "type": "proc", "source": "proc"}]))
            .with("/linux/maskedPaths", json!(["/proc/kcore"]))
            .script(&in_copy("ln -s /proc/sys/kernel/core_pattern /tmp/root/dev/null"))
            .says("runc-shim: run null-is-a-link: make the device /dev/null (1:3): File exists (something else is there)")
            .says("rc=1")
            .never_says("never\n"),
        Case::new("console-is-a-link", "echo never")
            .with("/process/terminal", json!(true))
            .with("/root", json!({"path": "/tmp/root"}))
            .with("/mounts/0", json!({"destination": "/dev/shm", "type": "tmpfs", "source": "tmpfs"}))
            .script(&in_copy("ln -s /proc/sys/kernel/core_pattern /tmp/root/dev/console"))
            .says("runc-shim: run console-is-a-link: open a terminal, on /dev/console too: Operation not permitted (it lies inside of /proc)")
            .says("rc=1")
            .never_says("never\n"),
        Case::new("masked-through-a-link", "cat /data/secret | wc -c; [ -s /etc/file ] && echo untouched")
            .with("/root", json!({"path": "/tmp/root"}))
            .with("/linux/maskedPaths", json!(["/innocent/secret", "/escape"]))
            .script(&in_copy("echo s > /tmp/root/data/secret; ln -s /data /tmp/root/innocent"))
            .says("0")
            .says("untouched")
            .says("rc=0"),
        // CVE-2025-52881 by the configuration: what is written to /proc for the
        // process must not go to a file that is put over it.
        Case::new("label-written-elsewhere", "echo never")
            .with("/process/apparmorProfile", json!("unconfined"))
            .with("/mounts/-", bind("/proc/sysrq-trigger", "/proc/self/attr/apparmor/exec"))
            .says("runc-shim: run label-written-elsewhere: bind /proc/sysrq-trigger on /proc/self/attr/apparmor/exec: Operation not permitted (it lies inside of /proc)")
            .never_says("never\n"),
        Case::new("parameter-by-a-link", "cat /proc/sys/net/ipv4/ip_forward")
            .namespace("network")
            .with("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}))
            .with("/root", json!({"path": "/tmp/root"}))
            .with("/mounts/2", bind("/tmp/false", "/data"))
            .script("mkdir -p /tmp/false; cp -a /rootfs /tmp/root; rmdir /tmp/root/proc; ln -s /data /tmp/root/proc; runc-shim --root /run/state run --bundle . $1; echo rc=$?; ls /tmp/false; cat /proc/sys/net/ipv4/ip_forward; rm -rf /tmp/root /tmp/false")
            .says("rc=1")
            .says("0"),
    ]
}
