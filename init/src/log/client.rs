//! Somebody who reads logs. Each has a place in the ring; one who is too slow
//! for it is told how many lines went by.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use hullkit_bundle::control::{LogLine, LogRequest, MAX_REQUEST, VERSION};

use super::kernel::Kernel;
use super::ring::{Line, Ring};
use super::source::Source;

/// How much is made ready for a client at a time, in bytes.
const AHEAD: usize = 16 * 1024;

/// A client of the log process.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) stream: UnixStream,
    state: State,
    output: Vec<u8>,
    /// Whether it says nothing more.
    silent: bool,
}

#[derive(Debug)]
enum State {
    /// It has not said what it wants.
    Asking(Vec<u8>),
    /// It gets lines.
    Reading(Reader),
    /// It gets the kernel's lines; whether it goes on with what comes.
    Kernel(Kernel, bool),
    /// It gets what is left, and no more.
    Leaving,
}

#[derive(Debug)]
struct Reader {
    request: LogRequest,
    /// The number of the next line.
    next: u64,
    /// The ordinal of each container's next line, where there was one or it
    /// wants them all.
    expected: Vec<Option<u64>>,
}

/// What to do with a client now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Wait for its request, for its going, or for a line for it.
    Read,
    /// Wait for its going, or for a line for it.
    Idle,
    /// Wait until it takes more.
    Write,
    /// Close the connection.
    Close,
}

