//! Modules for devices that come later: a process of its own, which listens
//! to the kernel's uevents. It holds nothing that would be lost with it: a new
//! one looks at all devices once, and goes on.

mod message;

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    self, AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, sockopt,
};

use crate::Error;
use crate::cmdline::Cmdline;
use crate::modules::coldplug::{self, Part};
use crate::modules::{Loaded, Modules};

/// The name by which `/init` is called for it.
pub const NAME: &str = "hullkit-uevent";

/// The kernel's own multicast group; the other one is udev's.
const KERNEL_GROUP: u32 = 1;

/// What the socket holds while a module is being loaded. A disk shelf that is
/// plugged in sends some thousands of messages of a few hundred bytes.
const BUFFER: usize = 1 << 20;

/// Listens until it is ended.
#[must_use]
pub fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error);
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Error> {
    let cmdline = Cmdline::read().map_err(Error::os("read", "/proc/cmdline"))?;
    if !cmdline.uevent {
        return Ok(());
    }
    // First the ear, then the look around: nothing can come in between.
    let socket = listen().map_err(Error::os("listen to", "uevents"))?;
    look_around(&cmdline)?;
    loop {
        match collect(&socket) {
            Ok(modaliases) if modaliases.is_empty() => {}
            Ok(modaliases) => load(&cmdline, |modules| modules.load_for(&modaliases, |_| true))?,
            // Messages were lost: what they told of is still there to see.
            Err(Errno::ENOBUFS) => look_around(&cmdline)?,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::os("receive", "uevents")(errno)),
        }
    }
}

fn listen() -> Result<OwnedFd, Errno> {
    let socket = socket::socket(
        AddressFamily::Netlink,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        SockProtocol::NetlinkKObjectUEvent,
    )?;
    socket::setsockopt(&socket, sockopt::RcvBufForce, &BUFFER)?;
    socket::bind(socket.as_raw_fd(), &NetlinkAddr::new(0, KERNEL_GROUP))?;
    Ok(socket)
}

fn look_around(cmdline: &Cmdline) -> Result<(), Error> {
    if !cmdline.coldplug {
        return Ok(());
    }
    load(cmdline, |modules| {
        coldplug::run(modules, Path::new("/sys"), Part::All)
    })
}

/// The files of the modules are read for each batch and forgotten behind it:
/// devices come seldom, memory is used always.
fn load(
    cmdline: &Cmdline,
    what: impl FnOnce(&Modules) -> Result<Loaded, Error>,
) -> Result<(), Error> {
    let Some(modules) = Modules::open(cmdline)? else {
        return Ok(());
    };
    for error in what(&modules)?.failed {
        say(&error);
    }
    Ok(())
}

/// Waits for a message, takes all that are there, and returns the modaliases
/// of devices that were added.
fn collect(socket: &OwnedFd) -> Result<Vec<Vec<u8>>, Errno> {
    let mut waiting = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    poll(&mut waiting, PollTimeout::NONE)?;
    let mut modaliases = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        match socket::recvfrom::<NetlinkAddr>(socket.as_raw_fd(), &mut buffer) {
            Err(Errno::EAGAIN) => return Ok(modaliases),
            Err(errno) => return Err(errno),
            // Another process could send as well; port 0 is the kernel's.
            Ok((length, Some(from))) if from.pid() == 0 => {
                let text = buffer.get(..length).unwrap_or_default();
                modaliases.extend(message::added(text).map(<[u8]>::to_vec));
            }
            Ok(_) => {}
        }
    }
}

fn say(error: &Error) {
    let line = format!("hullkit: uevent: {error}\n");
    let _unheard: io::Result<()> = std::fs::write("/dev/kmsg", line);
}
