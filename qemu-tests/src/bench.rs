//! Measurements in virtual time: QEMU counts instructions and the guest's
//! clock is their number, so that another host, or a busy one, gives the same
//! figures. `docs/performance.md` says what is measured and why.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use hull::run::Accel;

use crate::case::{Machine, Target};
use crate::console::Log;
use crate::event;
use crate::guest::Guest;
use crate::image::Image;
use crate::places;

/// The machine of every measurement.
pub const MACHINE: Machine = Machine {
    mebibytes: 1024,
    accel: Accel::Icount,
    base: false,
    ..Machine::PLAIN
};

/// How long one run may take, by the host's clock.
const LIMIT: Duration = Duration::from_secs(300);

/// When what happened in one run, from the kernel's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// The kernel starts PID 1.
    pub init: Duration,
    /// The last onboot entry has ended; PID 1 where there is none.
    pub onboot: Duration,
    /// The last service runs; the same where there is none.
    pub services: Duration,
    /// The way down begins.
    pub stopping: Duration,
    /// The kernel turns the power off.
    pub off: Duration,
}

/// Reads a run's console.
///
/// # Errors
/// The kernel did not say that it started PID 1, or that it ended.
pub fn timeline(log: &Log) -> Result<Timeline> {
    let kernel = |start: &str| {
        let mut lines = log.lines.iter().filter_map(|line| event::kernel_line(line));
        lines
            .find(|line| line.text.starts_with(start))
            .map(|line| line.at)
            .with_context(|| format!("the console shows no `{start}`"))
    };
    let last = |subject: &str, states: &[&str]| {
        let events = log.events.iter();
        events
            .filter(|e| e.subject.starts_with(subject) && states.contains(&e.state.as_str()))
            .map(|e| e.at)
            .max()
    };
    let init = kernel("Run /init as init process")?;
    let onboot = last("onboot ", &["exited", "failed"]).unwrap_or(init);
    let services = last("service ", &["running"]).unwrap_or(onboot);
    let off = kernel("reboot: Power down")?;
    Ok(Timeline {
        init,
        onboot,
        services,
        stopping: last("init", &["stopping"]).unwrap_or(init),
        off,
    })
}

/// Boots `image` and waits until it has turned itself off.
///
/// # Errors
/// It does not, or panics.
pub fn run(image: &Image, machine: &Machine) -> Result<Run> {
    let dir = image.file("run");
    fs::create_dir_all(&dir)?;
    let guest = Guest::boot(image, machine, &dir)?;
    let end = guest.wait_end(LIMIT).with_context(|| {
        format!(
            "{}; the console's end:\n{}",
            dir.display(),
            guest.console.tail(30)
        )
    })?;
    ensure!(end.reason == "guest-shutdown", "{end:?}");
    let log = guest.console.lock();
    let services = log
        .events
        .iter()
        .filter(|e| e.subject.starts_with("service "));
    Ok(Run {
        timeline: timeline(&log)?,
        running: services.filter(|e| e.state == "running").count(),
        values: log.lines.iter().filter_map(|line| value(line)).collect(),
    })
}

/// One run.
#[derive(Clone, Debug)]
pub struct Run {
    /// When what happened.
    pub timeline: Timeline,
    /// How many services were started.
    pub running: usize,
    /// What programs printed of files in `/proc`: (file, key, KiB).
    pub values: Vec<(String, String, u64)>,
}

impl Run {
    /// A value in KiB.
    ///
    /// # Errors
    /// It was not printed.
    pub fn kib(&self, file: &str, key: &str) -> Result<u64> {
        let mut values = self.values.iter();
        values
            .find(|(f, k, _)| f == file && k == key)
            .map(|(_, _, kib)| *kib)
            .with_context(|| format!("the console shows no {key} of {file}"))
    }

    /// RAM in use, in KiB.
    ///
    /// # Errors
    /// The run did not print `/proc/meminfo`.
    pub fn used_kib(&self) -> Result<u64> {
        let total = self.kib("/proc/meminfo", "MemTotal")?;
        Ok(total - self.kib("/proc/meminfo", "MemAvailable")?)
    }
}

/// A line `act: FILE: KEY: N kB` of the kernel log.
fn value(line: &str) -> Option<(String, String, u64)> {
    let line = event::kernel_line(line)?;
    let (file, rest) = line.text.strip_prefix("act: ")?.split_once(": ")?;
    let (key, rest) = rest.split_once(':')?;
    let kib = rest.trim().strip_suffix(" kB")?.parse().ok()?;
    Some((file.to_owned(), key.to_owned(), kib))
}

