//! The command line of `hullctl`.

use std::ffi::OsString;
use std::time::Duration;

use hullkit_bundle::control::{Exec, Op};

use crate::log::kernel;

use super::signal;
use super::time::{self, Since};

/// What `--help` says.
pub(super) const HELP: &str = "\
hullctl: asks /init about the containers of this machine, and for changes

Usage: hullctl [--json] [--timeout SECONDS] COMMAND

  list                       all entries, one a line
  status [NAME]...           the machine and all entries, or these, in full
  top                        what entries that run use, over one second
  events                     each change of state, as it comes
  logs [-f] [-n N] [--since TIME] [-k | NAME...]
                             what containers wrote, with -k or as \"kernel\" what
                             the kernel did; -f goes on with what comes;
                             TIME is 10m, 2h, 2026-11-24T03:15:33Z or @SECONDS
  wait [NAME]...             until these run (onboot: have ended well), or all
                             services have been started once
  start NAME...              start services
  stop NAME...               stop services, and leave them so
  restart NAME...            stop and start services
                             (with --no-wait: the answer is not waited for)
  exec [-t] [-u UID[:GID]] [-w DIR] [-e NAME=VALUE]... NAME PROGRAM [ARG]...
                             run a program in a container (-t: with a terminal)
  kill [-s SIGNAL] NAME...   send a signal (KILL) to the first process
  reexec [FILE]              execute init again, or FILE in its place; all runs on
  poweroff, reboot, halt     stop everything, and end the machine
  kexec                      the same, and go on with the kernel that is loaded
                             (with --wait: stay until the end)
  version                    of hullctl and of init
  completion bash|zsh|fish   a file for that shell

A NAME is web, services/web, onboot/000-dhcp, or dhcp where that is one entry.
--json prints JSON: objects as in docs/control-protocol.md.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no such entry, 4 not possible now,
5 not answered within --timeout.
";

/// A command line that makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// `--help`.
    Help,
    /// Anything else.
    Run(Run),
}

/// What to do, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) command: Command,
    /// Whether the answer is for programs.
    pub(super) json: bool,
    /// How long an answer may take.
    pub(super) timeout: Option<Duration>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Ask PID 1 these things, one after another.
    Ask {
        ops: Vec<Op>,
        /// Whether to stay until PID 1 closes the connection.
        stay: bool,
    },
    /// Run a program in a container.
    Exec(Exec),
    /// Ask PID 1 for two samples.
    Top,
    /// Ask the log process.
    Logs(Logs),
    /// Print the completion file of a shell.
    Completion(&'static str),
}

/// What is asked of the log process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Logs {
    pub(super) names: Vec<String>,
    pub(super) lines: Option<usize>,
    pub(super) follow: bool,
    pub(super) since: Option<Since>,
}

/// The options and words of a command line.
#[derive(Default)]
struct Raw {
    json: bool,
    follow: bool,
    kernel: bool,
    wait: Option<bool>,
    lines: Option<usize>,
    since: Option<Since>,
    signal: Option<i32>,
    timeout: Option<Duration>,
    exec: Exec,
    words: Vec<String>,
}

/// Parses the arguments, the program's name left out. Options may stand
/// anywhere; behind `--` all is words.
pub(super) fn parse(args: &[OsString]) -> Result<Parsed, String> {
    let mut raw = Raw::default();
    let mut args = args.iter().map(|arg| arg.to_str());
    let mut only_words = false;
    let mut separated = false;
    while let Some(arg) = args.next() {
        let arg = arg.ok_or("an argument is not UTF-8")?;
        // What follows the container's name is the program's.
        only_words |= matches!(raw.words.as_slice(), [exec, _, ..] if exec == "exec");
        let before_program = matches!(raw.words.as_slice(), [exec, _] if exec == "exec");
        if arg == "--" && (!only_words || before_program && !separated) {
            separated = true;
            only_words = true;
        } else if only_words || !arg.starts_with('-') || arg == "-" {
            raw.words.push(arg.to_owned());
        } else if matches!(arg, "-h" | "--help") {
            return Ok(Parsed::Help);
        } else {
            raw.option(arg, || args.next().flatten())?;
        }
    }
    raw.run()
}

