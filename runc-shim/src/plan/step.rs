//! The steps, and how they are told to people.

use std::ffi::{CStr, CString};
use std::fmt;

use crate::spec::{Capabilities, Device, DeviceKind, Mount, MountKind, Process, Rlimit, Sysctl};
use crate::sys::mount::Propagation;
use crate::sys::scheduling::{MemoryPolicy, Scheduling, Set};
use crate::sys::terminal::Size;

/// A device node to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Absolute, in the container.
    pub path: CString,
    /// Its type's bits and permissions, as mknod(2) wants them.
    pub mode: u32,
    /// Which driver.
    pub major: u32,
    /// Which device of it.
    pub minor: u32,
    /// Owner, in the container.
    pub uid: u32,
    /// Group, in the container.
    pub gid: u32,
}

impl Node {
    /// Those that every container gets.
    pub fn defaults() -> impl Iterator<Item = Self> {
        let numbers = [
            (c"/dev/null", 1, 3),
            (c"/dev/zero", 1, 5),
            (c"/dev/full", 1, 7),
            (c"/dev/random", 1, 8),
            (c"/dev/urandom", 1, 9),
            (c"/dev/tty", 5, 0),
        ];
        numbers.into_iter().map(|(path, major, minor)| Self {
            path: path.to_owned(),
            mode: libc::S_IFCHR | 0o666,
            major,
            minor,
            uid: 0,
            gid: 0,
        })
    }
}

impl From<&Device> for Node {
    fn from(device: &Device) -> Self {
        let kind = match device.kind {
            DeviceKind::Char => libc::S_IFCHR,
            DeviceKind::Block => libc::S_IFBLK,
            DeviceKind::Fifo => libc::S_IFIFO,
        };
        Self {
            path: device.path.clone(),
            mode: kind | device.mode,
            major: device.major,
            minor: device.minor,
            uid: device.uid,
            gid: device.gid,
        }
    }
}

/// Whom a process belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Further groups.
    pub groups: Vec<u32>,
}

impl From<&Process> for Owner {
    fn from(process: &Process) -> Self {
        Self {
            uid: process.uid,
            gid: process.gid,
            groups: process.additional_gids.clone(),
        }
    }
}

/// When hooks run in the container's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before the root is entered.
    CreateContainer,
    /// After `start`, before the program.
    StartContainer,
}

impl Stage {
    /// The specification's word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CreateContainer => "createContainer",
            Self::StartContainer => "startContainer",
        }
    }
}

