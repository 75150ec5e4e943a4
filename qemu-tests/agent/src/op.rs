//! The operations, one function each where they are more than a call.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use agent_protocol::{Answer, Op, Stat};
use nix::mount::{MntFlags, MsFlags};
use nix::sched::CloneFlags;
use nix::sys::stat::{Mode, SFlag};

use crate::{exec, proc, sys};

/// How often a condition is looked at that the kernel tells no event of.
const POLL: Duration = Duration::from_millis(5);

/// Does `op` and says what came of it.
pub(crate) fn carry_out(op: Op) -> io::Result<Answer> {
    match op {
        Op::Exec {
            argv,
            stdin,
            timeout_ms,
            until,
        } => {
            let timeout = Duration::from_millis(timeout_ms);
            exec::run(&argv, stdin, timeout, until.as_deref()).map(Answer::Exec)
        }
        Op::Read { path } => read(&path).map(text),
        Op::Write { path, text } => done(fs::write(path, text)),
        Op::List { path } => list(&path),
        Op::Stat { path } => stat(&path),
        Op::Readlink { path } => fs::read_link(path).map(|to| text(to.display().to_string())),
        Op::Remove { path } => done(fs::remove_file(path)),
        Op::Mounts { pid } => proc::mounts(pid).map(|mounts| Answer::Mounts { mounts }),
        Op::Processes => proc::processes().map(|processes| Answer::Processes { processes }),
        Op::Kill { pid, signal } => kill(pid, signal),
        Op::WaitFile {
            path,
            contains,
            timeout_ms,
        } => wait_file(&path, &contains, Duration::from_millis(timeout_ms)),
        Op::WaitGone { pid, timeout_ms } => wait_gone(pid, Duration::from_millis(timeout_ms)),
        other => privileged(other),
    }
}

/// Those operations that the kernel lets only some do.
fn privileged(op: Op) -> io::Result<Answer> {
    match op {
        Op::Mount {
            source,
            target,
            fstype,
            flags,
        } => mount(&source, &target, &fstype, &flags),
        Op::Umount { target } => done(nix::mount::umount2(
            Path::new(&target),
            MntFlags::MNT_DETACH,
        )),
        Op::Mknod { path, major, minor } => {
            let device = nix::sys::stat::makedev(major, minor);
            let mode = Mode::from_bits_truncate(0o666);
            done(nix::sys::stat::mknod(
                Path::new(&path),
                SFlag::S_IFCHR,
                mode,
                device,
            ))
        }
        Op::Unshare { namespace } => done(nix::sched::unshare(clone_flag(&namespace)?)),
        Op::Setns { path } => {
            let file = File::open(path)?;
            done(nix::sched::setns(file, CloneFlags::empty()))
        }
        Op::Sethostname { name } => done(nix::unistd::sethostname(name)),
        Op::Chroot { path } => {
            // The root is shared by the threads unless this one parts with it.
            nix::sched::unshare(CloneFlags::CLONE_FS)?;
            done(nix::unistd::chroot(Path::new(&path)))
        }
        Op::Reboot => done(nix::sys::reboot::set_cad_enabled(false)),
        Op::Syscall { number } => done(sys::syscall(number)),
        Op::Allocate { mebibytes } => Ok(allocate(mebibytes)),
        Op::Threads { count } => Ok(Answer::Count {
            count: threads(count),
        }),
        Op::Fds => fds(),
        op => Err(io::Error::other(format!("{op:?} is asked of the agent"))),
    }
}

fn done<E: Into<io::Error>>(result: Result<(), E>) -> io::Result<Answer> {
    result.map(|()| Answer::Done).map_err(Into::into)
}

fn text(text: String) -> Answer {
    Answer::Text { text }
}

fn read(path: &str) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

fn list(path: &str) -> io::Result<Answer> {
    let mut names = fs::read_dir(path)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort_unstable();
    Ok(Answer::Names { names })
}

