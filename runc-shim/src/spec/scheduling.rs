//! How the process is scheduled: `process.scheduler`, `process.ioPriority`,
//! `process.execCPUAffinity`, `linux.memoryPolicy`, `linux.personality`.

use super::raw;
use super::{Invalid, Result};
use crate::sys::scheduling::{MemoryPolicy, Scheduling, Set};

/// A word and what the kernel calls it.
type Words = [(&'static str, u32)];

const POLICIES: [(&str, u32); 7] = [
    ("SCHED_OTHER", 0),
    ("SCHED_FIFO", 1),
    ("SCHED_RR", 2),
    ("SCHED_BATCH", 3),
    ("SCHED_ISO", 4),
    ("SCHED_IDLE", 5),
    ("SCHED_DEADLINE", 6),
];

const FLAGS: [(&str, u32); 7] = [
    ("SCHED_FLAG_RESET_ON_FORK", 0x01),
    ("SCHED_FLAG_RECLAIM", 0x02),
    ("SCHED_FLAG_DL_OVERRUN", 0x04),
    ("SCHED_FLAG_KEEP_POLICY", 0x08),
    ("SCHED_FLAG_KEEP_PARAMS", 0x10),
    ("SCHED_FLAG_UTIL_CLAMP_MIN", 0x20),
    ("SCHED_FLAG_UTIL_CLAMP_MAX", 0x40),
];

const IO_CLASSES: [(&str, u32); 3] = [
    ("IOPRIO_CLASS_RT", 1),
    ("IOPRIO_CLASS_BE", 2),
    ("IOPRIO_CLASS_IDLE", 3),
];

const MEMORY_MODES: [(&str, u32); 7] = [
    ("MPOL_DEFAULT", 0),
    ("MPOL_PREFERRED", 1),
    ("MPOL_BIND", 2),
    ("MPOL_INTERLEAVE", 3),
    ("MPOL_LOCAL", 4),
    ("MPOL_PREFERRED_MANY", 5),
    ("MPOL_WEIGHTED_INTERLEAVE", 6),
];

const MEMORY_FLAGS: [(&str, u32); 3] = [
    ("MPOL_F_STATIC_NODES", 1 << 15),
    ("MPOL_F_RELATIVE_NODES", 1 << 14),
    ("MPOL_F_NUMA_BALANCING", 1 << 13),
];

const DOMAINS: [(&str, u32); 2] = [("LINUX", 0), ("LINUX32", 8)];

fn choose(field: &str, word: &str, words: &Words) -> Result<u32> {
    let known = words.iter().find(|(name, _)| *name == word);
    known.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        Invalid::choice(field, word, &names.join(", "))
    })
}

fn choose_all(field: &str, list: &[String], words: &Words) -> Result<u32> {
    list.iter().enumerate().try_fold(0, |all, (i, word)| {
        Ok(all | choose(&format!("{field}[{i}]"), word, words)?)
    })
}

fn outside(field: &str, found: impl std::fmt::Display, allowed: &str) -> Invalid {
    Invalid::new(field, format!("{found} is not {allowed}"))
}

/// `process.scheduler`, for sched_setattr(2).
pub(super) fn scheduler(raw: &raw::Scheduler) -> Result<Scheduling> {
    let field = "process.scheduler";
    let policy = choose(&format!("{field}.policy"), &raw.policy, &POLICIES)?;
    let real_time = matches!(policy, 1 | 2);
    if !(-20..=19).contains(&raw.nice) {
        return Err(outside(
            &format!("{field}.nice"),
            raw.nice,
            "from -20 to 19",
        ));
    }
    let priorities = if real_time { 1..=99 } else { 0..=0 };
    if !priorities.contains(&raw.priority) {
        let allowed = if real_time {
            "from 1 to 99"
        } else {
            "0, which it must be without SCHED_FIFO and SCHED_RR"
        };
        return Err(outside(&format!("{field}.priority"), raw.priority, allowed));
    }
    let times = [raw.runtime, raw.deadline, raw.period];
    if policy != 6 && times != [0; 3] {
        let problem = "runtime, deadline and period belong to SCHED_DEADLINE alone";
        return Err(Invalid::new(field, problem));
    }
    Ok(Scheduling {
        policy,
        flags: choose_all(&format!("{field}.flags"), &raw.flags, &FLAGS)?.into(),
        nice: raw.nice,
        priority: raw.priority,
        runtime: raw.runtime,
        deadline: raw.deadline,
        period: raw.period,
    })
}

