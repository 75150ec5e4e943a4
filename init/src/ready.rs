//! The ready signal outward: whoever has started the machine is told, and need
//! not ask. Where to is on the kernel's command line; what is said are
//! systemd's words for it.
//!
//! A process of its own does it: a host that does not answer is not PID 1's
//! business.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::ExitCode;

use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, VsockAddr};

use crate::Error;
use crate::klog::{self, Level, Line};

/// The name that PID 1 starts it by.
pub const NAME: &str = "hullkit-ready";

/// What is said.
const WORDS: &[u8] = b"READY=1\n";

/// Where it is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `vsock:CID:PORT`: a stream.
    Vsock {
        /// The host is 2.
        cid: u32,
        /// Where somebody listens.
        port: u32,
    },
    /// `virtio:NAME`: the virtio-serial port of that name.
    Virtio(String),
}

impl Address {
    /// Reads an address as the command line has it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("virtio", name) if !name.is_empty() => Some(Self::Virtio(name.to_owned())),
            ("vsock", rest) => {
                let (cid, port) = rest.split_once(':')?;
                let (cid, port) = (cid.parse().ok()?, port.parse().ok()?);
                Some(Self::Vsock { cid, port })
            }
            _ => None,
        }
    }
}

/// Says it to the address that is its argument.
#[must_use]
pub fn main(args: &[OsString]) -> ExitCode {
    klog::open();
    let address = args.first().and_then(|arg| arg.to_str());
    let Some(address) = address.and_then(Address::parse) else {
        return ExitCode::from(2);
    };
    match say(&address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            Line::new(Level::Error, "init", "problem")
                .with("error", format!("tell that all is ready: {error}"))
                .write();
            ExitCode::FAILURE
        }
    }
}

fn say(address: &Address) -> Result<(), Error> {
    match address {
        Address::Virtio(name) => {
            let device = port(Path::new("/sys/class/virtio-ports"), name)?;
            let mut port = OpenOptions::new()
                .write(true)
                .open(&device)
                .map_err(Error::os("open", &device))?;
            port.write_all(WORDS).map_err(Error::os("write", &device))
        }
        Address::Vsock { cid, port } => {
            let name = format!("vsock {cid}:{port}");
            let socket = socket::socket(
                AddressFamily::Vsock,
                SockType::Stream,
                SockFlag::SOCK_CLOEXEC,
                None,
            )
            .map_err(Error::os("open", &name))?;
            socket::connect(socket.as_raw_fd(), &VsockAddr::new(*cid, *port))
                .map_err(Error::os("connect to", &name))?;
            fs::File::from(socket)
                .write_all(WORDS)
                .map_err(Error::os("write to", &name))
        }
    }
}

/// The device of the virtio-serial port `name`.
fn port(class: &Path, name: &str) -> Result<String, Error> {
    let ports = fs::read_dir(class).map_err(Error::path("read", class))?;
    let named = |entry: &fs::DirEntry| {
        let own = fs::read_to_string(entry.path().join("name"));
        own.is_ok_and(|own| own.trim_end() == name)
    };
    let found = ports.flatten().find(named);
    let found = found.map(|entry| format!("/dev/{}", entry.file_name().to_string_lossy()));
    found.ok_or_else(|| Error::Bundle {
        object: format!("virtio:{name}"),
        reason: "there is no port of that name".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let vsock = Address::Vsock { cid: 2, port: 9000 };
        assert_eq!(Address::parse("vsock:2:9000"), Some(vsock));
        let virtio = Address::Virtio("a:b".to_owned());
        assert_eq!(Address::parse("virtio:a:b"), Some(virtio));
        for none in ["", "virtio:", "vsock:2", "vsock:x:1", "tcp:1:2"] {
            assert_eq!(Address::parse(none), None, "{none}");
        }
    }

    #[test]
    fn a_port_by_its_name() {
        let class = tempfile::tempdir().unwrap();
        for (device, name) in [("vport1p1", "console\n"), ("vport1p2", "ready\n")] {
            fs::create_dir(class.path().join(device)).unwrap();
            fs::write(class.path().join(device).join("name"), name).unwrap();
        }
        assert_eq!(port(class.path(), "ready").unwrap(), "/dev/vport1p2");
        assert!(port(class.path(), "other").is_err());
    }
}