impl Raw {
    /// Takes an option; `next` is the argument behind it.
    fn option<'a>(
        &mut self,
        arg: &'a str,
        next: impl FnOnce() -> Option<&'a str>,
    ) -> Result<(), String> {
        match arg {
            "--json" => self.json = true,
            "-f" | "--follow" => self.follow = true,
            "-t" | "--tty" => self.exec.tty = true,
            "-k" | "--kernel" => self.kernel = true,
            "--wait" => self.wait = Some(true),
            "--no-wait" => self.wait = Some(false),
            _ => {
                let (name, value) = split(arg);
                if !VALUED.contains(&name) {
                    return Err(format!("unknown option {arg}"));
                }
                let value = value.or_else(next);
                self.valued(name, value.ok_or_else(|| format!("{name} needs a value"))?)?;
            }
        }
        Ok(())
    }

    fn valued(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "-n" | "--lines" => {
                let lines = value.parse();
                let wrong = |_| format!("{value:?} is not a number of lines");
                self.lines = Some(lines.map_err(wrong)?);
            }
            "--since" => self.since = Some(time::since(value)?),
            "-u" | "--user" => self.exec.user = Some(value.to_owned()),
            "-w" | "--cwd" => self.exec.cwd = Some(value.to_owned()),
            "-e" | "--env" => self.exec.env.push(value.to_owned()),
            "-s" | "--signal" => self.signal = Some(signal::number(value)?),
            _ => {
                let seconds: Option<u64> = value.parse().ok();
                let seconds = seconds.filter(|seconds| *seconds > 0);
                let wrong = || format!("{value:?} is not a number of seconds");
                self.timeout = Some(Duration::from_secs(seconds.ok_or_else(wrong)?));
            }
        }
        Ok(())
    }

    fn run(self) -> Result<Parsed, String> {
        let (json, timeout) = (self.json, self.timeout);
        let mut words = self.words.iter().cloned();
        let word = words.next().ok_or("a command is missing")?;
        let names: Vec<String> = words.collect();
        if word == "help" {
            return Ok(Parsed::Help);
        }
        self.fits(&word)?;
        let command = self.command(&word, names)?;
        Ok(Parsed::Run(Run {
            command,
            json,
            timeout,
        }))
    }

    /// Whether the command takes the options that were given.
    fn fits(&self, word: &str) -> Result<(), String> {
        let logs = self.kernel || self.follow || self.lines.is_some() || self.since.is_some();
        if logs && word != "logs" {
            return Err(format!("{word} takes none of -f, -k, -n, --since"));
        }
        if self.exec != Exec::default() && word != "exec" {
            return Err(format!("{word} takes none of -t, -u, -w, -e"));
        }
        if self.signal.is_some() && word != "kill" {
            return Err(format!("{word} takes no --signal"));
        }
        match (self.wait, word) {
            (None, _)
            | (_, "start" | "stop" | "restart" | "poweroff" | "reboot" | "halt" | "kexec") => {
                Ok(())
            }
            _ => Err(format!("{word} takes neither --wait nor --no-wait")),
        }
    }

    fn command(self, word: &str, names: Vec<String>) -> Result<Command, String> {
        let none = |op: Op| match names.as_slice() {
            [] => Ok(vec![op]),
            _ => Err(format!("{word} takes no names")),
        };
        let some = |op: &dyn Fn(String) -> Op| match names.as_slice() {
            [] => Err(format!("{word} needs a name")),
            names => Ok(names.iter().cloned().map(op).collect()),
        };
        let any = |op: &dyn Fn(Option<String>) -> Op| match names.as_slice() {
            [] => vec![op(None)],
            names => names.iter().cloned().map(Some).map(op).collect(),
        };
        let wait = self.wait.unwrap_or(true);
        let signal = self.signal.unwrap_or(libc::SIGKILL);
        let ops = match word {
            "list" | "ls" => none(Op::List)?,
            "status" => any(&|name| Op::Status { name }),
            "events" => none(Op::Events)?,
            "wait" => any(&|name| Op::Wait { name }),
            "start" => some(&|name| Op::Start { name, wait })?,
            "stop" => some(&|name| Op::Stop { name, wait })?,
            "restart" => some(&|name| Op::Restart { name, wait })?,
            "kill" => some(&|name| Op::Kill { name, signal })?,
            "reexec" if names.len() > 1 => return Err("reexec takes one file".to_owned()),
            "reexec" => any(&|file| Op::Reexec { file }),
            "poweroff" => none(Op::Poweroff)?,
            "reboot" => none(Op::Reboot)?,
            "halt" => none(Op::Halt)?,
            "kexec" => none(Op::Kexec)?,
            "version" => none(Op::Version)?,
            "top" => return none(Op::Top).map(|_| Command::Top),
            "exec" => return exec(self.exec, names).map(Command::Exec),
            "completion" => return completion(&names).map(Command::Completion),
            "logs" if self.kernel && !names.is_empty() => {
                return Err("the kernel's log stands alone".to_owned());
            }
            "logs" => {
                let names = match self.kernel {
                    true => vec![kernel::NAME.to_owned()],
                    false => names,
                };
                return Ok(Command::Logs(Logs {
                    names,
                    lines: self.lines,
                    follow: self.follow,
                    since: self.since,
                }));
            }
            _ => return Err(format!("unknown command {word}")),
        };
        let ends = matches!(word, "poweroff" | "reboot" | "halt" | "kexec");
        Ok(Command::Ask {
            ops,
            stay: ends && self.wait == Some(true),
        })
    }
}

/// Options with a value.
const VALUED: [&str; 12] = [
    "-n",
    "--lines",
    "--since",
    "-s",
    "--signal",
    "--timeout",
    "-u",
    "--user",
    "-w",
    "--cwd",
    "-e",
    "--env",
];

/// `--name=VALUE`, `-nVALUE`, or the option alone.
fn split(arg: &str) -> (&str, Option<&str>) {
    if arg.starts_with("--") {
        return match arg.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (arg, None),
        };
    }
    match arg.split_at_checked(2) {
        Some((name, "")) => (name, None),
        Some((name, value)) => (name, Some(value)),
        None => (arg, None),
    }
}

