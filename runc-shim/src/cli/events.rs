//! `events`: what a container uses, and that it ran out of memory, as runc's
//! JSON, a line each.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Outcome, query};
use crate::cgroup;
use crate::error::Error;
use crate::state::{Folder, Json, Status};
use crate::sys::process;

/// Prints once what is used now, or that every `interval` seconds and each
/// time the kernel kills for want of memory, until the container's end.
pub(super) fn events(root: &Path, id: &str, stats: bool, interval: u32) -> Outcome {
    let folder = Folder::open(root, id)?;
    let state = folder.read()?;
    let init = process::open_pid(state.pid);
    let found = folder.status(&state);
    if matches!(found, Status::Creating | Status::Stopped) {
        return Err(Error::NotRunning(found));
    }
    if stats {
        return tell_stats(id, &state.cgroup);
    }
    let init = init.map_err(Error::io("open process", state.pid))?;
    let mut kills = Kills::watch(&state.cgroup)?;
    let interval = Duration::from_secs(u64::from(interval));
    let mut next = Instant::now() + interval;
    loop {
        let left = next.saturating_duration_since(Instant::now());
        let left = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
        let entries = [
            (Some(init.as_fd()), libc::POLLIN),
            (kills.file.as_ref().map(AsFd::as_fd), libc::POLLPRI),
        ];
        let [ended, changed] =
            process::poll_all(entries, Some(left)).map_err(Error::io("wait for", "events"))?;
        if changed != 0 && kills.have_grown()? {
            let mut json = Json::compact();
            json.object(|json| {
                json.field("type").string("oom");
                json.field("id").string(id);
            });
            query::print(&(json.finish() + "\n"))?;
        }
        if ended != 0 {
            return Ok(None);
        }
        if Instant::now() >= next {
            tell_stats(id, &state.cgroup)?;
            next += interval;
        }
    }
}

/// `memory.events`, whose changes the kernel tells by POLLPRI.
struct Kills {
    cgroup: String,
    file: Option<File>,
    known: u64,
}

impl Kills {
    fn watch(cgroup: &str) -> Result<Self, Error> {
        let path = PathBuf::from(cgroup::ROOT)
            .join(cgroup)
            .join("memory.events");
        let mut kills = Self {
            cgroup: cgroup.to_owned(),
            file: File::open(path).ok(),
            known: 0,
        };
        kills.have_grown()?;
        Ok(kills)
    }

    fn have_grown(&mut self) -> Result<bool, Error> {
        if let Some(file) = &self.file {
            // Only what was read of this very descriptor counts as seen.
            let mut seen = [0; 1];
            let _read = std::os::unix::fs::FileExt::read_at(file, &mut seen, 0);
        }
        let events = Table::read(&self.cgroup, "memory.events")?;
        let before = std::mem::replace(&mut self.known, events.number("oom_kill"));
        Ok(self.known > before)
    }
}

/// A file of a cgroup that has a name and a number a line.
struct Table(String);

impl Table {
    fn read(cgroup: &str, file: &str) -> Result<Self, Error> {
        cgroup::read(cgroup, file).map(|text| Self(text.unwrap_or_default()))
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.lines().filter_map(|line| {
            let (name, number) = line.split_once(' ')?;
            Some((name, number.parse().ok()?))
        })
    }

    fn number(&self, name: &str) -> u64 {
        let found = self.pairs().find(|(known, _)| *known == name);
        found.map_or(0, |(_, number)| number)
    }
}

/// A file that holds a number; `max` and a file that is not there are the
/// largest and none.
fn number(cgroup: &str, file: &str) -> Result<u64, Error> {
    let text = cgroup::read(cgroup, file)?.unwrap_or_default();
    Ok(match text.trim() {
        "max" => u64::MAX,
        text => text.parse().unwrap_or_default(),
    })
}

