//! What the log process has read, in memory that outlives it: two files
//! (`memfd_create(2)`) that PID 1 holds and gives to the next log process.
//!
//! One of them is valid: the one with the higher generation, its first eight
//! bytes. Records are appended to it. When it has grown, what is still kept is
//! written to the other one, which becomes valid by its generation, written
//! last. So there is a whole journal at every moment.
//!
//! What a container writes goes from its pipe to the file in one system call
//! (`splice(2)`): whenever this process is killed, a byte is in the one or in
//! the other. The record's length is filled in afterwards; at the end of the
//! file it is what is there.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use hullkit_bundle::control::Stream;
use nix::errno::Errno;
use nix::fcntl::{SpliceFFlags, splice};

/// Bytes of a segment before its records: the generation.
const GENERATION: u64 = 8;
/// Bytes of a record before its content: kind, place, length, number.
const HEADER: usize = 17;
/// The length of a record that is being written.
const OPEN: u32 = u32::MAX;
/// By how much the journal grows before it is written anew.
const GROWTH: u64 = 512 * 1024;

/// What a record says. `place` is a container's place in the process's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record<'a> {
    /// The next container, and the ordinal of its next line.
    Container { id: &'a str, ordinal: u64 },
    /// Bytes as they came, read at this time.
    Bytes {
        place: usize,
        stream: Stream,
        time_ms: u64,
        bytes: &'a [u8],
    },
    /// A whole line, read at this time.
    Line {
        place: usize,
        stream: Stream,
        time_ms: u64,
        text: &'a [u8],
    },
    /// A run of the container has ended.
    RunEnded { place: usize },
    /// Lines of the container before `next` are in its file.
    Filed { place: usize, filed: Filed },
}

/// How far a container's file on a disk is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Filed {
    /// The ordinal of the next line that it is to have.
    pub(super) next: u64,
    /// The file's size, in bytes, and its inode; 0 before it was opened.
    pub(super) at: At,
    /// Lines that it will never have.
    pub(super) lost: u64,
}

/// A file, as far as it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct At {
    pub(super) size: u64,
    pub(super) inode: u64,
}

impl Filed {
    fn encode(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        let numbers = [self.at.size, self.at.inode, self.lost];
        let parts = numbers.into_iter().flat_map(u64::to_le_bytes);
        for (byte, part) in bytes.iter_mut().zip(parts) {
            *byte = part;
        }
        bytes
    }

    fn decode(next: u64, bytes: &[u8]) -> Option<Self> {
        let mut numbers = bytes.chunks_exact(8).map(|chunk| {
            let chunk = chunk.first_chunk().copied().unwrap_or_default();
            u64::from_le_bytes(chunk)
        });
        Some(Self {
            next,
            at: At {
                size: numbers.next()?,
                inode: numbers.next()?,
            },
            lost: numbers.next()?,
        })
    }
}

const CONTAINER: u8 = 1;
const BYTES: [u8; 2] = [2, 3];
const LINE: [u8; 2] = [4, 5];
const RUN_ENDED: u8 = 6;
const FILED: u8 = 7;

fn of_stream([stdout, stderr]: [u8; 2], stream: Stream) -> u8 {
    match stream {
        Stream::Stdout => stdout,
        Stream::Stderr => stderr,
    }
}

fn header(kind: u8, place: usize, length: u32, number: u64) -> [u8; HEADER] {
    let place = u32::try_from(place).unwrap_or(u32::MAX);
    let mut bytes = [0; HEADER];
    let parts = [kind]
        .into_iter()
        .chain(place.to_le_bytes())
        .chain(length.to_le_bytes())
        .chain(number.to_le_bytes());
    for (byte, part) in bytes.iter_mut().zip(parts) {
        *byte = part;
    }
    bytes
}

impl<'a> Record<'a> {
    fn encode(&self, to: &mut Vec<u8>) {
        let file;
        let (kind, place, number, content) = match *self {
            Self::Container { id, ordinal } => (CONTAINER, 0, ordinal, id.as_bytes()),
            Self::Bytes {
                place,
                stream,
                time_ms,
                bytes,
            } => (of_stream(BYTES, stream), place, time_ms, bytes),
            Self::Line {
                place,
                stream,
                time_ms,
                text,
            } => (of_stream(LINE, stream), place, time_ms, text),
            Self::RunEnded { place } => (RUN_ENDED, place, 0, &[][..]),
            Self::Filed { place, filed } => {
                file = filed.encode();
                (FILED, place, filed.next, &file[..])
            }
        };
        // No content is longer than a turn of reading.
        let length = u32::try_from(content.len()).unwrap_or(OPEN);
        to.extend(header(kind, place, length, number));
        to.extend(content);
    }

