//! A system whose root lies on a disk: the small initrd finds the disk, mounts
//! it, and gives way to the `/init` that is there.
//!
//! The root is known by its mark, which is a digest of its content, so that it
//! does not matter what the disk is called, whether it has partitions, or what
//! other disks are there.

use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

use hullkit_bundle::layout;
use hullkit_bundle::root::{MARK_OFFSET, RECORD, ROOT_FILE, RootFile};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::poll::PollTimeout;
use nix::unistd;

use crate::Error;
use crate::cmdline::Cmdline;
use crate::klog::{self, Level, Line};
use crate::modules::coldplug::{self, Part};
use crate::modules::{Loaded, Modules, ensure_filesystem};
use crate::uevent;

/// What the search needs; the root brings its own again.
const MOUNTS: [(&str, &str); 3] = [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")];

/// Where the root is mounted until it is the root.
const PLACE: &str = "/mnt";

/// So long after the last news of a device, in milliseconds, it is said what is
/// being waited for; after [`PATIENCE`] times that the search is given up.
const SILENCE: u16 = 10_000;
const PATIENCE: u32 = 18;

/// Goes to the root on a disk, where this initrd is for that: then the program
/// there takes over, and this does not return.
///
/// # Errors
/// The disk was not found, or a step failed: there is nothing to go on with.
pub(super) fn enter() -> Result<(), Error> {
    let text = match fs::read_to_string(ROOT_FILE) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        result => result.map_err(Error::os("read", ROOT_FILE))?,
    };
    let root = RootFile::parse(&text).ok_or_else(|| Error::Bundle {
        object: ROOT_FILE.to_owned(),
        reason: "it does not name a root".to_owned(),
    })?;
    // 1. Where devices and their modules are seen.
    for (kind, place) in MOUNTS {
        let _there_already = fs::create_dir(place);
        mount(Some(kind), place, Some(kind), MsFlags::empty(), NONE)
            .map_err(Error::os("mount", place))?;
    }
    klog::open();
    // 2. The disk.
    let device = Search::begin(&root)?.run()?;
    Line::new(Level::Info, "root", "found")
        .with("device", &device)
        .with("type", &root.kind)
        .write();
    // 3. The filesystem on it.
    ensure_filesystem(&root.kind)?;
    let _there_already = fs::create_dir(PLACE);
    mount(
        Some(device.as_str()),
        PLACE,
        Some(root.kind.as_str()),
        MsFlags::MS_RDONLY,
        NONE,
    )
    .map_err(Error::os("mount", &device))?;
    // 4. The initrd's memory is free again, but for this program.
    clear()?;
    // 5. The root is the root, and what is in it takes over.
    switch()?;
    match run_init()? {}
}

const NONE: Option<&str> = None;

/// The search for the device with a root's mark.
struct Search {
    wanted: [u8; RECORD],
    cmdline: Cmdline,
    modules: Option<Modules>,
    events: OwnedFd,
}

impl Search {
    /// Loads what drives the quick disks that are there.
    fn begin(root: &RootFile) -> Result<Self, Error> {
        // First the ear, then the look around: nothing can come in between.
        let events = uevent::listen().map_err(Error::os("listen to", "uevents"))?;
        let cmdline = Cmdline::read().map_err(Error::os("read", "/proc/cmdline"))?;
        let modules = Modules::open(&cmdline)?;
        let search = Self {
            wanted: root.mark.record(),
            cmdline,
            modules,
            events,
        };
        // Most disks are quick ones; other controllers take their time.
        search.look_around(Part::Now)?;
        Ok(search)
    }

    fn look_around(&self, part: Part) -> Result<(), Error> {
        let Some(modules) = &self.modules else {
            return Ok(());
        };
        if self.cmdline.coldplug {
            complain(&coldplug::run(modules, Path::new("/sys"), part)?);
        }
        for name in &self.cmdline.modules {
            // Most are on the root, and are loaded from there.
            let _later = modules.load(name);
        }
        Ok(())
    }

