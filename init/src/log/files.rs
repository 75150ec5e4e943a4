//! Which lines have come into which file on a disk, and which have not.
//!
//! Each container that has a file has a place in the ring, like a client: the
//! ordinal of the next line that its file is to have. The thread of
//! [`super::disk`] writes; what it has written is noted in the journal, so that
//! the next log process goes on from there, with no line lost and none doubled.
//! A disk that is not there yet, is full or broken is waited for: the lines stay
//! in the ring as long as there is room, and those that do not are counted.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use hullkit_bundle::control::Stream;
use hullkit_bundle::supervision::LogFile;
use hullkit_bundle::time::rfc3339;
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::disk::{self, Done, Job, Lines, Outcome, Task};
use super::journal::{At, Filed};
use super::message::FileState;
use super::ring::{Line, Ring};
use super::say;
use crate::Error;

/// How much is written at a time, in bytes.
const BATCH: usize = 64 * 1024;

/// What is written is made durable so long after.
const SYNC: Duration = Duration::from_secs(5);

/// After a failure it is tried again so long after …
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// … and at last so seldom.
const LAST_RETRY: Duration = Duration::from_secs(30);

/// A disk that takes longer is said to be silent.
const SILENT: Duration = Duration::from_secs(10);

/// PID 1 is told so seldom that more lines are lost.
const TELL: Duration = Duration::from_secs(1);

/// How long a container may have to wait for its disk.
const PROMPT: Duration = Duration::from_millis(100);

/// The files of all containers.
#[derive(Debug)]
pub(super) struct Files {
    /// By the containers' places.
    targets: Vec<Option<Target>>,
    /// None before there is the first file.
    thread: Option<Thread>,
}

#[derive(Debug)]
struct Thread {
    jobs: Sender<Job>,
    done: Receiver<Done>,
    wake: Arc<EventFd>,
}

/// A container's file.
#[derive(Debug)]
struct Target {
    /// The container: `services.web`.
    id: String,
    file: Arc<LogFile>,
    filed: Filed,
    /// What is durable of that.
    durable: Filed,
    /// When what is written is to be made durable.
    sync_at: Option<Instant>,
    /// Since when the thread is at it.
    busy: Option<Instant>,
    /// Whether what it is at is [`Task::Sync`].
    syncing: bool,
    state: State,
    /// What PID 1 knows, and since when.
    told: FileState,
    told_at: Option<Instant>,
    /// Whether the number of lost lines that it knows is an old one.
    stale: bool,
}

#[derive(Debug)]
enum State {
    /// It takes lines.
    Well,
    /// Its disk is not there; every mount is a reason to look again.
    Absent,
    /// It is tried again.
    Failing {
        error: String,
        again: Instant,
        wait: Duration,
    },
}

impl Target {
    fn new(id: &str, file: LogFile, filed: Filed) -> Self {
        let mut target = Self {
            id: id.to_owned(),
            file: Arc::new(file),
            filed,
            durable: filed,
            sync_at: None,
            busy: None,
            syncing: false,
            state: State::Well,
            told: untold(),
            told_at: None,
            stale: false,
        };
        // What the log process before has written.
        target.sync_at = target.is_open().then(|| Instant::now() + SYNC);
        target
    }

    /// Whether it is known how far the file is written.
    fn is_open(&self) -> bool {
        self.filed.at != UNOPENED.at
    }

    /// What is to be done for it now.
    fn task(&mut self, place: usize, ring: &Ring, now: Instant) -> Option<Task> {
        let may = match &self.state {
            State::Well => true,
            State::Absent => false,
            State::Failing { again, .. } => now >= *again,
        };
        if self.busy.is_some() || !may {
            return None;
        }
        if !self.is_open() {
            return Some(Task::Open);
        }
        let lines = lines(ring, place, self.filed);
        if !lines.ends.is_empty() {
            return Some(Task::Write(self.filed.at, lines));
        }
        self.sync_at
            .take_if(|at| *at <= now)
            .map(|_past| Task::Sync)
    }

