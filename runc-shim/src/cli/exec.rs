//! `exec`: another program in a container that runs.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use super::command::Exec;
use super::create::{preserved, write_pid};
use super::terminal::Terminal;
use super::{ExitCode, Outcome, foreground, listener, own_file};
use crate::cgroup::{self, Cgroup};
use crate::error::Error;
use crate::exec::{self, Attend, Process, Target};
use crate::plan::{Entry, Plan};
use crate::resctrl;
use crate::seccomp;
use crate::spec::{Container, Invalid, RawProcess, read_process};
use crate::state::{Folder, State, Status};

/// Runs a program by the container's configuration and what is asked for;
/// attached, it stays until its end and takes its exit code.
pub(super) fn exec(root: &Path, options: &Exec) -> Outcome {
    own_file::protect()?;
    let folder = Folder::open(root, &options.id)?;
    let state = folder.read()?;
    match folder.status(&state) {
        Status::Created | Status::Running => {}
        Status::Paused if options.ignore_paused => {}
        Status::Paused => {
            return Err(Error::WrongState {
                found: Status::Paused,
                wanted: "running (or --ignore-paused given: the program then waits)",
            });
        }
        found => return Err(Error::NotRunning(found)),
    }
    let container = configuration(&folder, options)?;
    let mut terminal = Terminal::new(container.process.terminal, &options.launch)?;
    listener::check(&container)?;
    let choices = preserved(&options.launch)?;
    if !options.launch.detach {
        foreground::hold_signals()?;
    }
    let target = Target::open(state.pid, state.pid_start_time)?;
    let entry = Entry {
        arch: seccomp::native(),
        user_namespace: target.has_user_namespace(),
        choices,
    };
    let plan = Plan::of_entry(&container, &entry);
    let process = enter(target, &plan, &state, options)?;
    if let Some(rdt) = &container.rdt {
        let groups = resctrl::Groups::of(rdt, &state.id);
        groups.add(process.pid).inspect_err(|_| process.kill())?;
    }
    let mut attendant = Attendant {
        terminal: &mut terminal,
        container: &container,
        state: &state,
    };
    process.attend(&container, &plan, &mut attendant)?;
    if let Err(error) = write_pid(&process, &options.launch) {
        process.kill();
        return Err(error);
    }
    if options.launch.detach {
        return Ok(None);
    }
    let end = foreground::stay(&process, terminal.kept())?;
    Ok(Some(ExitCode(end.code())))
}

/// The container's configuration with this process in the place of its own.
fn configuration(folder: &Folder, options: &Exec) -> Result<Container, Error> {
    let (text, file) = folder.config()?;
    let given = match &options.process {
        Some(path) => {
            let text = fs::read(path).map_err(Error::io("read", path.display()))?;
            let process = read_process(&text).map_err(|source| Error::Config {
                file: path.display().to_string(),
                source,
            })?;
            Some(process)
        }
        None => None,
    };
    let file = options.process.as_ref().unwrap_or(&file);
    let mut change = |process: &mut RawProcess| match &given {
        Some(given) => {
            process.replace(given.clone());
            process.terminal |= options.tty;
        }
        None => alter(process, options),
    };
    Container::parse_changed(&text, &mut change).map_err(|source: Invalid| Error::Config {
        file: file.display().to_string(),
        source,
    })
}

/// What the options say, on top of the container's own process, as runc has it.
fn alter(process: &mut RawProcess, options: &Exec) {
    process.args.clone_from(&options.args);
    process.terminal = options.tty;
    process.console_size = None;
    if let Some((uid, gid)) = options.user {
        process.user.uid = uid;
        if let Some(gid) = gid {
            process.user.gid = gid;
        }
    }
    process.user.additional_gids.extend(&options.groups);
    if let Some(cwd) = &options.cwd {
        process.cwd.clone_from(cwd);
    }
    process.env.extend(options.env.iter().cloned());
    if !options.caps.is_empty() {
        process.add_capabilities(&options.caps);
    }
    if let Some(forbidden) = options.no_new_privs {
        process.no_new_privileges = forbidden;
    }
    if let Some(profile) = &options.apparmor {
        process.apparmor_profile.clone_from(profile);
    }
    if let Some(label) = &options.label {
        process.selinux_label.clone_from(label);
    }
}

/// The process is born in the container's cgroup, or in one below it. Where
/// that may hold no process, because the container divides it among its own,
/// it joins the first process's. A container without a cgroup of its own has
/// its processes where its callers are.
fn enter(target: Target, plan: &Plan, state: &State, options: &Exec) -> Result<Process, Error> {
    if state.cgroup.is_empty() {
        return match &options.cgroup {
            None => exec::enter(target, plan, None),
            Some(below) => Err(Error::Usage(format!(
                "--cgroup {below}: the container has no cgroup of its own"
            ))),
        };
    }
    if let Some(below) = &options.cgroup {
        let below = below.trim_matches('/');
        if below.split('/').any(|part| part == "..") {
            return Err(Error::Usage(format!(
                "--cgroup {below}: leads out of the container's cgroup"
            )));
        }
        let path = format!("{}/{below}", state.cgroup);
        let cgroup = Cgroup::open(path.trim_end_matches('/'))?;
        return exec::enter(target, plan, Some(cgroup.dir()));
    }
    let cgroup = Cgroup::open(&state.cgroup)?;
    if cgroup.holds_processes()? {
        return exec::enter(target, plan, Some(cgroup.dir()));
    }
    let firsts = Cgroup::open(&cgroup::of_process(state.pid)?)?;
    exec::enter(target, plan, Some(firsts.dir()))
}

/// Takes the terminal and passes the listener on; there are no hooks.
struct Attendant<'a> {
    terminal: &'a mut Terminal,
    container: &'a Container,
    state: &'a State,
}

impl Attend for Attendant<'_> {
    fn run_hooks(&mut self, _pid: i32) -> Result<(), Error> {
        Ok(())
    }

    fn take_terminal(&mut self, outer: OwnedFd) -> Result<(), Error> {
        self.terminal.take(outer)
    }

    fn pass_listener(&mut self, pid: i32, fd: OwnedFd) -> Result<(), Error> {
        let about = (self.state, Status::Running);
        listener::pass(self.container, pid, about, fd.as_fd())
    }
}
