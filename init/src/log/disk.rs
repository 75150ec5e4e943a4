//! The files of logs on a disk, written by a thread of their own: a disk may
//! take its time, and the pipes of the containers must not wait for it.
//!
//! A file is open only while something is being done with it, so that its disk
//! can be unmounted at any other time. One task is either "open", "write" or
//! "make durable"; one that finds the file other than it was, or full, only
//! opens or renames it and says so. So the journal can say of each byte of a
//! file which line it is of, and what a killed process has written and not said
//! is cut off again ([`super::files`]).

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use hullkit_bundle::supervision::LogFile;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2, renameat};
use nix::sys::eventfd::EventFd;
use nix::sys::stat::{Mode, fstat, mkdirat, stat};
use nix::sys::statfs::{FsType, TMPFS_MAGIC, fstatfs};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::journal::At;
use crate::Error;

/// Something to be done with the file of the container at `place`.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) place: usize,
    pub(super) file: Arc<LogFile>,
    pub(super) task: Task,
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Task {
    /// Find out how large it is.
    Open,
    /// Write these lines, or as many of them as fit, behind what is there.
    Write(At, Lines),
    /// Make durable what is there.
    Sync,
}

/// Lines as they stand in a file.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) bytes: Vec<u8>,
    /// After each: where it ends, the ordinal of the next one, and how many
    /// lines are lost by then.
    pub(super) ends: Vec<(usize, u64, u64)>,
}

/// What came of a job.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) place: usize,
    pub(super) outcome: Result<Outcome, Error>,
}

/// What came of it, if it did not fail.
#[derive(Debug)]
pub(super) enum Outcome {
    /// No disk is there.
    Absent,
    /// The file was opened, or begun anew: nothing was written.
    Opened(At),
    /// So far it is written; the next line's ordinal, and how many are lost.
    Written(At, u64, u64),
    /// What it holds is durable.
    Synced,
}

/// Does the jobs until there is nobody to give any more.
#[allow(clippy::needless_pass_by_value, reason = "a thread's own")]
pub(super) fn work(jobs: Receiver<Job>, done: Sender<Done>, wake: Arc<EventFd>) {
    for Job { place, file, task } in jobs {
        let outcome = act(&file, &task);
        if done.send(Done { place, outcome }).is_err() {
            return;
        }
        // It counts up to 2⁶⁴, and wakes who waits for it.
        let _wakes = wake.write(1);
    }
}

fn act(log: &LogFile, task: &Task) -> Result<Outcome, Error> {
    let path = Path::new(&log.path);
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().map(Path::new)) else {
        return Err(Error::path("open", path)(io::Error::from(Errno::EINVAL)));
    };
    let Some(folder) = folder_on_disk(folder)? else {
        return Ok(Outcome::Absent);
    };
    let file = open(&folder, name).map_err(Error::path("open", path))?;
    match task {
        Task::Open => {
            let at = opened(&file).map_err(Error::path("open", path))?;
            Ok(Outcome::Opened(at))
        }
        Task::Sync => {
            let synced = file.sync_data().map(|()| Outcome::Synced);
            synced.map_err(Error::path("write to disk", path))
        }
        Task::Write(at, lines) => {
            let files = Files {
                folder,
                name,
                file,
                log,
            };
            files.write(*at, lines).map_err(Error::path("write", path))
        }
    }
}

/// The folder of a log, made if it is not there; none: the place is in memory,
/// or on the image's own root.
fn folder_on_disk(path: &Path) -> Result<Option<OwnedFd>, Error> {
    let failed = |errno: Errno| Error::path("open", path)(errno);
    let mut missing = Vec::new();
    let mut there = path;
    let mut folder = loop {
        match resolve(there, OFlag::O_DIRECTORY) {
            Ok(folder) => break folder,
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(failed(errno)),
        }
        let (Some(above), Some(name)) = (there.parent(), there.file_name()) else {
            return Err(failed(Errno::ENOENT));
        };
        missing.push(Path::new(name));
        there = above;
    };
    if !is_on_disk(&folder).map_err(failed)? {
        return Ok(None);
    }
    for name in missing.into_iter().rev() {
        match mkdirat(&folder, name, Mode::from_bits_truncate(0o755)) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(Error::path("make folder", path)(errno)),
        }
        let how = how(OFlag::O_DIRECTORY);
        folder = openat2(&folder, name, how).map_err(failed)?;
    }
    Ok(Some(folder))
}

