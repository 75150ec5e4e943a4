//! `linux.devices` and `linux.resources`.

use std::ffi::CString;

use super::raw;
use super::{Invalid, Result, absolute_path};

/// What a device node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// A character device.
    Char,
    /// A block device.
    Block,
    /// A named pipe, which has no numbers.
    Fifo,
}

/// A device node to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Absolute, in the container.
    pub path: CString,
    /// What it is.
    pub kind: DeviceKind,
    /// Which driver.
    pub major: u32,
    /// Which device of it.
    pub minor: u32,
    /// Permissions.
    pub mode: u32,
    /// Owner, in the container.
    pub uid: u32,
    /// Group, in the container.
    pub gid: u32,
}

/// What a rule allows or denies, a bit each as the kernel's `BPF_DEVCG_ACC_…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access(pub u32);

impl Access {
    /// Making a node.
    pub const MKNOD: u32 = 1;
    /// Opening it to read.
    pub const READ: u32 = 2;
    /// Opening it to write.
    pub const WRITE: u32 = 4;
    /// All three.
    pub const ALL: Self = Self(Self::MKNOD | Self::READ | Self::WRITE);
}

/// A rule about device access; a later one overrides an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRule {
    /// Allow or deny.
    pub allow: bool,
    /// For one kind, or for all.
    pub kind: Option<DeviceKind>,
    /// For one driver, or for all.
    pub major: Option<u32>,
    /// For one device, or for all.
    pub minor: Option<u32>,
    /// For these ways.
    pub access: Access,
}

/// Memory limits in bytes; -1 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// At most.
    pub limit: Option<i64>,
    /// Taken back first from whoever is above.
    pub reservation: Option<i64>,
    /// Memory and swap together, at most.
    pub swap: Option<i64>,
    /// Whether a limit below what is in use is refused, instead of killing.
    pub check_before_update: bool,
}

/// Shares and limits of processor time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    /// Relative weight in cgroup v1's measure, 2 to 262144.
    pub shares: Option<u64>,
    /// Microseconds a period; -1 is no limit.
    pub quota: Option<i64>,
    /// Microseconds.
    pub period: Option<u64>,
    /// Microseconds saved up beyond the quota.
    pub burst: Option<u64>,
    /// Whether it runs only when nothing else wants to.
    pub idle: Option<bool>,
    /// Processors: `0-3,5`.
    pub cpus: Option<String>,
    /// Memory nodes.
    pub mems: Option<String>,
}

/// A weight for one block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightDevice {
    /// Which driver.
    pub major: u32,
    /// Which device of it.
    pub minor: u32,
    /// 10 to 1000.
    pub weight: u16,
}

/// A limit for one block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottleDevice {
    /// Which driver.
    pub major: u32,
    /// Which device of it.
    pub minor: u32,
    /// The kernel's word for what is limited: `rbps`, `wbps`, `riops`, `wiops`.
    pub what: &'static str,
    /// Bytes or operations a second.
    pub rate: u64,
}

/// Shares and limits of block I/O.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockIo {
    /// 10 to 1000.
    pub weight: Option<u16>,
    /// For single devices.
    pub weight_devices: Vec<WeightDevice>,
    /// For single devices.
    pub throttles: Vec<ThrottleDevice>,
}

/// What the cgroup limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Device access, in order, before what every container may use.
    pub devices: Vec<DeviceRule>,
    /// Memory.
    pub memory: Memory,
    /// Processor time.
    pub cpu: Cpu,
    /// Processes and threads; -1 is no limit.
    pub pids: Option<i64>,
    /// Block I/O.
    pub block_io: BlockIo,
    /// Huge pages: (size as the kernel writes it, bytes).
    pub hugepages: Vec<(String, u64)>,
    /// RDMA: (adapter, what follows it in `rdma.max`).
    pub rdma: Vec<(String, String)>,
    /// Files of cgroup v2 and what is written to them, after all else.
    pub unified: Vec<(String, String)>,
}

impl Device {
    pub(super) fn validate_all(raw: &[raw::Device]) -> Result<Vec<Self>> {
        raw.iter()
            .enumerate()
            .map(|(i, device)| Self::validate(&format!("linux.devices[{i}]"), device))
            .collect()
    }