    /// When [`Self::task`] may have something to do, or [`Self::state`]
    /// something to say.
    fn deadline(&self, lines: bool) -> Option<Instant> {
        let work = lines || !self.is_open() || self.sync_at.is_some();
        let next = match (&self.state, self.busy) {
            (_, Some(since)) => Some(since + SILENT).filter(|_| !self.is_silent()),
            (State::Failing { again, .. }, None) => Some(*again).filter(|_| work),
            (State::Well, None) => self.sync_at,
            (State::Absent, None) => None,
        };
        let tell = self.told_at.filter(|_| self.stale).map(|at| at + TELL);
        next.into_iter().chain(tell).min()
    }

    fn is_silent(&self) -> bool {
        self.busy.is_some_and(|since| since.elapsed() >= SILENT)
    }

    /// Whether what is written now is soon done.
    fn is_prompt(&self) -> bool {
        matches!(self.state, State::Well)
            && self.is_open()
            && self.busy.is_none_or(|since| since.elapsed() < PROMPT)
    }

    /// Takes note of what came of its job. Whether its place is another one.
    fn done(&mut self, outcome: Result<Outcome, Error>, now: Instant) -> bool {
        self.busy = None;
        let before = self.filed;
        match outcome {
            Ok(Outcome::Absent) => {
                self.state = State::Absent;
                return false;
            }
            Ok(Outcome::Opened(at)) => {
                self.filed.at = at;
                self.durable = self.filed;
                self.sync_at = None;
            }
            Ok(Outcome::Written(at, next, lost)) => {
                self.filed = Filed { next, at, lost };
                self.sync_at = self.sync_at.or(Some(now + SYNC));
            }
            Ok(Outcome::Synced) => self.durable = self.filed,
            Err(error) => self.failed(&error, now),
        }
        if matches!(self.state, State::Absent) {
            self.state = State::Well;
        }
        self.filed != before
    }

    fn failed(&mut self, error: &Error, now: Instant) {
        let wait = match &self.state {
            State::Failing { wait, .. } => (*wait * 2).min(LAST_RETRY),
            State::Well | State::Absent => {
                say::file_problem(&self.id, error);
                FIRST_RETRY
            }
        };
        self.state = State::Failing {
            error: error.to_string(),
            again: now + wait,
            wait,
        };
        // What the disk did not keep is written again, as far as it is still
        // there. What it did not take is not in the file at all.
        if self.syncing {
            self.filed = self.durable;
            self.sync_at = None;
        }
    }

    /// It has taken something: a failure is over.
    fn recovered(&mut self) {
        if let State::Failing { .. } = self.state {
            self.state = State::Well;
            say::file_well(&self.id, &self.file.path, self.filed.lost);
        }
    }

    fn state(&self, gone: u64) -> FileState {
        let error = match &self.state {
            State::Failing { error, .. } => error.clone(),
            State::Absent => format!("no disk is mounted for {}", self.file.path),
            State::Well if self.is_silent() => {
                format!("the disk of {} does not answer", self.file.path)
            }
            State::Well => String::new(),
        };
        let lost = self.filed.lost + gone;
        FileState { error, lost }
    }
}

impl Files {
    pub(super) fn new() -> Self {
        Self {
            targets: Vec::new(),
            thread: None,
        }
    }

    /// The container at `place` has this file, which is written as far as
    /// `filed` says. Whether that is news.
    pub(super) fn keep(&mut self, place: usize, id: &str, file: LogFile, filed: Filed) -> bool {
        while self.targets.len() <= place {
            self.targets.push(None);
        }
        match self.targets.get_mut(place) {
            Some(slot @ None) => {
                *slot = Some(Target::new(id, file, filed));
                true
            }
            _ => false,
        }
    }

