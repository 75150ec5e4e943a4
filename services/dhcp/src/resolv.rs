//! Files in `/run`: `resolv.conf`, and a lease per interface.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::lease::Lease;

/// What `/etc/resolv.conf` of the image links to.
const RESOLV_CONF: &str = "/run/resolvconf/resolv.conf";
/// Where the leases are kept.
const LEASES: &str = "/run/dhcp";
/// The C library looks at no more name servers (`resolv.conf(5)`).
const MOST_SERVERS: usize = 3;

/// Writes `resolv.conf` out of the leases that hold.
pub(crate) fn write<'a>(leases: impl Iterator<Item = &'a Lease>) -> Result<(), Error> {
    replace(Path::new(RESOLV_CONF), text(leases).as_bytes())
}

fn text<'a>(leases: impl Iterator<Item = &'a Lease>) -> String {
    let (mut search, mut servers) = (Vec::new(), Vec::new());
    for lease in leases {
        search.extend(lease.domain.iter().chain(&lease.search).map(String::as_str));
        servers.extend(lease.dns.iter().map(ToString::to_string));
    }
    let mut text = String::new();
    let search = unique(search);
    if !search.is_empty() {
        text = format!("search {}\n", search.join(" "));
    }
    for server in unique(servers).iter().take(MOST_SERVERS) {
        text.push_str(&format!("nameserver {server}\n"));
    }
    text
}

/// Each once, in the order of the first.
fn unique<T: PartialEq>(all: Vec<T>) -> Vec<T> {
    let mut once = Vec::new();
    for one in all {
        if !once.contains(&one) {
            once.push(one);
        }
    }
    once
}

/// The lease that `interface` has from another run; none where there is no
/// file, or not one of ours.
pub(crate) fn load(interface: &str) -> Option<Lease> {
    let text = fs::read(file(interface)).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Keeps the lease of `interface`.
pub(crate) fn save(interface: &str, lease: &Lease) -> Result<(), Error> {
    let path = file(interface);
    let text = serde_json::to_vec_pretty(lease).map_err(|e| Error::Write {
        path: path.clone(),
        source: e.into(),
    })?;
    replace(&path, &text)
}

/// Forgets the lease of `interface`.
pub(crate) fn forget(interface: &str) -> Result<(), Error> {
    let path = file(interface);
    match fs::remove_file(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(|source| Error::Write { path, source }),
    }
}

fn file(interface: &str) -> PathBuf {
    Path::new(LEASES).join(format!("{interface}.json"))
}

/// Puts a whole new file in the place of `path`: a reader sees the old one or
/// the new one.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let write = || {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        let new = path.with_extension("new");
        fs::File::create(&new)?.write_all(bytes)?;
        fs::rename(&new, path)
    };
    write().map_err(|source| Error::Write {
        path: path.to_owned(),
        source,
    })
}
