//! `create`, `start` and `run`.

use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::command::{Create, Launch};
use super::terminal::Terminal;
use super::{ExitCode, Outcome, delete, foreground, hooks, listener, own_file};
use crate::cgroup::{self, Cgroup};
use crate::error::Error;
use crate::exec::{self, Attend, Inside, Process};
use crate::plan::{Choices, Facts, Plan, Stage};
use crate::resctrl;
use crate::seccomp;
use crate::spec::{Container, Hooks};
use crate::state::{self, Folder, OCI_VERSION, State, Status};
use crate::sys::{file, process, socket};

/// `create`: everything up to the program, which waits for `start`.
pub(super) fn create(root: &Path, options: &Create) -> Outcome {
    own_file::protect()?;
    let bundle = Bundle::read(&options.bundle)?;
    bundle.make(root, options, true).map(|_| None)
}

/// `run`: `create` and `start` in one, with no wait between; attached, it
/// stays until the program's end and takes its exit code.
pub(super) fn run(root: &Path, options: &Create) -> Outcome {
    own_file::protect()?;
    let bundle = Bundle::read(&options.bundle)?;
    if !options.launch.detach {
        foreground::hold_signals()?;
    }
    let (process, terminal) = bundle.make(root, options, false)?;
    if options.launch.detach {
        return Ok(None);
    }
    let end = foreground::stay(&process, terminal.kept())?;
    if !options.keep {
        delete::delete(root, &options.id, true)?;
    }
    Ok(Some(ExitCode(end.code())))
}

/// `start`: releases the program.
pub(super) fn start(root: &Path, id: &str) -> Outcome {
    let folder = Folder::open(root, id)?.lock()?;
    let state = folder.read()?;
    let found = folder.status(&state);
    if found != Status::Created {
        return Err(Error::WrongState {
            found,
            wanted: "created",
        });
    }
    let process = process::open_pid(state.pid).map_err(Error::io("open process", state.pid))?;
    if state::start_time(state.pid) != Some(state.pid_start_time) {
        return Err(Error::NotRunning(Status::Stopped));
    }
    let mut pass = |fd: OwnedFd| listener::pass_for_start(&folder, &state, fd.as_fd());
    let released = exec::release(&folder.start_socket(), process.as_fd(), &mut pass);
    folder.remove_start_socket()?;
    released?;
    hooks::run_all("poststart", &state.hooks.poststart, &state, Status::Running)?;
    Ok(None)
}

/// A bundle that was read and found good.
struct Bundle {
    path: PathBuf,
    /// Of its configuration.
    text: Vec<u8>,
    container: Container,
}

impl Bundle {
    fn read(path: &Path) -> Result<Self, Error> {
        let path = fs::canonicalize(path).map_err(Error::io("find the bundle", path.display()))?;
        let file = path.join("config.json");
        let text = fs::read(&file).map_err(Error::io("read", file.display()))?;
        let container = Container::parse(&text).map_err(|source| Error::Config {
            file: file.display().to_string(),
            source,
        })?;
        Ok(Self {
            path,
            text,
            container,
        })
    }

    fn cgroup_path(&self, id: &str) -> String {
        self.container
            .cgroups_path
            .clone()
            .unwrap_or_else(|| id.to_owned())
    }

