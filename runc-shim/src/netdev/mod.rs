//! Moves network devices of the host into a container (config-linux.md,
//! "Network Devices"). The runtime does it, for a process in a user namespace
//! may not; it speaks to both network namespaces over a socket each.

mod message;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use crate::error::Error;
use crate::spec::NetDevice;
use crate::sys::{netlink, socket};
use message::{Address, Reply};

/// As much as the kernel says at a time.
const BUFFER: usize = 32 * 1024;

/// Moves them all into the network namespace of a process.
///
/// # Errors
/// One cannot be moved; those before it have been.
pub fn move_all(devices: &[NetDevice], pid: i32) -> Result<(), Error> {
    let open = |path: String| File::open(&path).map_err(Error::io("open", path));
    let there = open(format!("/proc/{pid}/ns/net"))?;
    let own = open("/proc/self/ns/net".to_owned())?;
    let host = Kernel(netlink::open().map_err(Error::io("open", "a netlink socket"))?);
    let inside = netlink::open_in(there.as_fd(), own.as_fd())
        .map(Kernel)
        .map_err(Error::io("enter", "the container's network namespace"))?;
    devices.iter().try_for_each(|device| {
        check_free(device, &inside)?;
        host.move_to(device, &there, &inside)
            .map_err(Error::io("move the network device", told(device)))
    })
}

fn told(device: &NetDevice) -> String {
    format!("{} into the container as {}", device.host, device.inside)
}

/// Before anything is done: a device that is there keeps its name, and the
/// other one would be left under its old one.
fn check_free(device: &NetDevice, inside: &Kernel) -> Result<(), Error> {
    if device.is_template() {
        return Ok(());
    }
    match inside.index(&device.inside) {
        Err(e) if e.raw_os_error() == Some(libc::ENODEV) => Ok(()),
        Err(e) => Err(Error::io("look for a network device named", &device.inside)(e)),
        Ok(_) => Err(Error::Unsupported(format!(
            "move the network device {}: the name is taken there (a name with %d lets the kernel choose)",
            told(device)
        ))),
    }
}

/// A socket to the kernel, about one network namespace.
struct Kernel(OwnedFd);

impl Kernel {
    /// 1. Its addresses are noted: the kernel forgets them.
    /// 2. It is moved and gets its name.
    /// 3. It gets the addresses again, and is switched on.
    fn move_to(&self, device: &NetDevice, there: &File, inside: &Self) -> io::Result<()> {
        let index = self.index(&device.host)?;
        let addresses = self.addresses(index)?;
        let before = inside.links()?;
        self.ask(&message::move_link(
            index,
            there.as_raw_fd(),
            &device.inside,
        ))?;
        // Its number may be another there.
        let index = if device.is_template() {
            let after = inside.links()?;
            let new = after.into_iter().find(|index| !before.contains(index));
            new.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))?
        } else {
            inside.index(&device.inside)?
        };
        for address in &addresses {
            inside.ask(&address.add(index))?;
        }
        inside.ask(&message::link_up(index)).map(|_| ())
    }

    fn index(&self, name: &str) -> io::Result<i32> {
        let found = self.ask(&message::find_link(name))?;
        match found.first() {
            Some(Reply::Link(index)) => Ok(*index),
            _ => Err(io::Error::from_raw_os_error(libc::ENODEV)),
        }
    }

    fn links(&self) -> io::Result<Vec<i32>> {
        let found = self.ask(&message::list_links())?;
        let links = found.into_iter().filter_map(|reply| match reply {
            Reply::Link(index) => Some(index),
            _ => None,
        });
        Ok(links.collect())
    }

    fn addresses(&self, index: i32) -> io::Result<Vec<Address>> {
        let found = self.ask(&message::list_addresses())?;
        let addresses = found.into_iter().filter_map(|reply| match reply {
            Reply::Address(address) if address.is_kept(index) => Some(address),
            _ => None,
        });
        Ok(addresses.collect())
    }

    /// Asks, and hears what comes until the kernel is done: a list and a plain
    /// command end with a word of their own, a single device is all.
    fn ask(&self, request: &[u8]) -> io::Result<Vec<Reply>> {
        socket::send(self.0.as_fd(), request)?;
        let mut buffer = vec![0; BUFFER];
        let mut heard = Vec::new();
        loop {
            let bytes = socket::receive(self.0.as_fd(), &mut buffer)?;
            for reply in message::replies(bytes) {
                match reply {
                    Reply::Done(0) => return Ok(heard),
                    Reply::Done(error) => return Err(io::Error::from_raw_os_error(error)),
                    other => heard.push(other),
                }
            }
            if message::is_single(request) && !heard.is_empty() {
                return Ok(heard);
            }
        }
    }
}