    /// The first record of `bytes`, and what follows it. None at the end, and
    /// where there is no record.
    pub(super) fn decode(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let ([kind, rest @ ..], content) = bytes.split_first_chunk::<HEADER>()?;
        let (place, rest) = rest.split_first_chunk()?;
        let (length, number) = rest.split_first_chunk()?;
        let place = usize::try_from(u32::from_le_bytes(*place)).ok()?;
        let number = u64::from_le_bytes(*number.first_chunk()?);
        let (content, rest) = match u32::from_le_bytes(*length) {
            OPEN => (content, &[][..]),
            length => content.split_at_checked(usize::try_from(length).ok()?)?,
        };
        let stream = match kind % 2 {
            0 => Stream::Stdout,
            _ => Stream::Stderr,
        };
        let record = match *kind {
            CONTAINER => Self::Container {
                id: std::str::from_utf8(content).ok()?,
                ordinal: number,
            },
            2 | 3 => Self::Bytes {
                place,
                stream,
                time_ms: number,
                bytes: content,
            },
            4 | 5 => Self::Line {
                place,
                stream,
                time_ms: number,
                text: content,
            },
            RUN_ENDED => Self::RunEnded { place },
            FILED => Self::Filed {
                place,
                filed: Filed::decode(number, content)?,
            },
            _ => return None,
        };
        Some((record, rest))
    }
}

/// The two files.
#[derive(Debug)]
pub(super) struct Journal {
    valid: File,
    other: File,
    generation: u64,
    /// Bytes of the valid one that are in use.
    size: u64,
    /// The size at which it is written anew.
    full: u64,
}

impl Journal {
    /// Takes the files over, and the records that are in them.
    pub(super) fn open(files: [OwnedFd; 2]) -> io::Result<(Self, Vec<u8>)> {
        let [first, second] = files.map(File::from);
        let generations = [generation(&first)?, generation(&second)?];
        let (valid, other, generation) = match generations {
            [a, b] if a >= b => (first, second, a),
            [_, b] => (second, first, b),
        };
        let mut journal = Self {
            valid,
            other,
            generation,
            size: GENERATION,
            full: GENERATION + GROWTH,
        };
        let mut records = Vec::new();
        (&journal.valid).seek(SeekFrom::Start(GENERATION))?;
        (&journal.valid).read_to_end(&mut records)?;
        journal.size = GENERATION + records.len() as u64;
        Ok((journal, records))
    }

    /// Whether it is to be written anew.
    pub(super) fn is_full(&self) -> bool {
        self.size >= self.full
    }

    /// Appends a record.
    pub(super) fn append(&mut self, record: &Record<'_>) -> io::Result<()> {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        self.valid.write_all_at(&bytes, self.size)?;
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Takes from the pipe of a container what is there, up to the length of
    /// `buffer`, and gives it into that. How many bytes; none: it is empty.
    pub(super) fn take(
        &mut self,
        pipe: BorrowedFd<'_>,
        (place, stream, time_ms): (usize, Stream, u64),
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        let kind = of_stream(BYTES, stream);
        let open = header(kind, place, OPEN, time_ms);
        self.valid.write_all_at(&open, self.size)?;
        let begin = self.size + HEADER as u64;
        let mut offset = i64::try_from(begin).map_err(io::Error::other)?;
        let flags = SpliceFFlags::SPLICE_F_NONBLOCK;
        let count = match splice(
            pipe,
            None,
            &self.valid,
            Some(&mut offset),
            buffer.len(),
            flags,
        ) {
            Err(Errno::EAGAIN) => return Ok(0),
            result => result?,
        };
        let length = u32::try_from(count).map_err(io::Error::other)?;
        let closed = header(kind, place, length, time_ms);
        self.valid.write_all_at(&closed, self.size)?;
        self.size = begin + u64::from(length);
        if let Some(buffer) = buffer.get_mut(..count) {
            self.valid.read_exact_at(buffer, begin)?;
        }
        Ok(count)
    }

    /// Writes it anew, with these records.
    pub(super) fn rewrite<'a>(
        &mut self,
        records: impl Iterator<Item = Record<'a>>,
    ) -> io::Result<()> {
        self.other.set_len(0)?;
        let mut size = GENERATION;
        let mut bytes = Vec::new();
        for record in records {
            record.encode(&mut bytes);
            if bytes.len() >= 16 * 1024 {
                self.other.write_all_at(&bytes, size)?;
                size += bytes.len() as u64;
                bytes.clear();
            }
        }
        self.other.write_all_at(&bytes, size)?;
        size += bytes.len() as u64;
        let generation = self.generation + 1;
        self.other.write_all_at(&generation.to_le_bytes(), 0)?;
        self.valid.set_len(0)?;
        std::mem::swap(&mut self.valid, &mut self.other);
        self.generation = generation;
        self.size = size;
        self.full = size + GROWTH;
        Ok(())
    }
}