/// `process.ioPriority`, as ioprio_set(2) takes it: class and priority.
pub(super) fn io_priority(raw: &raw::IoPriority) -> Result<u32> {
    let field = "process.ioPriority";
    let class = choose(&format!("{field}.class"), &raw.class, &IO_CLASSES)?;
    if !(0..=7).contains(&raw.priority) {
        return Err(outside(
            &format!("{field}.priority"),
            raw.priority,
            "from 0 to 7",
        ));
    }
    Ok(class << 13 | raw.priority.unsigned_abs())
}

/// The processors of a process that is added to a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affinity {
    /// Until it is in the container's cgroup.
    pub initial: Option<Set>,
    /// From then on.
    pub last: Option<Set>,
}

/// `process.execCPUAffinity`.
pub(super) fn affinity(raw: &raw::Affinity) -> Result<Affinity> {
    let list = |name: &str, text: &str| match text {
        "" => Ok(None),
        text => set(&format!("process.execCPUAffinity.{name}"), text).map(Some),
    };
    Ok(Affinity {
        initial: list("initial", &raw.initial)?,
        last: list("final", &raw.last)?,
    })
}

/// A list such as `0-3,7`, as the kernel writes them (cpuset(7), "List format").
fn set(field: &str, text: &str) -> Result<Set> {
    let wrong = || Invalid::new(field, format!("\"{text}\" is not a list such as 0-3,5"));
    let mut set = Set::default();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<u32>().map_err(|_| wrong());
        let (first, last) = (number(first)?, number(last)?);
        if first > last || last >= Set::BITS {
            return Err(wrong());
        }
        (first..=last).for_each(|bit| set.add(bit));
    }
    Ok(set)
}

/// `linux.memoryPolicy`, for set_mempolicy(2).
pub(super) fn memory_policy(raw: &raw::MemoryPolicy) -> Result<MemoryPolicy> {
    let field = "linux.memoryPolicy";
    let mode = choose(&format!("{field}.mode"), &raw.mode, &MEMORY_MODES)?;
    let flags = choose_all(&format!("{field}.flags"), &raw.flags, &MEMORY_FLAGS)?;
    let nodes = match raw.nodes.as_str() {
        "" => Set::default(),
        text => set(&format!("{field}.nodes"), text)?,
    };
    Ok(MemoryPolicy {
        mode: mode | flags,
        nodes,
    })
}

/// `linux.personality`, for personality(2).
pub(super) fn personality(raw: &raw::Personality) -> Result<u32> {
    let field = "linux.personality";
    if !raw.flags.is_empty() {
        let problem = "the specification has no flags yet";
        return Err(Invalid::new(format!("{field}.flags"), problem));
    }
    choose(&format!("{field}.domain"), &raw.domain, &DOMAINS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_the_kernel_writes_it() {
        let bits = |text: &str| {
            let set = set("x", text).ok()?;
            Some(
                (0..Set::BITS)
                    .filter(|bit| set.has(*bit))
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(bits("0-2,5"), Some(vec![0, 1, 2, 5]));
        assert_eq!(bits("1023"), Some(vec![1023]));
        for wrong in ["1024", "2-1", "a", "1,", "-1", "0-4294967295"] {
            assert_eq!(bits(wrong), None, "{wrong}");
        }
    }
}
