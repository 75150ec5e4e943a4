//! The process: how it is scheduled, labelled and shown the machine, and the
//! namespaces of clocks.

use serde_json::json;

use crate::case::Case;

pub(crate) fn all() -> Vec<Case> {
    let mut cases = scheduling();
    cases.extend(labels());
    cases.extend(clocks());
    cases
}

fn scheduling() -> Vec<Case> {
    vec![
        Case::new("scheduler", "awk '{print \"nice\", $19, \"policy\", $41}' /proc/self/stat; ionice; uname -m; grep -q bind=static:0 /proc/self/numa_maps && echo bound; umask; echo home $HOME")
            .with("/process/scheduler", json!({"policy": "SCHED_BATCH", "nice": 5}))
            .with("/process/ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 3}))
            .with("/linux/personality", json!({"domain": "LINUX32"}))
            .with("/linux/memoryPolicy", json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}))
            .with("/process/user", json!({"uid": 1000, "gid": 1000, "umask": 63}))
            .says("nice 5 policy 3")
            .says("best-effort: prio 3")
            .says("i686")
            .says("bound")
            .says("0077")
            .says("home /home/u")
            .says("rc=0"),
        Case::new("scheduler-real-time", "awk '{print \"priority\", $40, \"policy\", $41}' /proc/self/stat")
            .with("/process/scheduler", json!({"policy": "SCHED_FIFO", "priority": 10, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}))
            .with("/process/args", json!(["/bin/awk", "{print \"priority\", $40, \"policy\", $41}", "/proc/self/stat"]))
            .says("priority 10 policy 1"),
        Case::new("scheduler-in-a-user-namespace", "")
            .with("/process/args", json!(["/bin/awk", "{print \"priority\", $40, \"policy\", $41}", "/proc/self/stat"]))
            .with("/process/scheduler", json!({"policy": "SCHED_RR", "priority": 20}))
            .with("/linux/namespaces", json!([{"type": "user"}, {"type": "mount"}, {"type": "pid"}]))
            .with("/linux/uidMappings", json!([{"containerID": 0, "hostID": 100_000, "size": 10}]))
            .with("/linux/gidMappings", json!([{"containerID": 0, "hostID": 100_000, "size": 10}]))
            .with("/mounts/3", json!({"destination": "/sys", "type": "bind", "source": "/sys", "options": ["rbind", "ro"]}))
            .says("priority 20 policy 2"),
    ]
}

/// The test kernels have AppArmor and no SELinux.
fn labels() -> Vec<Case> {
    vec![
        Case::new("selinux-label", "echo never")
            .with("/process/selinuxLabel", json!("system_u:system_r:container_t:s0"))
            .says("runc-shim: run selinux-label: look for SELinux: Not supported (the kernel has no SELinux, or it is off)")
            .never_says("never\n"),
        Case::new("mount-label", "echo never")
            .with("/linux/mountLabel", json!("system_u:object_r:container_file_t:s0"))
            .says("runc-shim: run mount-label: look for SELinux: Not supported (the kernel has no SELinux, or it is off)")
            .never_says("never\n"),
        Case::new("apparmor-profile-missing", "echo never")
            .with("/process/apparmorProfile", json!("no-such-profile"))
            .says("runc-shim: run apparmor-profile-missing: set the AppArmor profile no-such-profile: No such file or directory (the kernel has no AppArmor, or no such profile)")
            .never_says("never\n"),
    ]
}

fn clocks() -> Vec<Case> {
    let told = "awk '{print \"days\", int($1 / 86400)}' /proc/uptime";
    vec![
        Case::new("time-namespace", told)
            .with("/linux/namespaces/-", json!({"type": "time"}))
            .with("/linux/timeOffsets", json!({"boottime": {"secs": 864_000, "nanosecs": 5}, "monotonic": {"secs": 86_400}}))
            .script(&format!("runc-shim --root /run/state run --bundle . $1; echo rc=$?; {told}"))
            .says("days 10")
            .says("days 0")
            .says("rc=0"),
        Case::new("time-namespace-by-path", told)
            .with("/linux/namespaces/-", json!({"type": "time", "path": "/tmp/timens"}))
            .script("mkdir /tmp/b; sed -e 's#,\"path\":\"/tmp/timens\"##; s#\"path\":\"/tmp/timens\",##; s#\"linux\":{#\"linux\":{\"timeOffsets\":{\"boottime\":{\"secs\":1728000}},#; s#\"-c\",\"[^]]*\\]#\"-c\",\"sleep 100\"]#' config.json > /tmp/b/config.json
                r='runc-shim --root /run/state'; $r run --detach --pid-file /tmp/pid --bundle /tmp/b holder; touch /tmp/timens; mount --make-private /tmp; mount -o bind /proc/$(cat /tmp/pid)/ns/time /tmp/timens
                $r run --bundle . $1; echo rc=$?; umount /tmp/timens; $r delete --force holder")
            .says("days 20")
            .says("rc=0"),
    ]
}
