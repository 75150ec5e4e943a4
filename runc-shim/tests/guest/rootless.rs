//! Containers of an ordinary user, number 1000 in the guest.

use serde_json::{Value, json};

use crate::case::Case;
use crate::notify;

/// Runs `command` as the user, with `$r` the runtime.
fn as_user(command: &str) -> String {
    format!(
        "mkdir -p /tmp/u; chown 1000:1000 /tmp/u; export name=$1; cat > /tmp/u.sh <<'END'
r='runc-shim --root /tmp/u/state'
{command}
END
start-stop-daemon -S -q -p /tmp/no-pid -c 1000:1000 -a /bin/sh -- /tmp/u.sh; ls /tmp/u/state"
    )
}

fn user_case(name: &'static str, command: &str, uids: &Value) -> Case {
    Case::new(name, command)
        .with(
            "/linux/namespaces",
            json!([{"type": "user"}, {"type": "mount"}, {"type": "pid"}, {"type": "uts"}, {"type": "ipc"}, {"type": "network"}]),
        )
        .with("/linux/uidMappings", uids.clone())
        .with("/linux/gidMappings", uids.clone())
        .with("/hostname", json!("users"))
        .with("/mounts/3", json!({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]}))
        .with("/mounts/4", json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev"]}))
}

pub(crate) fn all() -> Vec<Case> {
    let one = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
    let many = json!([{"containerID": 0, "hostID": 1000, "size": 1}, {"containerID": 1, "hostID": 100_000, "size": 1000}]);
    let others = json!([{"containerID": 0, "hostID": 100_000, "size": 1000}]);
    let run = "$r run --bundle . $name; echo rc=$?";
    vec![
        user_case("rootless-one-id", "id -u; tr -s ' ' < /proc/self/uid_map; cat /proc/self/setgroups; hostname; echo > /tmp/mine && stat -c %u /tmp/mine; echo > /dev/null && echo null; touch /x || true", &one)
            .script(&as_user(&format!("id -u; {run}; export XDG_RUNTIME_DIR=/tmp/u; runc-shim create --bundle . $name; ls /tmp/u/runc-shim; runc-shim delete --force $name; ls /tmp/u/runc-shim")))
            .says("1000")
            .says("rootless-one-id")
            .says("0")
            .says(" 0 1000 1")
            .says("deny")
            .says("users")
            .says("null")
            .says("touch: /x: Read-only file system")
            .says("rc=0"),
        user_case("rootless-detached", "sleep 1313", &one)
            .script(&as_user(
                "$r create --bundle . $name; echo create=$?; $r start $name; $r state $name | grep status; ps | grep -c '[s]leep 1313'
                $r delete $name; $r delete --force $name; echo delete=$?; n=0; while ps | grep -q '[s]leep 1313' && [ $n -lt 50 ]; do usleep 100000; n=$((n+1)); done; ps | grep -c '[s]leep 1313'"))
            .says("create=0")
            .says("  \"status\": \"running\",")
            .says("1")
            .says("runc-shim: delete rootless-detached: the container is running, and must be stopped")
            .says("delete=0")
            .says("0"),
        user_case("rootless-many-ids", "id -u; id -g; tr -s ' ' < /proc/self/uid_map | tr '\\n' ','; echo; cat /proc/self/setgroups", &many)
            .with("/process/user", json!({"uid": 5, "gid": 7, "additionalGids": [9]}))
            .script(&as_user(run))
            .says("5")
            .says("7")
            .says(" 0 1000 1, 1 100000 1000,")
            .says("allow")
            .says("rc=0"),
        user_case("rootless-ids-of-others", "echo never", &json!([{"containerID": 0, "hostID": 5000, "size": 10}]))
            .script(&as_user(run))
            .says("rc=1")
            .never_says("never\n"),
        // Root inside is another user than the runtime's, who must take the
        // listener from it all the same.
        user_case("rootless-notify", "mkdir /tmp/x; echo then $?", &others)
            .with("/linux/seccomp", notify::filter(&["mkdir", "mkdirat"], &json!({})))
            .script(&notify::agent("accept error=132", &format!("chmod 666 /run/decide; {}", as_user(run))))
            .says("asked to decide: \"rootless-notify\" \"creating\", its first process, [\"seccompFd\"], \"for the agent\"")
            .says("mkdir: can't create directory '/tmp/x': Operation not possible due to RF-kill")
            .says("rc=0"),
        user_case("rootless-no-limits", "echo never", &one)
            .with("/linux/resources", json!({"pids": {"limit": 10}}))
            .script(&as_user(run))
            .says("runc-shim: run rootless-no-limits: cgroup rootless-no-limits: this user may not make it, so there can be no limits: have a group delegated and name it by cgroupsPath, or leave linux.resources out")
            .says("rc=1"),
        user_case("rootless-delegated", "echo inside", &one)
            .with("/linux/cgroupsPath", json!("/u/box"))
            .with("/linux/resources", json!({"pids": {"limit": 10}, "memory": {"limit": 16_777_216}, "devices": [{"allow": false, "access": "rwm"}]}))
            .script(&format!(
                "cd /sys/fs/cgroup; echo +memory +pids > cgroup.subtree_control; mkdir -p u/me; echo +memory +pids > u/cgroup.subtree_control
                chown 1000:1000 u u/cgroup.procs u/cgroup.subtree_control u/me u/me/cgroup.procs; echo $$ > u/me/cgroup.procs; cd - > /dev/null
                {}; [ -e /sys/fs/cgroup/u/box ] || echo gone; echo $$ > /sys/fs/cgroup/cgroup.procs; rmdir /sys/fs/cgroup/u/me /sys/fs/cgroup/u",
                as_user("$r create --bundle . $name; echo create=$?; cat /sys/fs/cgroup/u/box/pids.max /sys/fs/cgroup/u/box/memory.max; $r start $name; n=0; until $r state $name | grep -q stopped || [ $n -gt 50 ]; do usleep 100000; n=$((n+1)); done; $r delete --force $name; echo delete=$?")))
            .says("create=0")
            .says("10")
            .says("16777216")
            .says("inside")
            .says("delete=0")
            .says("gone"),
    ]
}