/// What an initramfs is (`linux/magic.h`).
const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);

fn is_on_disk(folder: &OwnedFd) -> Result<bool, Errno> {
    let kind = fstatfs(folder)?.filesystem_type();
    let in_memory = kind == TMPFS_MAGIC || kind == RAMFS_MAGIC;
    Ok(!in_memory && fstat(folder)?.st_dev != stat("/")?.st_dev)
}

/// No link is followed: whoever may write to the disk must not lead us off it.
fn how(flags: OFlag) -> OpenHow {
    OpenHow::new()
        .flags(flags | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW)
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS)
}

fn resolve(path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
    openat2(AT_FDCWD, path, how(flags))
}

fn open(folder: &OwnedFd, name: &Path) -> io::Result<File> {
    // Not held up by a FIFO, and not by a terminal.
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let how = how(flags).mode(Mode::from_bits_truncate(0o640));
    let file = File::from(openat2(folder, name, how)?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    Ok(file)
}

/// How far the file is written. A line that a power cut has cut is ended.
fn opened(file: &File) -> io::Result<At> {
    let data = file.metadata()?;
    let mut at = At {
        size: data.len(),
        inode: data.ino(),
    };
    let mut last = [b'\n'];
    if let Some(before) = at.size.checked_sub(1) {
        file.read_exact_at(&mut last, before)?;
    }
    if last != [b'\n'] {
        file.write_all_at(b"\n", at.size)?;
        at.size += 1;
    }
    Ok(at)
}

/// A log's file, and the folder that it stands in.
struct Files<'a> {
    folder: OwnedFd,
    name: &'a Path,
    file: File,
    log: &'a LogFile,
}

