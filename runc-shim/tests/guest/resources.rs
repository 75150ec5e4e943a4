//! What a container may use.

use serde_json::json;

use crate::case::Case;

pub(crate) fn all() -> Vec<Case> {
    vec![
        // QEMU has no processor with RDT.
        Case::new("rdt", "echo never")
            .with("/linux/intelRdt", json!({"closID": "gold", "l3CacheSchema": "L3:0=f"}))
            .says("runc-shim: run rdt: linux.intelRdt: the kernel has no resctrl: it was built without it, or the processor has no RDT")
            .says("rc=1")
            .never_says("never\n"),
        Case::new("resources", "true")
            .with("/linux/resources", json!({
                "memory": {"limit": 33_554_432, "reservation": 8_388_608, "swap": 50_331_648, "checkBeforeUpdate": true},
                "cpu": {"shares": 2048, "quota": 50_000, "period": 100_000, "burst": 10_000, "cpus": "0", "mems": "0"},
                "pids": {"limit": 20},
                "hugepageLimits": [{"pageSize": "2MB", "limit": 4_194_304}],
                "unified": {"memory.high": "30000000", "cgroup.max.depth": "3"}}))
            .script("r='runc-shim --root /run/state'; $r create --bundle . $1; echo rc=$?; cd /sys/fs/cgroup/$1
                for f in memory.max memory.low memory.high cpu.weight cpu.max cpu.max.burst cpuset.cpus cpuset.mems pids.max hugetlb.2MB.max cgroup.max.depth; do echo $f $(cat $f); done
                [ ! -e memory.swap.max ] || echo memory.swap.max $(cat memory.swap.max); cd /; $r delete --force $1")
            .says("rc=0")
            .says("memory.max 33554432")
            .says("memory.low 8388608")
            .says("memory.high 29999104")
            .says("cpu.weight 79")
            .says("cpu.max 50000 100000")
            .says("cpu.max.burst 10000")
            .says("cpuset.cpus 0")
            .says("cpuset.mems 0")
            .says("pids.max 20")
            .says("hugetlb.2MB.max 4194304")
            .says("cgroup.max.depth 3")
            .says("memory.swap.max 16777216"),
        Case::new("resources-in-use", "head -c 8000000 /dev/zero > /tmp/held; sleep 100")
            .with("/mounts/-", json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}))
            .script("r='runc-shim --root /run/state'; $r run --detach --bundle . $1; n=0; until [ $(cat /sys/fs/cgroup/$1/memory.current) -gt 8000000 ] || [ $n -gt 50 ]; do usleep 100000; n=$((n+1)); done
                for check in true false; do echo '{\"memory\":{\"limit\":4194304,\"checkBeforeUpdate\":'$check'}}' > /tmp/update; $r update -r /tmp/update $1 2>&1 | sed 's/: [0-9]* bytes/: N bytes/'; [ $check = false ] || $r state $1 | grep status; done; $r delete --force $1")
            .says("runc-shim: update resources-in-use: cgroup resources-in-use: N bytes of memory are in use, more than the limit of 4194304")
            .says("  \"status\": \"running\","),
        Case::new("resources-idle", "true")
            .with("/linux/resources", json!({"cpu": {"idle": 1}, "blockIO": {"weight": 500}}))
            .script("r='runc-shim --root /run/state'; $r create --bundle . $1; echo rc=$?; cat /sys/fs/cgroup/$1/cpu.idle; cat /sys/fs/cgroup/cgroup.controllers; cat /sys/fs/cgroup/$1/io*.weight; $r delete --force $1")
            .says("rc=0")
            .says("1"),
        Case::new("resources-no-such-disk", "true")
            .with("/linux/resources", json!({"blockIO": {"throttleReadBpsDevice": [{"major": 250, "minor": 9, "rate": 1000}]}}))
            .says("runc-shim: run resources-no-such-disk: cgroup resources-no-such-disk: write \"250:9 rbps=1000\" to io.max: No such device")
            .says("rc=1"),
        Case::new("resources-no-such-adapter", "true")
            .with("/linux/resources", json!({"rdma": {"mlx9": {"hcaHandles": 3}}}))
            .says("rc=1"),
        Case::new("cgroup-of-its-own", "ls -n /sys/fs/cgroup | grep -c ' 0 .* cgroup.\\(procs\\|threads\\|subtree_control\\)$'; mkdir /sys/fs/cgroup/inner && echo made; echo $$ > /sys/fs/cgroup/inner/cgroup.procs && cat /proc/self/cgroup; echo 1 > /sys/fs/cgroup/pids.max")
            .with("/linux/namespaces", json!([{"type": "user"}, {"type": "mount"}, {"type": "pid"}, {"type": "cgroup"}]))
            .with("/linux/uidMappings", json!([{"containerID": 0, "hostID": 100_000, "size": 1000}]))
            .with("/linux/gidMappings", json!([{"containerID": 0, "hostID": 100_000, "size": 1000}]))
            .with("/mounts/3", json!({"destination": "/sys", "type": "bind", "source": "/sys", "options": ["rbind", "ro"]}))
            .with("/mounts/4/options", json!(["nosuid", "noexec", "nodev"]))
            .script("runc-shim --root /run/state run --bundle . $1; echo rc=$?; ls -d /sys/fs/cgroup/$1")
            .says("3")
            .says("made")
            .says("0::/inner")
            .says("/bin/sh: can't create /sys/fs/cgroup/pids.max: Permission denied")
            .says("ls: /sys/fs/cgroup/cgroup-of-its-own: No such file or directory"),
    ]
}
