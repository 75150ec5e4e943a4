//! Capabilities, namespaces, devices, resources: the parts of `process` and
//! `linux` that are more than a copy.

use serde_json::{Value, json};

use super::confine;
use super::oci::{Capabilities, Device as OciDevice, Namespace as OciNamespace};
use crate::spec::{
    Capability, CapabilityName, Container, Device, Located, Namespace, Security,
    resources_as_linuxkit,
};

/// What the lists of capabilities come to.
pub(super) struct Granted {
    /// As `process.capabilities` has them.
    pub(super) sets: Capabilities,
    /// All of them, by number, each once.
    pub(super) all: Vec<Capability>,
}

/// `effective` is the list of the entry in its order; `bounding`, `permitted`
/// and `inheritable` are all that it may ever hold, sorted by name.
pub(super) fn capabilities(container: &Container) -> Result<Granted, String> {
    let effective = resolve(container.capabilities.as_deref())?;
    let ambient = resolve(container.ambient.as_deref())?;
    let mut all: Vec<Capability> = effective.iter().chain(&ambient).copied().collect();
    all.sort_unstable();
    all.dedup();
    let mut bounding = names(&all);
    bounding.sort_unstable();
    Ok(Granted {
        sets: Capabilities {
            effective: names(&effective),
            ambient: names(&ambient),
            permitted: bounding.clone(),
            inheritable: bounding.clone(),
            bounding,
        },
        all,
    })
}

fn names(capabilities: &[Capability]) -> Vec<&'static str> {
    capabilities.iter().map(|c| c.name()).collect()
}

/// `all` and `none` mean what they say only where they stand alone.
fn resolve(list: Option<&[Located<CapabilityName>]>) -> Result<Vec<Capability>, String> {
    let list = list.unwrap_or(&[]);
    match list {
        [one] if one.value == CapabilityName::All => return Ok(Capability::all().collect()),
        [one] if one.value == CapabilityName::None => return Ok(Vec::new()),
        _ => {}
    }
    list.iter()
        .map(|item| match item.value {
            CapabilityName::One(capability) => Ok(capability),
            CapabilityName::All | CapabilityName::None => {
                Err("all and none stand alone, without other capabilities beside them".to_owned())
            }
        })
        .collect()
}

/// The namespaces, in LinuxKit's order: network, ipc, uts, pid, user, mount.
pub(super) fn namespaces(container: &Container, security: Security) -> Vec<OciNamespace> {
    let strict = security == Security::Strict;
    let ours = security != Security::LinuxKit;
    // A hostname is the uts namespace's: without one of its own the entry
    // would rename the machine, and runtimes refuse that.
    let own_uts = strict || (ours && container.hostname.is_some());
    let mut namespaces = Vec::new();
    let mut add = |kind, said: &Option<Located<Namespace>>, new_by_default: bool| {
        let namespace = match said.as_ref().map(|n| &n.value) {
            None if new_by_default => &Namespace::New,
            None => &Namespace::Host,
            Some(said) => said,
        };
        let path = match namespace {
            Namespace::Host => return,
            Namespace::New => String::new(),
            Namespace::Path(path) => path.clone(),
        };
        namespaces.push(OciNamespace { kind, path });
    };
    add("network", &container.net, false);
    add("ipc", &container.ipc, strict);
    add("uts", &container.uts, own_uts);
    add("pid", &container.pid, true);
    add("user", &container.userns, false);
    add("mount", &None, true);
    if ours {
        add("cgroup", &None, !confine::sees_host_cgroups(container));
    }
    namespaces
}

/// The device nodes, and `resources` with the rules that let them be used.
pub(super) fn devices(container: &Container, security: Security) -> (Vec<OciDevice>, Value) {
    let mut resources = match (&container.resources, security) {
        (None, _) => json!({}),
        (Some(resources), Security::LinuxKit) => resources_as_linuxkit(resources),
        (Some(resources), _) => resources.clone(),
    };
    let mut nodes = Vec::new();
    let mut rules = Vec::new();
    for device in container.devices.iter().flatten() {
        match device {
            Device::All { kind } => {
                rules.push(json!({"allow": true, "type": kind, "access": "rwm"}));
            }
            Device::Node {
                path,
                kind,
                major,
                minor,
                mode,
            } => {
                nodes.push(OciDevice {
                    path: path.clone(),
                    kind: kind.clone(),
                    major: *major,
                    minor: *minor,
                    file_mode: *mode,
                });
                rules.push(json!({
                    "allow": true, "type": kind, "major": major, "minor": minor, "access": "rwm",
                }));
            }
        }
    }
    if let (Value::Object(resources), false) = (&mut resources, rules.is_empty()) {
        match resources.get_mut("devices") {
            Some(Value::Array(all)) => all.extend(rules),
            _ => {
                resources.insert("devices".to_owned(), Value::Array(rules));
            }
        }
    }
    (nodes, resources)
}
