//! One interface: its client, its socket, and what the client wants done.

use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    self, AddressFamily, MsgFlags, SockFlag, SockType, SockaddrIn, setsockopt, sockopt,
};

use crate::client::{Action, Client, Event, Listen};
use crate::frame::{self, CLIENT_PORT, SERVER_PORT};
use crate::lease::Lease;
use crate::message::{Mac, Message};
use crate::netlink::{self, Link};
use crate::run::Kernel;
use crate::sys::PacketSocket;
use crate::{Error, resolv};

/// The largest packet that is read, in bytes: an Ethernet's.
const PACKET: usize = 1514;

enum Socket {
    Raw(PacketSocket),
    Udp(OwnedFd),
}

impl Socket {
    fn fd(&self) -> &OwnedFd {
        match self {
            Self::Raw(socket) => socket.fd(),
            Self::Udp(fd) => fd,
        }
    }
}

/// An interface that is served.
pub(crate) struct Interface {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) client: Client,
    socket: Option<Socket>,
    configured: Option<Lease>,
}

impl Interface {
    pub(crate) fn new(link: &Link, mac: Mac, hostname: Option<String>, seed: u64) -> Self {
        let earlier = resolv::load(&link.name);
        Self {
            index: link.index,
            name: link.name.clone(),
            client: Client::new(mac, hostname, earlier.clone(), seed),
            socket: None,
            configured: earlier,
        }
    }

