//! What the YAML, the image's labels and the image itself say of an entry,
//! laid over one another: the YAML's word counts before the label's, the
//! label's before the image's.

use hullkit_bundle::layout::Section;
use hullkit_bundle::runtime::BindNs;
use hullkit_bundle::supervision::Backoff;
use hullkit_bundle::{RuntimeConfig, Supervision};

use super::{Image, logged, watched};
use crate::spec::{
    BackoffFields, BindNsFields, Container, Entry, Runtime, Security, Spec, Supervise, signal,
};

/// `yaml` over `label`: each field by itself, the `….add` lists behind the
/// label's. Nothing of `….add` is left.
pub(super) fn container(yaml: &Container, label: &Container) -> Container {
    let (y, l) = (yaml.clone(), label.clone());
    Container {
        command: y.command.or(l.command),
        env: y.env.or(l.env),
        cwd: y.cwd.or(l.cwd),
        uid: y.uid.or(l.uid),
        gid: y.gid.or(l.gid),
        additional_gids: y.additional_gids.or(l.additional_gids),
        capabilities: y
            .capabilities
            .or_else(|| joined(l.capabilities, y.capabilities_add)),
        capabilities_add: None,
        ambient: y.ambient.or(l.ambient),
        no_new_privileges: y.no_new_privileges.or(l.no_new_privileges),
        rlimits: y.rlimits.or(l.rlimits),
        oom_score_adj: y.oom_score_adj.or(l.oom_score_adj),
        readonly: y.readonly.or(l.readonly),
        hostname: y.hostname.or(l.hostname),
        tmpfs: y.tmpfs.or(l.tmpfs),
        binds: y.binds.or_else(|| joined(l.binds, y.binds_add)),
        binds_add: None,
        mounts: y.mounts.or(l.mounts),
        devices: y.devices.or(l.devices),
        net: y.net.or(l.net),
        ipc: y.ipc.or(l.ipc),
        uts: y.uts.or(l.uts),
        pid: y.pid.or(l.pid),
        userns: y.userns.or(l.userns),
        uid_mappings: y.uid_mappings.or(l.uid_mappings),
        gid_mappings: y.gid_mappings.or(l.gid_mappings),
        masked_paths: y.masked_paths.or(l.masked_paths),
        readonly_paths: y.readonly_paths.or(l.readonly_paths),
        sysctl: y.sysctl.or(l.sysctl),
        annotations: y.annotations.or(l.annotations),
        resources: y.resources.or(l.resources),
        cgroups_path: y.cgroups_path.or(l.cgroups_path),
        rootfs_propagation: y.rootfs_propagation.or(l.rootfs_propagation),
        runtime: runtime_fields(y.runtime, l.runtime),
    }
}

fn joined<T>(label: Option<Vec<T>>, added: Option<Vec<T>>) -> Option<Vec<T>> {
    match (label, added) {
        (None, added) => added,
        (label, None) => label,
        (Some(mut all), Some(added)) => {
            all.extend(added);
            Some(all)
        }
    }
}

/// Whether the YAML, or nobody's use of it, replaces what a label says in
/// `field`.
pub(super) fn replaces(yaml: &Container, field: &str) -> bool {
    // A label's `….add` means nothing to LinuxKit, nor to us.
    if field.starts_with("capabilities.add") || field.starts_with("binds.add") {
        return true;
    }
    let top = field.split(['[', '.']).next().unwrap_or_default();
    match top {
        "additionalGids" => yaml.additional_gids.is_some(),
        "ambient" => yaml.ambient.is_some(),
        "binds" => yaml.binds.is_some(),
        "capabilities" => yaml.capabilities.is_some(),
        "devices" => yaml.devices.is_some(),
        "gid" => yaml.gid.is_some(),
        "ipc" => yaml.ipc.is_some(),
        "maskedPaths" => yaml.masked_paths.is_some(),
        "mounts" => yaml.mounts.is_some(),
        "net" => yaml.net.is_some(),
        "oomScoreAdj" => yaml.oom_score_adj.is_some(),
        "pid" => yaml.pid.is_some(),
        "readonlyPaths" => yaml.readonly_paths.is_some(),
        "rlimits" => yaml.rlimits.is_some(),
        "rootfsPropagation" => yaml.rootfs_propagation.is_some(),
        "tmpfs" => yaml.tmpfs.is_some(),
        "uid" => yaml.uid.is_some(),
        "userns" => yaml.userns.is_some(),
        "uts" => yaml.uts.is_some(),
        _ => false,
    }
}

fn runtime_fields(y: Runtime, l: Runtime) -> Runtime {
    let (by, bl) = (y.bind_ns, l.bind_ns);
    Runtime {
        cgroups: y.cgroups.or(l.cgroups),
        mounts: y.mounts.or(l.mounts),
        mkdir: y.mkdir.or(l.mkdir),
        interfaces: y.interfaces.or(l.interfaces),
        bind_ns: BindNsFields {
            cgroup: by.cgroup.or(bl.cgroup),
            ipc: by.ipc.or(bl.ipc),
            mnt: by.mnt.or(bl.mnt),
            net: by.net.or(bl.net),
            pid: by.pid.or(bl.pid),
            user: by.user.or(bl.user),
            uts: by.uts.or(bl.uts),
        },
        namespace: y.namespace.or(l.namespace),
    }
}

