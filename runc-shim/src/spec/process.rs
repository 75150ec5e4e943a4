//! `process`: what runs, as whom, with what rights.

use std::ffi::CString;

use super::raw;
use super::scheduling::{self, Affinity};
use super::{Capabilities, Invalid, Result, absolute_path, c_text};
use crate::sys::scheduling::Scheduling;
use crate::sys::terminal::Size;

/// The container's first process.
#[derive(Clone, Debug)]
pub struct Process {
    /// The program and its arguments; at least the program.
    pub args: Vec<CString>,
    /// `NAME=value`, each.
    pub env: Vec<CString>,
    /// Absolute, in the container.
    pub cwd: CString,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Further groups.
    pub additional_gids: Vec<u32>,
    /// The file creation mask.
    pub umask: u32,
    /// The five sets; without any the process gets none.
    pub capabilities: Capabilities,
    /// Resource limits.
    pub rlimits: Vec<Rlimit>,
    /// Whether an exec can give no rights.
    pub no_new_privileges: bool,
    /// How early the kernel kills it when memory is short.
    pub oom_score_adj: Option<i32>,
    /// The AppArmor profile.
    pub apparmor_profile: Option<CString>,
    /// The SELinux label.
    pub selinux_label: Option<CString>,
    /// How it is scheduled.
    pub scheduler: Option<Scheduling>,
    /// Its place among those that read and write disks, for ioprio_set(2).
    pub io_priority: Option<u32>,
    /// The processors of processes that are added later.
    pub exec_affinity: Affinity,
    /// Whether it wants a terminal.
    pub terminal: bool,
    /// How large that is at first; 0 by 0 is the same as no size.
    pub console_size: Option<Size>,
}

/// A resource limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rlimit {
    /// The specification's name.
    pub name: &'static str,
    /// The kernel's number.
    pub resource: u32,
    /// What holds.
    pub soft: u64,
    /// Up to where the process may raise it.
    pub hard: u64,
}

/// The file creation mask where the configuration names none.
const DEFAULT_UMASK: u32 = 0o022;

/// Resource limits, in the order of the kernel's names. Their type differs
/// between C libraries.
const RLIMITS: [(&str, u32); 16] = [
    ("RLIMIT_AS", libc::RLIMIT_AS as _),
    ("RLIMIT_CORE", libc::RLIMIT_CORE as _),
    ("RLIMIT_CPU", libc::RLIMIT_CPU as _),
    ("RLIMIT_DATA", libc::RLIMIT_DATA as _),
    ("RLIMIT_FSIZE", libc::RLIMIT_FSIZE as _),
    ("RLIMIT_LOCKS", libc::RLIMIT_LOCKS as _),
    ("RLIMIT_MEMLOCK", libc::RLIMIT_MEMLOCK as _),
    ("RLIMIT_MSGQUEUE", libc::RLIMIT_MSGQUEUE as _),
    ("RLIMIT_NICE", libc::RLIMIT_NICE as _),
    ("RLIMIT_NOFILE", libc::RLIMIT_NOFILE as _),
    ("RLIMIT_NPROC", libc::RLIMIT_NPROC as _),
    ("RLIMIT_RSS", libc::RLIMIT_RSS as _),
    ("RLIMIT_RTPRIO", libc::RLIMIT_RTPRIO as _),
    ("RLIMIT_RTTIME", libc::RLIMIT_RTTIME as _),
    ("RLIMIT_SIGPENDING", libc::RLIMIT_SIGPENDING as _),
    ("RLIMIT_STACK", libc::RLIMIT_STACK as _),
];