impl Files<'_> {
    fn write(&self, at: At, lines: &Lines) -> io::Result<Outcome> {
        let data = self.file.metadata()?;
        if data.ino() != at.inode {
            return opened(&self.file).map(Outcome::Opened);
        }
        // What was written and not noted is written again.
        let size = at.size.min(data.len());
        if data.len() > size {
            self.file.set_len(size)?;
        }
        let room = self.log.max_size.saturating_sub(size);
        let fits = |end: usize| u64::try_from(end).is_ok_and(|end| end <= room);
        let fitting = lines.ends.iter().rev().find(|(end, ..)| fits(*end));
        let Some(&(end, next, lost)) = fitting.or(lines.ends.first().filter(|_| size == 0)) else {
            return self.rotate().map(Outcome::Opened);
        };
        let bytes = lines.bytes.get(..end).unwrap_or_default();
        if let Err(error) = self.file.write_all_at(bytes, size) {
            // Half a batch does not stay; if it cannot be cut off now, it is
            // when the disk takes something again.
            let _cut_later = self.file.set_len(size);
            return Err(error);
        }
        let at = At {
            size: size + bytes.len() as u64,
            inode: at.inode,
        };
        Ok(Outcome::Written(at, next, lost))
    }

    /// `PATH` becomes `PATH.1`, that `PATH.2`, and the last one goes.
    fn rotate(&self) -> io::Result<At> {
        self.file.sync_data()?;
        let last = self.log.max_files.saturating_sub(1);
        if last == 0 {
            unlinkat(&self.folder, self.name, UnlinkatFlags::NoRemoveDir)?;
        } else {
            // Only up to the first gap: after a rotation that was cut off
            // nothing is dropped that still has a place.
            let gap = (1..last).find(|n| !self.exists(*n)).unwrap_or(last);
            for n in (1..gap).rev() {
                self.rename(&self.numbered(n), n + 1)?;
            }
            self.rename(self.name, 1)?;
        }
        opened(&open(&self.folder, self.name)?)
    }

    fn numbered(&self, n: u32) -> PathBuf {
        PathBuf::from(format!("{}.{n}", self.name.display()))
    }

    fn exists(&self, n: u32) -> bool {
        openat2(&self.folder, &self.numbered(n), how(OFlag::O_PATH)).is_ok()
    }

    fn rename(&self, from: &Path, to: u32) -> io::Result<()> {
        let folder = self.folder.as_fd();
        renameat(folder, from, folder, &self.numbered(to))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn log(max_size: u64, max_files: u32) -> LogFile {
        LogFile {
            path: String::new(),
            max_size,
            max_files,
        }
    }

    /// Opens the file `web` of `folder`, as a job does, and writes `lines`.
    fn write(folder: &Path, log: &LogFile, at: At, lines: &Lines) -> Outcome {
        let folder = resolve(folder, OFlag::O_DIRECTORY).unwrap();
        let name = Path::new("web");
        let file = open(&folder, name).unwrap();
        let files = Files {
            folder,
            name,
            file,
            log,
        };
        files.write(at, lines).unwrap()
    }

    /// Lines numbered from `next` up to `end`.
    fn lines(next: u64, end: u64) -> Lines {
        let mut lines = Lines::default();
        for n in next..end {
            lines.bytes.extend(format!("line {n}\n").as_bytes());
            lines.ends.push((lines.bytes.len(), n + 1, 0));
        }
        lines
    }

    /// What is in all files, the earliest first.
    fn whole(folder: &Path, log: &LogFile) -> String {
        let read = |name: String| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        let earlier = (1..log.max_files).rev().map(|n| read(format!("web.{n}")));
        earlier.collect::<String>() + &read("web".to_owned())
    }

    #[test]
    fn a_cut_line_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("web"), "half a li").unwrap();
        let log = log(1000, 2);
        let Outcome::Opened(at) = write(folder.path(), &log, At::default(), &lines(0, 1)) else {
            panic!("its inode is not 0");
        };
        assert_eq!(at.size, 10);
        assert!(matches!(
            write(folder.path(), &log, at, &lines(0, 1)),
            Outcome::Written(_, 1, 0)
        ));
        assert_eq!(whole(folder.path(), &log), "half a li\nline 0\n");
    }

    #[test]
    fn a_link_and_a_device_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/null", folder.path().join("web")).unwrap();
        let dir = resolve(folder.path(), OFlag::O_DIRECTORY).unwrap();
        assert!(open(&dir, Path::new("web")).is_err());
        nix::unistd::mkfifo(&folder.path().join("fifo"), Mode::S_IRWXU).unwrap();
        assert!(open(&dir, Path::new("fifo")).is_err());
        std::os::unix::fs::symlink(folder.path(), folder.path().join("sub")).unwrap();
        let beyond = folder.path().join("sub/x");
        assert!(resolve(beyond.parent().unwrap(), OFlag::O_DIRECTORY).is_err());
    }

    #[test]
    fn no_more_files_than_said() {
        for files in 1..4 {
            let folder = tempfile::tempdir().unwrap();
            let log = log(40, files);
            let (mut at, mut next) = (At::default(), 0);
            while next < 100 {
                match write(folder.path(), &log, at, &lines(next, 100)) {
                    Outcome::Opened(new) => at = new,
                    Outcome::Written(new, then, _) => (at, next) = (new, then),
                    other => panic!("{other:?}"),
                }
            }
            let found = std::fs::read_dir(folder.path()).unwrap();
            let sizes = found.map(|file| file.unwrap().metadata().unwrap().len());
            let sizes: Vec<u64> = sizes.collect();
            assert_eq!(sizes.len(), files as usize);
            assert!(sizes.iter().all(|size| *size <= 40), "{sizes:?}");
            assert!(whole(folder.path(), &log).ends_with("line 98\nline 99\n"));
        }
    }

    proptest! {
        /// It dies after each job with or without having noted what came of
        /// it, and goes on from the note.
        #[test]
        fn no_line_is_lost_or_doubled(jobs in prop::collection::vec((1u64..9, any::<bool>()), 1..60)) {
            let folder = tempfile::tempdir().unwrap();
            let log = log(50, 1000);
            let (mut at, mut next) = (At::default(), 0);
            let step = |count, noted: bool, at: &mut At, next: &mut u64| {
                let outcome = write(folder.path(), &log, *at, &lines(*next, *next + count));
                match outcome {
                    _ if !noted => {}
                    Outcome::Opened(new) => *at = new,
                    Outcome::Written(new, then, _) => (*at, *next) = (new, then),
                    other => panic!("{other:?}"),
                }
            };
            for (count, noted) in jobs {
                step(count, noted, &mut at, &mut next);
            }
            // What was written last may not be noted: it is written again.
            let before = next;
            while next == before {
                step(1, true, &mut at, &mut next);
            }
            let wanted: String = (0..next).map(|n| format!("line {n}\n")).collect();
            prop_assert_eq!(whole(folder.path(), &log), wanted);
        }
    }
}