    /// What to poll, where replies are awaited.
    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(|socket| socket.fd().as_fd())
    }

    /// Takes an event to the client, and does what it wants.
    pub(crate) fn handle(
        &mut self,
        event: &Event<'_>,
        now: Duration,
        kernel: &Kernel,
    ) -> Result<(), Error> {
        let actions = self.client.handle(event, now);
        self.listen()?;
        for action in actions {
            self.act(action, now, kernel)?;
        }
        Ok(())
    }

    /// Takes all that has arrived.
    pub(crate) fn receive(&mut self, now: Duration, kernel: &Kernel) -> Result<(), Error> {
        while let Some(message) = self.read()? {
            if let Some(message) = message {
                self.handle(&Event::Message(&message), now, kernel)?;
            }
        }
        Ok(())
    }

    /// The next packet: `Some(None)` is one that is no message.
    fn read(&self) -> Result<Option<Option<Message>>, Error> {
        let Some(socket) = &self.socket else {
            return Ok(None);
        };
        let mut buffer = [0; PACKET];
        let length = match socket::recv(socket.fd().as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            // The link went down: its event says so.
            Err(Errno::EAGAIN | Errno::ENETDOWN) => return Ok(None),
            read => read.map_err(Error::system("read from", &self.name))?,
        };
        let packet = buffer.get(..length).unwrap_or_default();
        let payload = match socket {
            Socket::Raw(_) => frame::payload(packet),
            Socket::Udp(_) => Some(packet),
        };
        Ok(Some(payload.and_then(Message::parse)))
    }

    /// Opens the socket that the client's state needs, and no other.
    fn listen(&mut self) -> Result<(), Error> {
        match (self.client.listen(), &self.socket) {
            (Listen::Nowhere, _) => self.socket = None,
            (Listen::Raw, Some(Socket::Raw(_))) | (Listen::Udp, Some(Socket::Udp(_))) => {}
            (Listen::Raw, _) => {
                let socket = PacketSocket::open(self.index);
                self.socket = Some(Socket::Raw(
                    socket.map_err(Error::system("open a packet socket on", &self.name))?,
                ));
            }
            (Listen::Udp, _) => {
                let socket = udp(&self.name);
                self.socket = Some(Socket::Udp(
                    socket.map_err(Error::system("open UDP port 68 on", &self.name))?,
                ));
            }
        }
        Ok(())
    }

    fn act(&mut self, action: Action, now: Duration, kernel: &Kernel) -> Result<(), Error> {
        match action {
            Action::Broadcast(message) => self.broadcast(&message),
            Action::Unicast(to, message) => self.unicast(to, &message),
            Action::Configure(lease) => return self.configure(&lease, now, kernel),
            Action::Deconfigure(lease) => return self.deconfigure(&lease, kernel),
        }
        Ok(())
    }

    /// A packet that cannot be sent is as one that is lost: it is said, and
    /// sent again when it is time.
    fn broadcast(&self, message: &Message) {
        if let Some(Socket::Raw(socket)) = &self.socket {
            let sent = socket.broadcast(&frame::broadcast(&message.to_bytes()));
            self.say_unsent(&sent);
        }
    }

    fn unicast(&self, to: Ipv4Addr, message: &Message) {
        if let Some(Socket::Udp(fd)) = &self.socket {
            let [a, b, c, d] = to.octets();
            let to = SockaddrIn::new(a, b, c, d, SERVER_PORT);
            let bytes = message.to_bytes();
            let sent = socket::sendto(fd.as_raw_fd(), &bytes, &to, MsgFlags::empty());
            self.say_unsent(&sent.map(|_| ()));
        }
    }

    fn say_unsent<E: std::fmt::Display>(&self, sent: &Result<(), E>) {
        if let Err(error) = sent {
            eprintln!("dhcp: {}: send: {error}", self.name);
        }
    }

    /// Address first, as routes need it; then the files; then the word.
    fn configure(&mut self, lease: &Lease, now: Duration, kernel: &Kernel) -> Result<(), Error> {
        let left = lease.expires().map(|end| end.saturating_sub(now).as_secs());
        let left = left.map_or(u32::MAX, |left| u32::try_from(left).unwrap_or(u32::MAX));
        if let Some(mtu) = lease.mtu
            && let Err(error) = kernel.ask(&netlink::set_mtu(self.index, mtu))
        {
            eprintln!("dhcp: {}: set the MTU to {mtu}: {error}", self.name);
        }
        kernel
            .ask(&netlink::add_address(self.index, lease, left))
            .map_err(Error::system("set the address of", &self.name))?;
        for route in &lease.routes {
            if let Err(error) = kernel.ask(&netlink::add_route(self.index, lease, route)) {
                let (network, prefix, via) = (route.network, route.prefix, route.gateway);
                eprintln!(
                    "dhcp: {}: route {network}/{prefix} via {via}: {error}",
                    self.name
                );
            }
        }
        let old = self.configured.replace(lease.clone());
        for route in old.iter().flat_map(|old| &old.routes) {
            if !lease.routes.contains(route) {
                // It may have gone with its gateway: then it is as wanted.
                let _ = kernel.ask(&netlink::delete_route(self.index, lease, route));
            }
        }
        resolv::save(&self.name, lease)?;
        let (address, prefix, server) = (lease.address, lease.prefix, lease.server);
        let seconds = lease
            .seconds
            .map_or("for ever".to_owned(), |s| format!("for {s} s"));
        eprintln!(
            "dhcp: {}: {address}/{prefix} from {server} {seconds}",
            self.name
        );
        Ok(())
    }

    fn deconfigure(&mut self, lease: &Lease, kernel: &Kernel) -> Result<(), Error> {
        self.configured = None;
        match kernel.ask(&netlink::delete_address(self.index, lease)) {
            // The kernel was faster, or the card is gone.
            Ok(()) | Err(Errno::EADDRNOTAVAIL | Errno::ENODEV) => {}
            Err(e) => return Err(Error::system("take the address of", &self.name)(e)),
        }
        resolv::forget(&self.name)?;
        eprintln!("dhcp: {}: {} is given up", self.name, lease.address);
        Ok(())
    }
}

/// A UDP socket at the client's port, on one interface.
fn udp(interface: &str) -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket::socket(AddressFamily::Inet, SockType::Datagram, flags, None)?;
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    setsockopt(&fd, sockopt::Broadcast, &true)?;
    setsockopt(&fd, sockopt::BindToDevice, &interface.into())?;
    socket::bind(fd.as_raw_fd(), &SockaddrIn::new(0, 0, 0, 0, CLIENT_PORT))?;
    Ok(fd)
}
