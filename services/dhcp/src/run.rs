//! The loop: waits for links, replies and deadlines, and feeds the clients.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{
    self, AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType,
};
use nix::time::{ClockId, clock_gettime};

use crate::client::Event;
use crate::interface::Interface;
use crate::netlink::{self, Answer, Link};
use crate::options::Options;
use crate::{Error, resolv};

/// More than the kernel puts into one answer about links.
const BUFFER: usize = 64 * 1024;
/// `RTMGRP_LINK` (`rtnetlink(7)`): news of links.
const LINKS: u32 = 1;

/// A connection on which the kernel's routing layer is asked.
pub(crate) struct Kernel {
    socket: OwnedFd,
}

impl Kernel {
    fn open() -> Result<Self, Error> {
        let socket = netlink(0, SockFlag::empty()).map_err(Error::system("open", "rtnetlink"))?;
        Ok(Self { socket })
    }

    /// Asks for something that is answered by success or an error.
    pub(crate) fn ask(&self, request: &[u8]) -> nix::Result<()> {
        let fd = self.socket.as_raw_fd();
        socket::send(fd, request, MsgFlags::empty())?;
        let mut buffer = [0; 4096];
        let length = socket::recv(fd, &mut buffer, MsgFlags::empty())?;
        let answers = netlink::answers(buffer.get(..length).unwrap_or_default());
        match answers.first() {
            Some(Answer::Result(0)) => Ok(()),
            Some(Answer::Result(error)) => Err(Errno::from_raw(*error)),
            _ => Err(Errno::EPROTO),
        }
    }
}

fn netlink(groups: u32, flags: SockFlag) -> nix::Result<OwnedFd> {
    let socket = socket::socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC | flags,
        SockProtocol::NetlinkRoute,
    )?;
    socket::bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
    Ok(socket)
}

/// All interfaces, and what they need of the kernel.
struct Network<'a> {
    options: &'a Options,
    kernel: Kernel,
    news: OwnedFd,
    signals: SignalFd,
    interfaces: Vec<Interface>,
    hostname: Option<String>,
}

/// Gets leases and keeps them; a one-shot returns with the first, a daemon
/// when it is told to end. Addresses stay, for the next run to take over.
///
/// # Errors
/// There is no interface, nobody answered a one-shot in time, or the kernel
/// refuses what the client needs.
pub fn run(options: &Options) -> Result<(), Error> {
    let mut network = Network::open(options)?;
    let end = now()?.saturating_add(options.timeout);
    network.list()?;
    if network.interfaces.is_empty() && options.one_shot && !options.wait {
        return Err(network.no_interface());
    }
    if network.interfaces.is_empty() {
        eprintln!("dhcp: no network card yet: waiting for one");
    }
    while !(options.one_shot && network.has_lease()) {
        let now = now()?;
        if options.one_shot && now >= end {
            return Err(network.timed_out());
        }
        let wake = network.deadline().into_iter();
        let wake = wake.chain(options.one_shot.then_some(end)).min();
        network.wait(wake.map(|wake| wake.saturating_sub(now)))?;
        if network.told_to_end()? {
            return match options.one_shot {
                true => Err(Error::Stopped),
                false => Ok(()),
            };
        }
    }
    Ok(())
}

impl<'a> Network<'a> {
    fn open(options: &'a Options) -> Result<Self, Error> {
        let news = netlink(LINKS, SockFlag::SOCK_NONBLOCK);
        let hostname = nix::unistd::gethostname().ok();
        let hostname = hostname.and_then(|name| name.into_string().ok());
        let unset = ["", "(none)", "localhost"];
        Ok(Self {
            options,
            kernel: Kernel::open()?,
            news: news.map_err(Error::system("open", "rtnetlink"))?,
            signals: signals().map_err(Error::system("listen for", "signals"))?,
            interfaces: Vec::new(),
            hostname: hostname.filter(|name| !unset.contains(&name.as_str())),
        })
    }

    /// Takes all links that there are now. Their answers come on the socket
    /// for news, behind which nothing is missed.
    fn list(&mut self) -> Result<(), Error> {
        let fd = self.news.as_raw_fd();
        socket::send(fd, &netlink::list_links(), MsgFlags::empty())
            .map_err(Error::system("list", "links"))?;
        loop {
            let mut ready = [PollFd::new(self.news.as_fd(), PollFlags::POLLIN)];
            again(poll(&mut ready, PollTimeout::NONE)).map_err(Error::system("list", "links"))?;
            if self.news()? {
                return Ok(());
            }
        }
    }

    /// Takes what the kernel says of links. Whether a list ended.
    fn news(&mut self) -> Result<bool, Error> {
        let mut buffer = vec![0; BUFFER];
        let mut done = false;
        loop {
            let fd = self.news.as_raw_fd();
            let length = match socket::recv(fd, &mut buffer, MsgFlags::empty()) {
                Err(Errno::EAGAIN) => return Ok(done),
                // Too much at once: some was lost, so all is asked for again.
                Err(Errno::ENOBUFS) => {
                    socket::send(fd, &netlink::list_links(), MsgFlags::empty())
                        .map_err(Error::system("list", "links"))?;
                    continue;
                }
                read => read.map_err(Error::system("read", "news of links"))?,
            };
            for answer in netlink::answers(buffer.get(..length).unwrap_or_default()) {
                match answer {
                    Answer::Link(link) => self.link(&link)?,
                    Answer::Gone(index) => {
                        self.interfaces.retain(|interface| interface.index != index);
                        self.write_resolv_conf()?;
                    }
                    Answer::Done => done = true,
                    Answer::Result(0) => {}
                    Answer::Result(error) => {
                        let error = Errno::from_raw(error);
                        return Err(Error::system("list", "links")(error));
                    }
                }
            }
        }
    }