    /// What wakes whoever waits for the thread; made, with it, if there is a
    /// file and it is not there yet.
    ///
    /// # Errors
    /// There is no room for it.
    pub(super) fn start(&mut self) -> Result<Option<BorrowedFd<'_>>, Error> {
        if self.thread.is_none() && self.targets.iter().any(Option::is_some) {
            let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
            let wake = EventFd::from_flags(flags).map_err(Error::os("open", "eventfd"))?;
            let wake = Arc::new(wake);
            let ((jobs, to_do), (told, done)) = (channel(), channel());
            let theirs = Arc::clone(&wake);
            std::thread::Builder::new()
                .stack_size(STACK)
                .spawn(move || disk::work(to_do, told, theirs))
                .map_err(Error::os("start", "thread for log files"))?;
            self.thread = Some(Thread { jobs, done, wake });
        }
        Ok(self.thread.as_ref().map(|thread| thread.wake.as_fd()))
    }

    /// Whether the container at `place` has a file.
    pub(super) fn has(&self, place: usize) -> bool {
        self.target(place).is_some()
    }

    fn target(&self, place: usize) -> Option<&Target> {
        self.targets.get(place).and_then(Option::as_ref)
    }

    /// How far the file of the container at `place` is.
    pub(super) fn filed(&self, place: usize) -> Option<Filed> {
        self.target(place).map(|target| target.filed)
    }

    /// Gives the thread what there is to do.
    pub(super) fn pump(&mut self, ring: &Ring) {
        let Some(thread) = &self.thread else {
            return;
        };
        let now = Instant::now();
        for (place, target) in self.targets.iter_mut().enumerate() {
            let Some(target) = target else {
                continue;
            };
            if let Some(task) = target.task(place, ring, now) {
                target.busy = Some(now);
                target.syncing = matches!(task, Task::Sync);
                let file = Arc::clone(&target.file);
                // The thread ends with this process.
                let _taken = thread.jobs.send(Job { place, file, task });
            }
        }
    }

    /// What the thread has done: the places of those whose file has moved on.
    pub(super) fn collect(&mut self) -> Vec<usize> {
        let mut moved = Vec::new();
        if let Some(thread) = &self.thread {
            // Only a reason to look.
            let _woken = thread.wake.read();
            while let Ok(done) = thread.done.try_recv() {
                moved.extend(note(&mut self.targets, done));
            }
        }
        moved
    }

    /// Waits a moment for what the thread is doing for the container at
    /// `place`; none: that is not to be waited for.
    pub(super) fn wait_for(&mut self, place: usize) -> Option<Vec<usize>> {
        let target = self.target(place).filter(|target| target.is_prompt())?;
        let left = PROMPT.saturating_sub(target.busy?.elapsed());
        self.wait(left)
    }

    fn wait(&mut self, left: Duration) -> Option<Vec<usize>> {
        match self.thread.as_ref()?.done.recv_timeout(left) {
            Ok(done) => Some(note(&mut self.targets, done).into_iter().collect()),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
        }
    }

    /// Something was mounted or unmounted: those without a disk look again.
    pub(super) fn look_again(&mut self) {
        for target in self.targets.iter_mut().flatten() {
            match &mut target.state {
                State::Absent => target.state = State::Well,
                State::Failing { again, .. } => *again = Instant::now(),
                State::Well => {}
            }
        }
    }

    /// Until when there is nothing to do unless something happens.
    pub(super) fn deadline(&self, ring: &Ring) -> Option<Instant> {
        let targets = self.targets.iter().enumerate();
        let deadlines = targets.filter_map(|(place, target)| {
            let target = target.as_ref()?;
            target.deadline(ring.count(place) > target.filed.next)
        });
        deadlines.min()
    }

    /// Those whose state PID 1 does not know, by their ids.
    pub(super) fn news(&mut self, ring: &Ring) -> Vec<(String, FileState)> {
        let targets = self.targets.iter_mut().enumerate();
        let news = targets.filter_map(|(place, target)| {
            let target = target.as_mut()?;
            let gone = ring.first_ordinal(place).saturating_sub(target.filed.next);
            let state = target.state(gone);
            // The number alone may grow with every line.
            let early = target.told_at.is_some_and(|at| at.elapsed() < TELL);
            target.stale = state != target.told;
            if !target.stale || state.error == target.told.error && early {
                return None;
            }
            target.told = state.clone();
            target.told_at = Some(Instant::now());
            target.stale = false;
            Some((target.id.clone(), state))
        });
        news.collect()
    }

    /// One that PID 1 could not be told is told again.
    pub(super) fn untold(&mut self, id: &str) {
        let mut targets = self.targets.iter_mut().flatten();
        if let Some(target) = targets.find(|target| target.id == id) {
            target.told = untold();
        }
    }

    /// Brings what there is to the disks, until it is there, or it fails, or
    /// `limit` is over. Nobody writes any more.
    pub(super) fn finish(&mut self, ring: &mut Ring, limit: Duration) {
        let end = Instant::now() + limit;
        for target in self.targets.iter_mut().flatten() {
            target.sync_at = target.sync_at.map(|_| Instant::now());
            if let State::Failing { again, .. } = &mut target.state {
                *again = Instant::now();
            }
        }
        loop {
            self.pump(ring);
            let busy = self.targets.iter().flatten().any(|t| t.busy.is_some());
            let left = end.saturating_duration_since(Instant::now());
            if !busy || left.is_zero() {
                return;
            }
            for place in self.wait(left).into_iter().flatten() {
                if let Some(target) = self.targets.get_mut(place).and_then(Option::as_mut) {
                    ring.hold(place, target.filed.next);
                    target.sync_at = target.sync_at.map(|_| Instant::now());
                }
            }
        }
    }
}

