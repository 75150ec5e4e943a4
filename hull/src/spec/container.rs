//! The fields of an entry, or of an image's label, that make `config.json`.

use std::collections::BTreeMap;

use hullkit_bundle::runtime::{Interface, Mount};

use super::capability::CapabilityName;
use super::node::{Kind, Node, quoted};
use super::place::Located;
use super::read::{Fields, Reader, did_you_mean, listed};
use super::resources;
use super::text;
use super::types::{
    Bind, BindNsFields, Container, Device, Id, IdMapping, Namespace, Rlimit, Runtime,
};

/// LinuxKit's keys of an entry, without `name` and `image`.
pub(super) const KEYS: &[&str] = &[
    "additionalGids",
    "ambient",
    "annotations",
    "binds",
    "binds.add",
    "capabilities",
    "capabilities.add",
    "cgroupsPath",
    "command",
    "cwd",
    "devices",
    "env",
    "gid",
    "gidMappings",
    "hostname",
    "ipc",
    "maskedPaths",
    "mounts",
    "net",
    "noNewPrivileges",
    "oomScoreAdj",
    "pid",
    "readonly",
    "readonlyPaths",
    "resources",
    "rlimits",
    "rootfsPropagation",
    "runtime",
    "sysctl",
    "tmpfs",
    "uid",
    "uidMappings",
    "userns",
    "uts",
];

/// Reads them.
pub(super) fn read(r: &mut Reader, fields: &Fields<'_>) -> Container {
    let mut c = Container::default();
    read_process(r, fields, &mut c);
    read_mounts(r, fields, &mut c);
    read_linux(r, fields, &mut c);
    c.runtime = fields
        .read(r, "runtime", |r, node, field| Some(runtime(r, node, field)))
        .unwrap_or_default();
    c
}

fn read_process(r: &mut Reader, fields: &Fields<'_>, c: &mut Container) {
    c.command = fields.read(r, "command", Reader::texts);
    c.env = fields.read(r, "env", Reader::texts);
    c.cwd = not_empty(fields.read(r, "cwd", Reader::text));
    c.uid = fields.read(r, "uid", id);
    c.gid = fields.read(r, "gid", id);
    c.additional_gids = fields.read(r, "additionalGids", |r, n, f| r.list(n, f, id));
    c.capabilities = fields.read(r, "capabilities", capabilities);
    let mark = r.mark();
    c.capabilities_add = fields.read(r, "capabilities.add", capability_list);
    if fields.get("capabilities").is_some() {
        r.unused(mark);
    }
    c.ambient = fields.read(r, "ambient", capabilities);
    c.no_new_privileges = fields.read(r, "noNewPrivileges", Reader::boolean);
    c.oom_score_adj = fields.read(r, "oomScoreAdj", oom_score_adj);
    c.rlimits = fields.read(r, "rlimits", |r, n, f| r.list(n, f, rlimit));
}

fn read_mounts(r: &mut Reader, fields: &Fields<'_>, c: &mut Container) {
    c.readonly = fields.read(r, "readonly", Reader::boolean);
    c.tmpfs = fields.read(r, "tmpfs", |r, node, field| {
        r.list(node, field, |r, node, field| {
            let tmpfs = r.parsed(node, field, text::tmpfs)?.value;
            destination(r, node, field, &tmpfs.destination);
            Some(tmpfs)
        })
    });
    c.binds = fields.read(r, "binds", binds);
    let mark = r.mark();
    c.binds_add = fields.read(r, "binds.add", binds);
    if fields.get("binds").is_some() {
        r.unused(mark);
    }
    c.mounts = fields.read(r, "mounts", |r, node, field| {
        r.list(node, field, |r, node, field| {
            let mount = entry_mount(r, node, field)?;
            destination(r, node, field, &mount.destination);
            Some(r.located(mount, node.line))
        })
    });
    c.devices = fields.read(r, "devices", |r, n, f| r.list(n, f, device));
    c.masked_paths = fields.read(r, "maskedPaths", paths);
    c.readonly_paths = fields.read(r, "readonlyPaths", paths);
    c.rootfs_propagation = fields.read(r, "rootfsPropagation", propagation);
}

