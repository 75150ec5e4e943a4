//! The OCI runtime, called as a program: how, and what it leaves behind.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use hullkit_bundle::control::Exec;
use hullkit_bundle::layout;
use nix::unistd::Pid;
use serde::Deserialize;

use super::OURSELVES;
use crate::Error;
use crate::cmdline::Cmdline;
use crate::hand_over::{self, Gift};
use crate::plan::Bundle;
use crate::supervise::How;
use crate::sys::spawn::{self, Streams};

/// What the runtime is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// Make the container and start its process.
    Run,
    /// Make the container; its process waits.
    Create,
    /// Let the process of a made container go.
    Start,
    /// Kill what is left of it and forget it.
    Delete,
}

impl Call {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Create => "create",
            Self::Start => "start",
            Self::Delete => "delete",
        }
    }

    /// The call that [`Self::as_str`] has this word for.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        let all = [Self::Run, Self::Create, Self::Start, Self::Delete];
        all.into_iter().find(|call| call.as_str() == word)
    }
}

/// How the command line wants the runtime.
#[derive(Clone, Debug)]
pub(super) struct Options {
    /// The program.
    program: Rc<str>,
    /// Whether it is to tell all that it does.
    debug: bool,
}

impl From<&Cmdline> for Options {
    fn from(cmdline: &Cmdline) -> Self {
        Self {
            program: cmdline.runtime.as_deref().unwrap_or(layout::RUNTIME).into(),
            debug: cmdline.runtime_debug,
        }
    }
}

/// The file that the runtime writes the first process's pid to.
fn pid_file(bundle: &Bundle) -> PathBuf {
    Path::new(layout::RUN).join(format!("{}.pid", bundle.id))
}

/// The file that the runtime writes its errors to.
fn log_file(bundle: &Bundle) -> PathBuf {
    Path::new(layout::RUN).join(format!("{}.log", bundle.id))
}

/// The runtime's arguments for `call`, which keeps `more` descriptors beyond
/// those that listen.
fn arguments(call: Call, bundle: &Bundle, more: usize, debug: bool) -> Vec<OsString> {
    let log = log_file(bundle);
    let mut args: Vec<OsString> = [
        "--root",
        layout::RUNTIME_ROOT,
        "--log-format",
        "json",
        "--log",
    ]
    .map(Into::into)
    .to_vec();
    args.push(log.into());
    if debug {
        args.push("--debug".into());
    }
    args.push(call.as_str().into());
    match call {
        Call::Run | Call::Create => {
            if call == Call::Run {
                args.push("--detach".into());
            }
            if more > 0 {
                args.push("--preserve-fds".into());
                args.push(more.to_string().into());
            }
            args.push("--bundle".into());
            args.push(bundle.dir.clone().into());
            args.push("--pid-file".into());
            args.push(pid_file(bundle).into());
        }
        Call::Start => {}
        Call::Delete => args.push("--force".into()),
    }
    args.push(bundle.id.clone().into());
    args
}

/// Starts the runtime. Its end is an event.
pub(super) fn call(
    call: Call,
    bundle: &Bundle,
    streams: Streams,
    options: &Options,
) -> Result<Pid, Error> {
    let args = arguments(call, bundle, 0, options.debug);
    spawn::spawn(&options.program, &options.program, &args, streams)
        .map_err(Error::os("execute", &options.program))
}

/// The same for a container that is given descriptors.
pub(super) fn call_with(
    call: Call,
    bundle: &Bundle,
    gift: &Gift<'_>,
    streams: Streams,
    options: &Options,
) -> Result<Pid, Error> {
    let mut args = vec![gift.argument().into(), options.program.as_ref().into()];
    args.extend(arguments(call, bundle, gift.more(), options.debug));
    let stdin = gift.send().map_err(Error::os("hand over to", &bundle.id))?;
    let streams = Streams {
        stdin: Some(stdin),
        ..streams
    };
    spawn::spawn(OURSELVES, hand_over::NAME, &args, streams)
        .map_err(Error::os("execute", hand_over::NAME))
}