    fn groups(&self, id: &str) -> Option<resctrl::Groups<'_>> {
        let rdt = self.container.rdt.as_ref()?;
        Some(resctrl::Groups::of(rdt, id))
    }

    fn rootfs(&self) -> PathBuf {
        let root = self.container.root.path.to_string_lossy();
        self.path.join(root.as_ref())
    }

    /// 1. The folder, so that whatever happens later can be deleted.
    /// 2. The cgroup with its limits, the class of service.
    /// 3. The process, born in it, up to where it waits or is the program.
    /// 4. The state and the pid file.
    ///
    /// What fails takes the earlier ones back.
    fn make(
        &self,
        root: &Path,
        options: &Create,
        wait: bool,
    ) -> Result<(Process, Terminal), Error> {
        let mut terminal = Terminal::new(self.container.process.terminal, &options.launch)?;
        listener::check(&self.container)?;
        let plan = self.plan(wait, choices(options)?)?;
        if let Some(groups) = self.groups(&options.id) {
            groups.check()?;
        }
        let folder = Folder::create(root, &options.id)?;
        let mut state = self.first_state(&options.id);
        match self.make_in(&folder, &mut state, &plan, options, &mut terminal) {
            Ok(process) => Ok((process, terminal)),
            Err(error) => {
                // The first error is the one to tell.
                let _left_for_delete = cgroup::remove(&state.cgroup)
                    .and_then(|()| resctrl::remove(&state.resctrl))
                    .and_then(|()| folder.remove());
                Err(error)
            }
        }
    }

    fn first_state(&self, id: &str) -> State {
        State {
            oci_version: OCI_VERSION.to_owned(),
            id: id.to_owned(),
            bundle: self.path.clone(),
            rootfs: self.rootfs(),
            created: state::now(),
            annotations: self.container.annotations.clone(),
            hooks: self.container.hooks.clone(),
            resctrl: self
                .groups(id)
                .map(|groups| groups.own())
                .unwrap_or_default(),
            ..State::default()
        }
    }

    fn make_in(
        &self,
        folder: &Folder,
        state: &mut State,
        plan: &Plan,
        options: &Create,
        terminal: &mut Terminal,
    ) -> Result<Process, Error> {
        let cgroup = self.cgroup(folder, state)?;
        if let Some(groups) = self.groups(&state.id) {
            groups.make()?;
        }
        folder.keep_config(&self.text)?;
        let listener = if is_waiting(plan) {
            Some(listen(folder)?)
        } else {
            None
        };
        file::umask(0);
        let inside = HooksInside {
            state,
            hooks: &self.container.hooks,
        };
        let group = cgroup.as_ref().map(Cgroup::dir);
        let process = exec::launch(&self.container, plan, group, listener, &inside)?;
        let done = self.bring_up(&process, plan, folder, state, options, terminal);
        if done.is_err() {
            process.kill();
        }
        done.map(|()| process)
    }

    /// The group with its limits; none where an ordinary user may make none and
    /// wants no limits.
    fn cgroup(&self, folder: &Folder, state: &mut State) -> Result<Option<Cgroup>, Error> {
        let path = self.cgroup_path(&state.id);
        if !cgroup::may_make(&path, &self.container.resources)? {
            folder.write(state)?;
            return Ok(None);
        }
        // Before the group is made, so that it is found whatever happens. It
        // is ours to remove only if nobody lives in it.
        cgroup::check_free(&path)?;
        state.cgroup = path;
        folder.write(state)?;
        let cgroup = Cgroup::create(&state.cgroup, &self.container.resources)?;
        if let Some((uid, gid)) = self.container.cgroup_owner() {
            cgroup.delegate(uid, gid)?;
        }
        Ok(Some(cgroup))
    }

    fn bring_up(
        &self,
        process: &Process,
        plan: &Plan,
        folder: &Folder,
        state: &mut State,
        options: &Create,
        terminal: &mut Terminal,
    ) -> Result<(), Error> {
        state.pid = process.pid;
        state.pid_start_time = state::start_time(process.pid).unwrap_or_default();
        if state.cgroup.is_empty() {
            // By its number alone `delete` finds it, if we come to no end.
            folder.write(state)?;
        }
        if let Some(groups) = self.groups(&state.id) {
            groups.add(process.pid)?;
        }
        let mut attendant = Attendant {
            state,
            terminal,
            container: &self.container,
        };
        process.attend(&self.container, plan, &mut attendant)?;
        folder.write(state)?;
        write_pid(process, &options.launch)?;
        if !is_waiting(plan) {
            hooks::run_all("poststart", &state.hooks.poststart, state, Status::Running)?;
        }
        Ok(())
    }

    fn plan(&self, wait: bool, choices: Choices) -> Result<Plan, Error> {
        let facts = Facts {
            bundle: exec::c_path(&self.path)?,
            arch: seccomp::native(),
            wait,
            choices,
        };
        Ok(Plan::new(&self.container, &facts))
    }
}

