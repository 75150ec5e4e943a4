//! cgroup v2: a container's group, made before its process is born into it,
//! and taken away with all that is in it.

mod devices;
mod settings;

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use devices::device_program;
pub use settings::{Setting, settings};

use crate::error::Error;
use crate::spec::{Memory, Resources};
use crate::sys::identity::is_root;
use crate::sys::{bpf, file, process};

/// Where the hierarchy is mounted.
pub const ROOT: &str = "/sys/fs/cgroup";

/// How long processes that were killed may take to be gone. Those that sleep
/// in the kernel can take longer than anybody should wait.
const EMPTY_WITHIN: Duration = Duration::from_secs(10);

/// How long `pause` may take; a process in the kernel stops at its end of the
/// call.
const FROZEN_WITHIN: Duration = Duration::from_secs(10);

/// Controllers that every container gets where the kernel has them: without
/// them nobody could see that it ran out of memory, or count its processes.
const USUAL: [&str; 2] = ["memory", "pids"];

/// A container's group.
#[derive(Debug)]
pub struct Cgroup {
    path: String,
    dir: OwnedFd,
}

fn in_root(path: &str) -> PathBuf {
    Path::new(ROOT).join(path)
}

fn problem(path: &str, problem: impl Into<String>) -> Error {
    Error::Cgroup {
        path: path.to_owned(),
        problem: problem.into(),
    }
}

fn failed(path: &str, doing: &str, error: &io::Error) -> Error {
    problem(path, format!("{doing}: {}", crate::sys::error_text(error)))
}

fn open_dir(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_encoded_bytes())?;
    file::openat(None, &path, libc::O_DIRECTORY | libc::O_RDONLY, 0)
}

impl Cgroup {
    /// Makes the group with its limits.
    ///
    /// # Errors
    /// There is no cgroup v2, or the group lacks what a limit needs.
    pub fn create(path: &str, resources: &Resources) -> Result<Self, Error> {
        check_root()?;
        let wanted = settings(resources);
        make(path)?;
        let cgroup = Self::open(path)?;
        cgroup.enable(&wanted)?;
        cgroup.check_memory(&resources.memory)?;
        for setting in &wanted {
            cgroup.set(setting)?;
        }
        // An ordinary user's container has a user namespace, which makes no
        // devices, and the user may load no program.
        if is_root() {
            cgroup.guard_devices(resources)?;
        }
        Ok(cgroup)
    }

