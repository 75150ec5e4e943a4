//! The container's first process, from its birth to the program: it carries
//! out the plan's steps in order.
//!
//! It is a copy of the runtime with its own memory and one thread. What a step
//! needs was prepared in the plan; it allocates only where a path has to be
//! taken apart, and tells of failure as (step, errno, detail).

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};

use super::channel::{Failed, Message};
use super::entry::Entrance;
use super::idmap::Mapped;
use super::tree::Tree;
use super::{cover, identity, mounts, nodes, terminal};
use crate::plan::{Plan, Stage, Step};
use crate::sys::mount::{self, Change, Propagation};
use crate::sys::process::StringList;
use crate::sys::{file, namespace, process, scheduling, signal, socket};

/// Why a step failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: io::Error,
    pub(super) detail: String,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self {
            error,
            detail: String::new(),
        }
    }
}

impl Failure {
    /// Says which part of a step failed.
    pub(super) fn in_part(detail: &str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self {
            error,
            detail: detail.to_owned(),
        }
    }

    /// An error that is not the kernel's.
    pub(super) fn own(errno: i32, detail: &str) -> Self {
        Self::in_part(detail)(io::Error::from_raw_os_error(errno))
    }
}

pub(super) type Done = Result<(), Failure>;

/// What the child holds on its way.
pub(super) struct Child<'a> {
    plan: &'a Plan,
    /// To the parent; later, to whoever calls `start`.
    channel: OwnedFd,
    /// Where `start` connects.
    listener: Option<OwnedFd>,
    /// Of a container that is entered, until [`Step::JoinContainer`].
    entrance: Option<Entrance>,
    /// The container's root, from [`Step::TakeRoot`] on.
    tree: Option<Tree>,
    /// Mounts that become read-only later, by their place in the configuration.
    kept: Vec<(usize, OwnedFd)>,
    /// Which of the candidates the program is, and what it gets.
    program: usize,
    environment: Option<StringList>,
    /// What hides folders: the first tmpfs that did.
    mask: Option<OwnedFd>,
    /// Mounts that the runtime has made.
    mapped: Mapped,
    /// Runs the hooks of [`Step::RunInside`].
    inside: &'a dyn Inside,
}

/// Runs hooks in the container's process.
pub trait Inside {
    /// Those of a stage. `pid` is the container's process as it sees itself.
    ///
    /// # Errors
    /// Which hook failed, and how.
    fn run(&self, stage: Stage, pid: i32) -> Result<(), String>;
}