/// Absolute paths.
fn paths(r: &mut Reader, node: &Node, field: &str) -> Option<Vec<String>> {
    r.list(node, field, |r, node, field| {
        let path = r.text(node, field)?;
        if !path.starts_with('/') {
            r.strict(node.line, field, absolute(&path));
        }
        Some(path)
    })
}

fn absolute(found: &str) -> String {
    format!(
        "found {}, allowed: a path that begins with /",
        quoted(found)
    )
}

fn destination(r: &mut Reader, node: &Node, field: &str, destination: &str) {
    if !destination.starts_with('/') {
        let message = format!("destination: {}", absolute(destination));
        r.strict(node.line, field, message);
    }
}

fn oom_score_adj(r: &mut Reader, node: &Node, field: &str) -> Option<i32> {
    let value = r.integer(node, field)?;
    if !(-1000..=1000).contains(&value) {
        let message = format!("found {value}, allowed: -1000 to 1000");
        r.strict(node.line, field, message);
    }
    Some(value)
}

fn rlimit(r: &mut Reader, node: &Node, field: &str) -> Option<Rlimit> {
    let limit = r.parsed(node, field, text::rlimit)?.value;
    if limit.soft > limit.hard {
        r.strict(node.line, field, "the soft limit is above the hard limit");
    }
    Some(limit)
}

/// The kinds of mount propagation (mount_namespaces(7)).
const PROPAGATION: [&str; 8] = [
    "private",
    "rprivate",
    "rshared",
    "rslave",
    "runbindable",
    "shared",
    "slave",
    "unbindable",
];

fn propagation(r: &mut Reader, node: &Node, field: &str) -> Option<String> {
    let text = r.text(node, field)?;
    if !text.is_empty() && !PROPAGATION.contains(&text.as_str()) {
        let message = format!(
            "found {}{}, allowed: {}",
            quoted(&text),
            did_you_mean(&text, &PROPAGATION),
            PROPAGATION.join(", ")
        );
        r.strict(node.line, field, message);
    }
    Some(text)
}

fn read_linux(r: &mut Reader, fields: &Fields<'_>, c: &mut Container) {
    c.hostname = not_empty(fields.read(r, "hostname", Reader::text));
    c.net = fields.read(r, "net", |r, n, f| namespace(r, n, f, true));
    let other = |r: &mut Reader, n: &Node, f: &str| namespace(r, n, f, false);
    c.ipc = fields.read(r, "ipc", other);
    c.uts = fields.read(r, "uts", other);
    c.pid = fields.read(r, "pid", other);
    c.userns = fields.read(r, "userns", other);
    c.uid_mappings = fields.read(r, "uidMappings", id_mappings);
    c.gid_mappings = fields.read(r, "gidMappings", id_mappings);
    c.sysctl = fields.read(r, "sysctl", Reader::text_map);
    c.annotations = fields.read(r, "annotations", Reader::text_map);
    c.resources = fields.read(r, "resources", resources::read);
    c.cgroups_path = fields.read(r, "cgroupsPath", Reader::text);
}

/// LinuxKit takes an empty text for "not said" here.
fn not_empty(text: Option<String>) -> Option<String> {
    text.filter(|t| !t.is_empty())
}

/// A uid or gid: a number, `root`, or an entry's name.
pub(super) fn id(r: &mut Reader, node: &Node, field: &str) -> Option<Located<Id>> {
    let id = match &node.kind {
        Kind::Int(number) => Id::Number(number_id(r, *number, node, field)?),
        Kind::Text(text) if text.is_empty() || text == "root" => Id::Number(0),
        Kind::Text(text) => Id::Entry(text.clone()),
        _ => {
            let message = format!(
                "found {}, allowed: a number, root, or the name of an entry",
                node.describe()
            );
            r.problem(node.line, field, message);
            return None;
        }
    };
    Some(r.located(id, node.line))
}

