//! The runtime is killed at any point, and called several times at once.

use serde_json::json;

use crate::case::Case;

/// What is left when nothing should be: folders, groups, mounts, processes.
const LEFT: &str = "n=0; while ps | grep -q '[s]leep 1414' && [ $n -lt 50 ]; do usleep 100000; n=$((n+1)); done
    ls /run/state | grep $1 || echo no folder; ls /sys/fs/cgroup | grep $1 || echo no group; ps | grep '[s]leep 1414' || echo no process
    [ $before = $(cat /proc/mounts | wc -l) ] && echo no mount; ls /tmp | grep pid- || echo no file";

pub(crate) fn all() -> Vec<Case> {
    let kill = |command: &str| {
        format!(
            "r='runc-shim --root /run/state'; before=$(cat /proc/mounts | wc -l); n=0; cut=0
            while [ $n -lt 24 ]; do n=$((n+1)); $r {command} --bundle . --pid-file /tmp/pid-$n $1-$n & p=$!; usleep $((n*5000)); kill -9 $p 2>/dev/null && cut=$((cut+1)); wait $p 2>/dev/null
            [ ! -e /run/state/$1-$n ] || $r state $1-$n > /tmp/told || echo not told; $r delete --force $1-$n || echo not deleted; rm -f /tmp/pid-$n*; done 2>&1 | grep -v Killed
            echo tried; {LEFT}"
        )
    };
    let left_nothing = |case: Case| {
        case.says("tried")
            .says("no folder")
            .says("no group")
            .says("no process")
            .says("no mount")
            .says("no file")
            .never_says("not told")
            .never_says("not deleted")
    };
    let sleep = json!(["/bin/sleep", "1414"]);
    vec![
        left_nothing(
            Case::new("killed-in-create", "")
                .with("/process/args", sleep.clone())
                .with("/linux/resources", json!({"pids": {"limit": 9}, "memory": {"limit": 33_554_432}}))
                .script(&kill("create")),
        ),
        left_nothing(
            Case::new("killed-in-run", "")
                .with("/process/args", sleep.clone())
                .script(&kill("run --detach")),
        ),
        left_nothing(
            Case::new("killed-in-start-and-delete", "")
                .with("/process/args", sleep.clone())
                .script(&format!(
                    "r='runc-shim --root /run/state'; before=$(cat /proc/mounts | wc -l); n=0
                    while [ $n -lt 12 ]; do n=$((n+1)); for what in start 'delete --force'; do $r create --bundle . $1 || echo not made
                    $r $what $1 & p=$!; usleep $((n*3000)); kill -9 $p 2>/dev/null; wait $p 2>/dev/null; [ ! -e /run/state/$1 ] || $r state $1 > /tmp/told || echo not told; $r delete --force $1 || echo not deleted; done; done 2>&1 | grep -v Killed
                    echo tried; {LEFT}"
                ))
                .never_says("not made"),
        ),
        left_nothing(
            Case::new("many-at-once", "")
                .with("/process/args", sleep)
                .script(&format!(
                    "r='runc-shim --root /run/state'; before=$(cat /proc/mounts | wc -l)
                    for n in 1 2 3 4 5 6; do $r create --bundle . $1 2>/dev/null && echo made by one & done; wait
                    for n in 1 2 3 4; do $r start $1 2>/dev/null && echo started by one & done; wait
                    for n in 1 2 3 4; do $r delete --force $1 || echo not deleted & done; wait
                    for n in 1 2 3; do $r create --bundle . $1 2>/dev/null & $r delete --force $1 2>/dev/null & $r start $1 2>/dev/null & $r kill $1 KILL 2>/dev/null & done; wait
                    $r delete --force $1 || echo not deleted; echo tried; {LEFT}"
                )),
        )
        .says("made by one")
        .says("started by one"),
    ]
}
