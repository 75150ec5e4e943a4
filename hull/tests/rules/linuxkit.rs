//! `security: linuxkit`: LinuxKit's rules, one after another.

use serde_json::{Value, json};

use super::scene::{file, service};

#[test]
fn entrypoint_and_cmd_become_args() {
    let scene = service("").linuxkit();
    let scene =
        scene.image(json!({"Entrypoint": ["/e"], "Cmd": ["a"], "WorkingDir": "/w", "User": "5"}));
    assert_eq!(scene.config("/process/args"), json!(["/e", "a"]));
    assert_eq!(scene.config("/process/cwd"), json!("/w"));
    assert_eq!(scene.config("/process/user"), json!({"uid": 0, "gid": 0}));
    assert_eq!(
        service("command: []").linuxkit().config("/process/args"),
        json!([])
    );
}

#[test]
fn the_label_stands_between_yaml_and_image() {
    let label =
        r#"{"command": ["l"], "env": ["L=1"], "cwd": "/l", "hostname": "l", "readonly": true}"#;
    let scene = service("").linuxkit().label(label);
    assert_eq!(scene.config("/process/args"), json!(["l"]));
    assert_eq!(scene.config("/process/env"), json!(["L=1"]));
    assert_eq!(scene.config("/process/cwd"), json!("/l"));
    assert_eq!(scene.config("/hostname"), json!("l"));
    assert_eq!(scene.config("/root/readonly"), json!(true));
    let over = service("command: [y]\nenv: []\ncwd: /y\nhostname: y\nreadonly: false");
    let over = over.linuxkit().label(label);
    assert_eq!(over.config("/process/args"), json!(["y"]));
    assert_eq!(over.config("/process/env"), json!([]));
    assert_eq!(over.config("/process/cwd"), json!("/y"));
    assert_eq!(over.config("/hostname"), json!("y"));
    assert_eq!(over.config("/root/readonly"), Value::Null);
}

#[test]
fn capabilities_all_keep_the_kernels_order_in_effective() {
    for all in ["[all]", "[ALL]"] {
        let scene = service(&format!("capabilities: {all}")).linuxkit();
        let effective = scene.config("/process/capabilities/effective");
        assert_eq!(effective[0], "CAP_CHOWN");
        assert_eq!(effective[40], "CAP_CHECKPOINT_RESTORE");
        let bounding = scene.config("/process/capabilities/bounding");
        assert_eq!(bounding[0], "CAP_AUDIT_CONTROL");
        assert_eq!(bounding.as_array().unwrap().len(), 41);
        assert_eq!(scene.config("/process/capabilities/ambient"), Value::Null);
    }
}

#[test]
fn capabilities_add_goes_behind_the_labels() {
    let label = r#"{"capabilities": ["CAP_CHOWN", "CAP_KILL"]}"#;
    let scene = service("capabilities.add: [CAP_BPF, CAP_KILL]")
        .linuxkit()
        .label(label);
    assert_eq!(
        scene.config("/process/capabilities/effective"),
        json!(["CAP_CHOWN", "CAP_KILL", "CAP_BPF", "CAP_KILL"])
    );
    assert_eq!(
        scene.config("/process/capabilities/permitted"),
        json!(["CAP_BPF", "CAP_CHOWN", "CAP_KILL"])
    );
    let set = service("capabilities: [CAP_BPF]\ncapabilities.add: [CAP_KILL]")
        .linuxkit()
        .label(label);
    assert_eq!(
        set.config("/process/capabilities/effective"),
        json!(["CAP_BPF"])
    );
    let alone = service("capabilities.add: [all]").linuxkit();
    assert_eq!(
        alone.config("/process/capabilities/effective")[0],
        "CAP_CHOWN"
    );
}

#[test]
fn binds_take_options_and_volumes() {
    let scene = service("binds: ['/a:/b', '/c:/d:ro,nosuid']").linuxkit();
    assert_eq!(
        scene.mount("/b")["options"],
        json!(["rw", "rbind", "rshared"])
    );
    assert_eq!(
        scene.mount("/d")["options"],
        json!(["ro", "nosuid", "rbind"])
    );
    let volumes = "volumes:\n  - name: v\n    readonly: true\n  - name: w\nservices:\n  - name: c\n    image: x\n";
    let scene = file(&format!("{volumes}    binds: ['v:/v:ro', 'w:/w']")).linuxkit();
    assert_eq!(scene.mount("/v")["source"], "/containers/volumes/v/merged");
    assert_eq!(scene.mount("/v")["options"], json!(["ro", "rbind"]));
    assert_eq!(scene.mount("/w")["source"], "/containers/volumes/w/merged");
    assert_eq!(scene.compose().unwrap().volumes, ["v", "w"]);
    // LinuxKit forgets the path of a volume in `mounts`; we do not.
    let mounts = format!("{volumes}    mounts: [{{type: bind, source: w, destination: /w}}]");
    assert_eq!(file(&mounts).linuxkit().mount("/w")["source"], "w");
    assert_eq!(file(&mounts).linuxkit().compose().unwrap().volumes, ["w"]);
    assert_eq!(
        file(&mounts).mount("/w")["source"],
        "/containers/volumes/w/merged"
    );
}

