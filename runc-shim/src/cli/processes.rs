//! `ps`, `pause` and `resume`: a container's processes together.

use std::io;
use std::path::Path;
use std::process::Command;

use super::{Outcome, query};
use crate::cgroup;
use crate::error::Error;
use crate::state::{Folder, Json, Status};

/// `pause` and `resume`.
pub(super) fn hold(root: &Path, id: &str, hold: bool) -> Outcome {
    let folder = Folder::open(root, id)?.lock()?;
    let state = folder.read()?;
    match (folder.status(&state), hold) {
        (Status::Created | Status::Running, true) | (Status::Paused, false) => {}
        (found @ (Status::Creating | Status::Stopped), _) => return Err(Error::NotRunning(found)),
        (found, true) => {
            return Err(Error::WrongState {
                found,
                wanted: "created or running",
            });
        }
        (found, false) => {
            return Err(Error::WrongState {
                found,
                wanted: "paused",
            });
        }
    }
    cgroup::freeze(&state.cgroup, hold)?;
    Ok(None)
}

/// `ps`: the processes' numbers, or those lines of ps(1) that are about them.
pub(super) fn ps(root: &Path, id: &str, json: bool, args: &[String]) -> Outcome {
    let folder = Folder::open(root, id)?;
    let state = folder.read()?;
    if matches!(folder.status(&state), Status::Creating | Status::Stopped) {
        return Err(Error::NotRunning(folder.status(&state)));
    }
    let pids = cgroup::processes(&state.cgroup)?;
    if json {
        let mut json = Json::compact();
        json.list(|json| {
            for pid in &pids {
                json.entry().word(&pid);
            }
        });
        return query::print(&(json.finish() + "\n"));
    }
    let table = host_table(args)?;
    let lines = lines_of(&table, &pids).ok_or_else(|| {
        Error::Usage(format!(
            "ps {}: its table has no column PID",
            args.join(" ")
        ))
    })?;
    query::print(&lines)
}

fn host_table(args: &[String]) -> Result<String, Error> {
    let mut command = Command::new("ps");
    if args.is_empty() {
        command.arg("-ef");
    }
    let output = command
        .args(args)
        .output()
        .map_err(Error::io("run", "ps"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::io("run", "ps")(io::Error::other(said)))
}

/// The heading, and the lines whose column `PID` is one of these.
fn lines_of(table: &str, pids: &[i32]) -> Option<String> {
    let mut lines = table.lines();
    let heading = lines.next()?;
    let column = heading.split_whitespace().position(|name| name == "PID")?;
    let is_one = |line: &&str| {
        let pid = line.split_whitespace().nth(column);
        pid.and_then(|pid| pid.parse().ok())
            .is_some_and(|pid| pids.contains(&pid))
    };
    let mut text = format!("{heading}\n");
    for line in lines.filter(is_one) {
        text.push_str(line);
        text.push('\n');
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::lines_of;

    #[test]
    fn lines_are_chosen_by_their_column() {
        let table = "USER   PID  PPID CMD\nroot     1     0 init 7\nroot     7     1 sleep 1\n";
        let expected = "USER   PID  PPID CMD\nroot     7     1 sleep 1\n";
        assert_eq!(lines_of(table, &[7]).unwrap(), expected);
        assert_eq!(lines_of("CMD\nx\n", &[7]), None);
    }
}