fn stat(path: &str) -> io::Result<Answer> {
    let meta = fs::symlink_metadata(path)?;
    Ok(Answer::Stat(Stat {
        mode: meta.mode(),
        uid: meta.uid(),
        gid: meta.gid(),
        size: meta.size(),
        rdev: meta.rdev(),
    }))
}

fn kill(pid: i32, signal: i32) -> io::Result<Answer> {
    sys::kill(pid, signal)?;
    Ok(Answer::Done)
}

fn wait_file(path: &str, contains: &str, timeout: Duration) -> io::Result<Answer> {
    let start = Instant::now();
    loop {
        let found = read(path);
        match found {
            Ok(content) if content.contains(contains) => return Ok(text(content)),
            _ if start.elapsed() < timeout => thread::sleep(POLL),
            _ => {
                return Err(io::Error::other(format!(
                    "{path} does not hold {contains:?} after {timeout:?}: {found:?}"
                )));
            }
        }
    }
}

fn wait_gone(pid: i32, timeout: Duration) -> io::Result<Answer> {
    let start = Instant::now();
    while fs::exists(format!("/proc/{pid}"))? {
        if start.elapsed() >= timeout {
            return Err(io::Error::other(format!(
                "process {pid} is still there after {timeout:?}"
            )));
        }
        thread::sleep(POLL);
    }
    Ok(Answer::Done)
}

fn mount(source: &str, target: &str, fstype: &str, flags: &[String]) -> io::Result<Answer> {
    let mut bits = MsFlags::empty();
    for flag in flags {
        bits |= match flag.as_str() {
            "bind" => MsFlags::MS_BIND,
            "ro" => MsFlags::MS_RDONLY,
            "remount" => MsFlags::MS_REMOUNT,
            "rec" => MsFlags::MS_REC,
            "private" => MsFlags::MS_PRIVATE,
            "shared" => MsFlags::MS_SHARED,
            _ => return Err(io::Error::other(format!("mount flag {flag}"))),
        };
    }
    done(nix::mount::mount(
        Some(Path::new(source)),
        Path::new(target),
        Some(OsStr::new(fstype)),
        bits,
        None::<&str>,
    ))
}

fn clone_flag(namespace: &str) -> io::Result<CloneFlags> {
    Ok(match namespace {
        "user" => CloneFlags::CLONE_NEWUSER,
        "mnt" => CloneFlags::CLONE_NEWNS,
        "net" => CloneFlags::CLONE_NEWNET,
        "pid" => CloneFlags::CLONE_NEWPID,
        "uts" => CloneFlags::CLONE_NEWUTS,
        "ipc" => CloneFlags::CLONE_NEWIPC,
        "cgroup" => CloneFlags::CLONE_NEWCGROUP,
        _ => return Err(io::Error::other(format!("namespace {namespace}"))),
    })
}

/// Takes memory and never gives it back. Each page is written, with a value
/// that the compiler cannot foresee, or it would not be taken.
fn allocate(mebibytes: usize) -> Answer {
    let fill = u8::try_from(std::process::id() & 0x7f).unwrap_or(0) | 1;
    std::mem::forget(vec![fill; mebibytes << 20]);
    Answer::Done
}

/// Starts up to `count` threads that wait for ever; the number of them.
fn threads(count: usize) -> usize {
    (0..count)
        .take_while(|_| {
            thread::Builder::new()
                .stack_size(16 << 10)
                .spawn(|| {
                    loop {
                        thread::park();
                    }
                })
                .is_ok()
        })
        .count()
}

fn fds() -> io::Result<Answer> {
    let mut fds = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        // The descriptor that lists the folder is gone by now or soon.
        if let (Ok(target), Ok(fd)) = (
            fs::read_link(entry.path()),
            entry.file_name().to_string_lossy().parse(),
        ) {
            fds.insert(fd, target.display().to_string());
        }
    }
    Ok(Answer::Fds { fds })
}
