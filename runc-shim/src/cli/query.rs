//! `state`, `list`, and what the program tells of itself.

use std::io::{self, Write};
use std::path::Path;

use super::Outcome;
use crate::error::Error;
use crate::state::{self, Folder, Json, OCI_VERSION, State, Status};

pub(super) fn state(root: &Path, id: &str) -> Outcome {
    let folder = Folder::open(root, id)?;
    let state = folder.read()?;
    let mut json = Json::pretty();
    state.tell(folder.status(&state), &mut json);
    print(&(json.finish() + "\n"))
}

/// `list`: every container, as ids, as a table, or as JSON.
pub(super) fn list(root: &Path, json: bool, quiet: bool) -> Outcome {
    let ids = state::ids(root)?;
    if quiet {
        return print(&ids.iter().map(|id| format!("{id}\n")).collect::<String>());
    }
    let mut all = Vec::with_capacity(ids.len());
    for id in ids {
        let found = Folder::open(root, &id).and_then(|folder| {
            let state = folder.read()?;
            let status = folder.status(&state);
            Ok((state, status))
        });
        match found {
            // Deleted while we looked.
            Err(Error::NotFound) => {}
            other => all.push(other?),
        }
    }
    print(&if json { as_json(&all) } else { as_table(&all) })
}

fn as_json(all: &[(State, Status)]) -> String {
    let mut json = Json::compact();
    json.list(|json| {
        for (state, status) in all {
            state.tell(*status, json.entry());
        }
    });
    json.finish() + "\n"
}

fn as_table(all: &[(State, Status)]) -> String {
    let heading = ["ID", "PID", "STATUS", "BUNDLE", "CREATED"].map(str::to_owned);
    let mut rows = vec![heading];
    rows.extend(all.iter().map(|(state, status)| {
        let pid = if *status == Status::Stopped {
            0
        } else {
            state.pid
        };
        [
            state.id.clone(),
            pid.to_string(),
            status.to_string(),
            state.bundle.display().to_string(),
            state.created.clone(),
        ]
    }));
    let mut text = String::new();
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            let width = rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(String::len);
            let width = width.max().unwrap_or_default();
            let last = column + 1 == row.len();
            text.push_str(cell);
            if !last {
                text.extend(std::iter::repeat_n(' ', width - cell.len() + 3));
            }
        }
        text.push('\n');
    }
    text
}

/// The lines that callers look for: "… version …" and "spec: …".
pub(super) fn version() -> Outcome {
    let version = env!("CARGO_PKG_VERSION");
    print(&format!(
        "runc-shim version {version}\nspec: {OCI_VERSION}\n"
    ))
}

const HELP: &str = "\
runc-shim: Hullkit's OCI runtime, with runc's command line

usage: runc-shim [--root DIR] [--log FILE] [--log-format text|json] COMMAND

  create [--bundle DIR] [--pid-file FILE] [--console-socket SOCKET]
         [--preserve-fds N] [--no-pivot] [--no-new-keyring] ID
                              set a container up; its program waits
  start ID                    let its program run
  run [--detach] [--keep] [as create] ID
                              both
  exec [--process FILE] [--tty] [--user UID[:GID]] [--cwd DIR] [--env A=B]
       [--cap CAP_X] [--no-new-privs] [--additional-gids GID] [--cgroup PATH]
       [--process-label LABEL] [--apparmor PROFILE] [--ignore-paused]
       [--detach] [--pid-file FILE] [--console-socket SOCKET]
       [--preserve-fds N] ID PROGRAM [ARGUMENT...]
                              run another program in it
  state ID                    print its state
  list [--format table|json] [--quiet]
                              print all containers
  ps [--format table|json] ID [ARGUMENT OF ps...]
                              print its processes
  kill [--all] ID [SIGNAL]    send a signal
  pause ID, resume ID         hold its processes, let them go on
  update [--resources FILE|-] [--memory BYTES] [--memory-reservation BYTES]
         [--memory-swap BYTES] [--pids-limit N] [--cpu-share N]
         [--cpu-quota N] [--cpu-period N] [--cpu-burst N] [--cpu-idle 0|1]
         [--cpuset-cpus LIST] [--cpuset-mems LIST] [--blkio-weight N] ID
                              change its limits
  events [--stats] [--interval 5s] ID
                              print what it uses
  delete [--force] ID         remove what is left of it
  spec [--bundle DIR] [--rootless]
                              write an example of config.json
  features                    print what this runtime can do
";

pub(super) fn help() -> Outcome {
    print(HELP)
}

/// Prints, in one write.
pub(super) fn print(text: &str) -> Outcome {
    let written = io::stdout().write_all(text.as_bytes());
    written.map_err(Error::io("write", "standard output"))?;
    Ok(None)
}