/// One thing that the container's first process does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Waits until the parent has written the id maps.
    AwaitMappings,
    /// Waits until the parent has moved network devices in.
    AwaitNetDevices,
    /// Takes user and group 0 of the user namespace.
    BecomeNamespaceRoot,
    /// Makes the cgroup that it is in the root of a new cgroup namespace.
    NewCgroupNamespace,
    /// Leaves the runtime's session, and so its terminal.
    NewSession,
    /// Leaves the runtime's session keyring.
    NewKeyring,
    /// Sets the host name.
    SetHostname(CString),
    /// Sets the NIS domain name.
    SetDomainname(CString),
    /// Sets `oom_score_adj`.
    SetOomScore(i32),
    /// Sets a resource limit.
    SetLimit(Rlimit),
    /// Sets a kernel parameter.
    SetSysctl(Sysctl),
    /// Says how it is scheduled.
    Schedule(Scheduling),
    /// Says when it may read and write disks.
    SetIoPriority(u32),
    /// Says on which processors it runs.
    SetAffinity(Set),
    /// Says where its memory comes from.
    SetMemoryPolicy(MemoryPolicy),
    /// Says what the kernel shows itself as.
    SetPersonality(u32),
    /// Makes sure that the kernel has SELinux, before a label is used.
    RequireSelinux,
    /// Names the SELinux label that the program gets.
    SetSelinux(CString),
    /// Keeps the host from seeing the mounts to come.
    CutPropagation,
    /// Keeps the host from seeing the mounts to come in the mount that holds
    /// the root filesystem, and in that one alone.
    PartRoot(CString),
    /// Makes a mount of the root filesystem, from where all paths are resolved.
    TakeRoot(CString),
    /// Mounts something in the root.
    Mount {
        /// Its place in the configuration.
        index: usize,
        /// What and where.
        mount: Box<Mount>,
        /// Whether it becomes read-only by [`Step::SealMount`].
        read_only_later: bool,
    },
    /// Makes a device node, or binds the host's.
    MakeNode {
        /// Which.
        node: Node,
        /// A user namespace may make none.
        bind: bool,
    },
    /// Makes a symbolic link, unless something is there.
    MakeLink {
        /// What it points to.
        target: CString,
        /// Where.
        path: CString,
    },
    /// Makes a terminal of the container's own: 0, 1 and 2, and the session's.
    OpenTerminal {
        /// Whether it is `/dev/console` too.
        console: bool,
        /// How large it is at first.
        size: Option<Size>,
        /// Whose it is.
        uid: u32,
    },
    /// Lets the parent run the hooks that belong here.
    RunHooks,
    /// Runs hooks in the container's namespaces.
    RunInside(Stage),
    /// Opens the root filesystem, of a container without mounts of its own.
    OpenRoot(CString),
    /// Makes the root the root by chroot(2): the host's mounts stay, and are
    /// hidden only from who cannot call it.
    ChangeRoot,
    /// Makes a folder, unless it is there; what cannot be made is found
    /// missing later.
    MakeFolder(CString),
    /// Makes a path read-only.
    ProtectPath(CString),
    /// Hides what is at a path.
    MaskPath(CString),
    /// Makes a mount read-only that had to be filled before.
    SealMount {
        /// Its place in the configuration.
        index: usize,
        /// Where it is.
        destination: CString,
    },
    /// Makes the root read-only.
    SealRoot,
    /// Makes the root the root, and the host's filesystems unreachable.
    Pivot,
    /// Covers the root by the root, where it cannot be changed.
    CoverRoot,
    /// Gives the root its propagation.
    SetPropagation {
        /// How it spreads.
        how: Propagation,
        /// With all below it.
        recursive: bool,
    },
    /// Goes to the working directory.
    EnterFolder(CString),
    /// Looks for the program.
    FindProgram,
    /// Tells `create` that all is ready, and waits for `start`.
    WaitForStart,
    /// Joins the namespaces of a container that runs.
    JoinContainer,
    /// Gives the pipes among 0, 1 and 2 to this user.
    GivePipes(u32),
    /// Names the AppArmor profile that the program gets.
    SetAppArmor(CString),
    /// Takes everything else out of the bounding set.
    LimitBoundingSet(u64),
    /// Changes user and groups, and keeps the capabilities.
    BecomeUser(Owner),
    /// Sets the other four sets.
    SetCapabilities(Capabilities),
    /// Sets the file creation mask.
    SetUmask(u32),
    /// Sets `no_new_privs`.
    ForbidNewPrivileges,
    /// Gives signals their defaults back and closes all files at exec: the last
    /// before a filter may forbid it.
    ResetSignals,
    /// Loads the system call filter.
    LoadFilter,
    /// Loads the system call filter and lets the runtime take its listener,
    /// for whoever is there to decide.
    LoadFilterWithListener {
        /// The socket of who decides.
        path: String,
        /// Whether the process must allow the runtime to look into it first,
        /// because its user namespace's ids have made it another's.
        open: bool,
    },
    /// Becomes the program.
    Exec,
}