/// The YAML of `count` services, the last of which turns the power off after
/// two seconds; before that it prints what the memory is used for.
#[must_use]
pub fn services_yaml(count: usize, readonly: bool) -> String {
    let mut yaml = String::from(
        "kernel:\n  image: hullkit/kernel:@KERNEL\n  cmdline: \"@CONSOLE panic=-1\"\n\
         onboot:\n  - name: sysctl\n    image: hullkit/sysctl\nservices:\n",
    );
    for n in 1..count {
        yaml += &format!(
            "  - name: s{n:02}\n    image: @SERVICE\n    readonly: {readonly}\n    \
             command: [\"/bin/service\"]\n"
        );
    }
    yaml += &format!(
        "  - name: s{count:02}\n    image: @SERVICE\n    readonly: {readonly}\n    pid: host\n    \
         binds: [\"/dev/kmsg:/dev/kmsg\"]\n    devices: [{{path: all, type: c}}]\n    \
         capabilities: [CAP_KILL]\n    command: [\"/bin/service\", \"last\"]\n"
    );
    yaml
}

/// Builds the image of a measurement, with its files below
/// `out/qemu-tests/bench`.
///
/// # Errors
/// `hull build` fails.
pub fn build(target: Target, name: &str, yaml: &str, compress: Option<&str>) -> Result<Image> {
    let dir = dir(target, name);
    Image::build_as(target, &dir, &MACHINE, compress, &[(name, yaml)])
}

fn dir(target: Target, name: &str) -> PathBuf {
    places::case_dir("bench").join(format!("{}-{name}", target.name()))
}

/// The least RAM in MiB, to the step, with which `image` starts `services`
/// services and turns itself off; found by halving the range in which it is.
///
/// # Errors
/// It does not even boot with the most that is tried.
pub fn smallest_memory(image: &Image, services: usize, step: u32) -> Result<u32> {
    let boots = |mebibytes: u32| {
        let machine = Machine {
            mebibytes,
            accel: Accel::Tcg,
            ..MACHINE
        };
        run(image, &machine).is_ok_and(|run| run.running == services)
    };
    let (mut too_small, mut enough) = (16, 256);
    if !boots(enough) {
        bail!("{enough} MiB are not enough");
    }
    while enough - too_small > step {
        let middle = too_small + (enough - too_small) / 2;
        if boots(middle) {
            enough = middle;
        } else {
            too_small = middle;
        }
    }
    Ok(enough)
}

/// The least, the middle and the greatest of some times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    /// The least.
    pub min: Duration,
    /// The middle.
    pub median: Duration,
    /// The greatest.
    pub max: Duration,
}

impl Spread {
    /// Of some times.
    ///
    /// # Errors
    /// There are none.
    pub fn of(times: impl IntoIterator<Item = Duration>) -> Result<Self> {
        let mut times: Vec<Duration> = times.into_iter().collect();
        times.sort_unstable();
        match (times.first(), times.last()) {
            (Some(min), Some(max)) => Ok(Self {
                min: *min,
                median: times[times.len() / 2],
                max: *max,
            }),
            _ => bail!("no times"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_console_becomes_a_timeline() {
        let lines = [
            "[    1.500000] Run /init as init process",
            "[    1.600000] hullkit: onboot 000-sysctl: exited code=0 ms=3",
            "[    1.700000] hullkit: service a: running pid=7",
            "[    1.800000] hullkit: service b: running pid=8",
            "[    2.000000] hullkit: init: stopping for=poweroff",
            "[    2.100000] act: /proc/1/status: VmRSS:	     900 kB",
            "[    2.200000] reboot: Power down",
        ];
        let log = Log {
            lines: lines.map(str::to_owned).into(),
            events: lines.iter().filter_map(|line| event::parse(line)).collect(),
            ..Log::default()
        };
        let ms = Duration::from_millis;
        assert_eq!(
            timeline(&log).unwrap(),
            Timeline {
                init: ms(1500),
                onboot: ms(1600),
                services: ms(1800),
                stopping: ms(2000),
                off: ms(2200),
            }
        );
        assert_eq!(
            value(lines[5]),
            Some(("/proc/1/status".into(), "VmRSS".into(), 900))
        );
    }

    #[test]
    fn a_spread_has_its_middle() {
        let ms = Duration::from_millis;
        let spread = Spread::of([ms(3), ms(1), ms(2)]).unwrap();
        assert_eq!(
            (spread.min, spread.median, spread.max),
            (ms(1), ms(2), ms(3))
        );
        assert!(Spread::of([]).is_err());
    }
}
