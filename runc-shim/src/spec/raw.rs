//! `config.json` as it is written: the fields of the OCI runtime
//! specification 1.2 (config.md, config-linux.md) that Linux containers use.
//! Unknown fields are ignored, as the specification asks; `null` is the same as
//! leaving a field out, because that is how Go programs write empty lists.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Declares a structure whose every field may be left out or null.
macro_rules! object {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub(crate) struct $name {
            $($(#[$field_meta])* #[serde(default, deserialize_with = "nullable")]
            pub(crate) $field: $type,)*
        }
    };
}

object!(Spec {
    oci_version: String,
    process: Option<Process>,
    root: Option<Root>,
    hostname: String,
    domainname: String,
    mounts: Vec<Mount>,
    hooks: Hooks,
    annotations: BTreeMap<String, String>,
    linux: Linux,
});

object!(Root {
    path: String,
    readonly: bool,
});

object!(Process {
    terminal: bool,
    console_size: Option<ConsoleSize>,
    user: User,
    args: Vec<String>,
    env: Vec<String>,
    cwd: String,
    capabilities: Option<Capabilities>,
    rlimits: Vec<Rlimit>,
    no_new_privileges: bool,
    apparmor_profile: String,
    selinux_label: String,
    oom_score_adj: Option<i32>,
    scheduler: Option<Scheduler>,
    io_priority: Option<IoPriority>,
    #[serde(rename = "execCPUAffinity")]
    exec_cpu_affinity: Option<Affinity>,
});

object!(Scheduler {
    policy: String,
    nice: i32,
    priority: u32,
    flags: Vec<String>,
    runtime: u64,
    deadline: u64,
    period: u64,
});

object!(IoPriority {
    class: String,
    priority: i32,
});

object!(Affinity {
    initial: String,
    #[serde(rename = "final")]
    last: String,
});

object!(
    #[derive(Copy)]
    ConsoleSize {
        height: u16,
        width: u16,
    }
);

object!(User {
    uid: u32,
    gid: u32,
    umask: Option<u32>,
    additional_gids: Vec<u32>,
});

object!(Capabilities {
    bounding: Vec<String>,
    effective: Vec<String>,
    inheritable: Vec<String>,
    permitted: Vec<String>,
    ambient: Vec<String>,
});

object!(Rlimit {
    #[serde(rename = "type")]
    kind: String,
    soft: u64,
    hard: u64,
});

object!(Mount {
    destination: String,
    #[serde(rename = "type")]
    kind: String,
    source: String,
    options: Vec<String>,
    uid_mappings: Vec<IdMapping>,
    gid_mappings: Vec<IdMapping>,
});

object!(Hooks {
    prestart: Vec<Hook>,
    create_runtime: Vec<Hook>,
    create_container: Vec<Hook>,
    start_container: Vec<Hook>,
    poststart: Vec<Hook>,
    poststop: Vec<Hook>,
});

object!(Hook {
    path: String,
    args: Vec<String>,
    env: Vec<String>,
    timeout: Option<u32>,
});

object!(Linux {
    namespaces: Vec<Namespace>,
    uid_mappings: Vec<IdMapping>,
    gid_mappings: Vec<IdMapping>,
    sysctl: BTreeMap<String, String>,
    resources: Resources,
    cgroups_path: String,
    devices: Vec<Device>,
    seccomp: Option<Seccomp>,
    rootfs_propagation: String,
    masked_paths: Vec<String>,
    readonly_paths: Vec<String>,
    mount_label: String,
    intel_rdt: Option<Rdt>,
    personality: Option<Personality>,
    time_offsets: BTreeMap<String, TimeOffset>,
    net_devices: BTreeMap<String, NetDevice>,
    memory_policy: Option<MemoryPolicy>,
});

object!(Rdt {
    #[serde(rename = "closID")]
    clos_id: Option<String>,
    l3_cache_schema: String,
    mem_bw_schema: String,
    schemata: Vec<String>,
    enable_monitoring: bool,
    #[serde(rename = "enableCMT")]
    enable_cmt: bool,
    #[serde(rename = "enableMBM")]
    enable_mbm: bool,
});

object!(NetDevice { name: String });

object!(Personality {
    domain: String,
    flags: Vec<String>,
});

object!(MemoryPolicy {
    mode: String,
    nodes: String,
    flags: Vec<String>,
});

object!(TimeOffset {
    secs: i64,
    nanosecs: u32,
});

object!(Namespace {
    #[serde(rename = "type")]
    kind: String,
    path: String,
});

object!(
    #[derive(Copy)]
    IdMapping {
        #[serde(rename = "containerID")]
        container: u32,
        #[serde(rename = "hostID")]
        host: u32,
        size: u32,
    }
);

object!(Device {
    path: String,
    #[serde(rename = "type")]
    kind: String,
    major: i64,
    minor: i64,
    file_mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
});

object!(Resources {
    devices: Vec<DeviceRule>,
    memory: Memory,
    cpu: Cpu,
    pids: Option<Pids>,
    #[serde(rename = "blockIO")]
    block_io: BlockIo,
    hugepage_limits: Vec<HugepageLimit>,
    unified: BTreeMap<String, String>,
    rdma: BTreeMap<String, Rdma>,
});

object!(DeviceRule {
    allow: bool,
    #[serde(rename = "type")]
    kind: String,
    major: Option<i64>,
    minor: Option<i64>,
    access: String,
});

object!(Memory {
    limit: Option<i64>,
    reservation: Option<i64>,
    swap: Option<i64>,
    check_before_update: bool,
});

object!(Cpu {
    shares: Option<u64>,
    quota: Option<i64>,
    burst: Option<u64>,
    period: Option<u64>,
    cpus: String,
    mems: String,
    idle: Option<i64>,
});

object!(Pids { limit: Option<i64>, });

object!(BlockIo {
    weight: Option<u16>,
    weight_device: Vec<WeightDevice>,
    throttle_read_bps_device: Vec<ThrottleDevice>,
    throttle_write_bps_device: Vec<ThrottleDevice>,
    #[serde(rename = "throttleReadIOPSDevice")]
    throttle_read_iops_device: Vec<ThrottleDevice>,
    #[serde(rename = "throttleWriteIOPSDevice")]
    throttle_write_iops_device: Vec<ThrottleDevice>,
});

object!(WeightDevice {
    major: u32,
    minor: u32,
    weight: Option<u16>,
});

object!(ThrottleDevice {
    major: u32,
    minor: u32,
    rate: u64,
});

object!(HugepageLimit {
    page_size: String,
    limit: u64,
});

object!(Rdma {
    hca_handles: Option<u32>,
    hca_objects: Option<u32>,
});

object!(Seccomp {
    default_action: String,
    default_errno_ret: Option<u32>,
    architectures: Vec<String>,
    flags: Vec<String>,
    listener_path: String,
    listener_metadata: String,
    syscalls: Vec<Syscall>,
});

object!(Syscall {
    names: Vec<String>,
    action: String,
    errno_ret: Option<u32>,
    args: Vec<Argument>,
});

object!(Argument {
    index: u32,
    value: u64,
    value_two: u64,
    op: String,
});
