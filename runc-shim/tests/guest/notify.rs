//! System calls that others decide about (`SCMP_ACT_NOTIFY`): who decides is
//! `qemu-agent decide`.

use serde_json::{Value, json};

use crate::case::Case;

pub(crate) fn filter(names: &[&str], more: &Value) -> Value {
    let mut filter = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": "/run/decide",
        "listenerMetadata": "for the agent",
        "syscalls": [{"names": names, "action": "SCMP_ACT_NOTIFY"}]
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        filter[key] = value.clone();
    }
    filter
}

/// The agent with these steps, who listens when the rest begins.
pub(crate) fn agent(steps: &str, rest: &str) -> String {
    format!(
        "r='runc-shim --root /run/state'; qemu-agent decide /run/decide {steps} & while [ ! -S /run/decide ]; do usleep 10000; done
        {rest}; wait; rm -f /run/decide"
    )
}

/// A shell that calls chdir(2) itself and has a handler for USR1.
const CHANGE: &str = "trap 'echo caught' USR1; cd /data; echo then $?; exit 0";

pub(crate) fn all() -> Vec<Case> {
    // Neither the runtime's delivery nor what it does after the load may hang
    // on calls that are to be decided about: these are what it makes.
    let many = [
        "mkdir",
        "mkdirat",
        "sendmsg",
        "sendto",
        "recvmsg",
        "socket",
        "connect",
        "close",
        "clone3",
        "pidfd_open",
        "pidfd_getfd",
        "kill",
    ];
    vec![
        Case::new("notify-run", "mkdir /data/x; mkdir /data/y; echo then $?")
            .with("/linux/seccomp", filter(&many, &json!({})))
            .with("/process/noNewPrivileges", json!(true))
            .script(&agent("accept error=132 error=18", "$r run --bundle . $1; echo rc=$?"))
            .says("asked to decide: \"notify-run\" \"creating\", its first process, [\"seccompFd\"], \"for the agent\"")
            .says("decided: error 132")
            .says("mkdir: can't create directory '/data/x': Operation not possible due to RF-kill")
            .says("mkdir: can't create directory '/data/y': Invalid cross-device link")
            .says("then 1")
            .says("rc=0"),
        // Without no_new_privs the filter is there before rights are given up,
        // and what that takes is decided about too: capset(2) here.
        Case::new("notify-create", "read x < /tmp/go; mkdir /data/x")
            .with("/linux/seccomp", filter(&["mkdir", "mkdirat", "capset"], &json!({})))
            .with("/root", json!({"path": "/tmp/root"}))
            .script(&agent(
                "accept go error=132",
                "cp -a /rootfs /tmp/root; mkfifo /tmp/root/tmp/go; $r create --bundle . $1; echo created=$?; $r state $1 | grep status; $r start $1; echo started=$?
                echo > /tmp/root/tmp/go; while $r state $1 | grep -q running; do usleep 20000; done; $r delete $1; rm -rf /tmp/root",
            ))
            .says("created=0")
            .says("  \"status\": \"created\",")
            .says("asked to decide: \"notify-create\" \"created\", its first process, [\"seccompFd\"], \"for the agent\"")
            .says("started=0")
            .says("mkdir: can't create directory '/data/x': Operation not possible due to RF-kill"),
        Case::new("notify-exec", "while :; do usleep 50000; done")
            .with("/linux/seccomp", filter(&["mkdir", "mkdirat"], &json!({})))
            .script(&agent(
                "accept accept error=18",
                "$r run --detach --bundle . $1; echo rc=$?; $r exec $1 mkdir /data/z; echo exec=$?; $r delete --force $1",
            ))
            .says("asked to decide: \"notify-exec\" \"creating\", its first process, [\"seccompFd\"], \"for the agent\"")
            .says("asked to decide: \"notify-exec\" \"running\", another process, [\"seccompFd\"], \"for the agent\"")
            .says("mkdir: can't create directory '/data/z': Invalid cross-device link")
            .says("rc=0")
            .says("exec=1"),
        // A signal with a handler ends the wait for a decision, unless the flag
        // says that only one that kills may, from when it was taken up.
        Case::new("notify-interrupted", CHANGE)
            .with("/linux/seccomp", filter(&["chdir"], &json!({})))
            .script(&agent("accept signal=10", "$r run --bundle . $1; echo rc=$?"))
            .says("the call was given up")
            .says("caught")
            .says("rc=0"),
        Case::new("notify-not-interrupted", CHANGE)
            .with("/linux/seccomp", filter(&["chdir"], &json!({"flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]})))
            .script(&agent("accept signal=10", "$r run --bundle . $1; echo rc=$?"))
            .says("the call still waits")
            .says("caught")
            .says("then 2")
            .says("rc=0"),
        Case::new("notify-nobody", "echo never")
            .with("/linux/seccomp", filter(&["mkdir"], &json!({})))
            .script(
                "r='runc-shim --root /run/state'; $r run --bundle . $1; echo missing=$?; echo > /run/decide; $r create --bundle . $1; echo file=$?; rm /run/decide
                qemu-agent decide /run/decide; $r run --bundle . $1; echo gone=$?; $r create --bundle . $1; echo created=$?; $r start $1; echo started=$?
                $r state $1 | grep status; $r delete $1; echo deleted=$?; rm /run/decide; ls /run/state",
            )
            .says("runc-shim: run notify-nobody: find linux.seccomp.listenerPath /run/decide: No such file or directory")
            .says("missing=1")
            .says("runc-shim: create notify-nobody: linux.seccomp.listenerPath: /run/decide is not a socket")
            .says("file=1")
            .says("runc-shim: run notify-nobody: connect to linux.seccomp.listenerPath /run/decide: Connection refused")
            .says("gone=1")
            .says("created=0")
            .says("runc-shim: start notify-nobody: connect to linux.seccomp.listenerPath /run/decide: Connection refused")
            .says("started=1")
            .says("deleted=0")
            .never_says("never\n"),
        Case::new("notify-words", "echo never")
            .with("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["write"], "action": "SCMP_ACT_NOTIFY"}], "listenerPath": "/x"}))
            .says("runc-shim: run notify-words: /cases/notify-words/config.json: linux.seccomp.syscalls[0].action: SCMP_ACT_NOTIFY cannot be for write, by which the listener is delivered"),
    ]
}