#[test]
fn mounts_have_defaults_for_type_source_and_destination() {
    let scene = service(
        "mounts:\n  - source: mqueue\n  - type: cgroup\n    options: [rw]\n  - destination: /dev\n  - {type: tmpfs, destination: /t, source: s}",
    )
    .linuxkit();
    let full = |d: &str, t: &str| json!({"destination": d, "type": t, "source": t});
    assert_eq!(scene.mount("/dev/mqueue"), full("/dev/mqueue", "mqueue"));
    assert_eq!(scene.mount("/dev"), full("/dev", "tmpfs"));
    assert_eq!(scene.mount("/sys/fs/cgroup")["options"], json!(["rw"]));
    assert_eq!(scene.mount("/t")["source"], "s");
}

#[test]
fn tmpfs_takes_options() {
    let scene = service("tmpfs: ['/a', '/b:size=1m,noexec']").linuxkit();
    assert_eq!(scene.mount("/a")["options"], Value::Null);
    assert_eq!(scene.mount("/b")["options"], json!(["size=1m", "noexec"]));
    assert_eq!(scene.mount("/b")["source"], "tmpfs");
}

#[test]
fn namespaces_come_in_linuxkits_order() {
    let scene = service("net: new\nipc: new\nuts: new\nuserns: new").linuxkit();
    assert_eq!(
        scene.namespaces(),
        ["network", "ipc", "uts", "pid", "user", "mount"]
    );
    let host = service("net: host\nipc: host\nuts: root\npid: root\nuserns: host").linuxkit();
    assert_eq!(host.namespaces(), ["mount"]);
    let label = r#"{"pid": "host", "net": "new"}"#;
    let scene = service("pid: new\nipc: none").linuxkit().label(label);
    assert_eq!(scene.namespaces(), ["network", "ipc=none", "pid", "mount"]);
}

#[test]
fn ids_are_numbers_root_or_entries() {
    let scene = service("uid: 1000\ngid: root\nadditionalGids: [c, 5]").linuxkit();
    assert_eq!(
        scene.config("/process/user"),
        json!({"uid": 1000, "gid": 0, "additionalGids": [100, 5]})
    );
    // Of two entries with a name, the last one's id counts.
    let both = "onboot:\n  - {name: c, image: x}\nservices:\n  - {name: c, image: x, uid: c}\n";
    assert_eq!(
        file(both).linuxkit().config("/process/user/uid"),
        json!(101)
    );
}

