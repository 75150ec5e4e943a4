//! What is known of each container: a folder below `--root` with `state.json`,
//! and, until it is started, the socket `start` that its process listens on.
//!
//! `state.json` is written to another name and renamed, so it is always whole.
//! Commands that change a container hold a lock (flock(2)) on its folder.

mod clock;
mod json;
mod liveness;

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fmt;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use clock::now;
pub use json::Json;
pub use liveness::start_time;

use crate::cgroup;
use crate::error::Error;
use crate::spec::{Hook, Hooks};
use crate::sys::{file, process};

/// The version of the runtime specification that this runtime speaks.
pub const OCI_VERSION: &str = "1.2.1";

const FILE: &str = "state.json";
/// The configuration as it was when the container was made.
const CONFIG: &str = "config.json";
/// The socket of a container that was created and not started.
const START: &str = "start";

/// Where in its life a container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is being made, or its making was cut short.
    Creating,
    /// It is set up, and waits for `start`.
    Created,
    /// Its program runs.
    Running,
    /// Its processes are held by `pause`.
    Paused,
    /// Its process has ended.
    Stopped,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        })
    }
}

/// The content of `state.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct State {
    /// The specification's version.
    pub oci_version: String,
    /// The id.
    pub id: String,
    /// The first process; 0 before there is one.
    pub pid: i32,
    /// When that process started, in the kernel's ticks since boot: another
    /// with its number would differ.
    pub pid_start_time: u64,
    /// The bundle, absolute.
    pub bundle: PathBuf,
    /// The root filesystem, absolute.
    pub rootfs: PathBuf,
    /// When it was created (RFC 3339).
    pub created: String,
    /// Its cgroup, below the cgroup2 root.
    pub cgroup: String,
    /// Its folders in the resctrl filesystem, the inner first.
    pub resctrl: Vec<PathBuf>,
    /// The configuration's annotations.
    pub annotations: BTreeMap<String, String>,
    /// Hooks of later stages.
    pub hooks: Hooks,
}

impl State {
    /// Reads the content of its file.
    ///
    /// # Errors
    /// It is not one of ours.
    pub fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// The content of its file.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut json = Json::compact();
        json.object(|json| {
            json.field("ociVersion").string(&self.oci_version);
            json.field("id").string(&self.id);
            json.field("pid").word(&self.pid);
            json.field("pidStartTime").word(&self.pid_start_time);
            json.field("bundle").string(&self.bundle.to_string_lossy());
            json.field("rootfs").string(&self.rootfs.to_string_lossy());
            json.field("created").string(&self.created);
            json.field("cgroup").string(&self.cgroup);
            json.field("resctrl").list(|json| {
                for path in &self.resctrl {
                    json.entry().string(&path.to_string_lossy());
                }
            });
            json.field("annotations").object(|json| {
                for (name, value) in &self.annotations {
                    json.field(name).string(value);
                }
            });
            json.field("hooks").object(|json| {
                let stages = [
                    ("create_runtime", &self.hooks.create_runtime),
                    ("create_container", &self.hooks.create_container),
                    ("start_container", &self.hooks.start_container),
                    ("poststart", &self.hooks.poststart),
                    ("poststop", &self.hooks.poststop),
                ];
                for (stage, hooks) in stages {
                    json.field(stage).list(|json| {
                        for hook in hooks {
                            write_hook(json.entry(), hook);
                        }
                    });
                }
            });
        });
        json.finish()
    }

    /// As the specification has it (runtime.md, "State"), with runc's `rootfs`,
    /// `created` and `owner`.
    pub fn tell(&self, status: Status, json: &mut Json) {
        let pid = if status == Status::Stopped {
            0
        } else {
            self.pid
        };
        json.object(|json| {
            json.field("ociVersion").string(&self.oci_version);
            json.field("id").string(&self.id);
            json.field("pid").word(&pid);
            json.field("status").string(&status.to_string());
            json.field("bundle").string(&self.bundle.to_string_lossy());
            json.field("rootfs").string(&self.rootfs.to_string_lossy());
            json.field("created").string(&self.created);
            if !self.annotations.is_empty() {
                json.field("annotations").object(|json| {
                    for (name, value) in &self.annotations {
                        json.field(name).string(value);
                    }
                });
            }
            json.field("owner").string("");
        });
    }
}

fn write_hook(json: &mut Json, hook: &Hook) {
    json.object(|json| {
        json.field("path").string(&hook.path);
        json.field("args")
            .strings(hook.args.iter().map(String::as_str));
        json.field("env")
            .strings(hook.env.iter().map(String::as_str));
        if let Some(seconds) = hook.timeout {
            json.field("timeout").word(&seconds);
        }
    });
}