    /// Opens a group that is there.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open(path: &str) -> Result<Self, Error> {
        let dir = open_dir(&in_root(path)).map_err(|e| failed(path, "open", &e))?;
        Ok(Self {
            path: path.to_owned(),
            dir,
        })
    }

    /// Changes limits; what the resources leave out stays, devices too.
    ///
    /// # Errors
    /// The group lacks what a limit needs; the kernel's.
    pub fn update(&self, resources: &Resources) -> Result<(), Error> {
        let wanted = settings(resources);
        self.enable(&wanted)?;
        self.check_memory(&resources.memory)?;
        wanted.iter().try_for_each(|setting| self.set(setting))
    }

    /// Whether processes may live in it: a group that divides what it has among
    /// groups below it holds none itself (cgroups(7), "no internal processes").
    ///
    /// # Errors
    /// The kernel's.
    pub fn holds_processes(&self) -> Result<bool, Error> {
        let divided = self.read("cgroup.subtree_control")?;
        Ok(divided.trim().is_empty())
    }

    /// The group itself, for clone3(2).
    #[must_use]
    pub fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Refuses a limit below what is in use, where that is asked for: the
    /// kernel would kill until it fits.
    fn check_memory(&self, memory: &Memory) -> Result<(), Error> {
        let Some(limit) = memory.limit.filter(|_| memory.check_before_update) else {
            return Ok(());
        };
        let used = self.read("memory.current")?;
        let used: i64 = used.trim().parse().unwrap_or(i64::MAX);
        if limit < 0 || used <= limit {
            return Ok(());
        }
        Err(problem(
            &self.path,
            format!("{used} bytes of memory are in use, more than the limit of {limit}"),
        ))
    }

    /// Gives the group to a user: the files that the kernel names as needed to
    /// divide it further (cgroups(7), "Cgroup delegation"), and the folder.
    ///
    /// # Errors
    /// The kernel's.
    pub fn delegate(&self, uid: u32, gid: u32) -> Result<(), Error> {
        const USUAL_FILES: &str = "cgroup.procs\ncgroup.threads\ncgroup.subtree_control\n";
        let list = fs::read_to_string("/sys/kernel/cgroup/delegate");
        let list = list.unwrap_or_else(|_| USUAL_FILES.to_owned());
        for name in ["."].into_iter().chain(list.lines()) {
            let file = CString::new(name).map_err(|_| problem(&self.path, "holds a NUL byte"))?;
            match file::chownat(Some(self.dir.as_fd()), &file, uid, gid) {
                // Of a controller that the group lacks.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(failed(&self.path, &format!("give {name} away"), &e)),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    fn read(&self, name: &str) -> Result<String, Error> {
        let doing = format!("read {name}");
        fs::read_to_string(in_root(&self.path).join(name))
            .map_err(|e| failed(&self.path, &doing, &e))
    }

    /// Makes the controllers of the settings, and the usual ones, reach the
    /// group: each group above has to pass them on.
    fn enable(&self, wanted: &[Setting]) -> Result<(), Error> {
        let has = self.read("cgroup.controllers")?;
        let has: BTreeSet<&str> = has.split_whitespace().collect();
        let needed: BTreeSet<&str> = wanted.iter().filter_map(Setting::controller).collect();
        let all: BTreeSet<&str> = needed.iter().copied().chain(USUAL).collect();
        if all.is_subset(&has) || !is_root() && needed.is_subset(&has) {
            return Ok(());
        }
        let root = fs::read_to_string(in_root("cgroup.controllers"))
            .map_err(|e| failed("", "read cgroup.controllers", &e))?;
        let root: BTreeSet<&str> = root.split_whitespace().collect();
        if let Some(missing) = needed.difference(&root).next() {
            return Err(problem(
                &self.path,
                format!("the kernel has no {missing} controller"),
            ));
        }
        let words: Vec<String> = all
            .intersection(&root)
            .map(|name| format!("+{name}"))
            .collect();
        if words.is_empty() {
            return Ok(());
        }
        let words = words.join(" ");
        for above in above(&self.path) {
            let passed = fs::read_to_string(in_root(above).join("cgroup.subtree_control"));
            let passed = passed.unwrap_or_default();
            let passed: BTreeSet<&str> = passed.split_whitespace().collect();
            // What is passed on already may be somebody else's to change.
            let enough = all.is_subset(&passed) || !is_root() && needed.is_subset(&passed);
            // It is written all the same: another runtime may just be doing it,
            // and what is read is true before the groups below have their
            // files. A write waits for the other one.
            let written = fs::write(in_root(above).join("cgroup.subtree_control"), &words);
            written
                .or_else(|e| if enough { Ok(()) } else { Err(e) })
                .map_err(|e| {
                    failed(
                        above,
                        &format!("write \"{words}\" to cgroup.subtree_control"),
                        &e,
                    )
                })?;
        }
        Ok(())
    }

    fn set(&self, setting: &Setting) -> Result<(), Error> {
        let result = match (
            &setting.otherwise,
            self.write(&setting.file, &setting.value),
        ) {
            (Some((file, value)), Err(e)) if e.kind() == io::ErrorKind::NotFound => {
                self.write(file, value)
            }
            (_, result) => result,
        };
        match result {
            Err(e) if setting.optional && e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => {
                let doing = format!("write \"{}\" to {}", setting.value, setting.file);
                Err(failed(&self.path, &doing, &e))
            }
            Ok(()) => Ok(()),
        }
    }

    fn write(&self, name: &str, value: &str) -> io::Result<()> {
        let name = CString::new(name)?;
        let fd = file::openat(Some(self.dir.as_fd()), &name, libc::O_WRONLY, 0)?;
        file::write_once(fd.as_fd(), value.as_bytes())
    }

    /// A kernel without cgroup BPF lets everything pass; that is an error only
    /// where the configuration says something about devices.
    fn guard_devices(&self, resources: &Resources) -> Result<(), Error> {
        let program = device_program(&resources.devices);
        let attached = bpf::load_device_program(&program)
            .and_then(|program| bpf::attach_device_program(self.dir.as_fd(), program.as_fd()));
        match attached {
            Err(e)
                if resources.devices.is_empty()
                    && matches!(e.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) =>
            {
                Ok(())
            }
            Err(e) => Err(failed(&self.path, "limit device access by BPF", &e)),
            Ok(()) => Ok(()),
        }
    }
}

fn check_root() -> Result<(), Error> {
    let root = open_dir(Path::new(ROOT)).map_err(Error::io("open", ROOT))?;
    let is_v2 = file::filesystem(root.as_fd()).is_ok_and(file::Filesystem::is_cgroup2);
    if is_v2 {
        return Ok(());
    }
    Err(Error::Unsupported(format!(
        "{ROOT} is not cgroup v2, which is the only version that this runtime supports"
    )))
}

/// Whether the caller may make a group; an ordinary user may below one that was
/// delegated to him.
///
/// # Errors
/// He may not, and wants limits.
pub fn may_make(path: &str, resources: &Resources) -> Result<bool, Error> {
    if is_root() {
        return Ok(true);
    }
    let whole = in_root(path);
    let there = whole.ancestors().find(|folder| folder.exists());
    let there = there.and_then(|folder| CString::new(folder.as_os_str().as_encoded_bytes()).ok());
    if there.is_some_and(|folder| file::can_write(&folder).is_ok()) {
        return Ok(true);
    }
    if settings(resources).is_empty() {
        return Ok(false);
    }
    Err(problem(
        path,
        "this user may not make it, so there can be no limits: have a group delegated and name it by cgroupsPath, or leave linux.resources out",
    ))
}

/// Makes the folders down to the group.
fn make(path: &str) -> Result<(), Error> {
    match fs::create_dir(in_root(path)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(in_root(path)).map_err(|e| failed(path, "make", &e))
        }
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(failed(path, "make", &e)),
        _ => Ok(()),
    }
}

