//! What the log process keeps: the containers, their lines, and the journal
//! from which the next log process has both.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hullkit_bundle::control::Stream;
use hullkit_bundle::supervision::LogFile;
use nix::errno::Errno;

use super::files::{Files, UNOPENED};
use super::journal::{Filed, Journal, Record};
use super::ring::{IN_ALL, Line, PER_CONTAINER, Ring};
use super::say;
use super::source::Source;
use crate::Error;
use crate::klog::Level;

/// How much is read from a pipe before the others get their turn; a pipe holds
/// no more (pipe(7)).
const TURN: usize = 64 * 1024;

/// How much is read at a time of one whose lines go into a file: no more lines
/// than there is room for until it has got them.
const SIP: usize = 4 * 1024;

/// How long disks have to take the last lines.
const FINISH: Duration = Duration::from_millis(1500);

/// How many of a failed run's last lines go to the kernel log.
const LAST_WORDS: usize = 3;

/// In the order in which PID 1 gives their descriptors.
pub(super) const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

/// All that is kept.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) sources: Vec<Source>,
    pub(super) ring: Ring,
    pub(super) files: Files,
    /// None where PID 1 gave none, or it broke.
    journal: Option<Journal>,
    buffer: Vec<u8>,
}

impl Kept {
    pub(super) fn new() -> Self {
        Self {
            sources: Vec::new(),
            ring: Ring::new(PER_CONTAINER, IN_ALL),
            files: Files::new(),
            journal: None,
            buffer: vec![0; 16 * 1024],
        }
    }

    /// Goes on where the last log process was.
    pub(super) fn remember(&mut self, files: [OwnedFd; 2]) {
        match Journal::open(files) {
            Ok((journal, records)) => {
                self.replay(&records);
                self.journal = Some(journal);
                // What could not be read back is not appended to.
                self.rewrite_journal();
            }
            Err(error) => problem(error),
        }
    }

    fn replay(&mut self, mut records: &[u8]) {
        while let Some((record, rest)) = Record::decode(records) {
            records = rest;
            match record {
                Record::Container { id, ordinal } => {
                    self.ring.begin(self.sources.len(), ordinal);
                    self.sources.push(Source::new(id));
                }
                Record::Bytes {
                    place,
                    stream,
                    time_ms,
                    bytes,
                } => self.feed(place, stream, time_ms, bytes),
                Record::Line {
                    place,
                    stream,
                    time_ms,
                    text,
                } if place < self.sources.len() => self.ring.push(time_ms, place, stream, text),
                Record::Line { .. } => {}
                Record::RunEnded { place } => self.end_lines(place),
                Record::Filed { place, filed } => self.hold(place, filed),
            }
        }
        for (place, source) in self.sources.iter_mut().enumerate() {
            source.run_began = self.ring.count(place);
        }
    }

    /// The place of a container, a new one or one from before.
    pub(super) fn place(&mut self, id: &str) -> usize {
        if let Some(place) = self.sources.iter().position(|source| source.id == id) {
            return place;
        }
        self.sources.push(Source::new(id));
        self.note(&Record::Container { id, ordinal: 0 });
        self.sources.len() - 1
    }