    /// Looks at the disks, and again whenever a device has come.
    fn run(&self) -> Result<String, Error> {
        let mut silences = 0;
        let mut all_loaded = false;
        loop {
            let disks = disks();
            if let Some(disk) = disks.iter().find(|disk| has_mark(disk, &self.wanted)) {
                return Ok(format!("/dev/{disk}"));
            }
            if !all_loaded {
                self.look_around(Part::All)?;
                all_loaded = true;
                continue;
            }
            if silences == PATIENCE {
                return Err(Error::Bundle {
                    object: "root".to_owned(),
                    reason: format!("no disk holds this system's root ({})", named(&disks)),
                });
            }
            let news = uevent::wait(&self.events, PollTimeout::from(SILENCE))
                .map_err(Error::os("wait for", "uevents"))?;
            if !news {
                silences += 1;
                Line::new(Level::Info, "root", "waiting")
                    .with("disks", named(&disks))
                    .write();
                continue;
            }
            silences = 0;
            self.take_news()?;
        }
    }

    fn take_news(&self) -> Result<(), Error> {
        match uevent::collect(&self.events) {
            Ok(news) => {
                if let Some(modules) = &self.modules
                    && self.cmdline.coldplug
                    && !news.modaliases.is_empty()
                {
                    complain(&modules.load_for(&news.modaliases, |_| true)?);
                }
                Ok(())
            }
            // Messages were lost: what they told of is still there to see.
            Err(nix::errno::Errno::ENOBUFS) => self.look_around(Part::All),
            Err(errno) => Err(Error::os("receive", "uevents")(errno)),
        }
    }
}

/// Modules that were refused are no reason to stop: the disk may need none of
/// them.
fn complain(loaded: &Loaded) {
    for error in &loaded.failed {
        Line::new(Level::Error, "root", "problem")
            .with("error", error)
            .write();
    }
}

/// The names of all disks and partitions, as below `/dev`.
fn disks() -> Vec<String> {
    let entries = fs::read_dir("/sys/class/block").into_iter().flatten();
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        // The kernel writes `!` where a name has a `/`.
        .map(|name| name.replace('!', "/"))
        .collect();
    names.sort_unstable();
    names
}

/// The names for people.
fn named(disks: &[String]) -> String {
    match disks {
        [] => "there is no disk".to_owned(),
        disks => disks.join(" "),
    }
}

/// Whether the mark is on this disk. What cannot be read, such as an empty
/// drive, has none.
fn has_mark(disk: &str, wanted: &[u8; RECORD]) -> bool {
    let mut found = [0; RECORD];
    File::open(Path::new("/dev").join(disk))
        .and_then(|file| file.read_exact_at(&mut found, MARK_OFFSET))
        .is_ok_and(|()| found == *wanted)
}

/// Removes all files of the initrd.
fn clear() -> Result<(), Error> {
    let kept = MOUNTS.map(|(_, place)| place);
    for entry in fs::read_dir("/").map_err(Error::os("read", "/"))?.flatten() {
        let path = entry.path();
        if path == Path::new(PLACE) || kept.iter().any(|kept| path == Path::new(kept)) {
            continue;
        }
        let removed = match entry.file_type() {
            Ok(kind) if kind.is_dir() => fs::remove_dir_all(&path),
            _ => fs::remove_file(&path),
        };
        removed.map_err(Error::path("remove", &path))?;
    }
    Ok(())
}

/// Makes what is mounted at [`PLACE`] the root.
fn switch() -> Result<(), Error> {
    for (_, place) in MOUNTS.iter().rev() {
        // Descriptors of it may be open: it goes with the last of them.
        umount2(*place, MntFlags::MNT_DETACH).map_err(Error::os("unmount", place))?;
    }
    unistd::chdir(PLACE).map_err(Error::os("chdir", PLACE))?;
    mount(Some("."), "/", NONE, MsFlags::MS_MOVE, NONE).map_err(Error::os("move", PLACE))?;
    unistd::chroot(".").map_err(Error::os("chroot", PLACE))?;
    unistd::chdir("/").map_err(Error::os("chdir", "/"))
}

/// Becomes the root's own `/init`, with the words that this one was given.
fn run_init() -> Result<Infallible, Error> {
    let word = |word: OsString| CString::new(word.into_vec()).ok();
    let args: Vec<CString> = std::env::args_os().filter_map(word).collect();
    let program = CString::new(layout::INIT).unwrap_or_default();
    unistd::execv(&program, &args).map_err(Error::os("run", layout::INIT))
}
