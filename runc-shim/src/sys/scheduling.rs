//! How a process is scheduled: sched_setattr(2), sched_setaffinity(2),
//! ioprio_set(2), set_mempolicy(2), personality(2).

use std::io;

use super::{check_int, check_unit};

/// What sched_setattr(2) sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scheduling {
    /// `SCHED_…`.
    pub policy: u32,
    /// `SCHED_FLAG_…`.
    pub flags: u64,
    /// From -20 to 19.
    pub nice: i32,
    /// From 1 to 99, of the policies that have one.
    pub priority: u32,
    /// Nanoseconds, of `SCHED_DEADLINE`.
    pub runtime: u64,
    /// Nanoseconds, of `SCHED_DEADLINE`.
    pub deadline: u64,
    /// Nanoseconds, of `SCHED_DEADLINE`.
    pub period: u64,
}

/// sched_setattr(2) of the process `pid`, 0 being ourselves.
///
/// # Errors
/// The kernel's.
pub fn schedule(pid: i32, scheduling: &Scheduling) -> io::Result<()> {
    #[repr(C)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        times: [u64; 3],
    }
    let attributes = Attributes {
        size: 48,
        policy: scheduling.policy,
        flags: scheduling.flags,
        nice: scheduling.nice,
        priority: scheduling.priority,
        times: [scheduling.runtime, scheduling.deadline, scheduling.period],
    };
    // SAFETY: the first version of `struct sched_attr`, of the size that it states.
    check_unit(unsafe { libc::syscall(libc::SYS_sched_setattr, pid, &raw const attributes, 0) })
}

/// ioprio_set(2) of the process `pid`, 0 being ourselves.
///
/// # Errors
/// The kernel's.
pub fn set_io_priority(pid: i32, priority: u32) -> io::Result<()> {
    const IOPRIO_WHO_PROCESS: i32 = 1;
    // SAFETY: no pointers.
    check_unit(unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, pid, priority) })
}

/// A set of processors or memory nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Set([u64; 16]);

impl Set {
    /// Members are smaller than this.
    pub const BITS: u32 = 1024;

    /// Adds a member; one that does not fit is left out.
    pub fn add(&mut self, member: u32) {
        let word = usize::try_from(member / 64).unwrap_or(usize::MAX);
        if let Some(word) = self.0.get_mut(word) {
            *word |= 1 << (member % 64);
        }
    }

    /// Whether this is a member.
    #[must_use]
    pub fn has(&self, member: u32) -> bool {
        let word = usize::try_from(member / 64).unwrap_or(usize::MAX);
        self.0
            .get(word)
            .is_some_and(|w| w & (1 << (member % 64)) != 0)
    }

    fn is_empty(&self) -> bool {
        self.0 == [0; 16]
    }
}

/// sched_setaffinity(2) of ourselves.
///
/// # Errors
/// The kernel's; `EINVAL`: none of them may be used.
pub fn set_affinity(processors: &Set) -> io::Result<()> {
    let words = processors.0;
    // SAFETY: a mask of the stated size.
    check_unit(unsafe {
        libc::syscall(
            libc::SYS_sched_setaffinity,
            0,
            size_of_val(&words),
            words.as_ptr(),
        )
    })
}

/// Where memory comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryPolicy {
    /// `MPOL_…` with its flags.
    pub mode: u32,
    /// Which nodes.
    pub nodes: Set,
}

/// set_mempolicy(2).
///
/// # Errors
/// The kernel's; `ENOSYS`: built without NUMA.
pub fn set_memory_policy(policy: &MemoryPolicy) -> io::Result<()> {
    let words = policy.nodes.0;
    // A policy without nodes wants none at all, not an empty set.
    let (pointer, bits) = if policy.nodes.is_empty() {
        (std::ptr::null(), 0)
    } else {
        // The kernel leaves the last bit out.
        (words.as_ptr(), Set::BITS + 1)
    };
    // SAFETY: null, or a mask of the stated number of bits.
    check_unit(unsafe { libc::syscall(libc::SYS_set_mempolicy, policy.mode, pointer, bits) })
}

/// personality(2).
///
/// # Errors
/// The kernel's.
pub fn set_personality(domain: u32) -> io::Result<()> {
    // SAFETY: no pointers.
    check_int(unsafe { libc::syscall(libc::SYS_personality, domain) }).map(|_| ())
}
