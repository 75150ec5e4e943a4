//! The way to the server.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::config::{Carrier, Config, Form, Server};
use crate::message::frame;
use crate::{Error, sys, tls};

/// How long a server may take to answer, to take something, to confirm it.
const PATIENCE: Duration = Duration::from_secs(20);

/// How to get to the server.
#[derive(Debug)]
pub struct Route {
    server: Server,
    name: String,
    tls: Option<Arc<ClientConfig>>,
}

/// A connection to it.
#[derive(Debug)]
pub struct Connection {
    form: Form,
    name: String,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Route {
    /// The route that `config` names; the files of TLS are read now.
    ///
    /// # Errors
    /// One of them is not what it should be.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let server = config.server.clone();
        Ok(Self {
            name: format!("{}:{}", server.host, server.port),
            tls: match server.carrier {
                Carrier::Tls => Some(tls::config(&config.tls)?),
                Carrier::Udp | Carrier::Tcp => None,
            },
            server,
        })
    }

    /// The server, for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Connects; each address of the server's name is tried.
    ///
    /// # Errors
    /// It has no address, none answers, or TLS does not come about.
    pub fn connect(&self) -> Result<Connection, Error> {
        let host = (self.server.host.as_str(), self.server.port);
        let addresses = host.to_socket_addrs();
        let addresses = addresses.map_err(Error::os("look up", &self.server.host))?;
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses {
            match self.connect_to(address) {
                Ok(way) => {
                    return Ok(Connection {
                        form: self.server.form,
                        name: self.name.clone(),
                        way,
                    });
                }
                Err(Error::Os { source, .. }) => last = source,
                Err(other) => return Err(other),
            }
        }
        Err(Error::os("connect to", &self.name)(last))
    }

    fn connect_to(&self, address: SocketAddr) -> Result<Way, Error> {
        let failed = || Error::os("connect to", &self.name);
        if self.server.carrier == Carrier::Udp {
            let any = match address {
                SocketAddr::V4(_) => "0.0.0.0:0",
                SocketAddr::V6(_) => "[::]:0",
            };
            let socket = UdpSocket::bind(any).map_err(failed())?;
            socket.connect(address).map_err(failed())?;
            return Ok(Way::Udp(socket));
        }
        let stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(failed())?;
        patient(&stream).map_err(failed())?;
        let Some(config) = &self.tls else {
            return Ok(Way::Tcp(stream));
        };
        let mut session = tls::connect(config, &self.server.host)?;
        let mut socket = &stream;
        while session.is_handshaking() {
            session
                .complete_io(&mut socket)
                .map_err(|error| tls_error(&self.name, error))?;
        }
        Ok(Way::Tls(Box::new(StreamOwned::new(session, stream))))
    }
}

/// A server that has gone without a word is noticed.
fn patient(stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let ms = u32::try_from(PATIENCE.as_millis()).unwrap_or(u32::MAX);
    setsockopt(stream, sockopt::TcpUserTimeout, &ms)?;
    setsockopt(stream, sockopt::KeepAlive, &true)?;
    Ok(())
}

/// What rustls says through an I/O error is TLS's word.
fn tls_error(server: &str, error: io::Error) -> Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(said) => Error::Tls {
            server: server.to_owned(),
            source: rustls::Error::clone(said),
        },
        None => Error::os("connect to", server)(error),
    }
}

impl Connection {
    /// Sends messages.
    ///
    /// # Errors
    /// The server does not take them; which ones it has is then unknown.
    pub fn send(&mut self, messages: &[Vec<u8>]) -> Result<(), Error> {
        let sent = match &mut self.way {
            Way::Udp(socket) => messages
                .iter()
                .try_for_each(|message| socket.send(message).map(drop)),
            Way::Tcp(stream) => stream.write_all(&framed(self.form, messages)),
            Way::Tls(stream) => stream
                .write_all(&framed(self.form, messages))
                .and_then(|()| stream.flush()),
        };
        sent.map_err(Error::os("send to", &self.name))
    }

    /// Whether the server's kernel has all that was sent. UDP never tells.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn has_arrived(&self) -> Result<bool, Error> {
        let stream = match &self.way {
            Way::Udp(_) => return Ok(true),
            Way::Tcp(stream) => stream,
            Way::Tls(stream) => stream.get_ref(),
        };
        let count = sys::unconfirmed(stream).map_err(Error::os("ask about", &self.name))?;
        Ok(count == 0)
    }

    /// What is to be watched for its end.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        match &self.way {
            Way::Udp(socket) => socket.as_fd(),
            Way::Tcp(stream) => stream.as_fd(),
            Way::Tls(stream) => stream.get_ref().as_fd(),
        }
    }

    /// Takes what the server has said, which is nothing but that it ends.
    ///
    /// # Errors
    /// It ends.
    pub fn listen(&mut self) -> Result<(), Error> {
        let heard = match &mut self.way {
            // An answer to an earlier datagram: nobody listens there.
            Way::Udp(socket) => socket.take_error().and_then(|error| match error {
                Some(error) => Err(error),
                None => Ok(()),
            }),
            Way::Tcp(stream) => hear(stream, |mut stream| stream.read(&mut [0; 512])),
            Way::Tls(stream) => {
                let StreamOwned { conn, sock } = stream.as_mut();
                hear(sock, |mut sock| {
                    let count = conn.read_tls(&mut sock)?;
                    let state = conn.process_new_packets().map_err(io::Error::other)?;
                    Ok(if state.peer_has_closed() { 0 } else { count })
                })
            }
        };
        heard.map_err(Error::os("stay connected to", &self.name))
    }
}

/// One read that does not wait; none left is the end.
fn hear(stream: &TcpStream, read: impl FnOnce(&TcpStream) -> io::Result<usize>) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    let heard = read(stream);
    stream.set_nonblocking(false)?;
    match heard {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error),
    }
}

fn framed(form: Form, messages: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for message in messages {
        frame(form, message, &mut bytes);
    }
    bytes
}