    fn validate(field: &str, raw: &raw::Device) -> Result<Self> {
        let kind = match raw.kind.as_str() {
            "c" | "u" => DeviceKind::Char,
            "b" => DeviceKind::Block,
            "p" => DeviceKind::Fifo,
            other => {
                return Err(Invalid::choice(
                    format!("{field}.type"),
                    other,
                    "c, b, u, p",
                ));
            }
        };
        let mode = raw.file_mode.unwrap_or(0o666);
        let numbers = kind != DeviceKind::Fifo;
        Ok(Self {
            path: absolute_path(&format!("{field}.path"), &raw.path)?,
            kind,
            major: if numbers {
                number(field, "major", raw.major, 0xfff)?
            } else {
                0
            },
            minor: if numbers {
                number(field, "minor", raw.minor, 0xf_ffff)?
            } else {
                0
            },
            // Some write the type's bits along.
            mode: mode & 0o7777,
            uid: raw.uid.unwrap_or(0),
            gid: raw.gid.unwrap_or(0),
        })
    }
}

fn number(field: &str, name: &str, found: i64, max: u32) -> Result<u32> {
    match u32::try_from(found) {
        Ok(n) if n <= max => Ok(n),
        _ => Err(Invalid::new(
            format!("{field}.{name}"),
            format!("{found} is not from 0 to {max}"),
        )),
    }
}

impl DeviceRule {
    fn validate(field: &str, raw: &raw::DeviceRule) -> Result<Self> {
        let kind = match raw.kind.as_str() {
            "" | "a" => None,
            "c" => Some(DeviceKind::Char),
            "b" => Some(DeviceKind::Block),
            other => return Err(Invalid::choice(format!("{field}.type"), other, "a, c, b")),
        };
        let any_or = |name: &str, found: Option<i64>, max: u32| match found {
            None | Some(-1) => Ok(None),
            Some(found) => number(field, name, found, max).map(Some),
        };
        let mut access = 0;
        for letter in raw.access.chars() {
            access |= match letter {
                'r' => Access::READ,
                'w' => Access::WRITE,
                'm' => Access::MKNOD,
                _ => {
                    let field = format!("{field}.access");
                    return Err(Invalid::choice(
                        field,
                        &raw.access,
                        "r, w, m and their combinations",
                    ));
                }
            };
        }
        Ok(Self {
            allow: raw.allow,
            kind,
            major: any_or("major", raw.major, u32::MAX)?,
            minor: any_or("minor", raw.minor, u32::MAX)?,
            access: if access == 0 {
                Access::ALL
            } else {
                Access(access)
            },
        })
    }
}

const PREFIX: &str = "linux.resources";

fn range<T: Copy + PartialOrd + std::fmt::Display>(
    field: &str,
    found: Option<T>,
    min: T,
    max: T,
) -> Result<()> {
    match found {
        Some(n) if n < min || n > max => Err(Invalid::new(
            format!("{PREFIX}.{field}"),
            format!("{n} is not from {min} to {max}"),
        )),
        _ => Ok(()),
    }
}

fn memory(raw: &raw::Memory) -> Result<Memory> {
    let size = |name: &str, found: Option<i64>| {
        range(&format!("memory.{name}"), found, -1, i64::MAX).map(|()| found)
    };
    let memory = Memory {
        limit: size("limit", raw.limit)?,
        reservation: size("reservation", raw.reservation)?,
        swap: size("swap", raw.swap)?.filter(|n| *n != 0),
        check_before_update: raw.check_before_update,
    };
    match (memory.limit, memory.swap) {
        (_, None | Some(-1)) => Ok(memory),
        (Some(limit), Some(swap)) if limit >= 0 && swap >= limit => Ok(memory),
        (limit, Some(swap)) => Err(Invalid::new(
            format!("{PREFIX}.memory.swap"),
            format!(
                "{swap} counts memory and swap together, so it cannot be less than limit ({})",
                limit.map_or_else(|| "missing".to_owned(), |n| n.to_string())
            ),
        )),
    }
}

