//! `state`, and what the program tells of itself.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use super::Outcome;
use crate::error::Error;
use crate::state::{Folder, OCI_VERSION, State, Status};

/// A container's state as the specification has it (runtime.md, "State"), with
/// runc's `rootfs` and `created`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    oci_version: &'a str,
    id: &'a str,
    status: Status,
    pid: i32,
    bundle: &'a Path,
    rootfs: &'a Path,
    created: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

/// The state as JSON, for hooks and for `state`.
pub(super) fn state_json(state: &State, status: Status) -> Result<Vec<u8>, Error> {
    let told = Told {
        oci_version: &state.oci_version,
        id: &state.id,
        status,
        pid: if status == Status::Stopped {
            0
        } else {
            state.pid
        },
        bundle: &state.bundle,
        rootfs: &state.rootfs,
        created: &state.created,
        annotations: &state.annotations,
    };
    serde_json::to_vec_pretty(&told).map_err(|source| Error::State {
        file: "the state".to_owned(),
        source,
    })
}

pub(super) fn state(root: &Path, id: &str) -> Outcome {
    let folder = Folder::open(root, id)?;
    let state = folder.read()?;
    let mut text = state_json(&state, folder.status(&state))?;
    text.push(b'\n');
    print(&text)
}

pub(super) fn version() -> Outcome {
    let version = env!("CARGO_PKG_VERSION");
    print(format!("runc-shim version {version}\nspec: {OCI_VERSION}\n").as_bytes())
}

const HELP: &str = "\
runc-shim: Hullkit's OCI runtime, with runc's command line

usage: runc-shim [--root DIR] [--log FILE] [--log-format text|json] COMMAND

  create [--bundle DIR] [--pid-file FILE] ID            set a container up
  start ID                                              let its program run
  run [--detach] [--keep] [--bundle DIR] [--pid-file FILE] ID
                                                        both
  state ID                                              print its state
  kill [--all] ID [SIGNAL]                              send a signal
  delete [--force] ID                                   remove what is left
";

pub(super) fn help() -> Outcome {
    print(HELP.as_bytes())
}

fn print(text: &[u8]) -> Outcome {
    let written = io::stdout().write_all(text);
    written.map_err(Error::io("write", "standard output"))?;
    Ok(None)
}
