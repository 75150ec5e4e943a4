//! One connection: lines in, lines out, never blocking, never growing.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use hullkit_bundle::control::{Change, ErrorCode, MAX_REQUEST, Op, Reply, Request, VERSION};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

use super::socket;
use crate::sys::fd;

/// What is told to who asks for a change on the socket for looking.
const LOOKS_ONLY: &str = "this socket is for looking only";

/// How many descriptors may come with a request.
const MAX_FDS: usize = 3;

/// How many bytes of changes are kept for a client that does not take them.
const MAX_UNTOLD: usize = 32 * 1024;

/// A client of the control socket.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) stream: UnixStream,
    /// Tells it from those that had its place before.
    pub(super) serial: u64,
    /// When it last said something, on the server's count.
    pub(super) active: u64,
    /// Whether it may only look.
    pub(super) looks: bool,
    /// The process that has connected.
    pub(super) peer: i32,
    /// Whether it is told what changes.
    pub(super) listens: bool,
    /// What changed and was not told, as it does not take it.
    lost: u64,
    /// The descriptors that came last, until a request takes them.
    fds: Vec<OwnedFd>,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Whether its request is being worked on. It is not read from until it
    /// has its answer: that bounds what it can make us keep.
    pub(super) busy: bool,
    /// Whether nothing more comes from it.
    finished: bool,
}

/// What to do with a client now.
#[derive(Debug)]
pub(super) enum Next {
    /// Carry this out and [`Client::answer`].
    Request(Op),
    /// Wait until it can be read from or written to.
    Wait,
    /// Close the connection.
    Close,
}

impl Client {
    pub(super) fn new(stream: UnixStream, serial: u64, looks: bool) -> Self {
        Self {
            peer: socket::peer(&stream),
            stream,
            serial,
            active: serial,
            looks,
            listens: false,
            lost: 0,
            fds: Vec::new(),
            input: Vec::new(),
            output: Vec::new(),
            busy: false,
            finished: false,
        }
    }

    /// Whether to wait until it can be written to: because of a reply, or of
    /// a request that came behind the one which has just been answered.
    pub(super) fn wants_to_write(&self) -> bool {
        !self.output.is_empty() || (!self.busy && self.input.contains(&b'\n'))
    }

    /// Whether to wait until it can be read from.
    pub(super) fn wants_to_read(&self) -> bool {
        !self.busy && self.output.is_empty() && !self.finished
    }

    /// Reads and writes what there is to, up to the next request.
    pub(super) fn advance(&mut self) -> Next {
        loop {
            if self.flush().is_err() {
                return Next::Close;
            }
            if self.busy || !self.output.is_empty() {
                return Next::Wait;
            }
            if let Some(line) = self.take_line() {
                self.busy = true;
                match parse(&line) {
                    Ok(op) if self.looks && !op.only_looks() => {
                        self.refuse(ErrorCode::Denied, LOOKS_ONLY.to_owned());
                    }
                    Ok(op) => return Next::Request(op),
                    Err(message) => self.refuse(ErrorCode::BadRequest, message),
                }
                continue;
            }
            if !self.output.is_empty() {
                continue;
            }
            if self.finished {
                return Next::Close;
            }
            match self.fill() {
                Ok(true) => {}
                Ok(false) => return Next::Wait,
                Err(_) => return Next::Close,
            }
        }
    }

    /// Answers the request that it was busy with.
    pub(super) fn answer(&mut self, reply: &Reply) {
        self.busy = false;
        // A reply is made of strings and numbers; that cannot fail.
        if let Ok(mut line) = serde_json::to_vec(reply) {
            line.push(b'\n');
            self.output = line;
        }
    }

    /// Tells it what has changed, or counts that it was not told.
    pub(super) fn tell(&mut self, change: &Change) {
        if self.output.len() >= MAX_UNTOLD {
            self.lost += 1;
            return;
        }
        let change = Change {
            lost: std::mem::take(&mut self.lost),
            ..change.clone()
        };
        if let Ok(line) = serde_json::to_vec(&Reply::Event(Box::new(change))) {
            self.output.extend(line);
            self.output.push(b'\n');
        }
    }

    fn refuse(&mut self, code: ErrorCode, message: String) {
        self.answer(&Reply::Error { code, message });
    }

    /// The next whole line. One that is too long ends the conversation.
    fn take_line(&mut self) -> Option<Vec<u8>> {
        let end = self.input.iter().position(|&byte| byte == b'\n');
        match end {
            Some(end) => {
                let mut line: Vec<u8> = self.input.drain(..=end).collect();
                line.pop();
                Some(line)
            }
            None if self.input.len() >= MAX_REQUEST => {
                self.input.clear();
                self.finished = true;
                self.refuse(
                    ErrorCode::BadRequest,
                    format!("longer than {MAX_REQUEST} bytes"),
                );
                None
            }
            None => None,
        }
    }

    /// Reads once. Whether something came, be it the end.
    fn fill(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 512];
        let room = MAX_REQUEST
            .saturating_sub(self.input.len())
            .min(buffer.len());
        let target = buffer.get_mut(..room).unwrap_or_default();
        match self.receive(target) {
            Ok(0) => {
                self.finished = true;
                Ok(true)
            }
            Ok(count) => {
                self.input.extend(buffer.iter().take(count));
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Reads, and takes the descriptors that come along from who may do more
    /// than look: the first three, in the place of those before.
    fn receive(&mut self, target: &mut [u8]) -> io::Result<usize> {
        if self.looks {
            return self.stream.read(target);
        }
        let mut parts = [io::IoSliceMut::new(target)];
        // As many as one message may have (`SCM_MAX_FD`): none is left over.
        let mut space = nix::cmsg_space!([RawFd; 253]);
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let socket = self.stream.as_raw_fd();
        let message = recvmsg::<()>(socket, &mut parts, Some(&mut space), flags)?;
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(raw) = control {
                self.fds = raw.into_iter().map(fd::received).collect();
                self.fds.truncate(MAX_FDS);
            }
        }
        Ok(message.bytes)
    }

    /// The descriptors that came with its request.
    pub(super) fn take_fds(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.fds)
    }