/// The groups above one, from the root: of `a/b/c` the root, `a`, `a/b`.
fn above(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices('/').map(|(at, _)| at);
    [""].into_iter()
        .chain(ends.filter_map(|end| path.get(..end)))
}

/// Kills all that lives in the group and below.
///
/// # Errors
/// The kernel's. A group that is not there is empty.
pub fn kill(path: &str) -> Result<(), Error> {
    match fs::write(in_root(path).join("cgroup.kill"), "1") {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(failed(path, "kill its processes", &e))
        }
        _ => Ok(()),
    }
}

/// Refuses a group that somebody lives in: it cannot be a new container's.
///
/// # Errors
/// Somebody does; the kernel's.
pub fn check_free(path: &str) -> Result<(), Error> {
    if !in_root(path).exists() || is_empty(path)? {
        return Ok(());
    }
    Err(problem(path, "processes of somebody else live in it"))
}

/// The text of a file of the group; `None`: there is no such file, as the
/// kernel or the group lacks the controller.
///
/// # Errors
/// The kernel's.
pub fn read(path: &str, name: &str) -> Result<Option<String>, Error> {
    match fs::read_to_string(in_root(path).join(name)) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(failed(path, &format!("read {name}"), &e)),
    }
}

/// The group that a process is in, by proc_pid_cgroup(5).
///
/// # Errors
/// The kernel's.
pub fn of_process(pid: i32) -> Result<String, Error> {
    let file = format!("/proc/{pid}/cgroup");
    let text = fs::read_to_string(&file).map_err(Error::io("read", &file))?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"));
    path.map(str::to_owned)
        .ok_or_else(|| Error::Unsupported(format!("process {pid} is in no group of cgroup v2")))
}

/// The processes in the group and in all below it.
///
/// # Errors
/// The kernel's.
pub fn processes(path: &str) -> Result<Vec<i32>, Error> {
    let mut all = Vec::new();
    collect_processes(&in_root(path), &mut all)
        .map_err(|e| failed(path, "list its processes", &e))?;
    Ok(all)
}

fn collect_processes(dir: &Path, all: &mut Vec<i32>) -> io::Result<()> {
    let list = match fs::read_to_string(dir.join("cgroup.procs")) {
        // It went away while we looked.
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ENODEV)) => return Ok(()),
        // Threads of processes that are listed elsewhere.
        Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => String::new(),
        other => other?,
    };
    all.extend(list.lines().filter_map(|line| line.parse::<i32>().ok()));
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect_processes(&entry.path(), all)?;
        }
    }
    Ok(())
}

