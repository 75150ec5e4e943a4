//! Hooks: where each runs, what it gets, and what its failure stops.

use serde_json::{Value, json};

use crate::case::Case;

fn shell(command: &str) -> Value {
    json!({"path": "/bin/sh", "args": ["sh", "-c", command], "env": ["PATH=/bin", "MINE=yes"]})
}

const STEPS: &str = "r='runc-shim --root /run/state'; $r create --bundle . $1; echo create=$?; $r start $1; echo start=$?
    usleep 200000; $r state $1 2>/dev/null | grep status; $r delete --force $1; echo delete=$?; ls /run/state";

pub(crate) fn all() -> Vec<Case> {
    let order = |name: &str, file: &str| shell(&format!("echo {name} >> {file}"));
    vec![
        Case::new("hook-create-container", "cat /data/made; ls /cases 2>/dev/null || echo root entered")
            .namespace("uts")
            .with("/hostname", json!("box"))
            .with("/root", json!({"path": "/tmp/root"}))
            .with("/hooks", json!({"createContainer": [shell(
                "echo host name $(hostname), process $$; [ -d /cases/hook-create-container ] && echo root not entered
                grep -c ' /tmp/root/dev/pts ' /proc/self/mounts; env | sort | tr '\\n' ' '; echo; grep -o '\"status\": *\"[a-z]*\"' | tr -d ' '
                mount -t tmpfs made /tmp/root/data && echo by the hook > /tmp/root/data/made")]}))
            .script("cp -a /rootfs /tmp/root; runc-shim --root /run/state run --bundle . $1; echo rc=$?; grep -c ' made ' /proc/mounts; rm -rf /tmp/root")
            .says("host name box, process 2")
            .says("root not entered")
            .says("1")
            .says("\"status\":\"creating\"")
            .says("by the hook")
            .says("root entered")
            .says("rc=0")
            .says("0"),
        Case::new("hook-start-container", "echo program")
            .with("/hooks", json!({"startContainer": [shell(
                "echo hook with $MINE; ls -d /cases 2>/dev/null || echo in the root; grep -o '\"status\": *\"[a-z]*\"' | tr -d ' '")]}))
            .script(STEPS)
            .says("create=0")
            .says("hook with yes")
            .says("in the root")
            .says("\"status\":\"created\"")
            .says("program")
            .says("start=0")
            .says("delete=0"),
        Case::new("hook-create-container-fails", "echo program")
            .with("/hooks", json!({"createContainer": [shell("exit 3"), shell("echo second")]}))
            .script(STEPS)
            .says("runc-shim: create hook-create-container-fails: createContainer hook /bin/sh: exit status: 3")
            .says("create=1")
            .never_says("second\n")
            .never_says("program\n"),
        Case::new("hook-start-container-fails", "echo program")
            .with("/hooks", json!({"startContainer": [{"path": "/no/hook"}], "poststart": [shell("echo never")]}))
            .script(STEPS)
            .says("create=0")
            .says("runc-shim: start hook-start-container-fails: startContainer hook /no/hook: No such file or directory")
            .says("start=1")
            .says("  \"status\": \"stopped\",")
            .never_says("never\n")
            .never_says("program\n"),
        Case::new("hook-inside-too-slow", "echo program")
            .with("/hooks", json!({"createContainer": [{"path": "/bin/sleep", "args": ["sleep", "50"], "timeout": 1}]}))
            .says("runc-shim: run hook-inside-too-slow: createContainer hook /bin/sleep: not done within 1 s")
            .says("rc=1")
            .never_says("program\n"),
        Case::new("hook-order", "sleep 0")
            .with("/mounts/-", json!({"destination": "/etc/file", "type": "bind", "source": "/tmp/order", "options": ["bind"]}))
            .with("/hooks", json!({
                "prestart": [order("prestart", "/tmp/order")],
                "createRuntime": [order("createRuntime", "/tmp/order")],
                "createContainer": [order("createContainer", "/tmp/order")],
                "startContainer": [order("startContainer", "/etc/file")],
                "poststart": [order("poststart", "/tmp/order")],
                "poststop": [order("poststop", "/tmp/order")]}))
            .script(&format!("> /tmp/order; {STEPS}; tr '\\n' ' ' < /tmp/order; echo"))
            .says("prestart createRuntime createContainer startContainer poststart poststop "),
    ]
}
