//! `create`, `start` and `run`.

use std::ffi::CString;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::args::Create;
use super::{ExitCode, Outcome, delete, hooks, own_file, signals};
use crate::cgroup::{self, Cgroup};
use crate::error::Error;
use crate::exec::{self, Attend, Inside, Process};
use crate::plan::{Facts, Plan, Stage};
use crate::seccomp;
use crate::spec::{Container, Hooks};
use crate::state::{self, Folder, OCI_VERSION, State, Status};
use crate::sys::{file, socket};

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
    if !options.detach {
        signals::hold()?;
    }
    let made = bundle.make(root, options, false)?;
    if options.detach {
        return Ok(None);
    }
    let end = signals::forward_until_end(&made)?;
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
    let released = exec::release(&folder.start_socket());
    folder.remove_start_socket()?;
    released?;
    hooks::run_all("poststart", &state.hooks.poststart, &state, Status::Running)?;
    Ok(None)
}

/// A bundle that was read and found good.
struct Bundle {
    path: PathBuf,
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
        if container.process.terminal {
            return Err(Error::Unsupported(
                "process.terminal: this runtime does not support terminals".to_owned(),
            ));
        }
        Ok(Self { path, container })
    }

    fn cgroup_path(&self, id: &str) -> String {
        self.container
            .cgroups_path
            .clone()
            .unwrap_or_else(|| id.to_owned())
    }

    fn rootfs(&self) -> PathBuf {
        let root = self.container.root.path.to_string_lossy();
        self.path.join(root.as_ref())
    }

    /// 1. The folder, so that whatever happens later can be deleted.
    /// 2. The cgroup with its limits.
    /// 3. The process, born in it, up to where it waits or is the program.
    /// 4. The state and the pid file.
    ///
    /// What fails takes the earlier ones back.
    fn make(&self, root: &Path, options: &Create, wait: bool) -> Result<Process, Error> {
        let folder = Folder::create(root, &options.id)?;
        let mut state = self.first_state(&options.id);
        match self.make_in(&folder, &mut state, options, wait) {
            Ok(process) => Ok(process),
            Err(error) => {
                // The first error is the one to tell.
                let _left_for_delete = cgroup::remove(&state.cgroup).and_then(|()| folder.remove());
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
            ..State::default()
        }
    }

    fn make_in(
        &self,
        folder: &Folder,
        state: &mut State,
        options: &Create,
        wait: bool,
    ) -> Result<Process, Error> {
        let plan = self.plan(wait)?;
        let cgroup_path = self.cgroup_path(&options.id);
        // Before the group is made, so that it is found whatever happens. It
        // is ours to remove only if nobody lives in it.
        cgroup::check_free(&cgroup_path)?;
        state.cgroup = cgroup_path;
        folder.write(state)?;
        let cgroup = Cgroup::create(&state.cgroup, &self.container.resources)?;
        if let Some((uid, gid)) = self.container.cgroup_owner() {
            cgroup.delegate(uid, gid)?;
        }
        let listener = if wait { Some(listen(folder)?) } else { None };
        file::umask(0);
        let inside = HooksInside {
            state,
            hooks: &self.container.hooks,
        };
        let process = exec::launch(&self.container, &plan, cgroup.dir(), listener, &inside)?;
        let done = self.bring_up(&process, &plan, folder, state, options);
        if done.is_err() {
            process.kill();
        }
        done.map(|()| process)
    }

    fn bring_up(
        &self,
        process: &Process,
        plan: &Plan,
        folder: &Folder,
        state: &mut State,
        options: &Create,
    ) -> Result<(), Error> {
        state.pid = process.pid;
        state.pid_start_time = state::start_time(process.pid).unwrap_or_default();
        process.attend(&self.container, plan, &mut HookRunner { state })?;
        folder.write(state)?;
        if let Some(path) = &options.pid_file {
            state::replace(path, process.pid.to_string().as_bytes())
                .map_err(Error::io("write", path.display()))?;
        }
        if options.detach || !is_waiting(plan) {
            hooks::run_all("poststart", &state.hooks.poststart, state, Status::Running)?;
        }
        Ok(())
    }

    fn plan(&self, wait: bool) -> Result<Plan, Error> {
        let facts = Facts {
            bundle: exec::c_path(&self.path)?,
            arch: seccomp::native(),
            wait,
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

/// Runs the hooks of the stage before the root is entered.
struct HookRunner<'a> {
    state: &'a State,
}

impl Attend for HookRunner<'_> {
    fn run_hooks(&mut self, pid: i32) -> Result<(), Error> {
        let state = State {
            pid,
            ..self.state.clone()
        };
        let list = &state.hooks.create_runtime;
        hooks::run_all("createRuntime", list, &state, Status::Creating)
    }
}