/// A number of 64 bits, of which LinuxKit takes the lower half.
fn number_id(r: &mut Reader, number: i128, node: &Node, field: &str) -> Option<u32> {
    if let Ok(id) = u32::try_from(number) {
        return Some(id);
    }
    let message = not_an_id(number);
    let Ok(wide) = i64::try_from(number) else {
        r.problem(node.line, field, message);
        return None;
    };
    r.strict(node.line, field, message);
    u32::try_from(wide & i64::from(u32::MAX)).ok()
}

fn not_an_id(number: i128) -> String {
    format!(
        "found the number {number}, allowed: a whole number from 0 to {}",
        u32::MAX
    )
}

fn capabilities(r: &mut Reader, node: &Node, field: &str) -> Option<Vec<Located<CapabilityName>>> {
    let list = capability_list(r, node, field)?;
    let is_word = |c: &Located<CapabilityName>| !matches!(c.value, CapabilityName::One(_));
    if list.len() > 1 && list.iter().any(is_word) {
        let message = "all and none stand alone, without other capabilities beside them";
        r.meaning(node.line, field, message);
        return None;
    }
    Some(list)
}

/// What is put behind a label's list: only the two together show whether
/// `all` stands alone.
fn capability_list(
    r: &mut Reader,
    node: &Node,
    field: &str,
) -> Option<Vec<Located<CapabilityName>>> {
    r.list(node, field, |r, node, field| {
        r.parsed(node, field, text::capability)
    })
}

fn binds(r: &mut Reader, node: &Node, field: &str) -> Option<Vec<Located<Bind>>> {
    r.list(node, field, |r, node, field| {
        let bind = r.parsed(node, field, text::bind)?;
        destination(r, node, field, &bind.value.destination);
        if bind.value.source.is_empty() {
            let message = "the source is empty, allowed: SOURCE:DESTINATION[:OPTION,…]";
            r.strict(node.line, field, message);
        }
        for option in bind.value.options.iter().flatten() {
            if !text::is_bind_option(option) {
                let message = format!(
                    "unknown bind option {}, allowed: {}",
                    quoted(option),
                    text::BIND_OPTIONS.join(", ")
                );
                r.strict(node.line, field, message);
            }
        }
        Some(bind)
    })
}

fn namespace(
    r: &mut Reader,
    node: &Node,
    field: &str,
    none_is_new: bool,
) -> Option<Located<Namespace>> {
    let text = not_empty(r.text(node, field))?;
    let namespace = text::namespace(&text, none_is_new);
    if matches!(&namespace, Namespace::Path(path) if !path.starts_with('/')) {
        let words = ["host", "root", "new", "none"];
        let words = if none_is_new { &words[..] } else { &words[..3] };
        let message = format!(
            "found {}{}, allowed: {}, or an absolute path",
            quoted(&text),
            did_you_mean(&text, words),
            words.join(", ")
        );
        r.strict(node.line, field, message);
    }
    Some(r.located(namespace, node.line))
}

const MOUNT_KEYS: &[&str] = &[
    "destination",
    "gidmappings",
    "options",
    "source",
    "type",
    "uidmappings",
];

/// A mount as it is written, nothing filled in.
fn mount(r: &mut Reader, node: &Node, field: &str) -> Option<Mount> {
    let fields = r.fields(node, field, MOUNT_KEYS)?;
    // LinuxKit takes these and loses them.
    for key in ["uidmappings", "gidmappings"] {
        if fields.read(r, key, id_mappings).is_some() {
            let message = "id-mapped mounts are not in this version";
            r.strict(node.line, &fields.name(key), message);
        }
    }
    let mut text = |key| fields.read(r, key, Reader::text).unwrap_or_default();
    let (destination, kind, source) = (text("destination"), text("type"), text("source"));
    Some(Mount {
        destination,
        kind,
        source,
        options: fields.read(r, "options", Reader::texts).unwrap_or_default(),
    })
}

