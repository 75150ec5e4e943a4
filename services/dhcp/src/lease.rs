//! A lease: what a server's ACK says, checked; and the file that keeps it.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::message::{Message, code};

/// A route to a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The network.
    pub network: Ipv4Addr,
    /// Its length in bits; 0 with network 0.0.0.0 is the default route.
    pub prefix: u8,
    /// The next hop; 0.0.0.0: it is on the link.
    pub gateway: Ipv4Addr,
}

/// A lease. Times are of the clock that counts from boot, sleep included
/// (`CLOCK_BOOTTIME`), as the file does not outlive the boot either.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The interface's address.
    pub address: Ipv4Addr,
    /// The length of its network in bits.
    pub prefix: u8,
    /// Who gave it.
    pub server: Ipv4Addr,
    /// Routes, the default route among them.
    pub routes: Vec<Route>,
    /// Name servers.
    pub dns: Vec<Ipv4Addr>,
    /// The domain.
    pub domain: Option<String>,
    /// Domains to search.
    pub search: Vec<String>,
    /// The name that the server has for this machine.
    pub hostname: Option<String>,
    /// Time servers.
    pub ntp: Vec<Ipv4Addr>,
    /// The link's MTU in bytes.
    pub mtu: Option<u16>,
    /// When it began: seconds since boot.
    pub obtained: u64,
    /// How long it holds, in seconds; none: for ever.
    pub seconds: Option<u32>,
    /// When to renew it, in seconds from its beginning.
    pub t1: u32,
    /// When to ask any server, in seconds from its beginning.
    pub t2: u32,
}

/// What means "for ever" (RFC 2131 section 3.3).
const INFINITE: u32 = u32::MAX;
/// The shortest lease that is believed, in seconds: a server that gives less
/// would keep the client busy.
const SHORTEST: u32 = 10;
/// The smallest MTU that is believed: every IPv4 host takes that much.
const SMALLEST_MTU: u16 = 576;
/// No more of each list than this.
const MOST: usize = 32;

impl Lease {
    /// What an OFFER or ACK says, `None` where it gives nothing usable.
    #[must_use]
    pub fn from_message(message: &Message, now: Duration) -> Option<Self> {
        let address = message.yiaddr;
        if !is_host(address) {
            return None;
        }
        let seconds = match message.number(code::LEASE_TIME)? {
            INFINITE => None,
            seconds => Some(seconds.max(SHORTEST)),
        };
        let (t1, t2) = times(message, seconds.unwrap_or(INFINITE));
        let search = message.options.get(&code::SEARCH);
        Some(Self {
            address,
            prefix: prefix(message, address),
            server: message.address(code::SERVER)?,
            routes: routes(message),
            dns: hosts(message, code::DNS),
            domain: text(message, code::DOMAIN),
            search: search.map(|bytes| names(bytes)).unwrap_or_default(),
            hostname: text(message, code::HOST_NAME),
            ntp: hosts(message, code::NTP),
            mtu: mtu(message),
            obtained: now.as_secs(),
            seconds,
            t1,
            t2,
        })
    }

    /// When it ends; none: never.
    #[must_use]
    pub fn expires(&self) -> Option<Duration> {
        self.seconds.map(|seconds| self.after(seconds))
    }

    /// When to renew it; none: never.
    #[must_use]
    pub fn renew_at(&self) -> Option<Duration> {
        self.seconds.map(|_| self.after(self.t1))
    }

    /// When to ask any server; none: never.
    #[must_use]
    pub fn rebind_at(&self) -> Option<Duration> {
        self.seconds.map(|_| self.after(self.t2))
    }

    /// Whether it holds at `now`. A file from the future is a forgery.
    #[must_use]
    pub fn holds(&self, now: Duration) -> bool {
        self.obtained <= now.as_secs() && self.expires().is_none_or(|end| now < end)
    }

    fn after(&self, seconds: u32) -> Duration {
        Duration::from_secs(self.obtained.saturating_add(seconds.into()))
    }
}

/// T1 and T2, the server's where they are in order, else RFC 2131's defaults.
fn times(message: &Message, seconds: u32) -> (u32, u32) {
    let (t1, t2) = (message.number(code::T1), message.number(code::T2));
    match (t1, t2) {
        (Some(t1), Some(t2)) if 0 < t1 && t1 < t2 && t2 < seconds => (t1, t2),
        _ => (seconds / 2, seconds / 8 * 7),
    }
}