    /// A link that is there: new, or with another carrier.
    fn link(&mut self, link: &Link) -> Result<(), Error> {
        let Some(mac) = link.mac.filter(|_| self.is_wanted(link)) else {
            return Ok(());
        };
        let now = now()?;
        let known = |interface: &Interface| interface.index == link.index;
        if !self.interfaces.iter().any(known) {
            let request = netlink::set_up(link.index);
            let up = self.kernel.ask(&request);
            up.map_err(Error::system("bring up", &link.name))?;
            let hostname = self.hostname.clone();
            self.interfaces
                .push(Interface::new(link, mac, hostname, seed(now)));
        }
        for interface in self.interfaces.iter_mut().filter(|i| i.index == link.index) {
            interface.handle(&Event::Carrier(link.carrier), now, &self.kernel)?;
        }
        Ok(())
    }

    fn is_wanted(&self, link: &Link) -> bool {
        match &self.options.interfaces[..] {
            [] => !link.is_virtual,
            named => named.contains(&link.name),
        }
    }

    /// Waits for the next thing that happens, and takes it.
    fn wait(&mut self, timeout: Option<Duration>) -> Result<(), Error> {
        // Rounded up: to wake before the deadline would be to spin.
        let timeout = timeout.map(|timeout| timeout.saturating_add(Duration::from_micros(999)));
        let timeout = timeout.map_or(PollTimeout::NONE, |timeout| {
            PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX)
        });
        let mut fds = vec![PollFd::new(self.news.as_fd(), PollFlags::POLLIN)];
        fds.push(PollFd::new(self.signals.as_fd(), PollFlags::POLLIN));
        let sockets = self.interfaces.iter().filter_map(Interface::fd);
        fds.extend(sockets.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        again(poll(&mut fds, timeout)).map_err(Error::system("wait for", "events"))?;
        drop(fds);
        self.news()?;
        let now = now()?;
        let before: Vec<_> = self.bound();
        for interface in &mut self.interfaces {
            interface.receive(now, &self.kernel)?;
            interface.handle(&Event::Timer, now, &self.kernel)?;
        }
        if before != self.bound() {
            self.write_resolv_conf()?;
        }
        Ok(())
    }

    /// Whether a signal came that means the end.
    fn told_to_end(&self) -> Result<bool, Error> {
        let signal = self.signals.read_signal();
        Ok(signal.map_err(Error::system("read", "signals"))?.is_some())
    }

    /// What the interfaces have, to see a change.
    fn bound(&self) -> Vec<Option<crate::lease::Lease>> {
        self.interfaces
            .iter()
            .map(|interface| interface.client.bound().cloned())
            .collect()
    }

    fn write_resolv_conf(&self) -> Result<(), Error> {
        resolv::write(self.interfaces.iter().filter_map(|i| i.client.bound()))
    }

    fn has_lease(&self) -> bool {
        self.interfaces.iter().any(|i| i.client.bound().is_some())
    }

    fn deadline(&self) -> Option<Duration> {
        let all = self.interfaces.iter();
        all.filter_map(|interface| interface.client.deadline())
            .min()
    }

    fn no_interface(&self) -> Error {
        let wanted = match &self.options.interfaces[..] {
            [] => "no Ethernet interface".to_owned(),
            named => format!("none of {}", named.join(", ")),
        };
        Error::NoInterface { wanted }
    }

    fn timed_out(&self) -> Error {
        if self.interfaces.is_empty() {
            return self.no_interface();
        }
        let names: Vec<&str> = self.interfaces.iter().map(|i| i.name.as_str()).collect();
        Error::Timeout {
            seconds: self.options.timeout.as_secs(),
            interfaces: names.join(", "),
        }
    }
}

/// SIGTERM and SIGINT as something to poll: a container's first process does
/// not get a signal that it has not asked for (`pid_namespaces(7)`).
fn signals() -> nix::Result<SignalFd> {
    let mut ends = SigSet::empty();
    ends.add(Signal::SIGTERM);
    ends.add(Signal::SIGINT);
    ends.thread_block()?;
    SignalFd::with_flags(&ends, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}

/// A wait that a signal ended is over, and nothing happened.
fn again(waited: nix::Result<libc::c_int>) -> nix::Result<()> {
    match waited {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(e) => Err(e),
    }
}

/// The time since boot, sleep included.
fn now() -> Result<Duration, Error> {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME);
    Ok(now.map_err(Error::system("read", "the clock"))?.into())
}

/// A number that differs between machines and runs; the time where the
/// container has no `/dev/urandom`.
fn seed(now: Duration) -> u64 {
    let mut bytes = [0; 8];
    match File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)) {
        Ok(()) => u64::from_ne_bytes(bytes),
        Err(_) => now.as_secs() << 32 | u64::from(now.subsec_nanos()),
    }
}