/// Whether the group is held by [`freeze`].
#[must_use]
pub fn is_frozen(path: &str) -> bool {
    let file = in_root(path).join("cgroup.freeze");
    !path.is_empty() && fs::read(file).is_ok_and(|text| text.starts_with(b"1"))
}

/// Holds all that lives in the group and below, or lets it go on, and waits
/// until that is so.
///
/// # Errors
/// The kernel's, or it takes too long; a group that could not be held goes on.
pub fn freeze(path: &str, hold: bool) -> Result<(), Error> {
    let (word, event) = if hold {
        ("1", "frozen 1")
    } else {
        ("0", "frozen 0")
    };
    let file = in_root(path).join("cgroup.freeze");
    fs::write(&file, word).map_err(|e| failed(path, "write cgroup.freeze", &e))?;
    if wait_for_event(path, event, FROZEN_WITHIN)? {
        return Ok(());
    }
    if hold {
        fs::write(&file, "0").map_err(|e| failed(path, "write cgroup.freeze", &e))?;
    }
    let seconds = FROZEN_WITHIN.as_secs();
    Err(problem(
        path,
        format!("did not come to \"{event}\" in {seconds} s"),
    ))
}

/// Sends a signal to every process in the group and below.
///
/// # Errors
/// The kernel's.
pub fn signal(path: &str, signal: i32) -> Result<(), Error> {
    for pid in processes(path)? {
        let sent = process::open_pid(pid).and_then(|p| process::send_signal(p.as_fd(), signal));
        match sent {
            Err(e) if e.raw_os_error() != Some(libc::ESRCH) => {
                return Err(failed(path, "signal its processes", &e));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Kills all that lives in the group, waits until it is empty, and removes it
/// and all below. A group that is not there is removed.
///
/// # Errors
/// The kernel's, or the processes are not gone in time.
pub fn remove(path: &str) -> Result<(), Error> {
    if path.is_empty() || !in_root(path).exists() {
        return Ok(());
    }
    if !is_empty(path)? {
        kill(path)?;
        wait_until_empty(path)?;
    }
    remove_below(&in_root(path)).map_err(|e| failed(path, "remove", &e))
}

fn is_empty(path: &str) -> Result<bool, Error> {
    let events = fs::read_to_string(in_root(path).join("cgroup.events"))
        .map_err(|e| failed(path, "read cgroup.events", &e))?;
    Ok(events.lines().any(|line| line == "populated 0"))
}

fn wait_until_empty(path: &str) -> Result<(), Error> {
    if wait_for_event(path, "populated 0", EMPTY_WITHIN)? {
        return Ok(());
    }
    let seconds = EMPTY_WITHIN.as_secs();
    Err(problem(
        path,
        format!("its processes were killed and are not gone in {seconds} s"),
    ))
}

/// Waits for a line of `cgroup.events`; the kernel raises POLLPRI when it
/// changes. Whether the line came in time.
fn wait_for_event(path: &str, line: &str, limit: Duration) -> Result<bool, Error> {
    let deadline = Instant::now() + limit;
    let events = fs::File::open(in_root(path).join("cgroup.events"))
        .map_err(|e| failed(path, "open cgroup.events", &e))?;
    loop {
        let mut text = [0; 256];
        let n = std::os::unix::fs::FileExt::read_at(&events, &mut text, 0)
            .map_err(|e| failed(path, "read cgroup.events", &e))?;
        let text = text.get(..n).unwrap_or_default();
        if text
            .split(|b| *b == b'\n')
            .any(|found| found == line.as_bytes())
        {
            return Ok(true);
        }
        if !process::poll_until(events.as_fd(), libc::POLLPRI, deadline)
            .map_err(|e| failed(path, "wait for it", &e))?
        {
            return Ok(false);
        }
    }
}

fn remove_below(dir: &Path) -> io::Result<()> {
    match fs::remove_dir(dir) {
        // It has groups below it.
        Err(e) if e.kind() == io::ErrorKind::ResourceBusy => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => return other,
    }
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_below(&entry.path())?;
        }
    }
    fs::remove_dir(dir)
}
