//! LinuxKit's example files, as their users write them, are accepted and
//! composed, with stand-ins for the images.

use std::path::{Path, PathBuf};

use hull::arch::Arch;
use hull::compose;
use hull::spec::{self, Problems, Security, Spec, label};
use oci_spec::image::Config as ImageConfig;
use serde_json::json;

/// Labels as LinuxKit's own images have them.
const LABELS: [(&str, &str); 3] = [
    (
        "linuxkit/getty",
        r#"{"pid": "host", "net": "host", "binds": ["/run:/run", "/dev:/dev", "/sys:/sys"], "capabilities": ["all"]}"#,
    ),
    (
        "linuxkit/sshd",
        r#"{"pid": "host", "net": "host", "binds": ["/etc/resolv.conf:/etc/resolv.conf"], "capabilities": ["all"]}"#,
    ),
    (
        "linuxkit/dhcpcd",
        r#"{"net": "host", "binds": ["/run:/run"], "capabilities": ["CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW"]}"#,
    ),
];

fn image(reference: &str) -> ImageConfig {
    let mut config: ImageConfig =
        serde_json::from_value(json!({"Entrypoint": ["/bin/x"], "Env": ["PATH=/bin"]})).unwrap();
    if let Some((_, text)) = LABELS.iter().find(|(name, _)| reference.starts_with(name)) {
        config.set_labels(Some([(label::MOBY.to_owned(), (*text).to_owned())].into()));
    }
    config
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/linuxkit-yaml");
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|e| e.unwrap().path());
    let mut files: Vec<_> = paths
        .filter(|p| p.extension().is_some_and(|e| e == "yml"))
        .collect();
    files.sort();
    files
}

fn read(path: &Path, security: Option<Security>) -> Spec {
    let name = path.display().to_string();
    let text = std::fs::read(path).unwrap();
    let source = spec::Source {
        name: &name,
        text: &text,
    };
    spec::parse_as(&[source], security).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn all_compose_in_both_ways() {
    assert_eq!(files().len(), 8);
    for path in files() {
        for security in [None, Some(Security::LinuxKit)] {
            let spec = read(&path, security);
            let composed = compose::all(&spec, Arch::X86_64, |entry| {
                Ok::<_, Problems>(image(&entry.image.value))
            })
            .unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(composed.len(), spec.entries().count());
            for c in &composed {
                let text = c.config_json();
                let _: oci_spec::runtime::Spec = serde_json::from_str(&text).unwrap();
                runc_shim::spec::Container::parse(text.as_bytes()).unwrap();
                assert_eq!(c.config.linux.seccomp.is_some(), security.is_none());
            }
        }
    }
}

#[test]
fn what_an_entry_declares_it_keeps() {
    let named = |file: &str, name: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/linuxkit-yaml");
        let spec = read(&folder.join(file), None);
        let entry = spec.entries().find(|e| e.name == name).unwrap();
        let image = image(&entry.image.value);
        compose::entry(&spec, Arch::X86_64, entry, &image.into()).unwrap()
    };
    let wg = named("wireguard.yml", "wg0");
    assert_eq!(wg.runtime.interfaces[0].add, "wireguard");
    assert_eq!(wg.runtime.bind_ns.net, "/run/netns/wg0");
    let nginx = named("wireguard.yml", "nginx");
    let net = &nginx.config.linux.namespaces[0];
    assert_eq!((net.kind, net.path.as_str()), ("network", "/run/netns/wg0"));
    assert_eq!(named("volumes.yml", "nginx").volumes, ["blank", "alpine"]);
    let sshd = named("sshd.yml", "sshd");
    let binds: Vec<&str> = sshd
        .config
        .mounts
        .iter()
        .filter(|m| m.kind == "bind")
        .map(|m| m.destination.as_str())
        .collect();
    assert_eq!(binds, ["/etc/resolv.conf", "/root/.ssh"]);
    let docker = named("docker.yml", "docker");
    assert!(docker.config.linux.masked_paths.is_empty());
    let allowed = docker.config.linux.seccomp.unwrap().syscalls;
    assert!(allowed[0].names.contains(&"pivot_root"));
}
