//! Who decides about a container's system calls (`SCMP_ACT_NOTIFY`): a program
//! that listens at `linux.seccomp.listenerPath` gets the listener of each
//! process's filter, with what the specification calls the container process
//! state (config-linux.md).

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;

use crate::error::Error;
use crate::spec::{Container, Listener};
use crate::state::{Folder, Json, OCI_VERSION, State, Status};
use crate::sys::socket;

/// How many seconds who listens may take.
const PATIENCE: u16 = 60;

/// A container, and where in its life it is.
type About<'a> = (&'a State, Status);

fn of(container: &Container) -> Option<&Listener> {
    container.seccomp.as_ref()?.listener.as_ref()
}

/// Makes sure that there is a socket, before anything is made: whether
/// somebody listens is seen when the listener is passed on.
pub(super) fn check(container: &Container) -> Result<(), Error> {
    let Some(Listener { path, .. }) = of(container) else {
        return Ok(());
    };
    let found = fs::metadata(path).map_err(Error::io("find linux.seccomp.listenerPath", path))?;
    if found.file_type().is_socket() {
        return Ok(());
    }
    let problem = format!("linux.seccomp.listenerPath: {path} is not a socket");
    Err(Error::Unsupported(problem))
}

/// Passes on what the process `pid` has made.
pub(super) fn pass(
    container: &Container,
    pid: i32,
    about: About<'_>,
    fd: BorrowedFd<'_>,
) -> Result<(), Error> {
    let Some(Listener { path, metadata }) = of(container) else {
        let problem = "a listener came, and linux.seccomp.listenerPath is not set";
        return Err(Error::Unsupported(problem.to_owned()));
    };
    let socket = socket::connect_stream(path.as_bytes(), PATIENCE)
        .map_err(Error::io("connect to linux.seccomp.listenerPath", path))?;
    let record = process_state(pid, metadata, about);
    socket::send_with(socket.as_fd(), record.as_bytes(), fd)
        .map_err(Error::io("send the seccomp listener to", path))
}

/// [`pass`] where only the container's folder is known.
pub(super) fn pass_for_start(
    folder: &Folder,
    state: &State,
    fd: BorrowedFd<'_>,
) -> Result<(), Error> {
    let (text, file) = folder.config()?;
    let container = Container::parse(&text).map_err(|source| Error::Config {
        file: file.display().to_string(),
        source,
    })?;
    pass(&container, state.pid, (state, Status::Created), fd)
}

fn process_state(pid: i32, metadata: &str, (state, status): About<'_>) -> String {
    let mut json = Json::compact();
    json.object(|json| {
        json.field("ociVersion").string(OCI_VERSION);
        json.field("fds").strings(["seccompFd"]);
        json.field("pid").word(&pid);
        json.field("metadata").string(metadata);
        state.tell(status, json.field("state"));
    });
    json.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_record_is_what_the_specification_asks_for() {
        let state = State {
            oci_version: "1.2.1".to_owned(),
            id: "web".to_owned(),
            pid: 7,
            bundle: "/b".into(),
            ..State::default()
        };
        let record = process_state(9, "a \"b\"", (&state, Status::Running));
        let record: Value = serde_json::from_str(&record).unwrap();
        assert_eq!(
            (&record["fds"], &record["pid"], &record["metadata"]),
            (&json!(["seccompFd"]), &json!(9), &json!("a \"b\""))
        );
        assert_eq!(
            (
                &record["ociVersion"],
                &record["state"]["pid"],
                &record["state"]["status"]
            ),
            (&json!("1.2.1"), &json!(7), &json!("running"))
        );
    }
}