#[test]
fn rlimits_unlimited_is_the_largest_number() {
    let scene = service("rlimits: ['nofile,1024,unlimited', ' RLIMIT_CORE , 0, 0']").linuxkit();
    assert_eq!(
        scene.config("/process/rlimits"),
        json!([
            {"type": "RLIMIT_NOFILE", "soft": 1024, "hard": u64::MAX},
            {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        ])
    );
}

#[test]
fn devices_bring_their_rules() {
    let scene = service(
        "resources: {devices: [{allow: false, access: rwm}]}\ndevices:\n  - {path: all, type: b}\n  - {path: /dev/fuse, type: c, major: 10, minor: 229, mode: '0660'}",
    )
    .linuxkit();
    assert_eq!(
        scene.config("/linux/devices"),
        json!([{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o660}])
    );
    assert_eq!(
        scene.config("/linux/resources/devices"),
        json!([
            {"allow": false, "access": "rwm"},
            {"allow": true, "type": "b", "access": "rwm"},
            {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rwm"},
        ])
    );
}

#[test]
fn resources_are_the_oci_specs_but_for_what_linuxkit_loses() {
    let fields = "resources:\n  memory: {limit: 5, swap: 6, disableOOMKiller: true}\n  cpu: {shares: 2, quota: 3, cpus: 0-1, realtimePeriod: 9}\n  blockio: {weight: 10, weightDevice: [{major: 8, minor: 0, weight: 9}]}\n  hugepageLimits: [{pageSize: 2097152, limit: 1}]\n";
    let exact = service(fields).linuxkit();
    assert_eq!(
        exact.config("/linux/resources"),
        json!({"memory": {"limit": 5, "swap": 6}, "cpu": {"shares": 2, "quota": 3, "cpus": "0-1"}, "blockIO": {"weight": 10}})
    );
    let ours = service(fields);
    assert_eq!(
        ours.config("/linux/resources/memory/disableOOMKiller"),
        json!(true)
    );
    assert_eq!(ours.config("/linux/resources/cpu/realtimePeriod"), json!(9));
    assert_eq!(
        ours.config("/linux/resources/hugepageLimits/0/pageSize"),
        json!("2MB")
    );
}

#[test]
fn mappings_lose_their_ids_in_linuxkit_only() {
    let fields = "userns: new\nuidMappings: [{containerID: 0, hostID: 1000, size: 10}]\ngidMappings: [{containerID: 0, hostID: 2000, size: 10}]";
    let exact = service(fields).linuxkit();
    assert_eq!(
        exact.config("/linux/uidMappings"),
        json!([{"containerID": 0, "hostID": 0, "size": 10}])
    );
    assert_eq!(
        service(fields).config("/linux/uidMappings/0/hostID"),
        json!(1000)
    );
    assert_eq!(
        service(fields).config("/linux/gidMappings/0/hostID"),
        json!(2000)
    );
}

#[test]
fn maps_and_numbers_are_copied() {
    let scene = service(
        "sysctl: {net.ipv4.ip_forward: '1'}\nannotations: {a: b}\noomScoreAdj: -999\nnoNewPrivileges: true",
    )
    .linuxkit();
    assert_eq!(
        scene.config("/linux/sysctl"),
        json!({"net.ipv4.ip_forward": "1"})
    );
    assert_eq!(scene.config("/annotations"), json!({"a": "b"}));
    assert_eq!(scene.config("/process/oomScoreAdj"), json!(-999));
    assert_eq!(scene.config("/process/noNewPrivileges"), json!(true));
}

#[test]
fn runtime_is_merged_field_by_field() {
    let label = "runtime:\n  cgroups: [l]\n  mkdir: [l]\n  bindNS: {net: /l, pid: /l}\n";
    let scene = service("runtime:\n  mkdir: [y]\n  bindNS: {net: /y}")
        .linuxkit()
        .label(label);
    assert_eq!(scene.runtime("/cgroups"), json!(["l"]));
    assert_eq!(scene.runtime("/mkdir"), json!(["y"]));
    assert_eq!(scene.runtime("/bindNS/net"), json!("/y"));
    assert_eq!(scene.runtime("/bindNS/pid"), json!("/l"));
    let none = service("runtime: {cgroups: []}").linuxkit().label(label);
    assert_eq!(none.runtime("/cgroups"), json!([]));
    let nowhere = service("rootfsPropagation: ''\nruntime: {bindNS: {net: ''}}").linuxkit();
    let nowhere = nowhere.label("rootfsPropagation: shared\nruntime: {bindNS: {net: /l}}");
    assert_eq!(nowhere.runtime("/bindNS/net"), json!(""));
    assert_eq!(nowhere.config("/linux/rootfsPropagation"), Value::Null);
    let mapped = "mounts: [{type: tmpfs, destination: /x, uidmappings: [{hostID: 1, size: 1}]}]";
    assert_eq!(
        service(mapped).linuxkit().mount("/x")["uidMappings"],
        Value::Null
    );
    assert!(service(mapped).errors().contains("id-mapped mounts"));
}

#[test]
fn a_label_that_the_yaml_replaces_may_be_wrong() {
    let scene = service("capabilities: [none]\nbinds: []\nrlimits: []").linuxkit();
    let scene = scene.label(r#"{"capabilities": ["CAP_NO"], "binds": ["x"], "rlimits": ["x"]}"#);
    assert_eq!(scene.config("/process/rlimits"), Value::Null);
    let used = service("")
        .linuxkit()
        .label(r#"{"capabilities": ["CAP_NO"]}"#);
    assert!(used.errors().contains("unknown capability \"CAP_NO\""));
}

#[test]
fn what_linuxkit_writes_down_we_write_down() {
    let scene = service("net: hots\ntmpfs: [rel]\noomScoreAdj: 5000").linuxkit();
    assert_eq!(scene.namespaces(), ["network=hots", "pid", "mount"]);
    assert_eq!(scene.mount("rel")["type"], "tmpfs");
    assert_eq!(scene.config("/process/oomScoreAdj"), json!(5000));
    assert_eq!(scene.config("/linux/seccomp"), Value::Null);
}