fn is_waiting(plan: &Plan) -> bool {
    plan.steps.contains(&crate::plan::Step::WaitForStart)
}

fn listen(folder: &Folder) -> Result<OwnedFd, Error> {
    let path: CString = CString::new(folder.start_socket()).unwrap_or_default();
    socket::listen(path.as_bytes()).map_err(Error::io("listen at", path.to_string_lossy()))
}

/// Runs the hooks that run in the container's process.
struct HooksInside<'a> {
    state: &'a State,
    hooks: &'a Hooks,
}

impl Inside for HooksInside<'_> {
    fn run(&self, stage: Stage, pid: i32) -> Result<(), String> {
        let state = State {
            pid,
            ..self.state.clone()
        };
        let (list, status) = match stage {
            Stage::CreateContainer => (&self.hooks.create_container, Status::Creating),
            Stage::StartContainer => (&self.hooks.start_container, Status::Created),
        };
        hooks::run_all(stage.name(), list, &state, status).map_err(|e| e.to_string())
    }
}

fn choices(options: &Create) -> Result<Choices, Error> {
    Ok(Choices {
        keep_keyring: options.keep_keyring,
        no_pivot: options.no_pivot,
        ..preserved(&options.launch)?
    })
}

/// The descriptors that the program gets beside 0, 1 and 2: first those that
/// listen, by the word of whoever called us (sd_listen_fds(3)), then as many
/// more as were asked for. Each must be there.
pub(super) fn preserved(launch: &Launch) -> Result<Choices, Error> {
    let number = |name| std::env::var(name).ok()?.parse::<u32>().ok();
    let ours = number("LISTEN_PID") == Some(std::process::id());
    let listening = number("LISTEN_FDS").filter(|n| ours && *n <= 1 << 16);
    let listening = listening.unwrap_or_default();
    let preserved = listening + launch.preserve_fds;
    match (3..3 + preserved).find(|fd| !file::is_open(*fd)) {
        Some(fd) => Err(Error::Usage(format!(
            "descriptor {fd} is to be preserved, and is not open"
        ))),
        None => Ok(Choices {
            preserved,
            listening,
            names: std::env::var("LISTEN_FDNAMES")
                .ok()
                .filter(|_| listening > 0),
            ..Choices::default()
        }),
    }
}

/// Tells the process's number to whoever asked for it.
pub(super) fn write_pid(process: &Process, launch: &Launch) -> Result<(), Error> {
    let Some(path) = &launch.pid_file else {
        return Ok(());
    };
    state::replace(path, process.pid.to_string().as_bytes())
        .map_err(Error::io("write", path.display()))
}

/// Runs the hooks of the stage before the root is entered, takes the terminal,
/// passes the listener on.
struct Attendant<'a> {
    state: &'a State,
    terminal: &'a mut Terminal,
    container: &'a Container,
}

impl Attend for Attendant<'_> {
    fn run_hooks(&mut self, pid: i32) -> Result<(), Error> {
        let state = State {
            pid,
            ..self.state.clone()
        };
        let list = &state.hooks.create_runtime;
        hooks::run_all("createRuntime", list, &state, Status::Creating)
    }

    fn take_terminal(&mut self, outer: OwnedFd) -> Result<(), Error> {
        self.terminal.take(outer)
    }

    fn pass_listener(&mut self, pid: i32, fd: OwnedFd) -> Result<(), Error> {
        let about = (self.state, Status::Creating);
        listener::pass(self.container, pid, about, fd.as_fd())
    }
}
