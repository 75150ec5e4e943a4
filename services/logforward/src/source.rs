//! The log process's socket: a request, and then a line of JSON for each line
//! of a log.

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use hullkit_bundle::control::{LogLine, LogRequest, VERSION};

use crate::Error;

/// The longest line that it may send, in bytes: one of 8 KiB, each byte of
/// which is escaped, and what stands around it.
const LONGEST: usize = 64 * 1024;

/// A connection to it.
#[derive(Debug)]
pub struct Source {
    stream: BufReader<UnixStream>,
    /// What has come of a line.
    partial: Vec<u8>,
    name: String,
}

/// What a source has.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// A line.
    Line(LogLine),
    /// Nothing now.
    Nothing,
    /// It has ended: there will be a new one.
    End,
}

impl Source {
    /// Asks at `socket` for the lines of `logs`, from the first that is kept.
    ///
    /// # Errors
    /// There is no such socket, or we may not use it.
    pub fn open(socket: &str, logs: &[String]) -> Result<Self, Error> {
        let mut stream = UnixStream::connect(socket).map_err(Error::os("connect to", socket))?;
        let request = LogRequest {
            version: VERSION,
            names: logs.to_vec(),
            follow: true,
            ..LogRequest::default()
        };
        // It is made of strings and numbers: that cannot fail.
        let mut text = serde_json::to_vec(&request).unwrap_or_default();
        text.push(b'\n');
        stream
            .write_all(&text)
            .and_then(|()| stream.set_nonblocking(true))
            .map_err(Error::os("ask", socket))?;
        Ok(Self {
            stream: BufReader::with_capacity(16 * 1024, stream),
            partial: Vec::new(),
            name: socket.to_owned(),
        })
    }

    /// What is to be watched for more.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.stream.get_ref().as_fd()
    }

    /// The next line, as far as it has come.
    ///
    /// # Errors
    /// What comes is no line.
    pub fn next_line(&mut self) -> Result<Next, Error> {
        loop {
            let bytes = match self.stream.fill_buf() {
                Ok([]) => return Ok(Next::End),
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Next::Nothing);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // It was killed with lines on the way.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Ok(Next::End);
                }
                Err(error) => return Err(Error::os("read from", &self.name)(error)),
            };
            let end = bytes.iter().position(|&byte| byte == b'\n');
            let count = end.map_or(bytes.len(), |end| end + 1);
            self.partial.extend(bytes.iter().take(count));
            self.stream.consume(count);
            if end.is_some() {
                let line = serde_json::from_slice(&self.partial);
                self.partial.clear();
                return line.map(Next::Line).map_err(|error| self.wrong(&error));
            }
            if self.partial.len() > LONGEST {
                return Err(self.wrong(&"a line is too long"));
            }
        }
    }

    fn wrong(&self, reason: &dyn std::fmt::Display) -> Error {
        Error::File {
            path: self.name.clone(),
            reason: reason.to_string(),
        }
    }
}
