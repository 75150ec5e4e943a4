//! `exec` and the other commands on containers that run.

use serde_json::{Value, json};

use crate::case::Case;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = exec();
    cases.extend(exec_rights());
    cases.extend(exec_trouble());
    cases.extend(descriptors());
    cases.extend(queries());
    cases.extend(control());
    cases
}

/// `r` is the runtime; the case's container runs, and is deleted at the end.
fn in_container(script: &str) -> String {
    format!(
        "r='runc-shim --root /run/state'; $r run --detach --bundle . $1 || exit
        {script}
        $r delete --force $1; echo deleted=$?"
    )
}

fn sleeping(name: &'static str, script: &str) -> Case {
    Case::new(name, "")
        .with("/process/args", json!(["/bin/sleep", "100"]))
        .script(&in_container(script))
        .says("deleted=0")
}

/// Prints `same` for each namespace that is the first process's too.
const COMPARE: &str = "for n in user pid net mnt ipc uts cgroup; do [ \"$(readlink /proc/self/ns/$n)\" = \"$(readlink /proc/1/ns/$n)\" ] && echo same $n; done";

fn all_namespaces(case: Case, user: bool) -> Case {
    let kinds = ["network", "ipc", "uts", "cgroup"];
    let case = kinds.into_iter().fold(case, Case::namespace);
    if !user {
        return case;
    }
    let ids = json!([{"containerID": 0, "hostID": 100_000, "size": 2000}]);
    case.namespace("user")
        .with("/linux/uidMappings", ids.clone())
        .with("/linux/gidMappings", ids)
}

fn says_all(case: Case, lines: &[&str]) -> Case {
    lines.iter().fold(case, |case, line| case.says(line))
}

