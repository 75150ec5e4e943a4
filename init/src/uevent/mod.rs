//! Devices that come later: a process of its own, which listens to the
//! kernel's uevents and loads their modules, names disks below `/dev/disk`, and
//! listens to the power buttons for PID 1.
//! It holds nothing that would be lost with it: a new one looks at all devices
//! once, and goes on.

mod button;
mod disks;
mod message;

use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{
    self, AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, sockopt,
};
use nix::unistd::Pid;

use crate::Error;
use crate::cmdline::Cmdline;
use crate::disks::links::{self, Places};
use crate::event_loop::WATCHDOG;
use crate::klog::{self, Level, Line};
use crate::modules::coldplug::{self, Part};
use crate::modules::{Loaded, Modules};
use crate::sys::signals;
use button::Buttons;
use disks::Disks;

/// The name by which `/init` is called for it.
pub const NAME: &str = "hullkit-uevent";

/// Whose lines of the kernel log these are.
const SUBJECT: &str = "init uevent";

/// The kernel's own multicast group; the other one is udev's.
const KERNEL_GROUP: u32 = 1;

/// What the socket holds while a module is being loaded. A disk shelf that is
/// plugged in sends some thousands of messages of a few hundred bytes.
const BUFFER: usize = 1 << 20;

/// The word by which it names the disks that are there, and ends.
pub const DISKS: &str = "disks";

/// Listens until it is ended.
#[must_use]
pub fn main(args: &[OsString]) -> ExitCode {
    klog::open();
    if args.first().is_some_and(|arg| arg == DISKS) {
        for error in links::update_all(&Places::default()) {
            problem(&error);
        }
        return ExitCode::SUCCESS;
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            problem(&error);
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
    let mut buttons = Buttons::default();
    buttons.look();
    tell_of_watchdog();
    let disks = Disks::start();
    loop {
        wait(&socket, &buttons).map_err(Error::os("wait for", "uevents"))?;
        if buttons.pressed() {
            // Its word for a power supply that ends: the machine goes down.
            kill(Pid::parent(), Signal::SIGPWR).map_err(Error::os("signal", "init"))?;
        }
        match collect(&socket) {
            Ok(news) => {
                if !news.modaliases.is_empty() {
                    load(&cmdline, |modules| {
                        modules.load_for(&news.modaliases, |_| true)
                    })?;
                }
                if news.has_events {
                    buttons.look();
                }
                if news.has_watchdog {
                    tell_of_watchdog();
                }
                for news in news.disks {
                    disks.tell(news);
                }
            }
            // Messages were lost: what they told of is still there to see.
            Err(Errno::ENOBUFS) => {
                look_around(&cmdline)?;
                buttons.look();
                disks.tell(disks::News::All);
            }
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::os("receive", "uevents")(errno)),
        }
    }
}

/// PID 1 feeds the hardware watchdog, if there is one.
fn tell_of_watchdog() {
    if Path::new("/sys/class/watchdog/watchdog0").exists() {
        signals::send(Pid::parent(), WATCHDOG);
    }
}

/// Waits for a message, or for a button.
fn wait(socket: &OwnedFd, buttons: &Buttons) -> Result<(), Errno> {
    let socket = PollFd::new(socket.as_fd(), PollFlags::POLLIN);
    let mut all: Vec<_> = [socket].into_iter().chain(buttons.to_poll()).collect();
    match poll(&mut all, PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno),
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
        problem(&error);
    }
    Ok(())
}

/// What was added.
#[derive(Debug, Default)]
struct News {
    modaliases: Vec<Vec<u8>>,
    has_events: bool,
    has_watchdog: bool,
    disks: Vec<disks::News>,
}

/// Takes all messages that are there.
fn collect(socket: &OwnedFd) -> Result<News, Errno> {
    let mut news = News::default();
    let mut buffer = [0; 8192];
    loop {
        match socket::recvfrom::<NetlinkAddr>(socket.as_raw_fd(), &mut buffer) {
            Err(Errno::EAGAIN) => return Ok(news),
            Err(errno) => return Err(errno),
            // Another process could send as well; port 0 is the kernel's.
            Ok((length, Some(from))) if from.pid() == 0 => {
                let text = buffer.get(..length).unwrap_or_default();
                news.disks.extend(message::disk(text).map(|(there, name)| {
                    let name = name.to_owned();
                    match there {
                        true => disks::News::There(name),
                        false => disks::News::Gone(name),
                    }
                }));
                let added = message::added(text).unwrap_or_default();
                news.modaliases.extend(added.modalias.map(<[u8]>::to_vec));
                news.has_events |= added.has_events;
                news.has_watchdog |= added.is_watchdog;
            }
            Ok(_) => {}
        }
    }
}

/// Something went wrong, and it goes on, here or in the next process.
fn problem(error: &Error) {
    Line::new(Level::Error, SUBJECT, "problem")
        .with("error", error)
        .write();
}
