//! Resources into files of cgroup v2 and what is written to them. Pure.

use crate::spec::{BlockIo, Cpu, Memory, Resources};

/// A file of the group and what is written to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The file.
    pub file: String,
    /// What is written.
    pub value: String,
    /// Another file and value, where the kernel lacks the first.
    pub otherwise: Option<(String, String)>,
    /// Whether it may be left out where the kernel lacks the file.
    pub optional: bool,
}

impl Setting {
    fn new(file: impl Into<String>, value: impl std::fmt::Display) -> Self {
        Self {
            file: file.into(),
            value: value.to_string(),
            otherwise: None,
            optional: false,
        }
    }

    /// The controller that makes the file.
    #[must_use]
    pub fn controller(&self) -> Option<&str> {
        match self.file.split('.').next()? {
            "cgroup" => None,
            name => Some(name),
        }
    }
}

/// Everything to be written, in order.
#[must_use]
pub fn settings(resources: &Resources) -> Vec<Setting> {
    let mut list = Vec::new();
    cpu(&resources.cpu, &mut list);
    memory(&resources.memory, &mut list);
    if let Some(limit) = resources.pids {
        list.push(Setting::new("pids.max", or_max(limit)));
    }
    block_io(&resources.block_io, &mut list);
    for (size, limit) in &resources.hugepages {
        list.push(Setting::new(format!("hugetlb.{size}.max"), limit));
        list.push(Setting {
            // Kernels before 5.7 do not count reservations.
            optional: true,
            ..Setting::new(format!("hugetlb.{size}.rsvd.max"), limit)
        });
    }
    for (adapter, limits) in &resources.rdma {
        list.push(Setting::new("rdma.max", format!("{adapter}{limits}")));
    }
    for (file, value) in &resources.unified {
        list.push(Setting::new(file, value));
    }
    list
}

fn or_max(limit: i64) -> String {
    if limit < 0 {
        "max".to_owned()
    } else {
        limit.to_string()
    }
}

/// The standard conversion of cgroup v1's shares to v2's weight: the ranges
/// 2..=262144 and 1..=10000 laid over each other.
fn weight(shares: u64) -> u64 {
    1 + shares.saturating_sub(2) * 9_999 / 262_142
}

fn cpu(cpu: &Cpu, list: &mut Vec<Setting>) {
    if let Some(idle) = cpu.idle {
        list.push(Setting::new("cpu.idle", u8::from(idle)));
    }
    // An idle group has no weight, and says EINVAL to one.
    if let Some(shares) = cpu.shares.filter(|_| cpu.idle != Some(true)) {
        list.push(Setting::new("cpu.weight", weight(shares)));
    }
    let quota = cpu.quota.map_or_else(|| "max".to_owned(), or_max);
    match cpu.period {
        Some(period) => list.push(Setting::new("cpu.max", format!("{quota} {period}"))),
        None if cpu.quota.is_some() => list.push(Setting::new("cpu.max", quota)),
        None => {}
    }
    if let Some(burst) = cpu.burst {
        list.push(Setting::new("cpu.max.burst", burst));
    }
    if let Some(cpus) = &cpu.cpus {
        list.push(Setting::new("cpuset.cpus", cpus));
    }
    if let Some(mems) = &cpu.mems {
        list.push(Setting::new("cpuset.mems", mems));
    }
}

fn memory(memory: &Memory, list: &mut Vec<Setting>) {
    if let Some(limit) = memory.limit {
        list.push(Setting::new("memory.max", or_max(limit)));
    }
    if let Some(reservation) = memory.reservation {
        list.push(Setting::new("memory.low", or_max(reservation)));
    }
    // v1 counts memory and swap together, v2 swap alone.
    let swap = memory.swap.map(|both| match memory.limit {
        Some(limit) if both >= 0 => both - limit,
        _ => both,
    });
    if let Some(swap) = swap {
        list.push(Setting {
            // A kernel without swap has no file, and then nothing to limit.
            optional: true,
            ..Setting::new("memory.swap.max", or_max(swap))
        });
    }
}

/// The ranges 10..=1000 and 1..=10000 laid over each other.
fn io_weight(weight: u16) -> u64 {
    1 + u64::from(weight).saturating_sub(10) * 9_999 / 990
}

/// BFQ keeps v1's measure; any other scheduler has `io.weight`.
fn block_io(io: &BlockIo, list: &mut Vec<Setting>) {
    if let Some(weight) = io.weight {
        list.push(Setting {
            otherwise: Some(("io.weight".to_owned(), io_weight(weight).to_string())),
            ..Setting::new("io.bfq.weight", weight)
        });
    }
    for device in &io.weight_devices {
        let name = format!("{}:{}", device.major, device.minor);
        let other = format!("{name} {}", io_weight(device.weight));
        list.push(Setting {
            otherwise: Some(("io.weight".to_owned(), other)),
            ..Setting::new("io.bfq.weight", format!("{name} {}", device.weight))
        });
    }
    for limit in &io.throttles {
        let (major, minor) = (limit.major, limit.minor);
        // 0 was v1's word for no limit.
        let rate = if limit.rate == 0 {
            "max".to_owned()
        } else {
            limit.rate.to_string()
        };
        list.push(Setting::new(
            "io.max",
            format!("{major}:{minor} {}={rate}", limit.what),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(resources: &Resources) -> Vec<String> {
        settings(resources)
            .iter()
            .map(|s| format!("{}={}", s.file, s.value))
            .collect()
    }

    #[test]
    fn shares_become_a_weight() {
        assert_eq!(weight(2), 1);
        assert_eq!(weight(1024), 39);
        assert_eq!(weight(262_144), 10_000);
    }

    #[test]
    fn block_weight_becomes_io_weight() {
        assert_eq!(io_weight(10), 1);
        assert_eq!(io_weight(1000), 10_000);
    }

    #[test]
    fn swap_is_told_apart_from_memory() {
        let memory = Memory {
            limit: Some(100),
            reservation: Some(-1),
            swap: Some(150),
            ..Memory::default()
        };
        let resources = Resources {
            memory,
            ..Resources::default()
        };
        let expected = ["memory.max=100", "memory.low=max", "memory.swap.max=50"];
        assert_eq!(told(&resources), expected);
    }

    #[test]
    fn a_quota_without_a_period_keeps_the_kernels() {
        let mut resources = Resources::default();
        resources.cpu.quota = Some(50_000);
        assert_eq!(told(&resources), ["cpu.max=50000"]);
        resources.cpu.period = Some(200_000);
        assert_eq!(told(&resources), ["cpu.max=50000 200000"]);
        resources.cpu.quota = None;
        assert_eq!(told(&resources), ["cpu.max=max 200000"]);
    }

    #[test]
    fn unified_comes_last_and_names_its_controller() {
        let mut resources = Resources {
            pids: Some(-1),
            ..Resources::default()
        };
        resources
            .unified
            .push(("memory.high".to_owned(), "1M".to_owned()));
        let list = settings(&resources);
        assert_eq!(told(&resources), ["pids.max=max", "memory.high=1M"]);
        assert_eq!(list.last().and_then(Setting::controller), Some("memory"));
    }
}