/// The generation of a file; 0 where it is empty.
fn generation(file: &File) -> io::Result<u64> {
    let mut bytes = [0; 8];
    match file.read_exact_at(&mut bytes, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
        result => result.map(|()| u64::from_le_bytes(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::OFlag;
    use nix::sys::memfd::{MFdFlags, memfd_create};
    use nix::unistd::{pipe2, write};
    use proptest::prelude::*;

    fn files() -> [OwnedFd; 2] {
        [(), ()].map(|()| memfd_create(c"log", MFdFlags::MFD_CLOEXEC).unwrap())
    }

    fn copies(files: &[OwnedFd; 2]) -> [OwnedFd; 2] {
        files.each_ref().map(|file| file.try_clone().unwrap())
    }

    fn records(mut bytes: &[u8]) -> Vec<Record<'_>> {
        std::iter::from_fn(|| {
            let (record, rest) = Record::decode(bytes)?;
            bytes = rest;
            Some(record)
        })
        .collect()
    }

    const WEB: Record<'_> = Record::Container {
        id: "services.web",
        ordinal: 7,
    };
    const END: Record<'_> = Record::RunEnded { place: 3 };
    const FILED: Record<'_> = Record::Filed {
        place: 1,
        filed: Filed {
            next: 12,
            at: At {
                size: 1 << 40,
                inode: 99,
            },
            lost: 3,
        },
    };

    #[test]
    fn the_next_one_finds_what_was_taken() {
        let files = files();
        let (reader, writer) = pipe2(OFlag::O_NONBLOCK).unwrap();
        let (mut journal, before) = Journal::open(copies(&files)).unwrap();
        assert!(before.is_empty());
        journal.append(&WEB).unwrap();
        let mut buffer = [0; 64];
        let from = (0, Stream::Stderr, 5);
        let pipe = std::os::fd::AsFd::as_fd(&reader);
        assert_eq!(journal.take(pipe, from, &mut buffer).unwrap(), 0);
        write(&writer, b"one\ntwo").unwrap();
        assert_eq!(journal.take(pipe, from, &mut buffer).unwrap(), 7);
        assert_eq!(&buffer[..7], b"one\ntwo");
        journal.append(&END).unwrap();
        let (_, after) = Journal::open(copies(&files)).unwrap();
        let bytes = Record::Bytes {
            place: 0,
            stream: Stream::Stderr,
            time_ms: 5,
            bytes: b"one\ntwo",
        };
        assert_eq!(records(&after), [WEB, bytes, END]);
    }

    #[test]
    fn a_record_that_was_being_written_counts() {
        let mut bytes = Vec::new();
        WEB.encode(&mut bytes);
        bytes.extend(header(BYTES[0], 0, OPEN, 9));
        bytes.extend(b"half a li");
        let last = Record::Bytes {
            place: 0,
            stream: Stream::Stdout,
            time_ms: 9,
            bytes: b"half a li",
        };
        assert_eq!(records(&bytes), [WEB, last]);
    }

    #[test]
    fn one_of_two_is_valid_at_every_moment() {
        let files = files();
        let (mut journal, _) = Journal::open(copies(&files)).unwrap();
        for _ in 0..3 {
            journal.append(&END).unwrap();
            journal.rewrite([WEB, FILED].into_iter()).unwrap();
            let (_, after) = Journal::open(copies(&files)).unwrap();
            assert_eq!(records(&after), [WEB, FILED]);
        }
        // Killed while it was written anew: the old one is the valid one.
        journal.append(&END).unwrap();
        journal.other.write_all_at(&[0; 40], 0).unwrap();
        let (_, after) = Journal::open(copies(&files)).unwrap();
        assert_eq!(records(&after), [WEB, FILED, END]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for record in records(&bytes) {
                let mut again = Vec::new();
                record.encode(&mut again);
                let decoded = Record::decode(&again).map(|(record, _)| record);
                prop_assert_eq!(decoded, Some(record));
            }
        }
    }
}