/// The types that a source alone stands for, with where they are mounted.
const KNOWN_TYPES: [(&str, &str); 5] = [
    ("cgroup", "/sys/fs/cgroup"),
    ("devpts", "/dev/pts"),
    ("mqueue", "/dev/mqueue"),
    ("proc", "/proc"),
    ("sysfs", "/sys"),
];

/// A mount of an entry, with type, source and destination filled in.
fn entry_mount(r: &mut Reader, node: &Node, field: &str) -> Option<Mount> {
    let mut mount = mount(r, node, field)?;
    if mount.kind.is_empty() {
        if KNOWN_TYPES.iter().any(|(kind, _)| *kind == mount.source) {
            mount.kind.clone_from(&mount.source);
        } else if mount.destination == "/dev" {
            "tmpfs".clone_into(&mut mount.kind);
        } else {
            let types = KNOWN_TYPES.map(|(kind, _)| kind).join(", ");
            let message = format!(
                "the key \"type\" is missing; it may be left out only for the sources {types} and the destination /dev"
            );
            r.meaning(node.line, field, message);
            return None;
        }
    }
    if mount.source.is_empty() {
        mount.source.clone_from(&mount.kind);
    }
    if mount.destination.is_empty() {
        let Some((_, place)) = KNOWN_TYPES.iter().find(|(kind, _)| *kind == mount.kind) else {
            let message = format!(
                "the key \"destination\" is missing, which the type {} has no default for",
                quoted(&mount.kind)
            );
            r.meaning(node.line, field, message);
            return None;
        };
        (*place).clone_into(&mut mount.destination);
    }
    Some(mount)
}

const DEVICE_KEYS: &[&str] = &["major", "minor", "mode", "path", "type"];

fn device(r: &mut Reader, node: &Node, field: &str) -> Option<Device> {
    let fields = r.fields(node, field, DEVICE_KEYS)?;
    // LinuxKit writes down a device without a path.
    let path = fields.read(r, "path", Reader::text).unwrap_or_default();
    let kind = fields.read(r, "type", Reader::text).unwrap_or_default();
    if path == "all" {
        if !matches!(kind.as_str(), "a" | "b" | "c") {
            let message = format!("found the type {}, allowed: a, b, c", quoted(&kind));
            r.strict(node.line, field, message);
        }
        return Some(Device::All { kind });
    }
    let major = fields.read(r, "major", Reader::integer).unwrap_or(0);
    let minor = fields.read(r, "minor", Reader::integer).unwrap_or(0);
    let Some(mode) = fields.get("mode") else {
        r.meaning(node.line, field, "the key \"mode\" is missing");
        return None;
    };
    let mode = device_mode(r, mode, &fields.name("mode"))?;
    if !path.starts_with('/') {
        r.strict(node.line, field, absolute(&path));
    }
    if !matches!(kind.as_str(), "b" | "c" | "p" | "u") {
        let message = format!("found the type {}, allowed: b, c, p, u", quoted(&kind));
        r.strict(node.line, field, message);
    }
    Some(Device::Node {
        path,
        kind,
        major,
        minor,
        mode,
    })
}

/// Permission bits, which are in quotes: YAML would read `0644` as 420.
pub(super) fn mode_bits(r: &mut Reader, node: &Node, field: &str) -> Option<u32> {
    mode_text(r, node, field, text::mode)
}

/// A device's mode, of which LinuxKit takes any number.
fn device_mode(r: &mut Reader, node: &Node, field: &str) -> Option<u32> {
    let mode = mode_text(r, node, field, text::device_mode)?;
    if !(0..=0o7777).contains(&mode) {
        r.strict(node.line, field, "allowed: 0 to 7777 in octal");
    }
    Some(mode.cast_unsigned())
}

fn mode_text<T>(
    r: &mut Reader,
    node: &Node,
    field: &str,
    parse: fn(&str) -> Result<T, String>,
) -> Option<T> {
    if let Kind::Int(_) = node.kind {
        let message =
            "found a number without quotes, allowed: octal digits in quotes, such as \"0644\"";
        r.problem(node.line, field, message);
        return None;
    }
    r.parsed(node, field, parse).map(|mode| mode.value)
}