/// Whether it can be a host's own address, or one that a host is reached at.
fn is_host(address: Ipv4Addr) -> bool {
    let first = address.octets()[0];
    first != 0 && first != 127 && first < 224
}

fn hosts(message: &Message, code: u8) -> Vec<Ipv4Addr> {
    let all = message.addresses(code).into_iter();
    all.filter(|address| is_host(*address)).take(MOST).collect()
}

/// The mask's length; without a proper mask that of the address's class.
fn prefix(message: &Message, address: Ipv4Addr) -> u8 {
    let mask = message.number(code::SUBNET_MASK).filter(|mask| *mask != 0);
    let ones = mask.filter(|mask| mask.leading_ones() + mask.trailing_zeros() == 32);
    match (ones, address.octets()[0]) {
        (Some(mask), _) => u8::try_from(mask.leading_ones()).unwrap_or(32),
        (None, ..128) => 8,
        (None, 128..192) => 16,
        (None, _) => 24,
    }
}

/// The classless routes; where there are any, the router does not count
/// (RFC 3442).
fn routes(message: &Message) -> Vec<Route> {
    let classless = message.options.get(&code::ROUTES);
    if let Some(routes) = classless.and_then(|bytes| classless_routes(bytes)) {
        return routes;
    }
    let router = hosts(message, code::ROUTER).into_iter().next();
    let default = router.map(|gateway| Route {
        network: Ipv4Addr::UNSPECIFIED,
        prefix: 0,
        gateway,
    });
    default.into_iter().collect()
}

fn classless_routes(mut bytes: &[u8]) -> Option<Vec<Route>> {
    let mut routes = Vec::new();
    while let [prefix, rest @ ..] = bytes {
        let significant = usize::from(prefix.div_ceil(8));
        if *prefix > 32 || routes.len() == MOST {
            return None;
        }
        let (network, rest) = rest.split_at_checked(significant)?;
        let (gateway, rest) = rest.split_first_chunk::<4>()?;
        let mut octets = [0; 4];
        octets
            .iter_mut()
            .zip(network)
            .for_each(|(to, from)| *to = *from);
        // Bits behind the prefix would make the kernel refuse the route.
        let mask = u32::MAX.checked_shl(32 - u32::from(*prefix)).unwrap_or(0);
        routes.push(Route {
            network: Ipv4Addr::from(u32::from_be_bytes(octets) & mask),
            prefix: *prefix,
            gateway: Ipv4Addr::from(*gateway),
        });
        bytes = rest;
    }
    (!routes.is_empty()).then_some(routes)
}

fn mtu(message: &Message) -> Option<u16> {
    let bytes: [u8; 2] = message.options.get(&code::MTU)?.get(..)?.try_into().ok()?;
    Some(u16::from_be_bytes(bytes)).filter(|mtu| *mtu >= SMALLEST_MTU)
}

/// A domain name in text form.
fn text(message: &Message, code: u8) -> Option<String> {
    let text = std::str::from_utf8(message.options.get(&code)?).ok()?;
    let text = text.trim_end_matches(['\0', '.']);
    is_name(text).then(|| text.to_owned())
}

/// Whether it is a name and nothing else: it goes into `/etc/resolv.conf`,
/// where a line break would begin a setting.
fn is_name(text: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    (1..=253).contains(&text.len()) && text.bytes().all(good)
}

/// Names in DNS's form, compression included (RFC 1035 section 4.1.4); those
/// before the first broken one.
fn names(bytes: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut at = 0;
    while at < bytes.len() && names.len() < MOST {
        let Some((name, next)) = name(bytes, at) else {
            break;
        };
        at = next;
        names.extend(Some(name).filter(|name| is_name(name)));
    }
    names
}

/// The name at `at`, and where the next one begins.
fn name(bytes: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut labels: Vec<&str> = Vec::new();
    let mut next = None;
    // A name has at most 127 labels; pointers only go backwards.
    for _ in 0..256 {
        let length = usize::from(*bytes.get(at)?);
        match length {
            0 => return Some((labels.join("."), next.unwrap_or(at + 1))),
            1..64 => {
                let label = bytes.get(at + 1..at + 1 + length)?;
                labels.push(std::str::from_utf8(label).ok()?);
                at += 1 + length;
            }
            192.. => {
                let target = (length & 63) << 8 | usize::from(*bytes.get(at + 1)?);
                next = next.or(Some(at + 2));
                if target >= at {
                    return None;
                }
                at = target;
            }
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests;
