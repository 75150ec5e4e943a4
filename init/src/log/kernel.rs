//! The kernel's log as a source: `/dev/kmsg`, `Documentation/ABI/testing/dev-kmsg`.
//! The kernel keeps it, so nothing of it is kept here: each client reads it by
//! itself.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{SystemTime, UNIX_EPOCH};

use hullkit_bundle::control::{LogLine, LogRequest, Stream};
use nix::time::{ClockId, clock_gettime};

/// The name that clients ask for.
pub const NAME: &str = "kernel";

/// What a client gets of it.
#[derive(Debug)]
pub(super) struct Kernel {
    file: File,
    /// When the kernel's clock began, in milliseconds since the Unix epoch.
    began_ms: u64,
    since_ms: u64,
    /// Lines that were read to find the last few.
    ready: VecDeque<LogLine>,
    /// The number of the next record.
    next: Option<u64>,
}

impl Kernel {
    /// Whether a request is for it.
    pub(super) fn is_asked(request: &LogRequest) -> bool {
        matches!(request.names.as_slice(), [name] if name == NAME)
    }

    /// Begins to read it.
    pub(super) fn open(request: &LogRequest) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/kmsg")?;
        let mut kernel = Self {
            file,
            began_ms: began_ms(),
            since_ms: request.since_ms,
            ready: VecDeque::new(),
            next: None,
        };
        if let Some(count) = request.lines {
            while let Some(line) = kernel.read() {
                kernel.ready.push_back(line);
                if kernel.ready.len() > count {
                    kernel.ready.pop_front();
                }
            }
        }
        Ok(kernel)
    }

    /// The next line, if there is one.
    pub(super) fn next_line(&mut self) -> Option<LogLine> {
        self.ready.pop_front().or_else(|| self.read())
    }

    fn read(&mut self) -> Option<LogLine> {
        let mut buffer = [0; 8192];
        loop {
            let length = match self.file.read(&mut buffer) {
                Ok(0) => return None,
                Ok(length) => length,
                // What was to be read has been overwritten: the numbers tell.
                Err(e) if e.raw_os_error() == Some(libc::EPIPE) => continue,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return None,
            };
            let record = buffer.get(..length).and_then(Record::parse);
            let Some(record) = record else {
                continue;
            };
            let lost = self
                .next
                .map_or(0, |next| record.number.saturating_sub(next));
            self.next = Some(record.number.saturating_add(1));
            let time_ms = self.began_ms.saturating_add(record.us / 1000);
            if time_ms >= self.since_ms {
                return Some(LogLine {
                    time_ms,
                    id: NAME.to_owned(),
                    stream: record.stream(),
                    text: record.text,
                    n: record.number,
                    lost,
                });
            }
        }
    }
}

impl AsFd for Kernel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn began_ms() -> u64 {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH);
    let unix = u64::try_from(unix.unwrap_or_default().as_millis()).unwrap_or(0);
    let up = clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |time| time.tv_sec() * 1000 + time.tv_nsec() / 1_000_000);
    unix.saturating_sub(u64::try_from(up).unwrap_or(0))
}

/// `PRIORITY,NUMBER,MICROSECONDS,FLAGS;TEXT`, and properties that nobody asks
/// for on further lines.
#[derive(Debug, PartialEq, Eq)]
struct Record {
    level: u8,
    number: u64,
    us: u64,
    text: String,
}

impl Record {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, text) = text.split_once(';')?;
        let mut fields = head.split(',');
        let priority: u32 = fields.next()?.parse().ok()?;
        let number = fields.next()?.parse().ok()?;
        let us = fields.next()?.parse().ok()?;
        Some(Self {
            level: u8::try_from(priority % 8).ok()?,
            number,
            us,
            text: text.lines().next().unwrap_or_default().to_owned(),
        })
    }

    /// Errors are what a program would write to its standard error.
    fn stream(&self) -> Stream {
        if self.level <= 3 {
            Stream::Stderr
        } else {
            Stream::Stdout
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_record() {
        let record = Record::parse(b"11,339,5140900,-;hullkit: a;b\n SUBSYSTEM=x\n").unwrap();
        assert_eq!(
            record,
            Record {
                level: 3,
                number: 339,
                us: 5_140_900,
                text: "hullkit: a;b".to_owned()
            }
        );
        assert_eq!(record.stream(), Stream::Stderr);
        assert_eq!(Record::parse(b"6,1,2,-;\n").unwrap().text, "");
        for none in [&b""[..], b"6", b"6,1;x", b"x,1,2,-;y"] {
            assert_eq!(Record::parse(none), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            let _either = Record::parse(&bytes);
        }
    }
}