fn exec(options: Exec, words: Vec<String>) -> Result<Exec, String> {
    let mut words = words.into_iter();
    let (Some(name), args) = (words.next(), words.collect::<Vec<_>>()) else {
        return Err("exec needs a name".to_owned());
    };
    if args.is_empty() {
        return Err("exec needs a program".to_owned());
    }
    Ok(Exec {
        name,
        args,
        ..options
    })
}

fn completion(names: &[String]) -> Result<&'static str, String> {
    match names {
        [shell] if shell == "bash" => Ok(include_str!("completion/hullctl.bash")),
        [shell] if shell == "zsh" => Ok(include_str!("completion/_hullctl")),
        [shell] if shell == "fish" => Ok(include_str!("completion/hullctl.fish")),
        _ => Err("completion needs bash, zsh or fish".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Run, String> {
        let args: Vec<_> = line.split_whitespace().map(OsString::from).collect();
        match parse(&args)? {
            Parsed::Run(run) => Ok(run),
            Parsed::Help => Err("help".to_owned()),
        }
    }

    fn ask(ops: &[Op]) -> Command {
        Command::Ask {
            ops: ops.to_vec(),
            stay: false,
        }
    }

    #[test]
    fn commands() {
        let name = "web".to_owned();
        for (line, command, json) in [
            ("list", ask(&[Op::List]), false),
            ("--json list", ask(&[Op::List]), true),
            (
                "status web --json",
                ask(&[Op::Status {
                    name: Some(name.clone()),
                }]),
                true,
            ),
            (
                "stop web --no-wait",
                ask(&[Op::Stop {
                    name: name.clone(),
                    wait: false,
                }]),
                false,
            ),
            (
                "start -- -odd web",
                ask(&["-odd", "web"].map(|name| Op::Start {
                    name: name.to_owned(),
                    wait: true,
                })),
                false,
            ),
            (
                "kill -sHUP web",
                ask(&[Op::Kill {
                    name: name.clone(),
                    signal: 1,
                }]),
                false,
            ),
            ("wait", ask(&[Op::Wait { name: None }]), false),
            ("reexec", ask(&[Op::Reexec { file: None }]), false),
            ("poweroff", ask(&[Op::Poweroff]), false),
            (
                "halt --wait",
                Command::Ask {
                    ops: vec![Op::Halt],
                    stay: true,
                },
                false,
            ),
            ("top", Command::Top, false),
        ] {
            let run = parsed(line).unwrap();
            assert_eq!((run.command, run.json), (command, json), "{line}");
        }
        let timeout = parsed("wait --timeout 2").unwrap().timeout;
        assert_eq!(timeout, Some(Duration::from_secs(2)));
    }

    #[test]
    fn logs() {
        let expected = Logs {
            names: vec!["web".to_owned()],
            lines: Some(3),
            follow: true,
            since: Some(Since::Ago(600_000)),
        };
        for line in [
            "logs -f -n 3 --since 10m web",
            "logs web --follow --lines=3 --since=10m",
            "logs -n3 --since 600s -f web",
        ] {
            let run = parsed(line).unwrap();
            assert_eq!(run.command, Command::Logs(expected.clone()), "{line}");
        }
    }

    #[test]
    fn what_follows_the_name_is_the_programs() {
        let run = parsed("exec -t --user 1:2 -eA=b web ls -l --json -- x").unwrap();
        let exec = Exec {
            name: "web".to_owned(),
            args: ["ls", "-l", "--json", "--", "x"]
                .map(str::to_owned)
                .to_vec(),
            tty: true,
            user: Some("1:2".to_owned()),
            env: vec!["A=b".to_owned()],
            cwd: None,
        };
        assert_eq!((run.command, run.json), (Command::Exec(exec), false));
    }

    #[test]
    fn usage_errors() {
        for line in [
            "",
            "stop",
            "frob",
            "list web",
            "--frob list",
            "logs -n",
            "logs -n x",
            "logs -fn3 web",
            "logs -k web",
            "list -k",
            "exec",
            "exec web",
            "list -t",
            "logs --since yesterday",
            "list -f",
            "list --wait",
            "stop -s 9 web",
            "kill -s NOPE web",
            "wait --timeout 0",
            "wait --timeout nan",
            "reexec a b",
            "completion csh",
            "completion",
        ] {
            assert!(parsed(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn help() {
        for line in ["-h", "--help", "help", "stop --help"] {
            assert_eq!(parsed(line), Err("help".to_owned()), "{line}");
        }
    }

    #[test]
    fn every_command_is_in_every_completion() {
        let commands = "list status top events logs wait start stop restart exec kill reexec \
                        poweroff reboot halt kexec version completion";
        for shell in ["bash", "zsh", "fish"] {
            let text = completion(&[shell.to_owned()]).unwrap();
            for command in commands.split_whitespace() {
                assert!(text.contains(command), "{shell}: {command}");
                assert!(HELP.contains(command), "{command}");
            }
        }
    }
}