fn text(c: &CStr) -> std::borrow::Cow<'_, str> {
    c.to_string_lossy()
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AwaitMappings => write!(f, "wait for the id mappings"),
            Self::AwaitNetDevices => write!(f, "wait for the network devices"),
            Self::BecomeNamespaceRoot => write!(f, "become root of the user namespace"),
            Self::NewCgroupNamespace => write!(f, "make a cgroup namespace"),
            Self::NewSession => write!(f, "make a session"),
            Self::NewKeyring => write!(f, "make a session keyring"),
            Self::SetHostname(name) => write!(f, "set the host name {}", text(name)),
            Self::SetDomainname(name) => write!(f, "set the domain name {}", text(name)),
            Self::SetOomScore(score) => write!(f, "set oom_score_adj to {score}"),
            Self::SetLimit(l) => write!(f, "set {} to {}:{}", l.name, l.soft, l.hard),
            Self::SetSysctl(s) => write!(f, "write \"{}\" to {}", text(&s.value), text(&s.path)),
            Self::Schedule(s) => write!(
                f,
                "set the scheduler: policy {}, nice {}, priority {}",
                s.policy, s.nice, s.priority
            ),
            Self::SetIoPriority(p) => {
                write!(f, "set the io priority: class {}, {}", p >> 13, p & 0x1fff)
            }
            Self::SetAffinity(_) => write!(f, "set the processors to run on"),
            Self::SetMemoryPolicy(_) => write!(f, "set the memory policy"),
            Self::SetPersonality(domain) => write!(f, "set the personality {domain}"),
            Self::RequireSelinux => write!(f, "look for SELinux"),
            Self::SetSelinux(label) => write!(f, "set the SELinux label {}", text(label)),
            Self::CutPropagation => write!(f, "cut mount propagation to the host"),
            Self::PartRoot(path) => write!(f, "part {} from the host's mounts", text(path)),
            Self::TakeRoot(path) => write!(f, "take the root filesystem {}", text(path)),
            Self::Mount {
                mount,
                read_only_later,
                ..
            } => {
                tell_mount(f, mount)?;
                if *read_only_later {
                    write!(f, " (read-only later)")
                } else {
                    Ok(())
                }
            }
            Self::MakeNode { node, bind } => tell_node(f, node, *bind),
            Self::MakeLink { target, path } => {
                write!(f, "link {} to {}", text(path), text(target))
            }
            Self::OpenTerminal { console, .. } => {
                let place = if *console {
                    ", on /dev/console too"
                } else {
                    ""
                };
                write!(f, "open a terminal{place}")
            }
            Self::RunHooks => write!(f, "wait for the hooks"),
            Self::RunInside(stage) => write!(f, "run the {} hooks", stage.name()),
            Self::OpenRoot(path) => write!(f, "open the root filesystem {}", text(path)),
            Self::ChangeRoot => write!(f, "change the root, in the caller's mount namespace"),
            Self::MakeFolder(path) => write!(f, "make the working directory {}", text(path)),
            Self::ProtectPath(path) => write!(f, "make {} read-only", text(path)),
            Self::MaskPath(path) => write!(f, "mask {}", text(path)),
            Self::SealMount { destination, .. } => {
                write!(f, "make the mount on {} read-only", text(destination))
            }
            Self::SealRoot => write!(f, "make the root read-only"),
            Self::Pivot => write!(f, "change the root"),
            Self::CoverRoot => write!(f, "cover the root"),
            Self::SetPropagation { how, recursive } => {
                let all = if *recursive { " and all below" } else { "" };
                write!(f, "make the root{all} {how:?}")
            }
            Self::EnterFolder(path) => write!(f, "enter the working directory {}", text(path)),
            Self::FindProgram => write!(f, "find the program"),
            Self::WaitForStart => write!(f, "wait for start"),
            Self::JoinContainer => write!(f, "join the container's namespaces"),
            Self::GivePipes(uid) => write!(f, "give the standard pipes to user {uid}"),
            Self::SetAppArmor(profile) => write!(f, "set the AppArmor profile {}", text(profile)),
            Self::LimitBoundingSet(set) => write!(f, "limit the bounding set to {set:#x}"),
            Self::BecomeUser(owner) => tell_owner(f, owner),
            Self::SetCapabilities(c) => write!(
                f,
                "set capabilities: effective {:#x}, permitted {:#x}, inheritable {:#x}, ambient {:#x}",
                c.effective, c.permitted, c.inheritable, c.ambient
            ),
            Self::SetUmask(mask) => write!(f, "set the umask {mask:04o}"),
            Self::ForbidNewPrivileges => write!(f, "set no_new_privs"),
            Self::ResetSignals => write!(f, "reset signals, close files at exec"),
            Self::LoadFilter => write!(f, "load the seccomp filter"),
            Self::LoadFilterWithListener { path, .. } => {
                write!(f, "load the seccomp filter, with its listener for {path}")
            }
            Self::Exec => write!(f, "execute the program"),
        }
    }
}

fn tell_mount(f: &mut fmt::Formatter<'_>, mount: &Mount) -> fmt::Result {
    let destination = text(&mount.destination);
    match &mount.kind {
        MountKind::Bind { source, .. } => write!(f, "bind {} on {destination}", text(source)),
        MountKind::Cgroup => write!(f, "mount cgroup2 on {destination}"),
        MountKind::Filesystem { fstype, .. } => {
            write!(f, "mount {} on {destination}", text(fstype))
        }
        MountKind::Remount { .. } => write!(f, "remount {destination}"),
    }
}

fn tell_node(f: &mut fmt::Formatter<'_>, node: &Node, bind: bool) -> fmt::Result {
    let what = if bind { "bind" } else { "make" };
    let Node { major, minor, .. } = node;
    write!(
        f,
        "{what} the device {} ({major}:{minor})",
        text(&node.path)
    )
}

fn tell_owner(f: &mut fmt::Formatter<'_>, owner: &Owner) -> fmt::Result {
    write!(f, "become user {}, group {}", owner.uid, owner.gid)?;
    owner
        .groups
        .iter()
        .try_for_each(|group| write!(f, ", {group}"))
}
