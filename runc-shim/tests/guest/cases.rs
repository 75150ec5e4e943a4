//! The cases.

use serde_json::json;

use crate::case::{Case, plain};

pub(crate) fn all() -> Vec<Case> {
    let mut cases = life();
    cases.extend(mounts());
    cases.extend(proc_guard());
    cases.extend(long_options());
    cases.extend(namespaces());
    cases.extend(rights());
    cases.extend(cgroups());
    cases.extend(trouble());
    cases
}

/// The root and what is mounted in it.
fn mounts() -> Vec<Case> {
    let bind = |source: &str, destination: &str, options: &[&str]| json!({"destination": destination, "type": "bind", "source": source, "options": options});
    vec![
        Case::new("root-readonly", "touch /x; echo in > /dev/null; ls -l /dev/null; touch /dev/x && echo dev")
            .says("touch: /x: Read-only file system")
            .says("dev")
            .says("rc=0"),
        Case::new(
            "dev-readonly",
            "touch /dev/x; readlink /dev/ptmx; readlink /dev/fd; echo full > /dev/full; ls /dev/pts; id > /dev/null && echo null",
        )
        .with("/mounts/0/options", json!(["nosuid", "mode=755", "ro"]))
        .says("touch: /dev/x: Read-only file system")
        .says("pts/ptmx")
        .says("/proc/self/fd")
        .says("null")
        .says("ptmx"),
        Case::new("mount-flags", "grep -e ' /proc ' -e ' /sys ' -e ' /sys/fs/cgroup ' -e ' /tmp ' /proc/self/mounts; mount -t tmpfs x /data || echo no caps")
            .with("/mounts/-", json!({"destination": "/tmp", "type": "tmpfs", "source": "t", "options": ["nosuid", "nodev", "noexec", "size=64k", "noatime"]}))
            .says("proc /proc proc rw,nosuid,nodev,noexec,relatime 0 0")
            .says("sysfs /sys sysfs rw,nosuid,nodev,noexec,relatime 0 0")
            .says("cgroup2 /sys/fs/cgroup cgroup2 ro,nosuid,nodev,noexec,relatime,nsdelegate 0 0")
            .says("t /tmp tmpfs rw,nosuid,nodev,noexec,noatime,size=64k,mode=755,inode64 0 0")
            .says("no caps"),
        Case::new("bind-file-and-folder", "cat /etc/file; ls /data; touch /data/y; cat /tmp/deep/er/file")
            .with("/mounts/-", bind("/tmp/src", "/data", &["bind", "ro"]))
            .with("/mounts/-", bind("/tmp/src/file", "/etc/file", &["bind"]))
            .with("/mounts/-", json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}))
            .with("/mounts/-", bind("src/file", "/tmp/deep/er/file", &["rbind", "ro"]))
            .script("mkdir -p /tmp/src /tmp/b/src; echo of the host > /tmp/src/file; echo of the bundle > /tmp/b/src/file
            cp config.json /tmp/b; runc-shim --root /run/state run --bundle /tmp/b $1; echo rc=$?")
            .says("of the host")
            .says("file")
            .says("touch: /data/y: Read-only file system")
            .says("of the bundle")
            .says("rc=0"),
        Case::new("bind-target-missing", "true")
            .with("/mounts/-", bind("/tmp", "/no/such", &["bind"]))
            .says("runc-shim: run bind-target-missing: bind /tmp on /no/such: Read-only file system (making the mount point, which the root lacks)")
            .says("rc=1"),
        Case::new("bind-file-on-folder", "true")
            .with("/mounts/-", bind("/etc/hosts", "/data", &["bind"]))
            .says("runc-shim: run bind-file-on-folder: bind /etc/hosts on /data: Not a directory (the source is a file, the mount point a folder)"),
        Case::new("bind-source-missing", "true")
            .with("/mounts/-", bind("/no/source", "/data", &["bind"]))
            .says("runc-shim: run bind-source-missing: bind /no/source on /data: No such file or directory (the source)"),
        Case::new("option-unknown", "true")
            .with("/mounts/-", json!({"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": ["siez=1k"]}))
            .says("runc-shim: run option-unknown: mount tmpfs on /data: Invalid argument (tmpfs: Unknown parameter 'siez')"),
        Case::new("filesystem-unknown", "true")
            .with("/mounts/-", json!({"destination": "/data", "type": "nonsensefs", "source": "x"}))
            .says("runc-shim: run filesystem-unknown: mount nonsensefs on /data: No such device (the kernel knows no such filesystem)"),
        // The image's link leads to /run of the host; the mount must not.
        Case::new("link-out-of-root", "ls /run; cat /proc/self/mounts | grep -c 'trap '")
            .with("/mounts/-", json!({"destination": "/escape", "type": "tmpfs", "source": "trap"}))
            .script("runc-shim --root /run/state run --bundle . $1; echo rc=$?; grep trap /proc/mounts || echo host is clean")
            .says("1")
            .says("rc=0")
            .says("host is clean"),
        Case::new("mounts-stay-inside", "true")
            .script("before=$(cat /proc/mounts | wc -l); runc-shim --root /run/state run --detach --bundle . $1
            after=$(cat /proc/mounts | wc -l); [ $before = $after ] && echo same; usleep 100000; runc-shim --root /run/state delete --force $1")
            .says("same"),
        Case::new("masked", "cat /proc/kcore | wc -c; ls /sys/kernel | wc -l; touch /sys/kernel/x; echo 1 > /proc/sys/vm/drop_caches; echo end")
            .with("/linux/maskedPaths", json!(["/proc/kcore", "/sys/kernel", "/sys/block", "/not/there"]))
            .with("/linux/readonlyPaths", json!(["/proc/sys", "/also/not/there"]))
            .says("0")
            .says("touch: /sys/kernel/x: Read-only file system")
            .says("/bin/sh: can't create /proc/sys/vm/drop_caches: Read-only file system")
            .says("end"),
        Case::new("propagation", "mount | grep -c late; cat /proc/self/mountinfo | grep -c ' / / .* master:'")
            .with("/mounts/-", bind("/tmp/shared", "/data", &["rbind", "rslave"]))
            .with("/process/args", json!(["/bin/sh", "-c", "usleep 300000; grep -c late /proc/self/mounts"]))
            .script("mkdir -p /tmp/shared/x; mount -t tmpfs sh /tmp/shared; mount --make-shared /tmp/shared; mkdir /tmp/shared/x
            runc-shim --root /run/state run --bundle . $1 & usleep 150000; mount -t tmpfs late /tmp/shared/x; wait; umount /tmp/shared/x; umount /tmp/shared")
            .says("1"),
        Case::new(
            "mounts-for-the-host",
            "mkdir /data/x && mount -t tmpfs from-inside /data/x && touch /data/x/here; mount -t tmpfs hidden /tmp",
        )
        .with("/mounts/-", bind("/tmp/outward", "/data", &["rbind", "rshared"]))
        .with("/linux/rootfsPropagation", json!("shared"))
        .with("/process/capabilities", json!({"bounding": ["CAP_SYS_ADMIN"], "permitted": ["CAP_SYS_ADMIN"], "effective": ["CAP_SYS_ADMIN"], "inheritable": ["CAP_SYS_ADMIN"], "ambient": ["CAP_SYS_ADMIN"]}))
        .script("mkdir /tmp/outward; before=$(cat /proc/mounts | wc -l); runc-shim --root /run/state run --bundle . $1; echo rc=$?
            ls /tmp/outward/x; umount /tmp/outward/x && echo seen; grep hidden /proc/mounts; after=$(cat /proc/mounts | wc -l); [ $before = $after ] && echo same")
        .says("rc=0")
        .says("here")
        .says("seen")
        .says("same")
        .never_says("hidden"),
        Case::new("writable-root", "echo hi > /made; cat /made; pwd")
            .with("/root", json!({"path": "/tmp/root"}))
            .with("/process/cwd", json!("/work/dir"))
            .script("cp -a /rootfs /tmp/root; runc-shim --root /run/state run --bundle . $1; echo rc=$?; rm -rf /tmp/root")
            .says("hi")
            .says("/work/dir")
            .says("rc=0"),
    ]
}

/// What may not be mounted on `/proc` or in it (CVE-2019-16884, CVE-2019-19921,
/// CVE-2023-27561).
fn proc_guard() -> Vec<Case> {
    let tmpfs = |place: &str| json!({"destination": place, "type": "tmpfs", "source": "false"});
    let bind = |source: &str, place: &str| json!({"destination": place, "type": "bind", "source": source, "options": ["rbind"]});
    let in_copy = |change: &str| {
        format!(
            "cp -a /rootfs /tmp/root; {change}; runc-shim --root /run/state run --bundle . $1; echo rc=$?; rm -rf /tmp/root"
        )
    };
    let copy = json!({"path": "/tmp/root"});
    vec![
        Case::new("proc-inside", "echo never")
            .with("/mounts/-", tmpfs("/proc/self/attr"))
            .says("runc-shim: run proc-inside: mount tmpfs on /proc/self/attr: Operation not permitted (it lies inside of /proc)")
            .never_says("never\n"),
        Case::new("proc-false", "echo never")
            .with("/mounts/-", bind("/tmp", "/proc"))
            .says("runc-shim: run proc-false: bind /tmp on /proc: Operation not permitted (only a proc filesystem may be mounted there)")
            .never_says("never\n"),
        Case::new("proc-is-a-link", "echo never")
            .with("/root", copy.clone())
            .script(&in_copy("rmdir /tmp/root/proc; ln -s /data /tmp/root/proc"))
            .says("runc-shim: run proc-is-a-link: mount proc on /proc: Operation not permitted (a symbolic link leads it elsewhere)")
            .never_says("never\n"),
        Case::new("link-into-proc", "echo never")
            .with("/root", copy)
            .with("/mounts/-", tmpfs("/innocent"))
            .script(&in_copy("ln -s proc/self/attr /tmp/root/innocent"))
            .says("runc-shim: run link-into-proc: mount tmpfs on /innocent: Operation not permitted (it lies inside of /proc)")
            .never_says("never\n"),
        // What is mounted below /proc/net is taken off again by the kernel (5.11
        // and later) at the next lookup, so there it only has to be allowed.
        Case::new("proc-covered", "cat /proc/cpuinfo /proc/uptime; ls -d /proc/1")
            .with("/mounts/-", bind("/tmp/mine", "/proc/cpuinfo"))
            .with("/mounts/-", bind("/tmp/yours", "/proc/uptime"))
            .with("/mounts/-", bind("/tmp/yours", "/proc/net/dev"))
            .script("echo my cpus > /tmp/mine; echo your time > /tmp/yours; runc-shim --root /run/state run --bundle . $1; echo rc=$?
            mount -o bind /tmp/yours /proc/net/dev && grep -c your /proc/net/dev")
            .says("my cpus")
            .says("your time")
            .says("0")
            .says("/proc/1")
            .says("rc=0"),
        Case::new("proc-of-the-host", "tr '\\0' ' ' < /proc/1/cmdline; echo")
            .with("/mounts/2", bind("/proc", "/proc"))
            .says("/bin/busybox sh /init pivoted ")
            .says("rc=0"),
    ]
}

/// Options that fsconfig(2) does not take, because they are too long.
fn long_options() -> Vec<Case> {
    let mode = format!("mode={}711", "0".repeat(300));
    let mut cases = vec![
        Case::new("option-long", "stat -c %a /data; touch /data/x; grep -c ' /data tmpfs ro,nosuid' /proc/self/mounts")
            .with("/mounts/-", json!({"destination": "/data", "type": "tmpfs", "source": "t", "options": [mode, "ro", "nosuid"]}))
            .says("711")
            .says("touch: /data/x: Read-only file system")
            .says("1")
            .says("rc=0"),
    ];
    if crate::setting("HULLKIT_MODULES").is_none() {
        println!("left out: overlay, because HULLKIT_MODULES names no folder of modules");
        return cases;
    }
    let long = format!("/tmp/{}", "long".repeat(40));
    let options = |lower: &str| {
        json!([
            format!("lowerdir={lower}"),
            "upperdir=/tmp/upper",
            "workdir=/tmp/work"
        ])
    };
    let overlay = |name, lower: &str| {
        Case::new(name, "cat /data/a; cat /data/b; echo up > /data/c")
            .with("/mounts/-", json!({"destination": "/data", "type": "overlay", "source": "overlay", "options": options(lower)}))
            .script(&format!("mkdir -p {long}/1 {long}/2 /tmp/upper /tmp/work; ln -sf {long} /tmp/short; echo one > {long}/1/a; echo two > {long}/2/b
                runc-shim --root /run/state run --bundle . $1; echo rc=$?; cat /tmp/upper/c; grep -c ^overlay /proc/mounts; rm -rf /tmp/upper /tmp/work {long}"))
            .says("one")
            .says("two")
            .says("up")
            .says("0")
            .says("rc=0")
    };
    cases.push(overlay("overlay", "/tmp/short/1:/tmp/short/2"));
    cases.push(overlay("overlay-long", &format!("{long}/1:{long}/2")));
    cases
}

/// Namespaces and what belongs to them.
fn namespaces() -> Vec<Case> {
    let ns = "for n in net ipc uts cgroup user; do readlink /proc/self/ns/$n; done > ";
    let mut all = Case::new("namespaces-new", "cat /proc/self/cgroup; hostname; dnsdomainname; cat /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_forward; ls /sys/class/net; ls -l /proc/self/ns | wc -l")
        .with("/hostname", json!("inside"))
        .with("/linux/sysctl", json!({"kernel.msgmax": "4711", "net.ipv4.ip_forward": "1"}));
    for kind in ["network", "ipc", "uts", "cgroup"] {
        all = all.namespace(kind);
    }
    vec![
        all.says("0::/").says("inside").says("4711").says("1").says("lo").says("rc=0"),
        Case::new("host-namespaces", &format!("{ns} /data/in"))
            .with("/mounts/-", json!({"destination": "/data", "type": "bind", "source": "/tmp", "options": ["rbind"]}))
            .script(&format!("runc-shim --root /run/state run --bundle . $1; {ns} /tmp/out; [ \"$(cat /tmp/in)\" = \"$(cat /tmp/out)\" ] && echo shared; cat /tmp/in | wc -l"))
            .says("shared")
            .says("5"),
        Case::new("namespace-by-path", "hostname; echo $$")
            .with("/linux/namespaces", json!([{"type": "uts", "path": "/tmp/uts"}, {"type": "mount"}, {"type": "pid", "path": "/tmp/pidns"}]))
            .script("touch /tmp/uts /tmp/pidns; mount --make-rprivate /tmp
            unshare -u -p -f sh -c 'hostname joined; mount -o bind /proc/self/ns/uts /tmp/uts; exec sleep 77' &
            until [ \"$held\" ]; do for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep -q '^sleep 77' && held=$p; done; done; mount -o bind $held/ns/pid /tmp/pidns
            runc-shim --root /run/state run --bundle . $1; echo rc=$?; umount /tmp/uts; umount /tmp/pidns; kill -9 ${held##*/}")
            .says("joined")
            .says("rc=0"),
        Case::new("user-namespace-by-path", "id -u; cat /proc/self/uid_map | tr -s ' '; ulimit -n; cat /proc/self/oom_score_adj; ls -l /dev/null > /dev/null && echo null")
            .with("/linux/namespaces", json!([{"type": "user", "path": "/tmp/userns"}, {"type": "mount"}, {"type": "pid"}]))
            .with("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 55, "hard": 66}]))
            .with("/process/oomScoreAdj", json!(77))
            .with("/mounts/3", json!({"destination": "/sys", "type": "bind", "source": "/sys", "options": ["rbind", "ro"]}))
            .script("touch /tmp/userns; mount --make-rprivate /tmp; unshare -U sleep 80 & p=$!
            n=0; while [ $(readlink /proc/$p/ns/user) = $(readlink /proc/self/ns/user) ] && [ $n -lt 300 ]; do usleep 100000; n=$((n+1)); done
            echo 0 100000 1000 > /proc/$p/uid_map; echo 0 100000 1000 > /proc/$p/gid_map; mount -o bind /proc/$p/ns/user /tmp/userns
            runc-shim --root /run/state run --bundle . $1; echo rc=$?; umount /tmp/userns; kill $p")
            .says("0")
            .says(" 0 100000 1000")
            .says("55")
            .says("77")
            .says("null")
            .says("rc=0"),
        Case::new("namespace-of-wrong-type", "true")
            .with("/linux/namespaces/-", json!({"type": "uts", "path": "/proc/1/ns/net"}))
            .says("runc-shim: run namespace-of-wrong-type: /proc/1/ns/net is a namespace, but not one of type uts"),
        user_namespace("user-namespace", "id -u; cat /proc/self/uid_map | tr -s ' '; ls -ln /dev/null | tr -s ' '; hostname; echo ok > /dev/null && echo null; ulimit -n"),
    ]
}

fn user_namespace(name: &'static str, command: &str) -> Case {
    let mut case = Case::new(name, command)
        .with("/hostname", json!("mapped"))
        .with(
            "/process/rlimits",
            json!([{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 99}]),
        )
        .with(
            "/linux/uidMappings",
            json!([{"containerID": 0, "hostID": 100_000, "size": 1000}]),
        )
        .with(
            "/linux/gidMappings",
            json!([{"containerID": 0, "hostID": 100_000, "size": 1000}]),
        )
        .with(
            "/mounts/-",
            json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}),
        );
    for kind in ["user", "network", "ipc", "uts", "cgroup"] {
        case = case.namespace(kind);
    }
    case.says("0")
        .says(" 0 100000 1000")
        .says("mapped")
        .says("null")
        .says("77")
        .says("rc=0")
}

/// Who the process is and what it may.
fn rights() -> Vec<Case> {
    vec![
        Case::new("no-capabilities", "grep Cap /proc/self/status | tr '\\t' ' '; grep NoNewPrivs /proc/self/status | tr '\\t' ' '")
            .with("/process/noNewPrivileges", json!(true))
            .says("CapInh: 0000000000000000")
            .says("CapEff: 0000000000000000")
            .says("CapBnd: 0000000000000000")
            .says("NoNewPrivs: 1"),
        Case::new("user", "id; umask; grep -e Cap -e Groups /proc/self/status | tr '\\t' ' '; echo $HOME; ulimit -n; cat /proc/self/oom_score_adj; ls -l /proc/self/fd | wc -l")
            .with("/process/user", json!({"uid": 1000, "gid": 1001, "additionalGids": [5, 6], "umask": 0o77}))
            .with("/process/capabilities", json!({
                "bounding": ["CAP_NET_BIND_SERVICE", "CAP_CHOWN"],
                "permitted": ["CAP_NET_BIND_SERVICE"],
                "inheritable": ["CAP_NET_BIND_SERVICE"],
                "effective": ["CAP_NET_BIND_SERVICE"],
                "ambient": ["CAP_NET_BIND_SERVICE"]}))
            .with("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 55, "hard": 66}]))
            .with("/process/oomScoreAdj", json!(123))
            .says("uid=1000(u) gid=1001 groups=5,6")
            .says("0077")
            .says("Groups: 5 6 ")
            .says("CapEff: 0000000000000400")
            .says("CapAmb: 0000000000000400")
            .says("CapBnd: 0000000000000401")
            .says("/home/u")
            .says("55")
            .says("123"),
        Case::new("no-descriptors", "for f in /proc/self/fd/*; do readlink $f; done; readlink /proc/1/fd/3 || echo none")
            .script("exec 5</etc/hosts 7</proc/version; runc-shim --root /run/state run --bundle . $1; echo rc=$?")
            .never_says("/etc/hosts")
            .never_says("/proc/version")
            .says("none"),
        // CVE-2024-21626: the working directory by way of a leaked descriptor.
        Case::new("cwd-by-descriptor", "cd ../../..; ls")
            .with("/process/cwd", json!("/proc/self/fd/3"))
            .script("for fd in 3 4 5 6 7 8; do sed \"s#/proc/self/fd/3#/proc/self/fd/$fd#\" config.json > /tmp/config.json; runc-shim --root /run/state run --bundle /tmp $1; echo rc=$?; done")
            .says("rc=1")
            .never_says("rc=0"),
        Case::new("signals-and-session", "grep -e SigBlk -e SigIgn /proc/self/status | tr '\\t' ' '; sed 's/.*) //' /proc/self/stat | { read s pp pg se rest; echo session $se; }")
            .script("trap '' HUP USR1 PIPE; runc-shim --root /run/state run --bundle . $1")
            .says("SigBlk: 0000000000000000")
            .says("SigIgn: 0000000000000000")
            .says("session 1"),
        Case::new("seccomp", "mkdir /tmp/d; hostname x; grep Seccomp: /proc/self/status | tr '\\t' ' '")
            .with("/process/noNewPrivileges", json!(true))
            .with("/mounts/-", json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}))
            .with("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
                "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
                             {"names": ["sethostname"], "action": "SCMP_ACT_ERRNO"}]}))
            .says("mkdir: can't create directory '/tmp/d': No space left on device")
            .says("Seccomp: 2"),
        Case::new("seccomp-privileged", "mkdir /tmp/d; echo done")
            .with("/process/capabilities", json!({"bounding": ["CAP_CHOWN"], "permitted": ["CAP_CHOWN"], "effective": ["CAP_CHOWN"]}))
            .with("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}))
            .says("mkdir: can't create directory '/tmp/d': No space left on device")
            .says("done"),
        Case::new("apparmor-unknown", "true")
            .with("/process/apparmorProfile", json!("no-such-profile"))
            .says("rc=1"),
    ]
}

/// The cgroup.
fn cgroups() -> Vec<Case> {
    vec![
        Case::new("cgroup-limits", "sleep 100")
            .with("/linux/cgroupsPath", json!("/hullkit/services/web"))
            .with("/linux/resources", json!({
                "memory": {"limit": 33_554_432, "reservation": 16_777_216},
                "cpu": {"shares": 1024, "quota": 50_000, "period": 100_000},
                "pids": {"limit": 33}, "unified": {"memory.high": "30000000"}}))
            .script("runc-shim --root /run/state run --detach --bundle . $1; cd /sys/fs/cgroup/hullkit/services/web && for f in memory.max memory.low memory.high cpu.weight cpu.max pids.max; do echo $f $(cat $f); done; wc -l < cgroup.procs; cd /; runc-shim --root /run/state delete --force $1; ls /sys/fs/cgroup/hullkit/services")
            .says("memory.max 33554432")
            .says("memory.low 16777216")
            .says("memory.high 29999104")
            .says("cpu.weight 39")
            .says("cpu.max 50000 100000")
            .says("pids.max 33")
            .says("1")
            .never_says("web"),
        Case::new("cgroup-tree-is-killed", "")
            .with("/linux/namespaces", json!([{"type": "mount"}]))
            .with("/process/args", json!(["/bin/sh", "-c", "sleep 1111 & sleep 1111 & exit 0"]))
            .script("runc-shim --root /run/state run --detach --bundle . $1; usleep 200000; runc-shim --root /run/state state $1 | grep status; ps | grep -c '[s]leep 1111'; runc-shim --root /run/state delete $1; echo rc=$?; ps | grep -c '[s]leep 1111'; ls -d /sys/fs/cgroup/$1")
            .says("  \"status\": \"stopped\",")
            .says("2")
            .says("rc=0")
            .says("0"),
        Case::new("devices-denied", "mknod /data/vda b 8 0; cat /data/vda; mknod /data/m c 1 1; cat /data/m; cat /dev/zero | head -c 3 | wc -c; head -c 1 /dev/mine | wc -c")
            .with("/mounts/-", json!({"destination": "/data", "type": "tmpfs", "source": "tmpfs"}))
            .with("/process/capabilities", json!({"bounding": ["CAP_MKNOD"], "permitted": ["CAP_MKNOD"], "effective": ["CAP_MKNOD"], "inheritable": ["CAP_MKNOD"], "ambient": ["CAP_MKNOD"]}))
            .with("/linux/devices", json!([{"path": "/dev/mine", "type": "c", "major": 1, "minor": 5, "fileMode": 0o600}]))
            .says("cat: can't open '/data/m': Operation not permitted")
            .says("3")
            .says("1"),
        Case::new("cgroup-in-use", "sleep 100")
            .with("/linux/cgroupsPath", json!("busy"))
            .script("r='runc-shim --root /run/state'; $r run --detach --bundle . a; $r run --detach --bundle . b; $r delete --force a; echo rc=$?")
            .says("runc-shim: run b: cgroup busy: processes of somebody else live in it")
            .says("rc=0"),
        Case::new("out-of-memory", "echo never")
            .with("/linux/resources", json!({"memory": {"limit": 8192}}))
            .says("rc=1")
            .never_says("never"),
    ]
}

/// What is wrong, half done, or hostile.
fn trouble() -> Vec<Case> {
    vec![
        Case::new("config-wrong", "true")
            .with("/linux/namespaces/-", json!({"type": "nett"}))
            .script("runc-shim --log /tmp/log --log-format json --root /run/state create --bundle . $1; echo rc=$?; sed 's/,\"time.*//' /tmp/log")
            .says("rc=1")
            .says("runc-shim: create config-wrong: /cases/config-wrong/config.json: linux.namespaces[2].type: \"nett\" is not one of pid, network, mount, ipc, uts, user, cgroup, time"),
        Case::new("half-created", "true")
            .script("mkdir -p /run/state/half /run/state/$1; r='runc-shim --root /run/state'; $r state half | grep status; $r delete half; echo rc=$?; $r create --bundle . $1; $r delete $1; ls /run/state")
            .says("  \"status\": \"creating\",")
            .says("rc=0")
            .says("runc-shim: create half-created: a container of this id exists")
            .never_says("half\n"),
        Case::new("failure-leaves-nothing", "true")
            .with("/process/cwd", json!("/etc/file"))
            .script("runc-shim --root /run/state create --bundle . $1; echo rc=$?; ls /run/state /sys/fs/cgroup | grep $1 || echo nothing")
            .says("runc-shim: create failure-leaves-nothing: enter the working directory /etc/file: Not a directory")
            .says("nothing"),
        // CVE-2019-5736: the runtime's file, from inside.
        Case::new("own-file", "")
            .with("/process/args", json!(["/proc/self/exe", "help"]))
            .script("runc-shim --root /run/state run --bundle . $1 | head -1; cp /bin/runc-shim /run/writable; /run/writable --root /run/state run --bundle . $1 | head -1
            sed 's#\"args\":\\[[^]]*\\]#\"args\":[\"/bin/sh\",\"-c\",\"echo fine\"]#' config.json > /tmp/config.json
            /run/writable --root /run/state run --bundle /tmp $1; echo rc=$?; rm /run/writable")
            .says("fine")
            .says("rc=0"),
        overwrite(),
        Case::new("hook-that-reads-nothing", "echo program")
            .with("/annotations", json!({"large": "x".repeat(200_000)}))
            .with("/hooks", json!({"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "0"]}]}))
            .says("program")
            .says("rc=0"),
        Case::new("hooks", "echo program")
            .with("/hooks", json!({
                "prestart": [{"path": "/bin/sh", "args": ["sh", "-c", "head -c 300 | grep -o creating"], "env": ["PATH=/bin"]}],
                "poststart": [{"path": "/bin/sh", "args": ["sh", "-c", "echo poststart"], "env": ["PATH=/bin"]}],
                "poststop": [{"path": "/bin/sh", "args": ["sh", "-c", "echo poststop"], "env": ["PATH=/bin"]}]}))
            .says("creating")
            .says("program")
            .says("poststart")
            .says("poststop"),
        Case::new("hook-too-slow", "echo never")
            .with("/hooks", json!({"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "50"], "timeout": 1}]}))
            .says("runc-shim: run hook-too-slow: createRuntime hook /bin/sleep: not done within 1 s")
            .says("rc=1")
            .never_says("never\n"),
        Case::new("exec-fails", "")
            .with("/process/args", json!(["/etc/script"]))
            .with("/root", json!({"path": "/tmp/root"}))
            .script("cp -a /rootfs /tmp/root; echo '#!/no/interpreter' > /tmp/root/etc/script; chmod +x /tmp/root/etc/script
            r='runc-shim --root /run/state'; $r create --bundle . $1; echo rc=$?; $r start $1; echo rc=$?; $r delete --force $1; rm -rf /tmp/root")
            .says("rc=0")
            .says("runc-shim: start exec-fails: execute the program: No such file or directory (/etc/script)")
            .says("rc=1"),
    ]
}

/// CVE-2019-5736 as it was done: a container that sees the runtime's processes
/// opens what they run, and writes to it once they are gone. A hook holds the
/// runtime until it is caught; the first container keeps trying.
fn overwrite() -> Case {
    let attack = "while :; do for p in /proc/[0-9]*; do case $(readlink $p/exe) in *writable*|*memfd*)
        exec 9<$p/exe || continue; echo caught; sleep 3
        echo evil > /proc/self/fd/9; echo evil >> /proc/self/fd/9; echo tried; exit;; esac; done; done";
    let all = json!([
        "CAP_SYS_ADMIN",
        "CAP_SYS_PTRACE",
        "CAP_DAC_OVERRIDE",
        "CAP_FOWNER"
    ]);
    let rights = json!({"bounding": all, "permitted": all, "effective": all, "inheritable": all, "ambient": all});
    let mut victim = plain("echo victim");
    victim["hooks"] = json!({"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "2"]}]});
    Case::new("own-file-overwritten", attack)
        .with("/root", json!({"path": "/tmp/root"}))
        .with("/linux/namespaces", json!([{"type": "mount"}]))
        .with("/process/capabilities", rights)
        .script(&format!(
            "cp -a /rootfs /tmp/root; cp /bin/runc-shim /run/writable; mkdir /tmp/victim; echo '{victim}' > /tmp/victim/config.json
            /run/writable --root /run/state run --bundle . $1 & usleep 300000
            /run/writable --root /run/state run --bundle /tmp/victim victim; wait; cmp /bin/runc-shim /run/writable && echo intact
            rm -rf /tmp/root /run/writable /tmp/victim"
        ))
        .says("caught")
        .says("tried")
        .says("victim")
        .says("intact")
}

/// create, start, state, kill, delete, run.
fn life() -> Vec<Case> {
    vec![
        Case::new("run-true", "exit 7").says("rc=7").never_says("run-true\n"),
        Case::new("run-says", "echo in the container; id -u; echo $$")
            .says("in the container")
            .says("1")
            .says("rc=0"),
        Case::new("create-start-delete", "echo started; sleep 100").script(
            "r='runc-shim --root /run/state'
            $r create --bundle . --pid-file /tmp/pid $1 || exit
            $r state $1 | grep status
            $r start $1
            $r start $1
            $r state $1 | grep status
            $r kill $1 KILL
            kill -0 $(cat /tmp/pid) 2>/dev/null; usleep 300000
            $r state $1 | grep status
            $r delete $1; echo rc=$?
            $r state $1
            ls /run/state; ls -d /sys/fs/cgroup/$1",
        )
        .says("  \"status\": \"created\",")
        .says("started")
        .says("  \"status\": \"running\",")
        .says("runc-shim: start create-start-delete: the container is running, and must be created")
        .says("  \"status\": \"stopped\",")
        .says("rc=0")
        .says("runc-shim: state create-start-delete: container does not exist")
        .says("ls: /sys/fs/cgroup/create-start-delete: No such file or directory"),
        Case::new("detached", "sleep 100").script(
            "r='runc-shim --root /run/state'
            $r run --detach --bundle . --pid-file /tmp/pid $1; echo rc=$?
            cat /sys/fs/cgroup/$1/cgroup.procs | grep -x $(cat /tmp/pid) >/dev/null && echo in its cgroup
            $r delete $1
            $r delete --force $1; echo forced=$?
            $r delete --force $1; echo again=$?",
        )
        .says("rc=0")
        .says("in its cgroup")
        .says("runc-shim: delete detached: the container is running, and must be stopped")
        .says("forced=0")
        .says("again=0"),
        Case::new("kill-all", "")
            .with("/process/args", json!(["/bin/sh", "-c", "sleep 1212 & sleep 1212 & sleep 1212"]))
            .with("/linux/namespaces", json!([{"type": "mount"}]))
            .script(
                "r='runc-shim --root /run/state'; $r run --detach --bundle . $1; usleep 200000
            ps | grep -c '[s]leep 1212'; $r kill --all $1 STOP; echo rc=$?; $r kill --all $1 KILL; echo rc=$?; usleep 300000
            ps | grep '[s]leep 1212' | grep -v -c Z; $r state $1 | grep status; $r delete $1; echo deleted=$?",
            )
            .says("3")
            .says("rc=0")
            .says("0")
            .says("  \"status\": \"stopped\",")
            .says("deleted=0"),
        Case::new("command-missing", "")
            .with("/process/args", json!(["nothing-of-that-name"]))
            .says("runc-shim: run command-missing: find the program: No such file or directory (nothing-of-that-name: executable file not found)")
            .says("rc=1"),
    ]
}