fn tell_stats(id: &str, cgroup: &str) -> Outcome {
    let cpu = Table::read(cgroup, "cpu.stat")?;
    let memory = MemoryUse::read(cgroup)?;
    let pids = (number(cgroup, "pids.current")?, number(cgroup, "pids.max")?);
    let io = cgroup::read(cgroup, "io.stat")?.unwrap_or_default();
    let mut json = Json::compact();
    json.object(|json| {
        json.field("type").string("stats");
        json.field("id").string(id);
        json.field("data").object(|json| {
            tell_cpu(json.field("cpu"), &cpu);
            memory.tell(json.field("memory"));
            json.field("pids").object(|json| {
                json.field("current").word(&pids.0);
                // runc's word for none.
                json.field("limit")
                    .word(&if pids.1 == u64::MAX { 0 } else { pids.1 });
            });
            json.field("blkio").object(|json| {
                tell_io(json.field("ioServiceBytesRecursive"), &io, "bytes");
                tell_io(json.field("ioServicedRecursive"), &io, "ios");
            });
            json.field("hugetlb").object(|_| {});
            json.field("intel_rdt").object(|_| {});
            json.field("network_interfaces").word(&"null");
        });
    });
    query::print(&(json.finish() + "\n"))
}

/// In nanoseconds, as runc has it.
fn tell_cpu(json: &mut Json, stat: &Table) {
    let nanoseconds = |name| stat.number(name).saturating_mul(1000);
    json.object(|json| {
        json.field("usage").object(|json| {
            json.field("total").word(&nanoseconds("usage_usec"));
            json.field("kernel").word(&nanoseconds("system_usec"));
            json.field("user").word(&nanoseconds("user_usec"));
        });
        json.field("throttling").object(|json| {
            json.field("periods").word(&stat.number("nr_periods"));
            json.field("throttledPeriods")
                .word(&stat.number("nr_throttled"));
            json.field("throttledTime")
                .word(&nanoseconds("throttled_usec"));
        });
    });
}

/// Bytes; swap as runc has it, memory included.
struct MemoryUse {
    stat: Table,
    refused: u64,
    now: u64,
    limit: u64,
    most: u64,
    swap: u64,
    swap_limit: u64,
}

impl MemoryUse {
    fn read(cgroup: &str) -> Result<Self, Error> {
        Ok(Self {
            stat: Table::read(cgroup, "memory.stat")?,
            refused: Table::read(cgroup, "memory.events")?.number("max"),
            now: number(cgroup, "memory.current")?,
            limit: number(cgroup, "memory.max")?,
            most: number(cgroup, "memory.peak")?,
            swap: number(cgroup, "memory.swap.current")?,
            swap_limit: number(cgroup, "memory.swap.max")?,
        })
    }

    fn tell(&self, json: &mut Json) {
        let entry = |json: &mut Json, limit: u64, usage: u64, most: u64, refused: u64| {
            json.object(|json| {
                json.field("limit").word(&limit);
                json.field("usage").word(&usage);
                json.field("max").word(&most);
                json.field("failcnt").word(&refused);
            });
        };
        let both = self.now.saturating_add(self.swap);
        let both_limit = self.limit.saturating_add(self.swap_limit);
        json.object(|json| {
            json.field("cache").word(&self.stat.number("file"));
            entry(
                json.field("usage"),
                self.limit,
                self.now,
                self.most,
                self.refused,
            );
            entry(json.field("swap"), both_limit, both, 0, 0);
            json.field("raw").object(|json| {
                for (name, value) in self.stat.pairs() {
                    json.field(name).word(&value);
                }
            });
        });
    }
}

/// The entries of `io.stat` (`8:0 rbytes=1 wbytes=2 rios=3 wios=4 …`) that end
/// with this word.
fn tell_io(json: &mut Json, stat: &str, what: &str) {
    json.list(|json| {
        for line in stat.lines() {
            let mut words = line.split(' ');
            let device = words.next().and_then(|device| device.split_once(':'));
            let Some((major, minor)) = device else {
                continue;
            };
            for (name, value) in words.filter_map(|word| word.split_once('=')) {
                let op = match name.strip_suffix(what) {
                    Some("r") => "Read",
                    Some("w") => "Write",
                    Some("d") => "Discard",
                    _ => continue,
                };
                json.entry().object(|json| {
                    json.field("major").word(&major);
                    json.field("minor").word(&minor);
                    json.field("op").string(op);
                    json.field("value").word(&value);
                });
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_is_told_by_device_and_kind() {
        let mut json = Json::compact();
        let stat = "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n7:1\nrubbish\n";
        tell_io(&mut json, stat, "ios");
        assert_eq!(
            json.finish(),
            r#"[{"major":8,"minor":0,"op":"Read","value":3},{"major":8,"minor":0,"op":"Write","value":4},{"major":8,"minor":0,"op":"Discard","value":0}]"#
        );
    }
}