/// Starts the runtime for a program in the running container of `bundle`.
pub(super) fn exec(
    bundle: &Bundle,
    exec: &Exec,
    streams: Streams,
    options: &Options,
) -> Result<Pid, Error> {
    let mut args = vec!["--root", layout::RUNTIME_ROOT, "exec"];
    if exec.tty {
        args.push("--tty");
    }
    let valued = [("--cwd", &exec.cwd), ("--user", &exec.user)];
    for (name, value) in valued {
        if let Some(value) = value {
            args.extend([name, value]);
        }
    }
    for value in &exec.env {
        args.extend(["--env", value]);
    }
    args.push(&bundle.id);
    args.extend(exec.args.iter().map(String::as_str));
    spawn::spawn(&options.program, &options.program, &args, streams)
        .map_err(Error::os("execute", &options.program))
}

/// The cgroup of the commands that find out how a service is, below its own.
pub(super) const PROBES: &str = "hullkit-probe";

/// Starts the runtime for such a command; the cgroup is there.
pub(super) fn probe(
    bundle: &Bundle,
    command: &[String],
    streams: Streams,
    options: &Options,
) -> Result<Pid, Error> {
    let mut args = vec!["--root", layout::RUNTIME_ROOT, "exec", "--cgroup", PROBES];
    args.push(&bundle.id);
    args.extend(command.iter().map(String::as_str));
    spawn::spawn(&options.program, &options.program, &args, streams)
        .map_err(Error::os("execute", &options.program))
}

/// The container's first process, after [`Call::Run`] or [`Call::Create`]
/// ended well.
pub(super) fn read_pid(bundle: &Bundle) -> Result<Pid, Error> {
    let path = pid_file(bundle);
    let text = fs::read_to_string(&path).map_err(Error::path("read", &path))?;
    fs::remove_file(&path).map_err(Error::path("remove", &path))?;
    match text.trim().parse() {
        Ok(pid) if pid > 1 => Ok(Pid::from_raw(pid)),
        _ => Err(Error::Bundle {
            object: path.display().to_string(),
            reason: format!("{text:?} is no process id"),
        }),
    }
}

/// A line of the runtime's log.
#[derive(Deserialize)]
struct LogEntry {
    level: String,
    msg: String,
}

/// Why the runtime failed: its last error, or else how it ended.
pub(super) fn failure(call: Call, bundle: &Bundle, how: How) -> String {
    let said = fs::read_to_string(log_file(bundle))
        .ok()
        .and_then(|log| last_error(&log));
    forget_log(bundle);
    said.unwrap_or_else(|| match how {
        How::Exited(code) => format!("runtime {}: exit code {code}", call.as_str()),
        How::Signaled(signal) => format!("runtime {}: signal {signal}", call.as_str()),
    })
}

/// The last error in a log of JSON lines.
fn last_error(log: &str) -> Option<String> {
    let parse = |line: &str| serde_json::from_str::<LogEntry>(line).ok();
    let mut entries = log.lines().rev().filter_map(parse);
    let error = entries.find(|entry| matches!(entry.level.as_str(), "error" | "fatal"))?;
    Some(error.msg.trim().replace('\n', "; "))
}

/// Removes the runtime's log, if it made one.
pub(super) fn forget_log(bundle: &Bundle) {
    let path = log_file(bundle);
    if let Err(error) = fs::remove_file(&path)
        && error.kind() != io::ErrorKind::NotFound
    {
        crate::klog::Line::new(crate::klog::Level::Error, "init", "problem")
            .with("error", Error::path("remove", &path)(error))
            .write();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_last_error() {
        let log = concat!(
            "{\"level\":\"warning\",\"msg\":\"old kernel\",\"time\":\"t\"}\n",
            "{\"level\":\"error\",\"msg\":\"exec /bin/nope: no such file\\n\",\"time\":\"t\"}\n",
            "{\"level\":\"debug\",\"msg\":\"bye\",\"time\":\"t\"}\n",
            "{\"level\":\"err",
        );
        assert_eq!(
            last_error(log).as_deref(),
            Some("exec /bin/nope: no such file")
        );
        assert_eq!(last_error("not json\n"), None);
    }
}