fn cpu(raw: raw::Cpu) -> Result<Cpu> {
    let shares = raw.shares.filter(|n| *n != 0);
    range("cpu.shares", shares, 2, 262_144)?;
    let quota = raw.quota.filter(|n| *n != 0);
    range("cpu.quota", quota, -1, i64::MAX)?;
    let period = raw.period.filter(|n| *n != 0);
    range("cpu.period", period, 1_000, 1_000_000)?;
    range("cpu.idle", raw.idle, 0, 1)?;
    let set = |field: &str, list: String| {
        let known = |b: u8| b.is_ascii_digit() || b"-,: \n".contains(&b);
        if !list.bytes().all(known) {
            let field = format!("{PREFIX}.cpu.{field}");
            return Err(Invalid::new(
                field,
                format!("\"{list}\" is not a list such as 0-3,5"),
            ));
        }
        Ok((!list.is_empty()).then_some(list))
    };
    Ok(Cpu {
        shares,
        quota,
        period,
        burst: raw.burst,
        idle: raw.idle.map(|n| n == 1),
        cpus: set("cpus", raw.cpus)?,
        mems: set("mems", raw.mems)?,
    })
}

fn block_io(raw: &raw::BlockIo) -> Result<BlockIo> {
    let weight = raw.weight.filter(|n| *n != 0);
    range("blockIO.weight", weight, 10, 1000)?;
    let mut weight_devices = Vec::new();
    for device in &raw.weight_device {
        range("blockIO.weightDevice.weight", device.weight, 10, 1000)?;
        if let Some(weight) = device.weight {
            weight_devices.push(WeightDevice {
                major: device.major,
                minor: device.minor,
                weight,
            });
        }
    }
    let lists = [
        ("rbps", &raw.throttle_read_bps_device),
        ("wbps", &raw.throttle_write_bps_device),
        ("riops", &raw.throttle_read_iops_device),
        ("wiops", &raw.throttle_write_iops_device),
    ];
    let throttles = lists.into_iter().flat_map(|(what, devices)| {
        devices.iter().map(move |device| ThrottleDevice {
            major: device.major,
            minor: device.minor,
            what,
            rate: device.rate,
        })
    });
    Ok(BlockIo {
        weight,
        weight_devices,
        throttles: throttles.collect(),
    })
}

/// Refuses names that are not just a name: they become parts of file names.
fn file_part(field: &str, name: &str) -> Result<()> {
    let known = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if name.is_empty() || name.starts_with('.') || !name.bytes().all(known) {
        return Err(Invalid::new(
            format!("{PREFIX}.{field}"),
            format!("\"{name}\" is not the name of a file of a cgroup"),
        ));
    }
    Ok(())
}

impl Resources {
    pub(crate) fn validate(raw: raw::Resources) -> Result<Self> {
        let rule = |(i, rule)| DeviceRule::validate(&format!("{PREFIX}.devices[{i}]"), rule);
        let devices = raw
            .devices
            .iter()
            .enumerate()
            .map(rule)
            .collect::<Result<_>>()?;
        let pids = raw.pids.and_then(|pids| pids.limit).filter(|n| *n != 0);
        range("pids.limit", pids, -1, i64::MAX)?;
        for limit in &raw.hugepage_limits {
            file_part("hugepageLimits.pageSize", &limit.page_size)?;
        }
        for name in raw.unified.keys() {
            file_part("unified", name)?;
        }
        let rdma = raw.rdma.into_iter().map(|(adapter, limit)| {
            let part = |name, n: Option<u32>| n.map(|n| format!(" {name}={n}")).unwrap_or_default();
            let handles = part("hca_handle", limit.hca_handles);
            (adapter, handles + &part("hca_object", limit.hca_objects))
        });
        Ok(Self {
            devices,
            memory: memory(&raw.memory)?,
            cpu: cpu(raw.cpu)?,
            pids,
            block_io: block_io(&raw.block_io)?,
            hugepages: raw
                .hugepage_limits
                .into_iter()
                .map(|l| (l.page_size, l.limit))
                .collect(),
            rdma: rdma.collect(),
            unified: raw.unified.into_iter().collect(),
        })
    }
}