    /// Writes what can be written.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(count) => drop(self.output.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // An idle client keeps nothing.
        self.output = Vec::new();
        Ok(())
    }
}

/// The request in `line`, or what is wrong with it.
fn parse(line: &[u8]) -> Result<Op, String> {
    let request: Request = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    if request.version == VERSION {
        Ok(request.op)
    } else {
        Err(format!(
            "version {} is not spoken, {VERSION} is",
            request.version
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufRead;

    fn pair() -> (Client, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (Client::new(ours, 1, false), theirs)
    }

    fn reply(stream: &UnixStream) -> String {
        let mut line = String::new();
        io::BufReader::new(stream).read_line(&mut line).unwrap();
        line
    }

    #[test]
    fn takes_a_request_in_pieces() {
        let (mut client, mut peer) = pair();
        peer.write_all(b"{\"version\":1,").unwrap();
        assert!(matches!(client.advance(), Next::Wait));
        peer.write_all(b"\"op\":\"list\"}\n").unwrap();
        assert!(matches!(client.advance(), Next::Request(Op::List)));
        client.answer(&Reply::Ok);
        assert!(matches!(client.advance(), Next::Wait));
        assert_eq!(reply(&peer), "{\"result\":\"ok\"}\n");
    }

    #[test]
    fn takes_one_request_at_a_time() {
        let (mut client, mut peer) = pair();
        peer.write_all(b"{\"version\":1,\"op\":\"list\"}\n{\"version\":1,\"op\":\"reboot\"}\n")
            .unwrap();
        assert!(matches!(client.advance(), Next::Request(Op::List)));
        assert!(matches!(client.advance(), Next::Wait));
        assert!(!client.wants_to_read());
        client.answer(&Reply::Ok);
        assert!(matches!(client.advance(), Next::Request(Op::Reboot)));
    }

    #[test]
    fn answers_one_that_only_writes_before_it_leaves() {
        let (mut client, mut peer) = pair();
        peer.write_all(b"{\"version\":1,\"op\":\"list\"}\n")
            .unwrap();
        peer.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(matches!(client.advance(), Next::Request(Op::List)));
        client.answer(&Reply::Ok);
        assert!(matches!(client.advance(), Next::Close));
        assert_eq!(reply(&peer), "{\"result\":\"ok\"}\n");
    }

    #[test]
    fn refuses_rubbish_and_goes_on() {
        let (mut client, mut peer) = pair();
        peer.write_all(b"hello\n{\"version\":7,\"op\":\"list\"}\n")
            .unwrap();
        assert!(matches!(client.advance(), Next::Wait));
        let mut lines = io::BufReader::new(&peer).lines();
        assert!(lines.next().unwrap().unwrap().contains("bad-request"));
        assert!(lines.next().unwrap().unwrap().contains("version 7"));
    }

    #[test]
    fn who_looks_changes_nothing() {
        let (ours, mut peer) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut client = Client::new(ours, 1, true);
        for op in ["\"reboot\"", "\"exec\",\"name\":\"web\",\"args\":[\"sh\"]"] {
            writeln!(peer, "{{\"version\":1,\"op\":{op}}}").unwrap();
        }
        peer.write_all(b"{\"version\":1,\"op\":\"list\"}\n")
            .unwrap();
        assert!(matches!(client.advance(), Next::Request(Op::List)));
        let mut lines = io::BufReader::new(&peer).lines();
        for _ in 0..2 {
            assert!(lines.next().unwrap().unwrap().contains("denied"));
        }
    }

    #[test]
    fn who_does_not_listen_is_told_how_much_went_by() {
        let (mut client, mut peer) = pair();
        let change = Change {
            state: "x".repeat(1000),
            ..Change::default()
        };
        client.listens = true;
        client.busy = true;
        for _ in 0..2000 {
            client.tell(&change);
            client.flush().unwrap();
        }
        assert!(client.output.len() < MAX_UNTOLD + 2000);
        // It listens again.
        peer.set_nonblocking(true).unwrap();
        let mut taken = Vec::new();
        let mut buffer = [0; 1 << 16];
        loop {
            client.flush().unwrap();
            match peer.read(&mut buffer) {
                Ok(count) => taken.extend_from_slice(&buffer[..count]),
                Err(_) => break,
            }
        }
        client.tell(&change);
        client.flush().unwrap();
        let told = taken.iter().filter(|&&byte| byte == b'\n').count() as u64;
        let last = reply(&peer);
        let lost = 2000 - told;
        assert!(
            lost > 0 && last.contains(&format!("\"lost\":{lost}")),
            "{last}"
        );
    }

    #[test]
    fn ends_with_a_line_without_end() {
        let (mut client, mut peer) = pair();
        peer.write_all(&[b'x'; MAX_REQUEST + 1]).unwrap();
        assert!(matches!(client.advance(), Next::Close));
        assert!(reply(&peer).contains("longer than"));
    }
}