/// What no file's state is: an error is one line.
fn untold() -> FileState {
    FileState {
        error: "\n".to_owned(),
        lost: 0,
    }
}

/// The thread's stack, in bytes: paths and a few structures.
const STACK: usize = 64 * 1024;

/// Takes note of a job's end. Its place, if its file has moved on.
fn note(targets: &mut [Option<Target>], done: Done) -> Option<usize> {
    let target = targets.get_mut(done.place)?.as_mut()?;
    let well = match done.outcome {
        Ok(Outcome::Written(..) | Outcome::Synced) => true,
        Ok(Outcome::Opened(_)) => !target.is_open(),
        Ok(Outcome::Absent) | Err(_) => false,
    };
    let moved = target.done(done.outcome, Instant::now());
    if well {
        target.recovered();
    }
    moved.then_some(done.place)
}

/// The lines that a file has not got, as they stand in it.
fn lines(ring: &Ring, place: usize, filed: Filed) -> Lines {
    let mut lines = Lines::default();
    let mut lost = filed.lost;
    let mut next = filed.next;
    for line in ring.lines_from(place, filed.next) {
        let gone = line.ordinal.saturating_sub(next);
        if gone > 0 {
            lost += gone;
            let time = rfc3339(line.time_ms);
            let text = format!("{time} lost {gone}\n");
            lines.bytes.extend(text.as_bytes());
            lines.ends.push((lines.bytes.len(), line.ordinal, lost));
        }
        write_line(&mut lines.bytes, line);
        next = line.ordinal + 1;
        lines.ends.push((lines.bytes.len(), next, lost));
        if lines.bytes.len() >= BATCH {
            break;
        }
    }
    lines
}

/// `2026-11-24T03:15:33.250Z stderr TEXT`.
fn write_line(to: &mut Vec<u8>, line: &Line) {
    let stream = match line.stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    };
    to.extend(rfc3339(line.time_ms).as_bytes());
    to.push(b' ');
    to.extend(stream.as_bytes());
    to.push(b' ');
    to.extend(&line.text);
    to.push(b'\n');
}

/// A file that nothing has been written to yet, from the journal's view.
pub(super) const UNOPENED: Filed = Filed {
    next: 0,
    at: At { size: 0, inode: 0 },
    lost: 0,
};