const MAPPING_KEYS: &[&str] = &["containerID", "hostID", "size"];

fn id_mappings(r: &mut Reader, node: &Node, field: &str) -> Option<Vec<IdMapping>> {
    r.list(node, field, |r, node, field| {
        let fields = r.fields(node, field, MAPPING_KEYS)?;
        let mut id = |key| {
            let id = |r: &mut Reader, n: &Node, f: &str| mapped_id(r, n, f);
            fields.read(r, key, id).unwrap_or(0)
        };
        Some(IdMapping {
            container_id: id("containerID"),
            host_id: id("hostID"),
            size: fields.read(r, "size", Reader::integer).unwrap_or(0),
        })
    })
}

/// An id of a mapping. LinuxKit loses it, whatever number it is.
fn mapped_id(r: &mut Reader, node: &Node, field: &str) -> Option<u32> {
    let number: i64 = r.integer(node, field)?;
    let id = u32::try_from(number);
    if id.is_err() {
        let message = not_an_id(i128::from(number));
        r.strict(node.line, field, message);
    }
    Some(id.unwrap_or(0))
}

const RUNTIME_KEYS: &[&str] = &[
    "bindNS",
    "cgroups",
    "interfaces",
    "mkdir",
    "mounts",
    "namespace",
];

fn runtime(r: &mut Reader, node: &Node, field: &str) -> Runtime {
    let Some(fields) = r.fields(node, field, RUNTIME_KEYS) else {
        return Runtime::default();
    };
    Runtime {
        cgroups: fields.read(r, "cgroups", Reader::texts),
        mounts: fields.read(r, "mounts", |r, n, f| r.list(n, f, mount)),
        mkdir: fields.read(r, "mkdir", Reader::texts),
        interfaces: fields.read(r, "interfaces", |r, n, f| r.list(n, f, interface)),
        bind_ns: fields
            .read(r, "bindNS", |r, n, f| Some(bind_ns(r, n, f)))
            .unwrap_or_default(),
        namespace: fields.read(r, "namespace", Reader::text),
    }
}

const INTERFACE_KEYS: &[&str] = &["add", "createInRoot", "name", "peer"];

fn interface(r: &mut Reader, node: &Node, field: &str) -> Option<Interface> {
    let fields = r.fields(node, field, INTERFACE_KEYS)?;
    let mut text = |key| fields.read(r, key, Reader::text).unwrap_or_default();
    let (name, add, peer) = (text("name"), text("add"), text("peer"));
    let create_in_root = fields.read(r, "createInRoot", Reader::boolean);
    Some(Interface {
        name,
        add,
        peer,
        create_in_root: create_in_root.unwrap_or(false),
    })
}

const NAMESPACE_KEYS: &[&str] = &["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];

fn bind_ns(r: &mut Reader, node: &Node, field: &str) -> BindNsFields {
    let Some(fields) = r.fields(node, field, NAMESPACE_KEYS) else {
        return BindNsFields::default();
    };
    let mut path = |key| fields.read(r, key, Reader::text);
    BindNsFields {
        cgroup: path("cgroup"),
        ipc: path("ipc"),
        mnt: path("mnt"),
        net: path("net"),
        pid: path("pid"),
        user: path("user"),
        uts: path("uts"),
    }
}

/// The number of an id, by the entries' names.
pub(crate) fn resolve(id: &Located<Id>, ids: &BTreeMap<String, u32>) -> Result<u32, String> {
    match &id.value {
        Id::Number(number) => Ok(*number),
        Id::Entry(name) => ids.get(name).copied().ok_or_else(|| {
            let names: Vec<&str> = ids.keys().map(String::as_str).collect();
            let hint = if name.bytes().all(|b| b.is_ascii_digit()) {
                " (write a number without quotes)".to_owned()
            } else {
                did_you_mean(name, &names)
            };
            format!(
                "no entry has the name {}{hint}, allowed: a number, root, {}",
                quoted(name),
                listed(&names)
            )
        }),
    }
}