impl Client {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            state: State::Asking(Vec::new()),
            output: Vec::new(),
            silent: false,
        }
    }

    /// Reads and writes what there is to.
    pub(super) fn advance(&mut self, sources: &[Source], ring: &Ring) -> Next {
        loop {
            match self.flush() {
                Err(_) => return Next::Close,
                Ok(false) => return Next::Write,
                Ok(true) => {}
            }
            match &mut self.state {
                State::Leaving => return Next::Close,
                State::Asking(input) => match read_request(&self.stream, input) {
                    Ok(None) => return Next::Read,
                    Ok(Some(line)) => self.state = asked(&line, sources, ring),
                    Err(_) => return Next::Close,
                },
                State::Kernel(kernel, follow) => {
                    if !self.silent {
                        self.silent = is_silent(&self.stream);
                    }
                    while self.output.len() < AHEAD
                        && let Some(line) = kernel.next_line()
                    {
                        push(&mut self.output, &line);
                    }
                    if self.output.is_empty() {
                        if *follow {
                            return if self.silent { Next::Idle } else { Next::Read };
                        }
                        self.state = State::Leaving;
                    }
                }
                State::Reading(reader) => {
                    if !self.silent {
                        self.silent = is_silent(&self.stream);
                    }
                    reader.fill(&mut self.output, sources, ring);
                    if self.output.is_empty() {
                        if reader.request.follow {
                            return if self.silent { Next::Idle } else { Next::Read };
                        }
                        self.state = State::Leaving;
                    }
                }
            }
        }
    }

    /// What else is to be watched for it: new lines of the kernel.
    pub(super) fn kernel(&self) -> Option<&Kernel> {
        match &self.state {
            State::Kernel(kernel, true) => Some(kernel),
            _ => None,
        }
    }

    /// Whether all has been written.
    fn flush(&mut self) -> io::Result<bool> {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(count) => drop(self.output.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// Makes a line ready.
fn push(output: &mut Vec<u8>, line: &LogLine) {
    // It is made of strings and numbers; that cannot fail.
    if let Ok(json) = serde_json::to_vec(line) {
        output.extend(json);
        output.push(b'\n');
    }
}

/// The request's line, when it is whole.
fn read_request(mut stream: &UnixStream, input: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    let mut buffer = [0; 512];
    loop {
        if let Some(end) = input.iter().position(|&byte| byte == b'\n') {
            return Ok(Some(input.drain(..end).collect()));
        }
        if input.len() > MAX_REQUEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        match stream.read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => input.extend(buffer.iter().take(count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// What a request begins. One that cannot be read gets no line.
fn asked(line: &[u8], sources: &[Source], ring: &Ring) -> State {
    match serde_json::from_slice::<LogRequest>(line) {
        Ok(request) if request.version == VERSION && Kernel::is_asked(&request) => {
            let kernel = Kernel::open(&request);
            kernel.map_or(State::Leaving, |kernel| {
                State::Kernel(kernel, request.follow)
            })
        }
        Ok(request) if request.version == VERSION => {
            State::Reading(Reader::new(request, sources, ring))
        }
        _ => State::Leaving,
    }
}

/// Whether a client that has asked has closed its writing end. What else it
/// says is passed over.
fn is_silent(mut stream: &UnixStream) -> bool {
    let mut buffer = [0; 64];
    match stream.read(&mut buffer) {
        Ok(count) => count == 0,
        Err(error) => !matches!(
            error.kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
        ),
    }
}

impl Reader {
    fn new(request: LogRequest, sources: &[Source], ring: &Ring) -> Self {
        let wanted = |source: usize| wants(&request, sources, source);
        Self {
            next: request.lines.map_or(0, |count| ring.last(count, wanted)),
            expected: Vec::new(),
            request,
        }
    }

    /// Makes ready what it gets next.
    fn fill(&mut self, output: &mut Vec<u8>, sources: &[Source], ring: &Ring) {
        while output.len() < AHEAD {
            let wanted = |source| wants(&self.request, sources, source);
            let Some(line) = ring.next_line(self.next, wanted) else {
                return;
            };
            self.next = line.number + 1;
            if line.time_ms < self.request.since_ms {
                self.lost(line);
                continue;
            }
            let lost = self.lost(line);
            if let Some(source) = sources.get(line.source) {
                push(output, &log_line(line, &source.id, lost));
            }
        }
    }

    /// The lines of the same container that went by between the last one that
    /// it got and `line`. Who asks for the last few has not lost the others.
    fn lost(&mut self, line: &Line) -> u64 {
        let first = self.request.lines.is_none().then_some(0);
        if self.expected.len() <= line.source {
            self.expected.resize(line.source + 1, first);
        }
        let expected = self.expected.get_mut(line.source);
        let before = expected.and_then(|expected| expected.replace(line.ordinal + 1));
        before.map_or(0, |before| line.ordinal.saturating_sub(before))
    }
}

/// Whether a request is for the lines of `source`: by its id, or by its
/// bundle's name.
fn wants(request: &LogRequest, sources: &[Source], source: usize) -> bool {
    let Some(id) = sources.get(source).map(|source| source.id.as_str()) else {
        return false;
    };
    let bundle = id.split_once('.').map_or(id, |(_, bundle)| bundle);
    request.names.is_empty()
        || request
            .names
            .iter()
            .any(|name| name == id || name == bundle)
}

fn log_line(line: &Line, id: &str, lost: u64) -> LogLine {
    LogLine {
        time_ms: line.time_ms,
        id: id.to_owned(),
        stream: line.stream,
        text: String::from_utf8_lossy(&line.text).into_owned(),
        n: line.ordinal,
        lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hullkit_bundle::control::Stream;
    use std::io::BufRead;

    /// What a client gets that sends `request`, and what is to be done next.
    fn lines(request: &str, ring: &Ring) -> (Vec<LogLine>, Next) {
        let sources = ["services.web", "onboot.000-dhcp"].map(Source::new);
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut client = Client::new(ours);
        assert_eq!(client.advance(&sources, ring), Next::Read);
        theirs.write_all(request.as_bytes()).unwrap();
        let next = client.advance(&sources, ring);
        drop(client);
        let lines = io::BufReader::new(theirs).lines();
        (
            lines
                .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
                .collect(),
            next,
        )
    }

    fn ring() -> Ring {
        let mut ring = Ring::new(1 << 16, 1 << 16);
        for n in 0..3 {
            ring.push(n, 0, Stream::Stdout, format!("web {n}").as_bytes());
            ring.push(n, 1, Stream::Stderr, b"\xff dhcp");
        }
        ring
    }

    #[test]
    fn all_lines_then_the_end() {
        let (lines, next) = lines("{\"version\":1}\n", &ring());
        assert_eq!(lines.len(), 6);
        assert_eq!(
            (lines[1].id.as_str(), lines[1].text.as_str()),
            ("onboot.000-dhcp", "\u{fffd} dhcp")
        );
        assert_eq!(next, Next::Close);
    }

    #[test]
    fn by_id_or_by_bundle() {
        for name in ["web", "services.web"] {
            let request = format!("{{\"version\":1,\"names\":[\"{name}\"],\"lines\":2}}\n");
            let (lines, _) = lines(&request, &ring());
            let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
            assert_eq!(texts, ["web 1", "web 2"]);
        }
    }

    #[test]
    fn a_follower_stays() {
        let (lines, next) = lines("{\"version\":1,\"follow\":true}\n", &ring());
        assert_eq!((lines.len(), next), (6, Next::Read));
    }

    #[test]
    fn what_went_by_is_counted() {
        let mut ring = Ring::new(2048, 1 << 16);
        for n in 0..100 {
            ring.push(0, 0, Stream::Stdout, format!("{n}").as_bytes());
        }
        let (all, _) = lines("{\"version\":1}\n", &ring);
        assert_eq!(all[0].lost + all.len() as u64, 100);
        assert!(all[0].lost > 0 && all[1..].iter().all(|line| line.lost == 0));
        let (last, _) = lines("{\"version\":1,\"lines\":3}\n", &ring);
        assert!(last.len() == 3 && last.iter().all(|line| line.lost == 0));
    }

    #[test]
    fn rubbish_gets_nothing() {
        for request in ["hello\n", "{\"version\":2}\n"] {
            assert_eq!(lines(request, &ring()), (Vec::new(), Next::Close));
        }
    }
}
