//! The words that a configuration may use here, for who asks what this runtime
//! can do. That each of them is obeyed is tested below.

/// Stages of hooks.
pub(crate) const HOOKS: [&str; 6] = [
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
];

/// Types of namespaces.
pub(crate) const NAMESPACES: [&str; 8] = [
    "cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts",
];

/// Options of mounts that are not a filesystem's own.
pub(crate) const MOUNT_OPTIONS: [&str; 62] = [
    "async",
    "atime",
    "bind",
    "defaults",
    "dev",
    "diratime",
    "dirsync",
    "exec",
    "idmap",
    "iversion",
    "lazytime",
    "loud",
    "mand",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "noiversion",
    "nolazytime",
    "nomand",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "nosymfollow",
    "private",
    "ratime",
    "rbind",
    "rdev",
    "rdiratime",
    "relatime",
    "remount",
    "rexec",
    "ridmap",
    "rnoatime",
    "rnodev",
    "rnodiratime",
    "rnoexec",
    "rnorelatime",
    "rnostrictatime",
    "rnosuid",
    "rnosymfollow",
    "ro",
    "rprivate",
    "rrelatime",
    "rro",
    "rrw",
    "rshared",
    "rslave",
    "rstrictatime",
    "rsuid",
    "rsymfollow",
    "runbindable",
    "rw",
    "shared",
    "silent",
    "slave",
    "strictatime",
    "suid",
    "symfollow",
    "sync",
    "tmpcopyup",
    "unbindable",
];

/// What a filter may do.
pub(crate) const SECCOMP_ACTIONS: [&str; 9] = [
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
];

/// How a filter compares.
pub(crate) const SECCOMP_OPERATORS: [&str; 7] = [
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_LE",
    "SCMP_CMP_LT",
    "SCMP_CMP_MASKED_EQ",
    "SCMP_CMP_NE",
];

/// Calling conventions that a filter knows.
pub(crate) const SECCOMP_ARCHS: [&str; 5] = [
    "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_ARM",
    "SCMP_ARCH_X32",
    "SCMP_ARCH_X86",
    "SCMP_ARCH_X86_64",
];

/// A filter's flags.
pub(crate) const SECCOMP_FLAGS: [&str; 4] = [
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
];

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::spec::{Container, MountKind};

    fn parse(pointer: &str, value: &Value) -> Container {
        let mut config: Value =
            serde_json::from_slice(include_bytes!("../../tests/plans/default.json")).unwrap();
        let (parent, last) = pointer.rsplit_once('/').unwrap();
        config.pointer_mut(parent).unwrap()[last] = value.clone();
        Container::parse(config.to_string().as_bytes())
            .unwrap_or_else(|e| panic!("{pointer} {value}: {e}"))
    }

    #[test]
    fn what_is_claimed_is_obeyed() {
        for stage in HOOKS {
            parse("/hooks", &json!({stage: [{"path": "/bin/true"}]}));
        }
        let namespaces: Vec<_> = NAMESPACES
            .iter()
            .map(|kind| json!({"type": kind}))
            .collect();
        let mut config: Value =
            serde_json::from_slice(include_bytes!("../../tests/plans/default.json")).unwrap();
        config["linux"]["namespaces"] = Value::from(namespaces);
        let ids = json!([{"containerID": 0, "hostID": 1, "size": 1}]);
        config["linux"]["uidMappings"] = ids.clone();
        config["linux"]["gidMappings"] = ids;
        Container::parse(config.to_string().as_bytes()).unwrap();
        // A word that is not known would be handed to the filesystem.
        for word in MOUNT_OPTIONS {
            let mut mount =
                json!([{"destination": "/m", "type": "tmpfs", "source": "t", "options": [word]}]);
            if word.ends_with("idmap") {
                mount = json!([{"destination": "/m", "type": "bind", "source": "/", "options": ["bind", word],
                    "uidMappings": [{"containerID": 0, "hostID": 1, "size": 1}],
                    "gidMappings": [{"containerID": 0, "hostID": 1, "size": 1}]}]);
            }
            let container = parse("/mounts", &mount);
            let known = match &container.mounts[0].kind {
                MountKind::Filesystem { options, .. } => {
                    let superblock = ["sync", "dirsync", "lazytime", "mand"];
                    options.is_empty() || superblock.contains(&word)
                }
                MountKind::Remount { options } => options.is_empty() && word == "remount",
                _ => word.ends_with("bind") || word.ends_with("idmap"),
            };
            assert!(known, "{word}");
        }
        for action in SECCOMP_ACTIONS {
            parse(
                "/linux/seccomp",
                &json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/agent", "syscalls": [{"names": ["mkdir"], "action": action}]}),
            );
        }
        for operator in SECCOMP_OPERATORS {
            let rule = json!({"names": ["read"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 1, "op": operator}]});
            parse(
                "/linux/seccomp",
                &json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}),
            );
        }
        parse(
            "/linux/seccomp",
            &json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": SECCOMP_ARCHS, "flags": SECCOMP_FLAGS}),
        );
    }
}
