//! What entries get from us: confinement, supervision, the whole file.

use hull::spec::{FileContent, Metadata, Source, parse};
use hullkit_bundle::supervision::{OnFailure, Restart};
use serde_json::{Value, json};

use super::scene::{file, service};

#[test]
fn entries_are_confined_by_default() {
    let scene = service("capabilities: [CAP_CHOWN]");
    assert_eq!(scene.namespaces(), ["pid", "mount", "cgroup"]);
    assert_eq!(scene.config("/process/noNewPrivileges"), json!(true));
    assert_eq!(scene.config("/linux/cgroupsPath"), "/hullkit/services/c");
    let masked = scene.config("/linux/maskedPaths");
    assert!(masked.as_array().unwrap().contains(&json!("/proc/kcore")));
    let readonly = scene.config("/linux/readonlyPaths");
    for path in ["/proc/sys", "/sys"] {
        assert!(readonly.as_array().unwrap().contains(&json!(path)));
    }
    assert_eq!(
        scene.config("/linux/seccomp/architectures"),
        json!(["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"])
    );
}

#[test]
fn administrators_see_the_machine() {
    for capability in ["CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_SYS_TIME", "all"] {
        let scene = service(&format!("capabilities: [{capability}]"));
        assert_eq!(
            scene.config("/linux/maskedPaths"),
            Value::Null,
            "{capability}"
        );
        assert_eq!(
            scene.config("/linux/readonlyPaths"),
            Value::Null,
            "{capability}"
        );
        assert_eq!(scene.config("/process/noNewPrivileges"), json!(true));
        assert!(scene.config("/linux/seccomp").is_object());
    }
}

