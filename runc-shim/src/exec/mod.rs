//! Carries a plan out: the parent's side. The child's side is in the modules.
//!
//! One clone3(2) makes the process in all its new namespaces and its cgroup.
//! Only where a user or pid namespace is joined by path, or a time namespace is
//! asked for, a process goes in between, which joins or makes it and then makes
//! the container's process as its sibling.

mod channel;
mod child;
mod copy;
mod cover;
mod entry;
mod id_maps;
mod identity;
mod idmap;
mod join;
mod mounts;
mod nodes;
mod proc_guard;
mod terminal;
mod tree;

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::netdev;
use crate::plan::{Plan, Step};
use crate::spec::{Container, NamespaceKind, Namespaces};
use crate::sys::clone::{self, Side, clone};
use crate::sys::process::{self, End};
use crate::sys::{namespace, scheduling, socket};

pub use entry::{Target, enter};

use channel::{Failed, Message};
pub use child::Inside;

use child::Child;
use idmap::Mapped;
use join::Joined;

/// How long the container's process may be silent: from its birth to its
/// first word, from one to the next, and from `start` to the exec. Hooks run
/// while it waits and do not count. Then it is killed, or, after `start`, left
/// to `delete --force`. Long, because a mount may have to read a slow disk.
const SILENT_AT_MOST: Duration = Duration::from_secs(60);

/// How long after SIGKILL its end is waited for; it may hang in the kernel, and
/// is then left to whoever takes orphans.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// The container's first process, as its parent sees it.
#[derive(Debug)]
pub struct Process {
    /// In the runtime's pid namespace.
    pub pid: i32,
    pidfd: OwnedFd,
    channel: OwnedFd,
}

/// What is done for the child while it waits.
pub trait Attend {
    /// Runs the hooks of [`Step::RunHooks`].
    ///
    /// # Errors
    /// What a hook's failure is told as; the container is then not made.
    fn run_hooks(&mut self, pid: i32) -> Result<(), Error>;

    /// Takes the outer side of [`Step::OpenTerminal`].
    ///
    /// # Errors
    /// It cannot be passed on; the process is then not made.
    fn take_terminal(&mut self, outer: OwnedFd) -> Result<(), Error>;

    /// Passes the listener of [`Step::LoadFilterWithListener`] on, which the
    /// process `pid` has made.
    ///
    /// # Errors
    /// It cannot be passed on; the process is then not made.
    fn pass_listener(&mut self, pid: i32, listener: OwnedFd) -> Result<(), Error>;
}

/// Makes the container's first process, which begins to carry out the plan.
/// Without a cgroup it stays in the caller's. `listener` is where
/// [`Step::WaitForStart`] waits, `inside` who runs the hooks
/// of [`Step::RunInside`], in that process.
///
/// # Errors
/// The process cannot be made.
pub fn launch(
    container: &Container,
    plan: &Plan,
    cgroup: Option<BorrowedFd<'_>>,
    listener: Option<OwnedFd>,
    inside: &dyn Inside,
) -> Result<Process, Error> {
    let namespaces = &container.namespaces;
    let mapped = Mapped::make(plan)?;
    let joined = Joined::open(namespaces)?;
    let pair = || socket::pair().map_err(Error::io("make", "a socket pair"));
    let (ours, theirs) = pair()?;
    // Made by unshare(2): see the step, and `go_between`.
    let later = NamespaceKind::Cgroup.flag() | NamespaceKind::Time.flag();
    let flags = namespaces.new_flags() & !later;
    // The process between has a socket of its own: what it says must not mix
    // with the first words of the process that it makes.
    let between = needs_process_between(namespaces).then(pair).transpose()?;
    let options = clone::Options {
        namespaces: if between.is_some() { 0 } else { flags },
        cgroup,
        sibling: false,
    };
    match clone(&options).map_err(Error::io("make", "the container's process"))? {
        Side::Child => {
            drop(ours);
            let Some((_, news)) = between else {
                join_or_tell(joined, theirs.as_fd());
                Child::new(plan, theirs, listener, mapped, inside).run()
            };
            join_or_tell(joined, news.as_fd());
            if namespaces.is_new(NamespaceKind::Time)
                && let Err(error) = new_time_namespace(&namespaces.time_offsets)
            {
                end_with("make the time namespace", &error, news.as_fd());
            }
            go_between(flags, news.as_fd());
            Child::new(plan, theirs, listener, mapped, inside).run()
        }
        Side::Parent { pid, pidfd } => {
            drop(theirs);
            drop(listener);
            let process = Process {
                pid,
                pidfd,
                channel: ours,
            };
            match between {
                Some((news, told)) => {
                    drop(told);
                    process.follow(news.as_fd())
                }
                None => Ok(process),
            }
        }
    }
}

