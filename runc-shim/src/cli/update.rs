//! `update`: other limits for a container that is there.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use super::Outcome;
use super::command::Limits;
use crate::cgroup::{self, Cgroup};
use crate::error::Error;
use crate::spec::{RawResources, Resources, read_resources};
use crate::state::{Folder, Status};

/// Changes the limits that are named, in the file or by options; the others
/// stay. Devices stay as they are.
pub(super) fn update(root: &Path, id: &str, limits: &Limits) -> Outcome {
    let folder = Folder::open(root, id)?.lock()?;
    let state = folder.read()?;
    let found = folder.status(&state);
    if matches!(found, Status::Creating | Status::Stopped) {
        return Err(Error::NotRunning(found));
    }
    let (mut resources, file) = match &limits.resources {
        Some(path) => (read(path)?, path.display().to_string()),
        None => (RawResources::default(), "the options".to_owned()),
    };
    apply(&mut resources, limits);
    // Swap is named together with memory, so it needs to know that.
    if resources.memory.limit.is_none() && resources.memory.swap.is_some_and(|swap| swap > 0) {
        resources.memory.limit = memory_limit(&state.cgroup)?;
    }
    let resources =
        Resources::validate(resources).map_err(|source| Error::Config { file, source })?;
    Cgroup::open(&state.cgroup)?.update(&resources)?;
    Ok(None)
}

fn read(path: &Path) -> Result<RawResources, Error> {
    let mut text = Vec::new();
    let doing = Error::io("read", path.display());
    if path.as_os_str() == "-" {
        io::stdin().read_to_end(&mut text).map_err(doing)?;
    } else {
        text = fs::read(path).map_err(doing)?;
    }
    read_resources(&text).map_err(|source| Error::Config {
        file: path.display().to_string(),
        source,
    })
}

fn apply(resources: &mut RawResources, limits: &Limits) {
    fn set<T: Clone>(to: &mut Option<T>, from: &Option<T>) {
        if from.is_some() {
            to.clone_from(from);
        }
    }
    let cpu = &mut resources.cpu;
    set(&mut cpu.period, &limits.cpu_period);
    set(&mut cpu.quota, &limits.cpu_quota);
    set(&mut cpu.burst, &limits.cpu_burst);
    set(&mut cpu.shares, &limits.cpu_share);
    set(&mut cpu.idle, &limits.cpu_idle);
    if let Some(cpus) = &limits.cpuset_cpus {
        cpu.cpus.clone_from(cpus);
    }
    if let Some(mems) = &limits.cpuset_mems {
        cpu.mems.clone_from(mems);
    }
    let memory = &mut resources.memory;
    set(&mut memory.limit, &limits.memory);
    set(&mut memory.reservation, &limits.memory_reservation);
    set(&mut memory.swap, &limits.memory_swap);
    set(&mut resources.block_io.weight, &limits.blkio_weight);
    if limits.pids_limit.is_some() {
        resources.set_pids(limits.pids_limit);
    }
}

fn memory_limit(cgroup: &str) -> Result<Option<i64>, Error> {
    let text = cgroup::read(cgroup, "memory.max")?;
    Ok(text.and_then(|text| text.trim().parse().ok()))
}