impl<'a> Child<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        channel: OwnedFd,
        listener: Option<OwnedFd>,
        mapped: Mapped,
        inside: &'a dyn Inside,
    ) -> Self {
        Self {
            mapped,
            inside,
            plan,
            channel,
            listener,
            entrance: None,
            tree: None,
            kept: Vec::new(),
            program: 0,
            environment: None,
            mask: None,
        }
    }

    /// With a container to enter.
    pub(super) fn entering(self, entrance: Entrance) -> Self {
        Self {
            entrance: Some(entrance),
            ..self
        }
    }

    /// Carries out the plan. Does not return: the process becomes the program,
    /// or ends.
    pub(super) fn run(mut self) -> ! {
        let plan = self.plan;
        // The runtime's: its lock would be held on, its folders be reachable.
        let ours = [
            Some(self.channel.as_fd()),
            self.listener.as_ref().map(AsFd::as_fd),
        ];
        let mapped = self.mapped.0.iter().map(|(_, mount)| mount.as_fd());
        let entrance = self.entrance.as_ref().map(Entrance::descriptors);
        let ours: Vec<_> = ours
            .into_iter()
            .flatten()
            .chain(mapped)
            .chain(entrance.into_iter().flatten())
            .collect();
        if let Err(error) = file::close_all_but(3 + plan.preserved, &ours) {
            self.tell(&Step::ResetSignals, &error.into());
            process::exit_now(1)
        }
        for (index, step) in plan.steps.iter().enumerate() {
            if let Err(failure) = self.carry_out(index, step) {
                self.tell(step, &failure);
                break;
            }
        }
        process::exit_now(1)
    }

    /// Tells that something failed. That this cannot be told either is known
    /// to the parent by our end.
    fn tell(&self, step: &Step, failure: &Failure) {
        let failed = Failed {
            step: step.to_string(),
            errno: failure.error.raw_os_error().unwrap_or(libc::EIO),
            detail: failure.detail.clone(),
        };
        let listens = self.entrance.as_ref().map(|entrance| &entrance.news);
        let channel = listens.unwrap_or(&self.channel).as_fd();
        let _the_end_says_it_too = Message::Failed(failed).send(channel);
    }

    fn carry_out(&mut self, index: usize, step: &Step) -> Done {
        match step {
            Step::AwaitMappings | Step::AwaitNetDevices | Step::RunHooks => {
                self.await_parent(index)
            }
            Step::RunInside(stage) => self.run_inside(*stage),
            Step::OpenRoot(path) => {
                let flags = libc::O_PATH | libc::O_DIRECTORY;
                self.tree = Some(Tree::new(file::openat(None, path, flags, 0)?));
                Ok(())
            }
            Step::ChangeRoot => self.change_root(),
            Step::BecomeNamespaceRoot => identity::become_namespace_root(),
            Step::NewCgroupNamespace => done(namespace::unshare(u64::from(
                libc::CLONE_NEWCGROUP.unsigned_abs(),
            ))),
            Step::NewSession => done(process::new_session()),
            Step::NewKeyring => new_keyring(),
            Step::SetHostname(name) => done(namespace::set_hostname(name)),
            Step::SetDomainname(name) => done(namespace::set_domainname(name)),
            Step::SetOomScore(score) => {
                write_proc(c"/proc/self/oom_score_adj", score.to_string().as_bytes())
            }
            Step::SetLimit(l) => done(process::set_limit(0, l.resource, l.soft, l.hard)),
            Step::SetSysctl(sysctl) => write_proc(&sysctl.path, sysctl.value.as_bytes()),
            Step::Schedule(s) => done(scheduling::schedule(0, s)),
            Step::SetIoPriority(priority) => done(scheduling::set_io_priority(0, *priority)),
            Step::SetAffinity(processors) => done(scheduling::set_affinity(processors)),
            Step::SetMemoryPolicy(policy) => done(scheduling::set_memory_policy(policy)),
            Step::SetPersonality(domain) => done(scheduling::set_personality(*domain)),
            Step::RequireSelinux => identity::require_selinux(),
            Step::SetSelinux(label) => write_proc(c"/proc/self/attr/exec", label.to_bytes()),
            Step::CutPropagation => done(mount::set_propagation(c"/", Propagation::Slave, true)),
            Step::PartRoot(path) => mounts::part_root(path),
            Step::TakeRoot(path) => {
                self.tree = Some(mounts::take_root(path)?);
                Ok(())
            }
            Step::Mount {
                index,
                mount,
                read_only_later,
            } => {
                let made = self.mapped.take(*index);
                let kept = mounts::mount(self.tree()?, mount, *read_only_later, made)?;
                self.kept.extend(kept.map(|fd| (*index, fd)));
                Ok(())
            }
            Step::MakeNode { node, bind } => nodes::make(self.tree()?, node, *bind),
            Step::MakeLink { target, path } => nodes::link(self.tree()?, target, path),
            Step::MakeFolder(path) => {
                // What it lacks is told by the step that enters it.
                let _missing = self.tree()?.make_folders(path);
                Ok(())
            }
            Step::OpenTerminal { console, size, uid } => {
                if self.tree.is_none() {
                    // Entered, not made: the root is the container's already.
                    self.tree = Some(Tree::at_root()?);
                }
                terminal::open(self.tree()?, *console, *size, *uid, self.channel.as_fd())
            }
            Step::GivePipes(uid) => terminal::give_pipes(*uid),
            Step::JoinContainer => self.join_container(),
            Step::ProtectPath(path) => mounts::protect(self.tree()?, path),
            Step::MaskPath(path) => self.mask(path),
            Step::SealMount { index, .. } => self.seal(*index),
            Step::SealRoot => mounts::read_only(self.tree()?.root()),
            Step::Pivot => self.pivot(),
            Step::CoverRoot => {
                cover::cover_root(self.tree()?)?;
                self.forget_set_up();
                Ok(())
            }
            Step::SetPropagation { how, recursive } => {
                done(mount::set_propagation(c"/", *how, *recursive))
            }
            Step::EnterFolder(path) => enter(path),
            Step::FindProgram => self.find_program(),
            Step::WaitForStart => self.wait_for_start(),
            Step::SetAppArmor(profile) => identity::set_apparmor(profile),
            Step::LimitBoundingSet(set) => identity::limit_bounding_set(*set),
            Step::BecomeUser(owner) => identity::become_user(owner),
            Step::SetCapabilities(sets) => identity::set_capabilities(sets),
            Step::SetUmask(mask) => {
                file::umask(*mask);
                Ok(())
            }
            Step::ForbidNewPrivileges => identity::forbid_new_privileges(),
            Step::ResetSignals => self.reset(),
            Step::LoadFilter => identity::load_filter(&self.plan.filter, self.plan.filter_flags),
            Step::LoadFilterWithListener { open, .. } => self.load_with_listener(*open),
            Step::Exec => self.exec(),
        }
    }

    fn tree(&self) -> Result<&Tree, Failure> {
        self.tree
            .as_ref()
            .ok_or_else(|| Failure::own(libc::EINVAL, "no root was taken"))
    }

    /// Lets the parent do its part; it answers with a record, or is gone.
    fn await_parent(&self, index: usize) -> Done {
        Message::Waiting(index).send(self.channel.as_fd())?;
        let mut answer = [0; 1];
        match socket::receive(self.channel.as_fd(), &mut answer)? {
            [] => Err(Failure::own(libc::EPIPE, "the runtime has gone")),
            _ => Ok(()),
        }
    }

    /// What went wrong is told by the hook's own line, with no word of the
    /// kernel's.
    fn run_inside(&self, stage: Stage) -> Done {
        let done = self.inside.run(stage, process::own_id());
        done.map_err(|problem| Failure::own(0, &problem))
    }

    fn change_root(&mut self) -> Done {
        file::fchdir(self.tree()?.root())?;
        process::change_root_to_cwd()?;
        self.tree = None;
        Ok(())
    }

    fn mask(&mut self, path: &CStr) -> Done {
        let tree = self
            .tree
            .as_ref()
            .ok_or_else(|| Failure::own(libc::EINVAL, "no root was taken"))?;
        mounts::mask(tree, path, &mut self.mask)
    }

    fn seal(&mut self, index: usize) -> Done {
        match self.kept.iter().find(|(kept, _)| *kept == index) {
            Some((_, mount)) => mounts::read_only(mount.as_fd()),
            None => Err(Failure::own(libc::EINVAL, "the mount was not kept")),
        }
    }

    /// 1. The container's root becomes the current directory.
    /// 2. pivot_root(".", ".") puts it below everything, the old root on top.
    /// 3. The old root is taken off, with all that is mounted below it. What of
    ///    that is shared with the host must stay there, so it becomes a slave.
    /// 4. "/" is looked up anew, which is now the container's root.
    fn pivot(&mut self) -> Done {
        let old = file::openat(None, c"/", libc::O_PATH | libc::O_DIRECTORY, 0)?;
        file::fchdir(self.tree()?.root())?;
        mount::pivot_to_cwd()?;
        let slave = Change {
            propagation: Some(Propagation::Slave),
            ..Change::default()
        };
        mount::change(old.as_fd(), slave, true)?;
        mount::detach_cwd()?;
        file::chdir(c"/")?;
        self.forget_set_up();
        Ok(())
    }

    /// Closes descriptors of the set-up that no later step needs.
    fn forget_set_up(&mut self) {
        self.tree = None;
        self.kept.clear();
        self.mask = None;
    }

    /// Returns in another process, which the container may see.
    fn join_container(&mut self) -> Done {
        let entrance = self
            .entrance
            .as_ref()
            .ok_or_else(|| Failure::own(libc::EINVAL, "there is none to enter"))?;
        entrance.join()?;
        self.entrance = None;
        Ok(())
    }

    /// The first candidate that is there and may be executed. The reason of
    /// the last that is there and may not be wins over "not found".
    fn find_program(&mut self) -> Done {
        let mut error = io::Error::from_raw_os_error(libc::ENOENT);
        for (index, candidate) in self.plan.program.candidates.iter().enumerate() {
            match nodes::is_program(candidate) {
                Ok(()) => {
                    self.program = index;
                    self.complete_environment();
                    return Ok(());
                }
                Err(e) if e.raw_os_error() == Some(libc::ENOENT) => {}
                Err(e) => error = e,
            }
        }
        let name = self.plan.program.arguments.strings().first();
        let name = name.map(|n| n.to_string_lossy()).unwrap_or_default();
        // Docker tells its codes 127 and 126 by these words, in Go's spelling.
        let words = match error.raw_os_error() {
            Some(libc::ENOENT) => ": executable file not found",
            Some(libc::EACCES) => ": permission denied",
            _ => "",
        };
        Err(Failure::in_part(&(name.into_owned() + words))(error))
    }

    /// Now, because a filter may forbid it later. This process becomes the
    /// program: its number here is the program's.
    fn complete_environment(&mut self) {
        let program = &self.plan.program;
        let home = program.needs_home().then(|| identity::home(program.uid));
        if home.is_some() || program.listens {
            let pid = std::process::id();
            self.environment = Some(program.completed(home.as_deref(), pid));
        }
    }

    /// From here on the one to be told is whoever calls `start`.
    fn wait_for_start(&mut self) -> Done {
        let listener = self
            .listener
            .take()
            .ok_or_else(|| Failure::own(libc::EINVAL, "nothing listens"))?;
        Message::Ready.send(self.channel.as_fd())?;
        self.channel = socket::accept(listener.as_fd())?;
        Ok(())
    }

    /// Everything that a seccomp filter might forbid and that can be done
    /// before it; nothing but 0, 1, 2 and what is to be preserved gets into the
    /// program.
    fn reset(&mut self) -> Done {
        signal::reset()?;
        file::close_on_exec_from(3 + self.plan.preserved)?;
        Message::Executing.send(self.channel.as_fd())?;
        Ok(())
    }

    /// 1. The filter is loaded; from here on nothing but write(2) and read(2)
    ///    is called until others can decide about calls.
    /// 2. The runtime is told the listener's number.
    /// 3. It answers when it has taken the listener and passed it on.
    fn load_with_listener(&self, open: bool) -> Done {
        if open {
            identity::allow_tracing()?;
        }
        let listener =
            identity::load_filter_with_listener(&self.plan.filter, self.plan.filter_flags)?;
        let channel = self.channel.as_fd();
        Message::write_listening(channel, listener.as_raw_fd()).map_err(Failure::in_part(
            "telling of the listener, under the filter",
        ))?;
        match file::read_once(channel, &mut [0; 1]).map_err(Failure::in_part(
            "waiting for the listener's delivery, under the filter",
        ))? {
            // Why is known to the runtime, and told by it.
            [] => process::exit_now(1),
            _ => {
                // close(2) is a call like others; the exec does it.
                let _open_until_then = listener.into_raw_fd();
                Ok(())
            }
        }
    }

    fn exec(&mut self) -> Done {
        let program = &self.plan.program;
        let Some(path) = program.candidates.get(self.program) else {
            return Err(Failure::own(libc::ENOENT, "no program"));
        };
        let environment = self.environment.as_ref().unwrap_or(&program.environment);
        let error = process::exec(path, &program.arguments, environment);
        let name = path.to_string_lossy();
        Err(Failure::in_part(&name)(error))
    }
}

fn done(result: io::Result<()>) -> Done {
    result.map_err(Failure::from)
}

/// A kernel without keys, or a user who has used up his, is no reason to fail.
fn new_keyring() -> Done {
    match process::new_session_keyring() {
        Err(e) if !matches!(e.raw_os_error(), Some(libc::ENOSYS | libc::EDQUOT)) => Err(e.into()),
        _ => Ok(()),
    }
}

/// Writes a file of `/proc`, after making sure that it is one.
pub(super) fn write_proc(path: &CStr, bytes: &[u8]) -> Done {
    let fd = file::openat(None, path, libc::O_WRONLY, 0)?;
    if !file::filesystem(fd.as_fd())?.is_proc() {
        return Err(Failure::own(libc::EPERM, "not a file of /proc"));
    }
    done(file::write_once(fd.as_fd(), bytes))
}

/// A working directory such as `/proc/self/fd/7` would lead back to the host
/// through a descriptor of ours (CVE-2024-21626), so its path must be one that
/// the container can reach.
fn enter(path: &CStr) -> Done {
    file::chdir(path)?;
    if file::cwd_is_reachable()? {
        return Ok(());
    }
    Err(Failure::own(
        libc::EPERM,
        "it lies outside of the container",
    ))
}