/// In the child: joins what is joined by path, or says why not and ends.
fn join_or_tell(joined: Joined, channel: BorrowedFd<'_>) {
    if let Err((path, error)) = joined.join() {
        let failed = Failed {
            step: "join the namespace".to_owned(),
            errno: error.raw_os_error().unwrap_or(libc::EIO),
            detail: path.to_string_lossy().into_owned(),
        };
        let _the_end_says_it_too = Message::Failed(failed).send(channel);
        process::exit_now(1)
    }
}

/// In the process between: makes the container's process as a child of the
/// runtime, in the namespaces that were joined, tells its number and ends.
/// Returns in the container's process.
fn go_between(flags: u64, news: BorrowedFd<'_>) {
    let options = clone::Options {
        namespaces: flags,
        cgroup: None,
        sibling: true,
    };
    match clone(&options) {
        Ok(Side::Child) => {}
        Ok(Side::Parent { pid, .. }) => {
            let told = Message::Made(pid).send(news);
            process::exit_now(i32::from(told.is_err()))
        }
        Err(error) => end_with("make the process in the joined namespaces", &error, news),
    }
}

fn end_with(step: &str, error: &io::Error, news: BorrowedFd<'_>) -> ! {
    let failed = Failed {
        step: step.to_owned(),
        errno: error.raw_os_error().unwrap_or(libc::EIO),
        detail: String::new(),
    };
    let _the_end_says_it_too = Message::Failed(failed).send(news);
    process::exit_now(1)
}

/// time_namespaces(7): it is for the children of who makes it, and its offsets
/// must be set before there is one.
fn new_time_namespace(offsets: &str) -> io::Result<()> {
    namespace::unshare(NamespaceKind::Time.flag())?;
    if offsets.is_empty() {
        return Ok(());
    }
    fs::write("/proc/self/timens_offsets", offsets)
}

/// A pid or time namespace holds only the children of who joins it, or makes
/// it, and new namespaces must belong to the user namespace that was joined.
fn needs_process_between(namespaces: &Namespaces) -> bool {
    let kinds = [NamespaceKind::User, NamespaceKind::Pid];
    namespaces.has(NamespaceKind::Time)
        || namespaces.joined().any(|(kind, _)| kinds.contains(&kind))
}

impl Process {
    /// From the process between to the one that it has made.
    fn follow(self, news: BorrowedFd<'_>) -> Result<Self, Error> {
        let message = hear(news, SILENT_AT_MOST).inspect_err(|_| self.kill())?;
        let end = process::wait(self.pidfd.as_fd())
            .map_err(Error::io("wait for", "the process in between"))?;
        match message.map(|(message, _)| message) {
            Some(Message::Made(pid)) => {
                let pidfd = process::open_pid(pid).map_err(Error::io("open", "the process"))?;
                Ok(Self { pid, pidfd, ..self })
            }
            Some(Message::Failed(failed)) => Err(step_error(failed)),
            _ => Err(Error::Died {
                step: "join namespaces",
                end: told_end(end),
            }),
        }
    }

    /// Gives the process what only the parent may give it: id maps, limits.
    /// Then attends to it until it waits for `start`, or is the program.
    ///
    /// # Errors
    /// A step or a hook failed, or the process died; it is dead then, and taken.
    pub fn attend(
        &self,
        container: &Container,
        plan: &Plan,
        attendant: &mut impl Attend,
    ) -> Result<(), Error> {
        let result = self.converse(container, plan, attendant, SILENT_AT_MOST);
        if result.is_err() {
            self.kill();
        }
        result
    }

    fn converse(
        &self,
        container: &Container,
        plan: &Plan,
        attendant: &mut impl Attend,
        limit: Duration,
    ) -> Result<(), Error> {
        let channel = self.channel.as_fd();
        let mut executing = false;
        loop {
            let Some((message, descriptor)) = hear(channel, limit)? else {
                // The socket closed by the exec.
                return if executing { Ok(()) } else { Err(self.died()) };
            };
            match message {
                Message::Waiting(step) => {
                    match plan.steps.get(step) {
                        Some(Step::AwaitMappings) => self.prepare(container)?,
                        Some(Step::AwaitNetDevices) => {
                            netdev::move_all(&container.net_devices, self.pid)?;
                        }
                        _ => attendant.run_hooks(self.pid)?,
                    }
                    socket::send(channel, b"g").map_err(Error::io("release", "the process"))?;
                }
                Message::Terminal => {
                    if let Some(outer) = descriptor {
                        attendant.take_terminal(outer)?;
                    }
                }
                Message::Listening(number) => {
                    let listener = take_listener(self.pidfd.as_fd(), number)?;
                    attendant.pass_listener(self.pid, listener)?;
                    socket::send(channel, b"g").map_err(Error::io("release", "the process"))?;
                }
                Message::Ready => return Ok(()),
                Message::Executing => executing = true,
                Message::Failed(failed) => return Err(step_error(failed)),
                Message::Made(_) => {}
            }
        }
    }