/// The ids of all containers, in order. Without the folder there is none.
///
/// # Errors
/// The kernel's.
pub fn ids(root: &Path) -> Result<Vec<String>, Error> {
    let entries = match fs::read_dir(root) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(Error::io("read", root.display()))?,
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut ids: Vec<String> = names.filter(|name| check_id(name).is_ok()).collect();
    ids.sort_unstable();
    Ok(ids)
}

/// A container's folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    id: String,
    dir: OwnedFd,
}

/// Whether a text can be an id: it becomes the name of a folder and a cgroup.
fn check_id(id: &str) -> Result<(), Error> {
    let first = id
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    let known = |b: u8| b.is_ascii_alphanumeric() || b"+-._".contains(&b);
    if first && id.len() <= 1024 && id.bytes().all(known) {
        return Ok(());
    }
    Err(Error::Id(id.to_owned()))
}

fn open_dir(path: &Path) -> io::Result<OwnedFd> {
    let c = CString::new(path.as_os_str().as_encoded_bytes())?;
    file::openat(None, &c, libc::O_DIRECTORY | libc::O_RDONLY, 0)
}

impl Folder {
    /// Makes the folder of a new container, and locks it.
    ///
    /// # Errors
    /// The id is no id, or taken; the kernel's.
    pub fn create(root: &Path, id: &str) -> Result<Self, Error> {
        check_id(id)?;
        let path = root.join(id);
        let mut private = fs::DirBuilder::new();
        private.mode(0o700);
        let made = private.create(&path).or_else(|e| match e.kind() {
            io::ErrorKind::NotFound => {
                fs::DirBuilder::new()
                    .mode(0o700)
                    .recursive(true)
                    .create(root)?;
                private.create(&path)
            }
            _ => Err(e),
        });
        match made {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(Error::Exists),
            other => other.map_err(Error::io("make", path.display()))?,
        }
        Self::open(root, id)?.lock()
    }

    /// Opens the folder of a container.
    ///
    /// # Errors
    /// The id is no id, or unknown; the kernel's.
    pub fn open(root: &Path, id: &str) -> Result<Self, Error> {
        check_id(id)?;
        let path = root.join(id);
        match open_dir(&path) {
            Ok(dir) => Ok(Self {
                path,
                id: id.to_owned(),
                dir,
            }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(Error::NotFound),
            Err(e) => Err(Error::io("open", path.display())(e)),
        }
    }

    /// Waits for other commands on this container to end, and keeps others out
    /// until the folder is dropped.
    ///
    /// # Errors
    /// It was deleted meanwhile; the kernel's.
    pub fn lock(self) -> Result<Self, Error> {
        file::lock(self.dir.as_fd()).map_err(Error::io("lock", self.path.display()))?;
        let ours = file::stat(self.dir.as_fd()).map(|s| s.identity).ok();
        let there = open_dir(&self.path).and_then(|dir| file::stat(dir.as_fd()));
        match there {
            Ok(there) if Some(there.identity) == ours => Ok(self),
            _ => Err(Error::NotFound),
        }
    }

    /// Reads the state. A folder without one was left by a creation that was
    /// cut short: the state of a container with no process.
    ///
    /// # Errors
    /// The file is not one of ours; the kernel's.
    pub fn read(&self) -> Result<State, Error> {
        let path = self.path.join(FILE);
        match fs::read(&path) {
            Ok(text) => State::parse(&text).map_err(|source| Error::State {
                file: path.display().to_string(),
                source,
            }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(State {
                oci_version: OCI_VERSION.to_owned(),
                id: self.id.clone(),
                ..State::default()
            }),
            Err(e) => Err(Error::io("read", path.display())(e)),
        }
    }

    /// Writes the state, whole or not at all.
    ///
    /// # Errors
    /// The kernel's.
    pub fn write(&self, state: &State) -> Result<(), Error> {
        let path = self.path.join(FILE);
        replace(&path, state.to_json().as_bytes()).map_err(Error::io("write", path.display()))
    }

    /// Keeps the text of the configuration for [`Folder::config`].
    ///
    /// # Errors
    /// The kernel's.
    pub fn keep_config(&self, text: &[u8]) -> Result<(), Error> {
        let path = self.path.join(CONFIG);
        fs::write(&path, text).map_err(Error::io("write", path.display()))
    }

    /// The configuration that the container was made of, and its file.
    ///
    /// # Errors
    /// The kernel's.
    pub fn config(&self) -> Result<(Vec<u8>, PathBuf), Error> {
        let path = self.path.join(CONFIG);
        let text = fs::read(&path).map_err(Error::io("read", path.display()))?;
        Ok((text, path))
    }

    /// Where in its life the container is.
    #[must_use]
    pub fn status(&self, state: &State) -> Status {
        if state.pid == 0 {
            return Status::Creating;
        }
        if !liveness::is_alive(state.pid, state.pid_start_time) {
            return Status::Stopped;
        }
        if cgroup::is_frozen(&state.cgroup) {
            Status::Paused
        } else if self.path.join(START).exists() {
            Status::Created
        } else {
            Status::Running
        }
    }

    /// Kills the first process, if it lives.
    ///
    /// # Errors
    /// The kernel's.
    pub fn kill(&self, state: &State) -> Result<(), Error> {
        if state.pid == 0 || !liveness::is_alive(state.pid, state.pid_start_time) {
            return Ok(());
        }
        match process::open_pid(state.pid)
            .and_then(|pid| process::send_signal(pid.as_fd(), libc::SIGKILL))
        {
            Err(e) if e.raw_os_error() != Some(libc::ESRCH) => Err(Error::io("kill", &self.id)(e)),
            _ => Ok(()),
        }
    }

    /// The socket's path by way of our descriptor: a socket's path may have
    /// 107 bytes only.
    #[must_use]
    pub fn start_socket(&self) -> Vec<u8> {
        format!("/proc/self/fd/{}/{START}", self.dir.as_raw_fd()).into_bytes()
    }

    /// Takes the socket away: the container is no longer just created.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove_start_socket(&self) -> Result<(), Error> {
        let path = self.path.join(START);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove", path.display())(e))
            }
            _ => Ok(()),
        }
    }

    /// Removes the folder and all in it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove(self) -> Result<(), Error> {
        fs::remove_dir_all(&self.path).map_err(Error::io("remove", self.path.display()))
    }
}

