//! The cases.

use serde_json::json;

use crate::case::Case;

pub fn all() -> Vec<Case> {
    let mut cases = life();
    cases.extend(lots());
    cases
}

fn lots() -> Vec<Case> {
    vec![]
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
        .says("runc-shim: state create-start-delete: there is no container of this id")
        .says("ls: /sys/fs/cgroup/create-start-delete: No such file or directory"),
        Case::new("detached", "echo detached >/dev/stderr; sleep 100").script(
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
        Case::new("command-missing", "")
            .with("/process/args", json!(["nothing-of-that-name"]))
            .says("runc-shim: run command-missing: find the program: No such file or directory (nothing-of-that-name)")
            .says("rc=1"),
    ]
}