/// Where the program is.
fn exec() -> Vec<Case> {
    let same = [
        "same user",
        "same pid",
        "same net",
        "same mnt",
        "same ipc",
        "same uts",
        "same cgroup",
    ];
    vec![
        says_all(
            all_namespaces(
                sleeping(
                    "exec-joins-all",
                    &format!("$r exec $1 /bin/sh -c '{COMPARE}; cat /proc/self/cgroup; hostname; touch /x; cat /proc/self/oom_score_adj; ulimit -n'; echo rc=$?; $r exec $1 /bin/sleep 50 &
                        until [ $(for p in $(cat /sys/fs/cgroup/$1/cgroup.procs); do cat /proc/$p/comm; done | grep -c sleep) = 2 ]; do usleep 50000; done; wc -l < /sys/fs/cgroup/$1/cgroup.procs"),
                ),
                false,
            )
            .with("/hostname", json!("inside"))
            .with("/process/oomScoreAdj", json!(321))
            .with("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 55, "hard": 66}])),
            &same,
        )
        .says("0::/")
        .says("inside")
        .says("touch: /x: Read-only file system")
        .says("321")
        .says("55")
        .says("rc=0")
        .says("2"),
        says_all(
            all_namespaces(
                sleeping(
                    "exec-in-user-namespace",
                    &format!("$r exec $1 /bin/sh -c '{COMPARE}; id -u; cat /proc/self/uid_map | tr -s \" \"; grep CapEff /proc/self/status'; $r exec --user 7:8 $1 /bin/sh -c 'id -u; id -g'"),
                ),
                true,
            ),
            &same,
        )
        .says("0")
        .says(" 0 100000 2000")
        .says("7")
        .says("8"),
        // Its root is nothing that a namespace brings along.
        sleeping("exec-without-mount-namespace", "")
            .with("/linux/namespaces", json!([{"type": "pid"}]))
            .with("/mounts", json!([]))
            .with("/root", json!({"path": "/tmp/root"}))
            .script(&format!(
                "cp -a /rootfs /tmp/root; {}; rm -rf /tmp/root",
                in_container("$r exec $1 /bin/sh -c 'cat /etc/file; ls -d /cases || echo own root'")
            ))
            .says("of the image")
            .says("own root"),
        // The container shares all but mounts and pids with the host.
        sleeping("exec-joins-few", "$r exec $1 /bin/sh -c 'echo $$ ; ls /run | wc -l; readlink /proc/self/ns/net' > /tmp/out; cat /tmp/out; grep -cF $(readlink /proc/self/ns/net) /tmp/out")
            .says("0")
            .says("1"),
        sleeping(
            "exec-codes",
            "$r exec $1 /bin/sh -c 'exit 7'; echo exit=$?
            $r exec $1 /bin/sh -c 'kill -9 $$'; echo killed=$?
            $r exec $1 nothing-of-that-name; echo missing=$?
            $r exec $1 /etc/file; echo forbidden=$?
            $r exec nobody true; echo nobody=$?
            echo hello | $r exec $1 /bin/cat
            $r kill $1 KILL; usleep 300000; $r exec $1 /bin/true; echo ended=$?; $r kill $1; echo kill=$?",
        )
        .says("exit=7")
        .says("killed=137")
        .says("runc-shim: exec exec-codes: find the program: No such file or directory (nothing-of-that-name: executable file not found)")
        .says("missing=255")
        .says("runc-shim: exec exec-codes: find the program: Permission denied (/etc/file: permission denied)")
        .says("forbidden=255")
        .says("runc-shim: exec nobody: container does not exist")
        .says("nobody=255")
        .says("hello")
        .says("runc-shim: exec exec-codes: container not running: it is stopped")
        .says("ended=255")
        .says("runc-shim: kill exec-codes: container not running: it is stopped")
        .says("kill=1"),
        sleeping(
            "exec-detached",
            "$r exec --detach --pid-file /tmp/pid $1 /bin/sh -c 'echo begun > /dev/shm/begun; exec sleep 77'; echo rc=$?
            cat /sys/fs/cgroup/$1/cgroup.procs | grep -x $(cat /tmp/pid) > /dev/null && echo in its cgroup
            $r ps --format json $1 | tr -d '[]\\n' | tr , '\\n' | grep -c .",
        )
        .with("/mounts/-", json!({"destination": "/dev/shm", "type": "tmpfs", "source": "shm"}))
        .says("rc=0")
        .says("in its cgroup")
        .says("2"),
        sleeping(
            "exec-signals-pass",
            "$r exec $1 /bin/sh -c 'trap \"echo got it; exit 9\" TERM; echo begun; while :; do usleep 20000; done' > /tmp/out & us=$!
            while ! grep -q begun /tmp/out; do usleep 20000; done; kill -TERM $us; wait $us; echo rc=$?; cat /tmp/out",
        )
        .says("got it")
        .says("rc=9"),
        // A container that divides its cgroup has no place in the group itself.
        sleeping(
            "exec-divided-cgroup",
            "$r exec $1 /bin/sh -c 'cat /proc/self/cgroup'; $r exec --cgroup main/sub $1 /bin/sh -c 'cat /proc/self/cgroup'; $r exec --cgroup ../.. $1 /bin/true; echo rc=$?",
        )
        .namespace("cgroup")
        .with("/mounts/4/options", json!(["rw"]))
        .with("/process/args", json!(["/bin/sh", "-c", "cd /sys/fs/cgroup; mkdir main; echo $$ > main/cgroup.procs; mkdir main/sub; echo +pids > cgroup.subtree_control; sleep 100"]))
        .script(&in_container(
            "while ! grep -q pids /sys/fs/cgroup/$1/cgroup.subtree_control; do usleep 20000; done
            $r exec $1 /bin/sh -c 'cat /proc/self/cgroup'; $r exec --cgroup main/sub $1 /bin/sh -c 'cat /proc/self/cgroup'; $r exec --cgroup ../.. $1 /bin/true; echo rc=$?",
        ))
        .says("0::/main")
        .says("0::/main/sub")
        .says("runc-shim: exec exec-divided-cgroup: --cgroup ../..: leads out of the container's cgroup")
        .says("rc=255"),
    ]
}

fn rights(names: &[&str]) -> Value {
    json!({"bounding": names, "permitted": names, "effective": names})
}

/// Who it is and what it may.
fn exec_rights() -> Vec<Case> {
    let status = "grep -e Cap -e NoNewPrivs -e Seccomp: /proc/self/status | tr '\\t' ' '";
    vec![
        sleeping(
            "exec-flags",
            &format!("$r exec --user 1000:1001 --additional-gids 5 -g 6 --env A=one -e B=two --cwd /etc --cap CAP_CHOWN --no-new-privs $1 /bin/sh -c \"id; pwd; echo \\$A \\$B \\$HOME; {status}\"; $r exec $1 /bin/sh -c \"{status}\""),
        )
        .with("/process/capabilities", rights(&["CAP_KILL"]))
        .says("uid=1000(u) gid=1001 groups=5,6")
        .says("/etc")
        .says("one two /home/u")
        .says("CapBnd: 0000000000000021")
        .says("NoNewPrivs: 1")
        .says("CapEff: 0000000000000020")
        .says("NoNewPrivs: 0"),
        sleeping(
            "exec-filtered",
            "for u in 0 1000; do $r exec --user $u $1 /bin/sh -c 'mkdir /tmp/d; grep Seccomp: /proc/self/status | tr \"\\t\" \" \"'; done",
        )
        .with("/mounts/-", json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}))
        .with("/process/capabilities", rights(&["CAP_CHOWN"]))
        .with("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}))
        .says("mkdir: can't create directory '/tmp/d': No space left on device")
        .says("Seccomp: 2")
        .never_says("Seccomp: 0"),
        sleeping(
            "exec-process-file",
            "echo '{\"args\": [\"/bin/sh\", \"-c\", \"id -u; id -G; umask; echo $A; ulimit -n; grep CapEff /proc/self/status | tr -d \\\"[:space:]\\\"\"], \"env\": [\"PATH=/bin\", \"A=b\"], \"cwd\": \"/\", \"user\": {\"uid\": 0, \"gid\": 3, \"umask\": 63, \"additionalGids\": [4]}, \"rlimits\": [{\"type\": \"RLIMIT_NOFILE\", \"soft\": 44, \"hard\": 44}], \"capabilities\": {\"bounding\": [\"CAP_KILL\"], \"permitted\": [\"CAP_KILL\"], \"effective\": [\"CAP_KILL\"]}}' > /tmp/process
            $r exec --process /tmp/process $1; echo; echo rc=$?
            echo '{\"args\": [], \"cwd\": \"/\"}' > /tmp/process; $r exec --process /tmp/process $1
            echo '{\"args\": 5}' > /tmp/process; $r exec -p /tmp/process $1",
        )
        .says("3 4")
        .says("0077")
        .says("b")
        .says("44")
        .says("CapEff:0000000000000020")
        .says("rc=0")
        .says("runc-shim: exec exec-process-file: /tmp/process: process.args: names no program"),
        // What its pipes are is open to it by name too.
        sleeping("exec-pipes-are-its-own", "echo in | $r exec --user 1000 $1 /bin/sh -c 'cat /dev/stdin; echo out > /dev/stdout; echo err > /dev/stderr' 2>&1 | cat")
            .says("in")
            .says("out")
            .says("err"),
    ]
}

/// Ways out that were found in others.
fn exec_trouble() -> Vec<Case> {
    vec![
        // CVE-2024-21626, by exec.
        sleeping(
            "exec-cwd-by-descriptor",
            "exec 5</ 6</run 7<.; for fd in 3 4 5 6 7 8 9 10; do $r exec --cwd /proc/self/fd/$fd $1 /bin/ls -d cases state 2>&1 | grep -v 'working directory'; done; echo done",
        )
        .says("done")
        .never_says("cases\n")
        .never_says("state\n"),
        sleeping(
            "exec-no-descriptors",
            "exec 5</etc/hosts 7</proc/version; $r exec $1 /bin/sh -c 'for f in /proc/self/fd/*; do readlink $f; done; echo done'",
        )
        .never_says("/etc/hosts")
        .never_says("/proc/version")
        .says("done"),
        // CVE-2019-5736, by exec: the program is the runtime's own, which waits
        // inside for a configuration until a container's root with every
        // capability has it; once it is gone, its file could be written to.
        sleeping(
            "exec-own-file-overwritten",
            "cp /bin/runc-shim /run/writable; $r exec $1 /bin/sh -c 'mkdir /dev/b; mkfifo /dev/b/config.json'
            /run/writable --root /run/state exec $1 /proc/self/exe run --bundle /dev/b y > /dev/null 2>&1 &
            $r exec $1 /bin/sh -c 'while :; do for p in /proc/[0-9]*; do case $(readlink $p/exe) in *writable*|*memfd*) exec 9<$p/exe || continue; echo caught; echo {} > /dev/b/config.json; while [ -e $p/exe ]; do usleep 10000; done; echo evil > /proc/self/fd/9; echo evil >> /proc/self/fd/9; echo tried; exit;; esac; done; done' 2>&1
            wait; cmp /bin/runc-shim /run/writable && echo intact; rm /run/writable",
        )
        .with("/process/capabilities", rights(&["CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_FOWNER"]))
        .says("caught")
        .says("tried")
        .says("intact"),
        sleeping("exec-in-paused", "$r pause $1; $r exec $1 /bin/true; echo rc=$?; $r exec --ignore-paused $1 /bin/echo waited & usleep 300000; $r resume $1; wait")
            .says("runc-shim: exec exec-in-paused: the container is paused, and must be running (or --ignore-paused given: the program then waits)")
            .says("rc=255")
            .says("waited"),
    ]
}

/// Descriptors that are passed on.
fn descriptors() -> Vec<Case> {
    vec![
        Case::new("preserve-fds", "cat <&3; cat <&4; ls /proc/self/fd | wc -l; for f in /proc/self/fd/*; do readlink $f; done; true")
            .script("echo three > /tmp/3; echo four > /tmp/4; exec 3</tmp/3 4</tmp/4 5</etc/hosts; runc-shim --root /run/state run --preserve-fds 2 --bundle . $1; echo rc=$?; runc-shim --root /run/state run --preserve-fds 5 --bundle . $1; exec 3</tmp/3 4</tmp/4; runc-shim --root /run/state run --detach --bundle /cases/exec-codes c; runc-shim --root /run/state exec --preserve-fds 1 c /bin/sh -c 'echo exec; cat <&3'; runc-shim --root /run/state delete --force c")
            .says("three")
            .says("four")
            .says("rc=0")
            .says("runc-shim: run preserve-fds: descriptor 6 is to be preserved, and is not open")
            .says("exec")
            .never_says("/etc/hosts"),
        Case::new("listen-fds", "echo $LISTEN_FDS $LISTEN_PID $LISTEN_FDNAMES; cat <&3; cat <&4")
            .script("echo three > /tmp/3; echo four > /tmp/4; exec 3</tmp/3 4</tmp/4; sh -c 'export LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=web; exec runc-shim --root /run/state run --preserve-fds 1 --bundle . '$1; echo rc=$?; LISTEN_FDS=1 LISTEN_PID=1 runc-shim --root /run/state run --bundle . $1")
            .says("1 1 web")
            .says("three")
            .says("four")
            .says("rc=0"),
    ]
}

/// Commands that tell something.
fn queries() -> Vec<Case> {
    vec![
        sleeping(
            "list",
            "$r list | tr -s ' ' | sed 's/ [0-9]* running/ N running/; s/ 20.*Z$/ T/'; $r list -q; $r list --format json | grep -o '\"status\":\"[a-z]*\"'; runc-shim --root /run/nothing list --format json; runc-shim --root /run/nothing list",
        )
        .says("ID PID STATUS BUNDLE CREATED")
        .says("list N running /cases/list T")
        .says("list")
        .says("\"status\":\"running\"")
        .says("[]"),
        sleeping("ps", "$r ps $1 -o pid,comm | tr -s ' ' | sed 's/[0-9][0-9]*/N/'; $r ps $1 -o comm; $r ps --format json $1 | sed 's/[0-9][0-9]*/N/'")
            .says("PID COMMAND")
            .says(" N sleep")
            .says("runc-shim: ps ps: ps -o comm: its table has no column PID")
            .says("[N]"),
        sleeping(
            "events",
            "$r events --stats $1 | sed 's/[0-9][0-9]*/N/g' | cut -d , -f 1-5; $r events --stats $1 | grep -o '\"pids\":{[^}]*}'
            $r events --interval 1s $1 > /tmp/events & usleep 1500000; $r exec $1 /bin/sh -c 'head -c 60000000 /dev/zero | tail | wc -c' > /dev/null 2>&1; $r kill $1 KILL; wait; grep -c stats /tmp/events > /tmp/count; [ $(cat /tmp/count) -ge 1 ] && echo told; grep -o -m 1 '.*oom.*' /tmp/events; $r events --stats $1; echo rc=$?",
        )
        .with("/linux/resources", json!({"memory": {"limit": 16_777_216}, "pids": {"limit": 9}}))
        .says("{\"type\":\"stats\",\"id\":\"events\",\"data\":{\"cpu\":{\"usage\":{\"total\":N,\"kernel\":N,\"user\":N}")
        .says("\"pids\":{\"current\":1,\"limit\":9}")
        .says("told")
        .says("{\"type\":\"oom\",\"id\":\"events\"}")
        .says("runc-shim: events events: container not running: it is stopped")
        .says("rc=1"),
        Case::new("spec-and-features", "")
            .script(
                "cd /tmp; rm -f config.json; r='runc-shim --root /run/state'; $r spec; echo rc=$?; $r spec; echo again=$?
                mkdir -p /tmp/rootfs; mount -o bind /rootfs /tmp/rootfs; qemu-agent terminal 'wait=#' 'type=hostname; id -u; exit 6\\n' -- $r run $1
                rm config.json; $r spec --rootless; grep -c uidMappings config.json; qemu-agent terminal 'wait=#' 'type=cat /proc/self/uid_map | tr -s \" \"; exit 6\\n' -- $r run $1
                umount /tmp/rootfs; rmdir /tmp/rootfs; rm config.json; $r features | grep -A 1 ociVersion; $r --version | sed 's/[0-9.]*$/N/'; $r -v | tail -1; $r --help | head -1; $r --systemd-cgroup list; $r checkpoint c; $r restore c",
            )
            .says("rc=0")
            .says("runc-shim: spec: write config.json: File exists")
            .says("again=1")
            .says("container")
            .says("exit status: 6")
            .says(" 0 0 1")
            .says("  \"ociVersionMax\": \"1.2.1\",")
            .says("runc-shim version N")
            .says("spec: 1.2.1")
            .says("runc-shim: Hullkit's OCI runtime, with runc's command line")
            .says("runc-shim: --systemd-cgroup: this runtime manages cgroups itself, and has no part in systemd's")
            .says("runc-shim: checkpoint: this runtime does not freeze containers to disk")
            .says("runc-shim: restore: this runtime does not freeze containers to disk"),
        sleeping("state-and-log", "$r state $1 | sed 's/[0-9][0-9]*,$/N,/; s/20.*Z/T/'; $r --log /tmp/log --log-format json kill nobody; sed 's/20[^\"]*Z/T/' /tmp/log; rm /tmp/log; $r --log /tmp/log kill nobody; sed 's/20[^\"]*Z/T/' /tmp/log; rm /tmp/log")
            .with("/annotations", json!({"a.b": "c"}))
            .says("  \"ociVersion\": \"1.2.1\",")
            .says("  \"id\": \"state-and-log\",")
            .says("  \"pid\": N,")
            .says("  \"status\": \"running\",")
            .says("  \"bundle\": \"/cases/state-and-log\",")
            .says("  \"rootfs\": \"/rootfs\",")
            .says("  \"created\": \"T\",")
            .says("    \"a.b\": \"c\"")
            .says("  \"owner\": \"\"")
            .says("{\"level\":\"error\",\"msg\":\"kill nobody: container does not exist\",\"time\":\"T\"}")
            .says("time=\"T\" level=error msg=\"kill nobody: container does not exist\""),
    ]
}

/// Commands that change a container.
fn control() -> Vec<Case> {
    vec![
        Case::new("pause-and-resume", "")
            .with("/process/args", json!(["/bin/sh", "-c", "i=0; while :; do i=$((i+1)); echo $i > /dev/shm/count; done"]))
            .with("/mounts/-", json!({"destination": "/dev/shm", "type": "bind", "source": "/tmp", "options": ["bind"]}))
            .script(&in_container(
                "while [ ! -s /tmp/count ]; do usleep 20000; done; $r pause $1; echo rc=$?; $r state $1 | grep status; $r pause $1; a=$(cat /tmp/count); usleep 300000; [ \"$a\" = \"$(cat /tmp/count)\" ] && echo held
                $r delete $1; $r resume $1; echo rc=$?; $r resume $1; $r state $1 | grep status; while [ \"$a\" = \"$(cat /tmp/count)\" ]; do usleep 20000; done; echo goes on; $r pause $1; rm /tmp/count",
            ))
            .says("  \"status\": \"paused\",")
            .says("runc-shim: pause pause-and-resume: the container is paused, and must be created or running")
            .says("held")
            .says("runc-shim: delete pause-and-resume: the container is paused, and must be stopped")
            .says("runc-shim: resume pause-and-resume: the container is running, and must be paused")
            .says("  \"status\": \"running\",")
            .says("goes on")
            .says("deleted=0"),
        sleeping(
            "update",
            "show() { for f in memory.max memory.low pids.max cpu.max cpu.weight; do echo $1 $f $(cat /sys/fs/cgroup/update/$f); done; }
            $r update --memory 64m --memory-reservation 32M --pids-limit 20 --cpu-share 2048 --cpu-quota 20000 --cpu-period 50000 $1; echo rc=$?; show options
            echo '{\"memory\": {\"limit\": 33554432, \"swap\": 0}, \"pids\": {\"limit\": 0}, \"cpu\": {\"shares\": 0}, \"devices\": [], \"blockIO\": {\"weight\": 0}}' > /tmp/update.json; $r update -r /tmp/update.json $1; show file
            echo '{\"pids\": {\"limit\": -1}}' | $r update --resources - $1; show stdin
            $r update --cpu-period 5 $1; echo rc=$?; $r exec $1 /bin/sh -c 'echo device > /dev/null && echo null'",
        )
        .says("rc=0")
        .says("options memory.max 67108864")
        .says("options memory.low 33554432")
        .says("options pids.max 20")
        .says("options cpu.max 20000 50000")
        .says("options cpu.weight 79")
        .says("file memory.max 33554432")
        .says("file pids.max 20")
        .says("file cpu.weight 79")
        .says("stdin pids.max max")
        .says("runc-shim: update update: the options: linux.resources.cpu.period: 5 is not from 1000 to 1000000")
        .says("rc=1")
        .says("null"),
        Case::new("no-pivot", "ls /; touch /x; grep -c -e ' proc ' /proc/self/mounts; cat /proc/mounts | grep -c ' /cases '; ls -d /cases")
            .script("runc-shim --root /run/state run --no-pivot --bundle . $1; echo rc=$?; sed 's/ls .cases/true/' config.json > /tmp/config.json; runc-shim --root /run/state create --no-pivot --bundle /tmp n && runc-shim --root /run/state start n; runc-shim --root /run/state delete --force n; ls -d /proc/self; ls -d /sys/kernel")
            .says("touch: /x: Read-only file system")
            .says("ls: /cases: No such file or directory")
            .says("/proc/self")
            .says("/sys/kernel"),
        Case::new("keyring-stays", "cat /proc/keys | grep -c _ses; sed -n 's/.*_ses.*/ring/p' /proc/keys")
            .script("runc-shim --root /run/state run --no-new-keyring --bundle . $1; echo rc=$?")
            .says("rc=0"),
    ]
}