impl Process {
    pub(super) fn validate(raw: raw::Process, user_namespace: bool) -> Result<Self> {
        if raw.args.is_empty() {
            return Err(Invalid::new("process.args", "names no program"));
        }
        let args = texts("process.args", &raw.args)?;
        let env = environment(&raw.env)?;
        if raw.user.umask.is_some_and(|mask| mask > 0o777) {
            return Err(Invalid::new(
                "process.user.umask",
                "is more than 511 (octal 777)",
            ));
        }
        if let Some(adj) = raw.oom_score_adj
            && !(-1000..=1000).contains(&adj)
        {
            let problem = format!("{adj} is not from -1000 to 1000");
            return Err(Invalid::new("process.oomScoreAdj", problem));
        }
        if user_namespace && (raw.user.uid == u32::MAX || raw.user.gid == u32::MAX) {
            return Err(Invalid::new("process.user", "4294967295 is not an id"));
        }
        Ok(Self {
            args,
            env,
            cwd: absolute_path("process.cwd", &raw.cwd)?,
            uid: raw.user.uid,
            gid: raw.user.gid,
            additional_gids: raw.user.additional_gids,
            umask: raw.user.umask.unwrap_or(DEFAULT_UMASK),
            capabilities: Capabilities::validate(&raw.capabilities.unwrap_or_default())?,
            rlimits: rlimits(&raw.rlimits)?,
            no_new_privileges: raw.no_new_privileges,
            oom_score_adj: raw.oom_score_adj,
            apparmor_profile: optional("process.apparmorProfile", &raw.apparmor_profile)?,
            selinux_label: optional("process.selinuxLabel", &raw.selinux_label)?,
            scheduler: raw
                .scheduler
                .as_ref()
                .map(scheduling::scheduler)
                .transpose()?,
            io_priority: raw
                .io_priority
                .as_ref()
                .map(scheduling::io_priority)
                .transpose()?,
            exec_affinity: scheduling::affinity(&raw.exec_cpu_affinity.unwrap_or_default())?,
            terminal: raw.terminal,
            console_size: raw
                .console_size
                .filter(|size| (size.height, size.width) != (0, 0))
                .map(|size| Size {
                    rows: size.height,
                    columns: size.width,
                }),
        })
    }
}

pub(super) fn optional(field: &str, text: &str) -> Result<Option<CString>> {
    if text.is_empty() {
        return Ok(None);
    }
    c_text(field, text).map(Some)
}

fn texts(field: &str, list: &[String]) -> Result<Vec<CString>> {
    list.iter()
        .enumerate()
        .map(|(i, text)| c_text(&format!("{field}[{i}]"), text))
        .collect()
}

/// The environment; an entry without `=` would be read differently by every
/// program, so it is refused.
fn environment(list: &[String]) -> Result<Vec<CString>> {
    let nameless = |entry: &String| entry.find('=').is_none_or(|at| at == 0);
    if let Some(i) = list.iter().position(nameless) {
        let found = list.get(i).map(String::as_str).unwrap_or_default();
        let problem = format!("\"{found}\" is not of the form NAME=value");
        return Err(Invalid::new(format!("process.env[{i}]"), problem));
    }
    texts("process.env", list)
}

fn rlimits(list: &[raw::Rlimit]) -> Result<Vec<Rlimit>> {
    let mut limits: Vec<Rlimit> = Vec::with_capacity(list.len());
    for (i, limit) in list.iter().enumerate() {
        let field = format!("process.rlimits[{i}]");
        let Some((name, resource)) = RLIMITS.iter().find(|(name, _)| *name == limit.kind) else {
            let names: Vec<&str> = RLIMITS.iter().map(|(name, _)| *name).collect();
            let field = format!("{field}.type");
            return Err(Invalid::choice(field, &limit.kind, &names.join(", ")));
        };
        if limits.iter().any(|l| l.resource == *resource) {
            return Err(Invalid::new(field, format!("{name} is set twice")));
        }
        if limit.soft > limit.hard {
            let problem = format!("{} is more than hard, {}", limit.soft, limit.hard);
            return Err(Invalid::new(format!("{field}.soft"), problem));
        }
        limits.push(Rlimit {
            name,
            resource: *resource,
            soft: limit.soft,
            hard: limit.hard,
        });
    }
    Ok(limits)
}