    /// Reads what is in a pipe, up to one turn.
    pub(super) fn read(&mut self, place: usize, stream: Stream) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut left = TURN;
        while left > 0 {
            let time = now_ms();
            let mut room = buffer.len();
            if self.files.has(place) {
                self.make_room(place);
                room = SIP;
            }
            let part = buffer.get_mut(..room).unwrap_or_default();
            let count = self.take(place, stream, time, part);
            if count == 0 {
                break;
            }
            left = left.saturating_sub(count);
            self.feed(place, stream, time, buffer.get(..count).unwrap_or_default());
        }
        self.buffer = buffer;
        if self.journal.as_ref().is_some_and(Journal::is_full) {
            self.rewrite_journal();
        }
    }

    /// The container `id` has this file.
    pub(super) fn keep(&mut self, id: &str, file: LogFile) {
        let place = self.place(id);
        let known = self.sources.get(place).and_then(|source| source.filed);
        let filed = known.unwrap_or(Filed {
            next: self.ring.first_ordinal(place),
            ..UNOPENED
        });
        if self.files.keep(place, id, file, filed) {
            self.hold(place, filed);
            self.note(&Record::Filed { place, filed });
        }
    }

    fn hold(&mut self, place: usize, filed: Filed) {
        if let Some(source) = self.sources.get_mut(place) {
            source.filed = Some(filed);
            self.ring.hold(place, filed.next);
        }
    }

    /// Notes what the disks have taken, and gives them more.
    pub(super) fn write_files(&mut self) {
        let moved = self.files.collect();
        self.note_filed(moved);
        self.files.pump(&self.ring);
    }

    fn note_filed(&mut self, moved: Vec<usize>) {
        for place in moved {
            if let Some(filed) = self.files.filed(place) {
                self.hold(place, filed);
                self.note(&Record::Filed { place, filed });
            }
        }
    }

    /// Lets a disk that works take what there is, before there is more.
    fn make_room(&mut self, place: usize) {
        self.files.pump(&self.ring);
        while self.ring.is_behind(place)
            && let Some(moved) = self.files.wait_for(place)
        {
            self.note_filed(moved);
            self.files.pump(&self.ring);
        }
    }

    /// The machine ends: what is in the pipes is read, and what is not yet on
    /// the disks goes there.
    pub(super) fn finish(&mut self) {
        for place in 0..self.sources.len() {
            for stream in STREAMS {
                self.read(place, stream);
            }
            self.end_lines(place);
        }
        self.files.finish(&mut self.ring, FINISH);
    }

    /// How many bytes came into `buffer`; none: the pipe is empty.
    fn take(&mut self, place: usize, stream: Stream, time: u64, buffer: &mut [u8]) -> usize {
        let source = self.sources.get(place);
        let Some(reader) = source.and_then(|source| source.reader(stream)) else {
            return 0;
        };
        if let Some(journal) = &mut self.journal {
            match journal.take(reader, (place, stream, time), buffer) {
                Ok(count) => return count,
                Err(error) => {
                    self.journal = None;
                    problem(error);
                }
            }
        }
        loop {
            match nix::unistd::read(reader, buffer) {
                Ok(count) => return count,
                Err(Errno::EINTR) => {}
                // Empty. Nothing else can happen to a pipe.
                Err(_) => return 0,
            }
        }
    }

    fn feed(&mut self, place: usize, stream: Stream, time: u64, bytes: &[u8]) {
        let Some(source) = self.sources.get_mut(place) else {
            return;
        };
        let (console, id) = (source.console, source.id.clone());
        let ring = &mut self.ring;
        source.lines(stream).feed(bytes, |line| {
            if console {
                say::says(Level::Info, &id, line);
            }
            ring.push(time, place, stream, line);
        });
    }

    /// A run has ended: what it wrote last is a line, with its newline or not.
    /// The last words of one that failed go to the kernel log.
    pub(super) fn run_ended(&mut self, place: usize, failed: bool) {
        for stream in STREAMS {
            self.read(place, stream);
        }
        self.end_lines(place);
        if let Some(source) = self.sources.get_mut(place) {
            // Who writes to the console has said it.
            if failed && !source.console {
                let since = source.run_began;
                for line in self.ring.last_words(place, since, LAST_WORDS) {
                    say::says(Level::Error, &source.id, &line.text);
                }
            }
            source.run_began = self.ring.count(place);
        }
        self.note(&Record::RunEnded { place });
    }

    /// What was written without a newline is a line.
    fn end_lines(&mut self, place: usize) {
        if let Some(source) = self.sources.get_mut(place) {
            for stream in STREAMS {
                let ring = &mut self.ring;
                source
                    .lines(stream)
                    .end(|line| ring.push(now_ms(), place, stream, line));
            }
        }
    }

    fn note(&mut self, record: &Record<'_>) {
        if let Some(journal) = &mut self.journal
            && let Err(error) = journal.append(record)
        {
            self.journal = None;
            problem(error);
        }
    }

    fn rewrite_journal(&mut self) {
        let sources = self.sources.iter().enumerate();
        let containers = sources.clone().map(|(place, source)| Record::Container {
            id: &source.id,
            ordinal: self.ring.first_ordinal(place),
        });
        let filed = sources.filter_map(|(place, source)| {
            let filed = source.filed?;
            Some(Record::Filed { place, filed })
        });
        let lines = self.ring.all().map(line_record);
        let partial = self.sources.iter().enumerate().flat_map(|(place, source)| {
            STREAMS.map(|stream| Record::Bytes {
                place,
                stream,
                time_ms: now_ms(),
                bytes: source.partial(stream),
            })
        });
        if let Some(journal) = &mut self.journal
            && let Err(error) = journal.rewrite(containers.chain(filed).chain(lines).chain(partial))
        {
            self.journal = None;
            problem(error);
        }
    }
}