/// Writes a file under another name and renames it, so that it is never seen
/// in part.
///
/// # Errors
/// The kernel's.
pub fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut other = path.as_os_str().to_owned();
    other.push(".new");
    let other = PathBuf::from(other);
    fs::write(&other, text)?;
    fs::rename(&other, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_names_of_folders() {
        for id in ["services.web", "onboot.000-dhcp", "a", "_x+y", "3"] {
            assert!(check_id(id).is_ok(), "{id}");
        }
        let long = "a".repeat(1025);
        for id in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "-x",
            "a b",
            "ü",
            ".hidden",
            long.as_str(),
        ] {
            assert!(check_id(id).is_err(), "{id}");
        }
    }

    #[test]
    fn a_folder_is_made_once_and_read_back() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().join("not/yet");
        let folder = Folder::create(&root, "c1").unwrap();
        assert!(matches!(Folder::create(&root, "c1"), Err(Error::Exists)));
        assert_eq!(folder.status(&folder.read().unwrap()), Status::Creating);
        let hook = Hook {
            path: "/bin/x".to_owned(),
            args: vec!["x".to_owned(), "\"".to_owned()],
            env: vec!["A=1".to_owned()],
            timeout: Some(3),
        };
        let state = State {
            id: "c1".to_owned(),
            pid: 1,
            pid_start_time: 0,
            annotations: BTreeMap::from([("a".to_owned(), "\n".to_owned())]),
            hooks: Hooks {
                poststop: vec![hook],
                ..Hooks::default()
            },
            ..State::default()
        };
        folder.write(&state).unwrap();
        assert_eq!(folder.read().unwrap(), state);
        // Process 1 did not start at tick 0 as far as anybody knows of ours.
        folder.remove().unwrap();
        assert!(matches!(Folder::open(&root, "c1"), Err(Error::NotFound)));
    }

    #[test]
    fn who_waits_for_the_lock_learns_that_it_was_deleted() {
        let root = tempfile::tempdir().unwrap();
        let first = Folder::create(root.path(), "c1").unwrap();
        let second = Folder::open(root.path(), "c1").unwrap();
        let waiting = std::thread::spawn(move || second.lock().map(|_| ()));
        first.remove().unwrap();
        assert!(matches!(waiting.join().unwrap(), Err(Error::NotFound)));
    }

    #[test]
    fn a_process_is_known_by_its_number_and_start() {
        let me = i32::try_from(std::process::id()).unwrap();
        let start = start_time(me).unwrap();
        assert!(liveness::is_alive(me, start));
        assert!(!liveness::is_alive(me, start + 1));
    }
}