    fn died(&self) -> Error {
        let end = process::wait(self.pidfd.as_fd()).map_or_else(|e| e.to_string(), told_end);
        Error::Died {
            step: "set up the container",
            end,
        }
    }

    /// What a process in a user namespace may not do for itself. One that was
    /// joined has its maps.
    fn prepare(&self, container: &Container) -> Result<(), Error> {
        if container.namespaces.is_new(NamespaceKind::User) {
            let namespaces = &container.namespaces;
            id_maps::write(self.pid, &namespaces.uid_mappings, &namespaces.gid_mappings)?;
        }
        if let Some(score) = container.process.oom_score_adj {
            let path = format!("/proc/{}/oom_score_adj", self.pid);
            fs::write(&path, score.to_string()).map_err(Error::io("write", &path))?;
        }
        if let Some(scheduling) = &container.process.scheduler {
            scheduling::schedule(self.pid, scheduling)
                .map_err(Error::io("set the scheduler of", "the process"))?;
        }
        if let Some(priority) = container.process.io_priority {
            scheduling::set_io_priority(self.pid, priority)
                .map_err(Error::io("set the io priority of", "the process"))?;
        }
        for limit in &container.process.rlimits {
            process::set_limit(self.pid, limit.resource, limit.soft, limit.hard)
                .map_err(Error::io("set the limit", limit.name))?;
        }
        Ok(())
    }

    /// Kills the process and takes its end, if it comes in time.
    pub fn kill(&self) {
        // It may have ended already, and its end may have been taken.
        let _gone = process::send_signal(self.pidfd.as_fd(), libc::SIGKILL);
        let deadline = Instant::now() + GONE_WITHIN;
        if process::poll_until(self.pidfd.as_fd(), libc::POLLIN, deadline).unwrap_or(true) {
            let _taken = process::wait(self.pidfd.as_fd());
        }
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// The kernel's.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        process::send_signal(self.pidfd.as_fd(), signal)
    }

    /// Readable at its end.
    #[must_use]
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// The kernel's.
    pub fn wait(&self) -> io::Result<End> {
        process::wait(self.pidfd.as_fd())
    }
}

/// The next message of the container's process.
fn hear(
    channel: BorrowedFd<'_>,
    limit: Duration,
) -> Result<Option<(Message, Option<OwnedFd>)>, Error> {
    Message::receive(channel, limit).map_err(Error::io("hear from", "the container's process"))
}

fn told_end(end: End) -> String {
    match end {
        End::Code(code) => format!("code {code}"),
        End::Signal(signal) => format!("signal {signal}"),
    }
}

/// The listener that a process has by this number.
fn take_listener(process: BorrowedFd<'_>, number: i32) -> Result<OwnedFd, Error> {
    process::take_descriptor(process, number).map_err(Error::io(
        "take",
        "the seccomp listener of the container's process",
    ))
}

/// Releases a container that waits for `start`, and hears how its last steps
/// went. `pass` takes the listener of its filter, where it has one.
///
/// # Errors
/// Nobody waits; a step failed, or the listener could not be passed on: the
/// process is dead then.
pub fn release(
    socket_path: &[u8],
    process: BorrowedFd<'_>,
    pass: &mut dyn FnMut(OwnedFd) -> Result<(), Error>,
) -> Result<(), Error> {
    let socket =
        socket::connect(socket_path).map_err(Error::io("reach", "the container's process"))?;
    let mut executing = false;
    loop {
        match hear(socket.as_fd(), SILENT_AT_MOST)?.map(|(message, _)| message) {
            Some(Message::Executing) => executing = true,
            Some(Message::Listening(number)) => {
                take_listener(process, number)
                    .and_then(&mut *pass)
                    .inspect_err(|_| {
                        // It may wait for a decision by nobody.
                        let _gone = process::send_signal(process, libc::SIGKILL);
                    })?;
                socket::send(socket.as_fd(), b"g").map_err(Error::io("release", "the process"))?;
            }
            Some(Message::Failed(failed)) => return Err(step_error(failed)),
            Some(_) => {}
            None if executing => return Ok(()),
            None => {
                return Err(Error::Died {
                    step: "start the program",
                    end: "no word".to_owned(),
                });
            }
        }
    }
}

fn step_error(failed: Failed) -> Error {
    if failed.errno == 0 {
        return Error::Inside(failed.detail);
    }
    Error::Step {
        step: failed.step,
        detail: failed.detail,
        source: io::Error::from_raw_os_error(failed.errno),
    }
}

/// A path as the kernel takes it.
///
/// # Errors
/// It holds a NUL byte.
pub fn c_path(path: &std::path::Path) -> Result<CString, Error> {
    CString::new(path.as_os_str().as_encoded_bytes())
        .map_err(|e| Error::io("take the path", path.display())(io::Error::from(e)))
}