fn line_record(line: &Line) -> Record<'_> {
    Record::Line {
        place: line.source,
        stream: line.stream,
        time_ms: line.time_ms,
        text: &line.text,
    }
}

/// From here on what is read goes with this process.
fn problem(error: io::Error) {
    say::problem(&Error::os("keep", "log journal")(error));
}

fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::OFlag;
    use nix::sys::memfd::{MFdFlags, memfd_create};
    use nix::unistd::{pipe2, write};

    /// A container's pipes, kept open as PID 1 does, and the journal's files.
    struct Init {
        files: [OwnedFd; 2],
        pipes: [(OwnedFd, OwnedFd); 2],
    }

    impl Init {
        fn new() -> Self {
            Self {
                files: [(), ()].map(|()| memfd_create(c"log", MFdFlags::MFD_CLOEXEC).unwrap()),
                pipes: [(), ()].map(|()| pipe2(OFlag::O_NONBLOCK).unwrap()),
            }
        }

        /// A new log process.
        fn start(&self) -> Kept {
            let mut kept = Kept::new();
            kept.remember(self.files.each_ref().map(|file| file.try_clone().unwrap()));
            let place = kept.place("services.web");
            for (stream, (reader, _)) in STREAMS.into_iter().zip(&self.pipes) {
                kept.sources[place].attach(stream, reader.try_clone().unwrap());
            }
            kept
        }

        fn write(&self, text: &str) {
            assert_eq!(write(&self.pipes[0].1, text.as_bytes()), Ok(text.len()));
        }
    }

    fn texts(kept: &Kept) -> Vec<String> {
        let text = |line: &Line| String::from_utf8(line.text.to_vec()).unwrap();
        kept.ring.all().map(text).collect()
    }

    #[test]
    fn nothing_is_lost_when_it_dies() {
        let init = Init::new();
        let mut kept = init.start();
        init.write("one\ntwo\nhal");
        kept.read(0, Stream::Stdout);
        init.write("f\nunread\n");
        drop(kept);
        let mut kept = init.start();
        assert_eq!(texts(&kept), ["one", "two"]);
        kept.read(0, Stream::Stdout);
        assert_eq!(texts(&kept), ["one", "two", "half", "unread"]);
        // And once more, after a run's end.
        init.write("last");
        kept.run_ended(0, false);
        let kept = init.start();
        assert_eq!(texts(&kept), ["one", "two", "half", "unread", "last"]);
        assert_eq!(kept.ring.count(0), 5);
    }

    #[test]
    fn a_flood_leaves_a_bounded_journal() {
        let init = Init::new();
        let mut kept = init.start();
        for n in 0..2000 {
            init.write(&format!("{n:>1000}\n"));
            kept.read(0, Stream::Stdout);
        }
        let size: u64 = init
            .files
            .iter()
            .map(|file| {
                std::fs::File::from(file.try_clone().unwrap())
                    .metadata()
                    .unwrap()
                    .len()
            })
            .sum();
        assert!(size < 1024 * 1024, "{size}");
        let (before, count) = (texts(&kept), kept.ring.count(0));
        drop(kept);
        let kept = init.start();
        assert_eq!((texts(&kept), kept.ring.count(0)), (before, count));
    }
}