#[test]
fn what_is_said_is_obeyed() {
    let scene = service(
        "noNewPrivileges: false\nmaskedPaths: []\nreadonlyPaths: [/x]\ncgroupsPath: /y\nreadonly: true",
    );
    assert_eq!(scene.config("/process/noNewPrivileges"), Value::Null);
    assert_eq!(scene.config("/linux/maskedPaths"), Value::Null);
    assert_eq!(scene.config("/linux/readonlyPaths"), json!(["/x"]));
    assert_eq!(scene.config("/linux/cgroupsPath"), "/y");
    assert!(scene.compose().unwrap().readonly);
    let label = service("").label(r#"{"noNewPrivileges": false}"#);
    assert_eq!(label.config("/process/noNewPrivileges"), Value::Null);
}

#[test]
fn what_is_mounted_by_name_is_not_masked() {
    let scene = service("binds: ['/sys/firmware:/sys/firmware:ro', '/proc:/host/proc']");
    let masked = scene.config("/linux/maskedPaths");
    let masked = masked.as_array().unwrap();
    assert!(!masked.contains(&json!("/sys/firmware")));
    assert!(masked.contains(&json!("/proc/kcore")));
    let sys = service("binds: ['/sys:/sys']").config("/linux/maskedPaths");
    let mut sys = sys.as_array().unwrap().iter();
    assert!(sys.all(|path| path.as_str().unwrap().starts_with("/proc")));
    let readonly = service("binds: ['/sys:/sys']").config("/linux/readonlyPaths");
    assert!(!readonly.as_array().unwrap().contains(&json!("/sys")));
    let again = service("mounts: [{type: proc}]").config("/linux/maskedPaths");
    assert!(again.as_array().unwrap().contains(&json!("/proc/kcore")));
}

#[test]
fn a_view_of_the_machines_cgroups_comes_with_its_namespace() {
    let scene = service("binds: ['/sys/fs/cgroup:/sys/fs/cgroup']");
    assert_eq!(scene.namespaces(), ["pid", "mount"]);
    assert_eq!(service("pid: host").namespaces(), ["mount", "cgroup"]);
}

#[test]
fn a_hostname_brings_its_namespace() {
    assert_eq!(
        service("hostname: h").namespaces(),
        ["uts", "pid", "mount", "cgroup"]
    );
    let wrong = service("hostname: h\nuts: host").errors();
    assert!(
        wrong.starts_with("a.yml:2: services.c.hostname:"),
        "{wrong}"
    );
}

#[test]
fn strict_is_more_of_its_own() {
    let scene = service("userns: host").strict();
    assert_eq!(scene.namespaces(), ["ipc", "uts", "pid", "mount", "cgroup"]);
    assert!(scene.compose().unwrap().readonly);
    let said = service("userns: host\nipc: host\nreadonly: false").strict();
    assert_eq!(said.namespaces(), ["uts", "pid", "mount", "cgroup"]);
    assert!(!said.compose().unwrap().readonly);
    let whole = service("").strict();
    assert_eq!(
        whole.namespaces(),
        ["ipc", "uts", "pid", "user", "mount", "cgroup"]
    );
    // The first entry's id is 100.
    assert_eq!(whole.compose().unwrap().first_id, Some(6_553_600));
    let ids = json!([{"containerID": 0, "hostID": 6_553_600, "size": 65_536}]);
    assert_eq!(whole.config("/linux/uidMappings"), ids);
    assert_eq!(whole.config("/linux/gidMappings"), ids);
}

#[test]
fn security_is_the_entrys_then_the_files_then_the_labels() {
    let seccomp = |yaml: &str, label: &str| {
        let scene = file(yaml).our_label(label);
        scene.config("/linux/seccomp").is_object()
    };
    let entry = "services:\n  - {name: c, image: x, security: default}\n";
    let plain = "services:\n  - {name: c, image: x}\n";
    let linuxkit = r#"{"security": "linuxkit"}"#;
    assert!(seccomp(&format!("security: linuxkit\n{entry}"), linuxkit));
    assert!(!seccomp(&format!("security: linuxkit\n{plain}"), "{}"));
    assert!(!seccomp(plain, linuxkit));
    assert!(seccomp(&format!("security: default\n{plain}"), linuxkit));
    assert!(seccomp(plain, ""));
}

#[test]
fn supervision_is_the_yamls_then_the_labels_then_the_images() {
    let label = "restart: on-failure\nstopTimeout: 3s\nbackoff: {initial: 1s}\ntimeout: 5m\nafter: [nosuch]\n";
    let scene =
        service("restart: never\nbackoff: {factor: 1.5}\nstopSignal: SIGQUIT").our_label(label);
    let s = scene.compose().unwrap().runtime.supervision;
    assert_eq!(s.restart, Restart::Never);
    assert_eq!((s.stop_signal, s.stop_timeout), (3, 3000));
    assert_eq!((s.backoff.initial, s.backoff.factor_percent), (1000, 150));
    // A label's time limit is for onboot, its order for services that are there.
    assert_eq!(s.timeout, 0);
    assert!(s.after.is_empty());
    let image = service("").image(json!({"Cmd": ["x"], "StopSignal": "SIGRTMIN+3"}));
    assert_eq!(image.runtime("/supervision/stopSignal"), json!(37));
    assert_eq!(service("").runtime("/supervision"), Value::Null);
    let onboot = "onboot:\n  - {name: c, image: x, timeout: 5m, onFailure: reboot}\n";
    let s = file(onboot).compose().unwrap().runtime.supervision;
    assert_eq!((s.timeout, s.on_failure), (300_000, OnFailure::Reboot));
}

#[test]
fn backoffs_defaults_give_way() {
    let long = service("backoff: {initial: 1m}").compose().unwrap();
    let backoff = long.runtime.supervision.backoff;
    assert_eq!((backoff.initial, backoff.max), (60_000, 60_000));
    let short = service("backoff: {max: 50ms}").compose().unwrap();
    let backoff = short.runtime.supervision.backoff;
    assert_eq!((backoff.initial, backoff.max), (50, 50));
}

#[test]
fn files_are_appended() {
    let one = "kernel: {image: a, cmdline: x}\ninit: [i]\nservices: [{name: s, image: x}]\nfiles: [{path: /etc/x/, directory: true}]\n";
    let two = "kernel: {cmdline: y, tar: none}\ninit: [j]\nonboot: [{name: o, image: x}, {name: p, image: x}]\nfiles: [{path: e, contents: '', uid: s, mode: '0640'}]\n";
    let source = |name, text: &'static str| Source {
        name,
        text: text.as_bytes(),
    };
    let spec = parse(&[source("one", one), source("two", two)]).unwrap();
    assert_eq!(spec.kernel.image.as_ref().unwrap().value, "a");
    assert_eq!(
        (spec.kernel.cmdline.as_str(), &spec.kernel.tar),
        ("y", &None)
    );
    let init: Vec<&str> = spec.init.iter().map(|i| i.value.as_str()).collect();
    assert_eq!(init, ["i", "j"]);
    let entries: Vec<(String, u32)> = spec.entries().map(|e| (e.bundle_name(), e.id)).collect();
    let expected = [("000-o", 100), ("001-p", 101), ("s", 102)];
    assert_eq!(entries, expected.map(|(n, id)| (n.to_owned(), id)));
    let (dir, e) = (&spec.files[0], &spec.files[1]);
    assert_eq!((dir.path.as_str(), dir.mode), ("etc/x", 0o700));
    assert_eq!(dir.content, FileContent::Directory);
    assert_eq!((e.mode, e.uid, e.gid), (0o640, 102, 0));
    let clash = parse(&[source("one", one), source("two", one)])
        .unwrap_err()
        .to_string();
    assert_eq!(
        clash,
        "two:3: name: a second service with the name \"s\"; the first is at one:3"
    );
    let resolve = |image: &str| format!("{image}:latest");
    let json: Value = serde_json::from_str(&spec.metadata(Metadata::Json, &resolve)).unwrap();
    assert_eq!(
        json["kernel"],
        json!({"image": "a:latest", "cmdline": "y", "tar": "none"})
    );
    assert_eq!(json["init"], json!(["i:latest", "j:latest"]));
    let yaml = spec.metadata(Metadata::Yaml, &str::to_owned);
    let again = Source {
        name: "again",
        text: yaml.as_bytes(),
    };
    assert_eq!(
        parse(&[again])
            .unwrap()
            .metadata(Metadata::Yaml, &str::to_owned),
        yaml
    );
}

#[test]
fn composing_twice_gives_the_same_bytes() {
    let scene = service(
        "capabilities: [all]\nnet: new\nsysctl: {net.b: '1', net.a: '2'}\nresources: {unified: {z: '1', y: '2'}}",
    );
    let (one, two) = (scene.compose().unwrap(), scene.compose().unwrap());
    assert_eq!(one.config_json(), two.config_json());
    assert_eq!(one.runtime_json(), two.runtime_json());
}
