//! `features`: what this runtime can do, as the specification has it
//! (features.md).

use super::{Outcome, query};
use crate::spec::{Capabilities, words};
use crate::state::{Json, OCI_VERSION};

/// Prints it.
pub(super) fn features() -> Outcome {
    let mut json = Json::pretty();
    json.object(|json| {
        json.field("ociVersionMin").string("1.0.0");
        json.field("ociVersionMax").string(OCI_VERSION);
        json.field("hooks").strings(words::HOOKS);
        json.field("mountOptions").strings(words::MOUNT_OPTIONS);
        json.field("linux").object(linux);
        json.field("annotations").object(|_| {});
        json.field("potentiallyUnsafeConfigAnnotations")
            .list(|_| {});
    });
    query::print(&(json.finish() + "\n"))
}

fn linux(json: &mut Json) {
    json.field("namespaces").strings(words::NAMESPACES);
    json.field("capabilities").list(|json| {
        for name in Capabilities::names() {
            json.entry().string(&format!("CAP_{name}"));
        }
    });
    json.field("cgroup").object(|json| {
        for (name, can) in [
            ("v1", false),
            ("v2", true),
            ("systemd", false),
            ("systemdUser", false),
            ("rdma", true),
        ] {
            json.field(name).word(&can);
        }
    });
    json.field("seccomp").object(|json| {
        json.field("enabled").word(&true);
        json.field("actions").strings(words::SECCOMP_ACTIONS);
        json.field("operators").strings(words::SECCOMP_OPERATORS);
        json.field("archs").strings(words::SECCOMP_ARCHS);
        json.field("knownFlags").strings(words::SECCOMP_FLAGS);
        json.field("supportedFlags").strings(words::SECCOMP_FLAGS);
    });
    for name in ["apparmor", "selinux", "netDevices"] {
        json.field(name)
            .object(|json| json.field("enabled").word(&true));
    }
    json.field("intelRdt").object(|json| {
        for name in ["enabled", "schemata", "monitoring"] {
            json.field(name).word(&true);
        }
    });
    json.field("mountExtensions").object(|json| {
        json.field("idmap")
            .object(|json| json.field("enabled").word(&true));
    });
}
