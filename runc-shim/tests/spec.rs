//! What is refused names the field, what was found and what is allowed.

use proptest::prelude::*;
use runc_shim::spec::Container;
use serde_json::{Value, json};

fn base() -> Value {
    serde_json::from_slice(include_bytes!("plans/default.json")).unwrap()
}

fn refusal(pointer: &str, value: Value) -> String {
    let mut config = base();
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    config.pointer_mut(parent).unwrap()[last] = value;
    match Container::parse(config.to_string().as_bytes()) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_refusal_names_the_field_and_what_is_wrong() {
    for (pointer, value, says) in [
        (
            "/ociVersion",
            json!("2.0"),
            "ociVersion: \"2.0\" is not a version that begins with 1.",
        ),
        ("/process", Value::Null, "process: is missing"),
        ("/root/path", json!(""), "root.path: is missing or empty"),
        ("/process/args", json!([]), "process.args: names no program"),
        (
            "/process/cwd",
            json!("tmp"),
            "process.cwd: \"tmp\" is not an absolute path",
        ),
        (
            "/process/env",
            json!(["A=1", "B"]),
            "process.env[1]: \"B\" is not of the form NAME=value",
        ),
        (
            "/process/oomScoreAdj",
            json!(1001),
            "process.oomScoreAdj: 1001 is not from -1000 to 1000",
        ),
        (
            "/process/capabilities",
            json!({"effective": ["CAP_CHOWN"]}),
            "process.capabilities.effective: CAP_CHOWN is not in permitted too",
        ),
        (
            "/process/capabilities",
            json!({"bounding": ["CAP_NONE"]}),
            "process.capabilities.bounding[0]: \"CAP_NONE\" is not a capability, CAP_CHOWN to CAP_CHECKPOINT_RESTORE",
        ),
        (
            "/process/rlimits",
            json!([{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}]),
            "process.rlimits[0].soft: 2 is more than hard, 1",
        ),
        (
            "/hostname",
            json!("x"),
            "hostname: is set without an own uts namespace",
        ),
        (
            "/mounts",
            json!([{"destination": "/a"}]),
            "mounts[0].type: is missing, and no option says bind or rbind",
        ),
        (
            "/mounts",
            json!([{"destination": "/a/../..", "type": "tmpfs"}]),
            "mounts[0].destination: \"/a/../..\" holds \"..\"",
        ),
        (
            "/mounts",
            json!([{"destination": "/", "type": "tmpfs"}]),
            "mounts[0].destination: is the container's root",
        ),
        (
            "/mounts",
            json!([{"destination": "/a", "source": "/b", "options": ["bind", "size=1"]}]),
            "mounts[0].options: \"size\" is not an option of a bind mount",
        ),
        (
            "/linux/cgroupsPath",
            json!("a/../../b"),
            "linux.cgroupsPath: \"a/../../b\" leads out of the cgroup filesystem",
        ),
        (
            "/linux/sysctl",
            json!({"vm.swappiness": "1"}),
            "linux.sysctl[vm.swappiness]: belongs to no namespace, so it would change the host",
        ),
        (
            "/linux/sysctl",
            json!({"net.ipv4.ip_forward": "1"}),
            "linux.sysctl[net.ipv4.ip_forward]: would change the host, because the container has no own network namespace",
        ),
        (
            "/linux/resources",
            json!({"unified": {"../x": "1"}}),
            "linux.resources.unified: \"../x\" is not the name of a file of a cgroup",
        ),
        (
            "/linux/resources",
            json!({"memory": {"limit": 5, "swap": 4}}),
            "linux.resources.memory.swap: 4 counts memory and swap together, so it cannot be less than limit (5)",
        ),
        (
            "/linux/devices",
            json!([{"path": "/dev/x", "type": "c", "major": -4, "minor": 0}]),
            "linux.devices[0].major: -4 is not from 0 to 4095",
        ),
        (
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_NOTIFY"}),
            "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be the default: the listener would have to decide about its own delivery",
        ),
        (
            "/linux/namespaces",
            json!([]),
            "mounts: needs a new mount namespace (type mount), or it would change the host",
        ),
        (
            "/linux/netDevices",
            json!({"eth0": {}}),
            "linux.netDevices: need a network namespace of the container's own to move into",
        ),
        (
            "/linux/intelRdt",
            json!({"closID": "info"}),
            "linux.intelRdt.closID: \"info\" is not the name of a class of service",
        ),
        (
            "/linux/intelRdt",
            json!({"memBwSchema": "L3:0=f"}),
            "linux.intelRdt.memBwSchema: \"L3:0=f\" does not begin with MB:",
        ),
        (
            "/linux/intelRdt",
            json!({"schemata": ["L3:0=f", "L3"]}),
            "linux.intelRdt.schemata[1]: \"L3\" is not of the form RESOURCE:DOMAIN=VALUE;…",
        ),
        (
            "/linux/timeOffsets",
            json!({"monotonic": {"secs": 1}}),
            "linux.timeOffsets: are set without a new time namespace",
        ),
        (
            "/process/scheduler",
            json!({"policy": "SCHED_FIFO", "priority": 100}),
            "process.scheduler.priority: 100 is not from 1 to 99",
        ),
        (
            "/process/ioPriority",
            json!({"class": "IOPRIO_CLASS_BE", "priority": 8}),
            "process.ioPriority.priority: 8 is not from 0 to 7",
        ),
        (
            "/linux/personality",
            json!({"domain": "BSD"}),
            "linux.personality.domain: \"BSD\" is not one of LINUX, LINUX32",
        ),
        (
            "/mounts",
            json!([{"destination": "/a", "type": "proc", "options": ["tmpcopyup"]}]),
            "mounts[0].options: \"tmpcopyup\" is an option of a new tmpfs only",
        ),
        (
            "/mounts",
            json!([{"destination": "/a", "source": "/b", "options": ["bind", "idmap"]}]),
            "mounts[0].options: ids can be mapped as uidMappings and gidMappings of the mount say, or as a new user namespace has them, and there are neither",
        ),
    ] {
        assert_eq!(refusal(pointer, value), says, "{pointer}");
    }
}

#[test]
fn a_wrong_type_is_named_by_its_field() {
    let found = refusal("/linux/namespaces", json!([{"type": 5}]));
    assert!(
        found.starts_with("linux.namespaces[0].type: invalid type: integer `5`, expected a string"),
        "{found}"
    );
    let found = refusal("/process/user", json!({"uid": -1}));
    assert!(
        found.starts_with("process.user.uid: invalid value: integer `-1`, expected u32"),
        "{found}"
    );
}

#[test]
fn unknown_fields_and_nulls_are_ignored() {
    assert_eq!(refusal("/windows", json!({"layerFolders": []})), "accepted");
    assert_eq!(refusal("/mounts", Value::Null), "accepted");
    assert_eq!(refusal("/linux/seccomp", Value::Null), "accepted");
}

proptest! {
    #[test]
    fn a_damaged_file_is_refused_or_read(at in 0..1500usize, byte: u8) {
        let mut text = base().to_string().into_bytes();
        let at = at % text.len();
        text[at] = byte;
        // No panic; and what is refused is told in one line.
        if let Err(error) = Container::parse(&text) {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn a_cut_file_is_refused(at in 0..1500usize) {
        let text = base().to_string().into_bytes();
        let at = at % text.len();
        prop_assert!(Container::parse(&text[..at]).is_err());
    }
}
