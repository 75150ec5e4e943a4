//! The plan: what the container's first process does, as a list of steps.
//!
//! Pure: a validated [`Container`] and what is known of the bundle go in, a
//! list comes out that says everything there is to say; [`crate::exec`] carries
//! it out. A new feature is a new step, or a new place for one in [`steps`].

mod entry;
mod program;
mod step;

use std::ffi::{CStr, CString};

pub use entry::Entry;
pub use program::Program;
pub use step::{Node, Owner, Stage, Step};

use crate::seccomp;
use crate::spec::{Container, Mount, MountKind, MountOption, NamespaceKind, Seccomp};
use crate::sys::identity::Instruction;
use crate::sys::mount::Propagation;

/// What a plan needs to know beside the configuration.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The bundle's folder, absolute.
    pub bundle: CString,
    /// The machine's own calling convention.
    pub arch: crate::spec::Arch,
    /// Whether the process waits for `start` before it becomes the program.
    pub wait: bool,
    /// What the caller chose.
    pub choices: Choices,
}

/// What the caller of `create`, `run` and `exec` may choose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// How many descriptors beside 0, 1 and 2 the program gets.
    pub preserved: u32,
    /// How many of those listen: the first ones (sd_listen_fds(3)).
    pub listening: u32,
    /// Their names, `:` between them.
    pub names: Option<String>,
    /// Whether it stays in the caller's session keyring.
    pub keep_keyring: bool,
    /// Whether the root is covered instead of changed.
    pub no_pivot: bool,
}

/// All that the first process does, and what it becomes.
#[derive(Clone, Debug)]
pub struct Plan {
    /// In order.
    pub steps: Vec<Step>,
    /// The program, its arguments and environment.
    pub program: Program,
    /// The system call filter that [`Step::LoadFilter`] loads, ready.
    pub filter: Vec<Instruction>,
    /// Its flags.
    pub filter_flags: u64,
    /// How many descriptors beside 0, 1 and 2 the program gets.
    pub preserved: u32,
}

impl Plan {
    /// Plans a container.
    #[must_use]
    pub fn new(container: &Container, facts: &Facts) -> Self {
        Self::of(
            steps(container, facts),
            container,
            facts.arch,
            &facts.choices,
        )
    }

    /// Plans another process in a container that runs.
    #[must_use]
    pub fn of_entry(container: &Container, entry: &Entry) -> Self {
        Self::of(
            entry::steps(container, entry),
            container,
            entry.arch,
            &entry.choices,
        )
    }