/// `runtime.json`.
pub(super) fn runtime(runtime: &Runtime, supervision: Supervision) -> RuntimeConfig {
    let runtime = runtime.clone();
    let paths = runtime.bind_ns;
    RuntimeConfig {
        cgroups: runtime.cgroups.unwrap_or_default(),
        mounts: runtime.mounts.unwrap_or_default(),
        mkdir: runtime.mkdir.unwrap_or_default(),
        interfaces: runtime.interfaces.unwrap_or_default(),
        bind_ns: BindNs {
            cgroup: paths.cgroup.unwrap_or_default(),
            ipc: paths.ipc.unwrap_or_default(),
            mnt: paths.mnt.unwrap_or_default(),
            net: paths.net.unwrap_or_default(),
            pid: paths.pid.unwrap_or_default(),
            user: paths.user.unwrap_or_default(),
            uts: paths.uts.unwrap_or_default(),
        },
        namespace: runtime.namespace.unwrap_or_default(),
        supervision,
    }
}

/// The security of an entry: its own word, the YAML's, its label's.
pub(super) fn security(spec: &Spec, entry: &Entry, label: &Supervise) -> Security {
    entry
        .supervise
        .security
        .or(spec.security)
        .or(label.security)
        .unwrap_or_default()
}

/// How PID 1 supervises the entry; or the field, and what is wrong.
pub(super) fn supervision(
    spec: &Spec,
    entry: &Entry,
    label: &Supervise,
    image: &Image,
) -> Result<Supervision, (&'static str, String)> {
    let (y, l) = (&entry.supervise, label);
    let default = Supervision::default();
    let stop_signal = match (y.stop_signal.or(l.stop_signal), image.config.stop_signal()) {
        (Some(number), _) => number,
        (None, Some(name)) if !name.is_empty() => signal(name).map_err(|message| {
            let image = &entry.image.value;
            (
                "image",
                format!("StopSignal of the image {image}: {message}"),
            )
        })?,
        (None, _) => default.stop_signal,
    };
    let mut supervision = Supervision {
        stop_signal,
        stop_timeout: y
            .stop_timeout
            .or(l.stop_timeout)
            .unwrap_or(default.stop_timeout),
        log: logged::file(spec, entry, l.log.as_ref())?,
        ..default
    };
    match entry.section {
        Section::Services => {
            supervision.restart = y.restart.or(l.restart).unwrap_or_default();
            supervision.backoff = backoff(y.backoff, l.backoff);
            supervision.after = after(spec, y, l);
            let requires = y.requires.as_ref().or(l.requires.as_ref());
            supervision.requires = requires
                .into_iter()
                .flatten()
                .map(|n| n.value.clone())
                .collect();
            let healthcheck = image.healthcheck.as_ref();
            watched::lay_over(&mut supervision, y, l, healthcheck, &entry.name)?;
        }
        Section::Onboot | Section::Onshutdown => {
            supervision.timeout = y.timeout.or(l.timeout).unwrap_or(0);
            supervision.on_failure = y.on_failure.or(l.on_failure).unwrap_or_default();
        }
    }
    Ok(supervision)
}

/// The YAML's `after`; or of a label's those that this build has, because an
/// image cannot know what it is built together with.
fn after(spec: &Spec, yaml: &Supervise, label: &Supervise) -> Vec<String> {
    let known = |name: &str| spec.services.iter().any(|s| s.name == name);
    match (&yaml.after, &label.after) {
        (Some(names), _) => names.iter().map(|n| n.value.clone()).collect(),
        (None, Some(names)) => {
            let names = names.iter().map(|n| n.value.clone());
            names.filter(|name| known(name)).collect()
        }
        (None, None) => Vec::new(),
    }
}

/// Where only one of `initial` and `max` is said, the other one's default
/// gives way to it.
fn backoff(yaml: BackoffFields, label: BackoffFields) -> Backoff {
    let default = Backoff::default();
    let (initial, max) = (yaml.initial.or(label.initial), yaml.max.or(label.max));
    let (initial, max) = match (initial, max) {
        (Some(initial), Some(max)) => (initial, max.max(initial)),
        (Some(initial), None) => (initial, default.max.max(initial)),
        (None, Some(max)) => (default.initial.min(max), max),
        (None, None) => (default.initial, default.max),
    };
    Backoff {
        initial,
        max,
        factor_percent: yaml
            .factor_percent
            .or(label.factor_percent)
            .unwrap_or(default.factor_percent),
        reset: yaml.reset.or(label.reset).unwrap_or(default.reset),
    }
}