    fn of(
        steps: Vec<Step>,
        container: &Container,
        arch: crate::spec::Arch,
        choices: &Choices,
    ) -> Self {
        let filter = container.seccomp.as_ref();
        Self {
            steps,
            program: Program::new(&container.process, choices),
            filter: filter
                .map(|f| seccomp::compile(f, arch))
                .unwrap_or_default(),
            filter_flags: filter.map(|f| f.flags).unwrap_or_default(),
            preserved: choices.preserved,
        }
    }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

/// The order of everything. Why it is so:
///
/// 1. An own user namespace has no ids until the parent has written its maps.
/// 2. What needs the host's `/proc` (limits, kernel parameters) comes before
///    the root is left, so that no container's `/proc` can fool us.
/// 3. Propagation is cut before the first mount, or the host would see them.
/// 4. Read-only comes after all that makes files, pivot after all that needs
///    the host's files.
/// 5. Everything that can fail for want of something comes before the wait for
///    `start`, so that `create` tells of it.
/// 6. Rights go last, in the only order that works: the bounding set while
///    CAP_SETPCAP is there, ids with capabilities kept, then the sets.
#[must_use]
pub fn steps(container: &Container, facts: &Facts) -> Vec<Step> {
    let mut steps = Vec::with_capacity(64);
    own_namespaces(container, &facts.choices, &mut steps);
    limits(container, &mut steps);
    root(container, facts, &mut steps);
    mounts(container, facts, &mut steps);
    devices(container, &mut steps);
    terminal(container, true, &mut steps);
    if !container.hooks.create_runtime.is_empty() {
        steps.push(Step::RunHooks);
    }
    if !container.hooks.create_container.is_empty() {
        steps.push(Step::RunInside(Stage::CreateContainer));
    }
    restrictions(container, &mut steps);
    if !container.namespaces.has(NamespaceKind::Mount) {
        steps.push(Step::ChangeRoot);
    } else {
        steps.push(if facts.choices.no_pivot {
            Step::CoverRoot
        } else {
            Step::Pivot
        });
        final_propagation(container, &mut steps);
    }
    steps.push(Step::EnterFolder(container.process.cwd.clone()));
    steps.push(Step::FindProgram);
    if facts.wait {
        steps.push(Step::WaitForStart);
    }
    if !container.hooks.start_container.is_empty() {
        steps.push(Step::RunInside(Stage::StartContainer));
    }
    let open = container.namespaces.is_new(NamespaceKind::User);
    rights(container, open, &mut steps);
    steps
}

fn own_namespaces(container: &Container, choices: &Choices, steps: &mut Vec<Step>) {
    if container.namespaces.has(NamespaceKind::User) {
        steps.push(Step::AwaitMappings);
        steps.push(Step::BecomeNamespaceRoot);
    }
    if !container.net_devices.is_empty() {
        steps.push(Step::AwaitNetDevices);
    }
    // Not by clone3: the namespace's root is the cgroup that one is in while
    // it is made, and that is still the runtime's.
    if container.namespaces.is_new(NamespaceKind::Cgroup) {
        steps.push(Step::NewCgroupNamespace);
    }
    session(choices, steps);
    steps.extend(container.hostname.clone().map(Step::SetHostname));
    steps.extend(container.domainname.clone().map(Step::SetDomainname));
}

fn session(choices: &Choices, steps: &mut Vec<Step>) {
    steps.push(Step::NewSession);
    if !choices.keep_keyring {
        steps.push(Step::NewKeyring);
    }
}

/// What the process reads from and writes to: a terminal, or what the caller
/// has, which must belong to the user to be opened by name.
fn terminal(container: &Container, console: bool, steps: &mut Vec<Step>) {
    let process = &container.process;
    if process.terminal {
        steps.push(Step::OpenTerminal {
            console,
            size: process.console_size,
            uid: process.uid,
        });
    } else if process.uid != 0 {
        steps.push(Step::GivePipes(process.uid));
    }
}

/// In a user namespace the parent has set these, because the child lacks
/// the right.
fn limits(container: &Container, steps: &mut Vec<Step>) {
    if !container.namespaces.has(NamespaceKind::User) {
        steps.extend(container.process.oom_score_adj.map(Step::SetOomScore));
        steps.extend(
            container
                .process
                .rlimits
                .iter()
                .copied()
                .map(Step::SetLimit),
        );
        steps.extend(container.process.scheduler.map(Step::Schedule));
        steps.extend(container.process.io_priority.map(Step::SetIoPriority));
    }
    steps.extend(container.memory_policy.map(Step::SetMemoryPolicy));
    steps.extend(container.personality.map(Step::SetPersonality));
    steps.extend(container.sysctls.iter().cloned().map(Step::SetSysctl));
    // Holds from the next exec on, so it can be named while the host's `/proc`
    // is there.
    steps.extend(
        container
            .process
            .apparmor_profile
            .clone()
            .map(Step::SetAppArmor),
    );
    let label = container.process.selinux_label.clone();
    if label.is_some() || container.mount_label.is_some() {
        steps.push(Step::RequireSelinux);
    }
    steps.extend(label.map(Step::SetSelinux));
}

fn root(container: &Container, facts: &Facts, steps: &mut Vec<Step>) {
    let path = in_bundle(&container.root.path, facts);
    if !container.namespaces.has(NamespaceKind::Mount) {
        steps.push(Step::OpenRoot(path));
        return;
    }
    // A root that is shared means that the host is to see what the program
    // mounts in what it got from the host; only our own mounts stay hidden.
    steps.push(if container.root.propagation == Propagation::Shared {
        Step::PartRoot(path.clone())
    } else {
        Step::CutPropagation
    });
    steps.push(Step::TakeRoot(path));
}

/// A path of the host that may be relative to the bundle.
fn in_bundle(path: &CString, facts: &Facts) -> CString {
    if path.as_bytes().starts_with(b"/") {
        return path.clone();
    }
    let joined = [facts.bundle.as_bytes(), b"/", path.as_bytes()].concat();
    // Neither part holds a NUL, so neither does the whole.
    CString::new(joined).unwrap_or_default()
}

/// Where the host has cgroup v2. A container without an own cgroup namespace
/// gets this very mount: a new one would set the hierarchy's options anew, and
/// so take `nsdelegate` and `memory_recursiveprot` from the whole machine.
const HOST_CGROUPS: &CStr = c"/sys/fs/cgroup";

fn mounts(container: &Container, facts: &Facts, steps: &mut Vec<Step>) {
    let own_cgroups = container.namespaces.has(NamespaceKind::Cgroup);
    for (index, mount) in container.mounts.iter().enumerate() {
        let mut mount = mount.clone();
        if let MountKind::Bind { source, .. } = &mut mount.kind {
            *source = in_bundle(source, facts);
        }
        if matches!(mount.kind, MountKind::Cgroup) && !own_cgroups {
            mount.kind = MountKind::Bind {
                source: HOST_CGROUPS.to_owned(),
                recursive: false,
            };
        }
        label(&mut mount, container.mount_label.as_ref());
        steps.push(Step::Mount {
            read_only_later: fills_later(&mount),
            index,
            mount: Box::new(mount),
        });
    }
}

/// Gives a filesystem the SELinux label of all that is in it. Those that show
/// the kernel's own objects have labels of their own.
fn label(mount: &mut Mount, label: Option<&CString>) {
    let MountKind::Filesystem {
        fstype, options, ..
    } = &mut mount.kind
    else {
        return;
    };
    if let Some(label) = label
        && ![c"proc", c"sysfs", c"mqueue"].contains(&fstype.as_c_str())
    {
        options.push(MountOption {
            key: c"context".to_owned(),
            value: Some(label.clone()),
        });
    }
}

/// Whether files are made in this mount after it is mounted, so that it can
/// become read-only only then: `/dev`, and tmpfs, which may hold mount points.
fn fills_later(mount: &Mount) -> bool {
    let tmpfs = matches!(&mount.kind, MountKind::Filesystem { fstype, .. } if fstype.as_bytes() == b"tmpfs");
    let dev =
        mount.destination.as_bytes() == b"/dev" && !matches!(mount.kind, MountKind::Bind { .. });
    mount.attributes.is_read_only() && (tmpfs || dev)
}

/// The devices that the specification gives every container (config-linux.md,
/// "Default Devices"), unless it brings the host's `/dev`.
fn devices(container: &Container, steps: &mut Vec<Step>) {
    let hosts_dev = container.mounts.iter().any(|mount| {
        mount.destination.as_bytes() == b"/dev" && matches!(mount.kind, MountKind::Bind { .. })
    });
    let bind = container.namespaces.has(NamespaceKind::User);
    if !hosts_dev {
        for node in Node::defaults() {
            let named = container.devices.iter().any(|d| d.path == node.path);
            if !named {
                steps.push(Step::MakeNode { node, bind });
            }
        }
    }
    for device in &container.devices {
        let node = Node::from(device);
        steps.push(Step::MakeNode { node, bind });
    }
    if !hosts_dev {
        let links = [
            (c"/proc/self/fd", c"/dev/fd"),
            (c"/proc/self/fd/0", c"/dev/stdin"),
            (c"/proc/self/fd/1", c"/dev/stdout"),
            (c"/proc/self/fd/2", c"/dev/stderr"),
            (c"pts/ptmx", c"/dev/ptmx"),
        ];
        for (target, path) in links {
            steps.push(Step::MakeLink {
                target: target.to_owned(),
                path: path.to_owned(),
            });
        }
    }
}

fn restrictions(container: &Container, steps: &mut Vec<Step>) {
    steps.push(Step::MakeFolder(container.process.cwd.clone()));
    steps.extend(
        container
            .readonly_paths
            .iter()
            .cloned()
            .map(Step::ProtectPath),
    );
    steps.extend(container.masked_paths.iter().cloned().map(Step::MaskPath));
    for (index, mount) in container.mounts.iter().enumerate() {
        if fills_later(mount) {
            steps.push(Step::SealMount {
                index,
                destination: mount.destination.clone(),
            });
        }
    }
    if container.root.readonly {
        steps.push(Step::SealRoot);
    }
}

fn final_propagation(container: &Container, steps: &mut Vec<Step>) {
    let root = &container.root;
    // What `CutPropagation` has made it already.
    if root.propagation == Propagation::Slave && root.propagation_recursive {
        return;
    }
    steps.push(Step::SetPropagation {
        how: root.propagation,
        recursive: root.propagation_recursive,
    });
}

/// `open`: see [`Step::LoadFilterWithListener`].
fn rights(container: &Container, open: bool, steps: &mut Vec<Step>) {
    let process = &container.process;
    let filter = container.seccomp.as_ref().map(|filter| load(filter, open));
    let resets = filter.is_none();
    // Without no_new_privs only CAP_SYS_ADMIN may load a filter, so it must
    // come while that is still there, and must then let the rest pass.
    let (early, late) = if process.no_new_privileges {
        (None, filter)
    } else {
        (filter, None)
    };
    if let Some(load) = early {
        steps.extend([Step::ResetSignals, load]);
    }
    steps.push(Step::LimitBoundingSet(process.capabilities.bounding));
    steps.push(Step::BecomeUser(Owner::from(process)));
    steps.push(Step::SetCapabilities(process.capabilities));
    steps.push(Step::SetUmask(process.umask));
    if process.no_new_privileges {
        steps.push(Step::ForbidNewPrivileges);
    }
    if let Some(load) = late {
        steps.extend([Step::ResetSignals, load]);
    }
    if resets {
        steps.push(Step::ResetSignals);
    }
    steps.push(Step::Exec);
}

fn load(filter: &Seccomp, open: bool) -> Step {
    match &filter.listener {
        None => Step::LoadFilter,
        Some(listener) => Step::LoadFilterWithListener {
            path: listener.path.clone(),
            open,
        },
    }
}
