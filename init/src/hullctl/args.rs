//! The command line of `hullctl`.

use std::ffi::OsString;

use hullkit_bundle::control::{LogRequest, Op, VERSION};

/// What `--help` says.
pub(super) const HELP: &str = "\
hullctl: asks /init about the containers of this machine, and for changes

Usage: hullctl [--json] COMMAND

  list                       all entries, one a line
  status [NAME]...           the machine and all entries, or these, in full
  logs [-f] [-n N] [NAME]... what containers wrote; -f goes on with what comes
  start NAME...              start services
  stop NAME...               stop services, and leave them so
  restart NAME...            stop and start services
  reexec [FILE]              execute init again, or FILE in its place; all runs on
  poweroff                   stop everything and power off
  reboot                     stop everything and reboot

A NAME is web, services/web, onboot/000-dhcp, or dhcp where that is one entry.
--json prints JSON: objects as in docs/control-protocol.md.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no such entry, 4 not possible now.
";

/// A command line that makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// `--help`.
    Help,
    /// Anything else.
    Run {
        /// What to do.
        command: Command,
        /// Whether the answer is for programs.
        json: bool,
    },
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Ask PID 1, once for each name, or once without one.
    Ask {
        /// What.
        op: Verb,
        /// About which entries.
        names: Vec<String>,
    },
    /// Ask the log process.
    Logs(LogRequest),
}

/// What is asked of PID 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the command of its name")]
pub(super) enum Verb {
    List,
    Status,
    Start,
    Stop,
    Restart,
    Reexec,
    Poweroff,
    Reboot,
}

impl Verb {
    /// The question, about `name`.
    pub(super) fn with(self, name: Option<String>) -> Op {
        let named = |name: Option<String>| name.unwrap_or_default();
        match self {
            Self::List => Op::List,
            Self::Status => Op::Status { name },
            Self::Start => Op::Start { name: named(name) },
            Self::Stop => Op::Stop { name: named(name) },
            Self::Restart => Op::Restart { name: named(name) },
            Self::Reexec => Op::Reexec { file: name },
            Self::Poweroff => Op::Poweroff,
            Self::Reboot => Op::Reboot,
        }
    }
}

/// The options and words of a command line.
#[derive(Default)]
struct Raw {
    json: bool,
    follow: bool,
    lines: Option<usize>,
    words: Vec<String>,
}

/// Parses the arguments, the program's name left out. Options may stand
/// anywhere; behind `--` all is words.
pub(super) fn parse(args: &[OsString]) -> Result<Parsed, String> {
    let mut raw = Raw::default();
    let mut args = args.iter();
    let mut only_words = false;
    while let Some(arg) = args.next() {
        let arg = arg.to_str().ok_or("an argument is not UTF-8")?;
        match arg {
            "--" if !only_words => only_words = true,
            _ if only_words || !arg.starts_with('-') || arg == "-" => {
                raw.words.push(arg.to_owned());
            }
            "-h" | "--help" => return Ok(Parsed::Help),
            "--json" => raw.json = true,
            "-f" | "--follow" => raw.follow = true,
            "-n" | "--lines" => {
                let value = args.next().and_then(|value| value.to_str());
                raw.lines = Some(count(
                    value.ok_or_else(|| format!("{arg} needs a number"))?,
                )?);
            }
            _ => match arg
                .strip_prefix("--lines=")
                .or_else(|| arg.strip_prefix("-n"))
            {
                Some(value) => raw.lines = Some(count(value)?),
                None => return Err(format!("unknown option {arg}")),
            },
        }
    }
    command(raw)
}

fn count(text: &str) -> Result<usize, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is not a number of lines"))
}

fn command(raw: Raw) -> Result<Parsed, String> {
    let mut words = raw.words.into_iter();
    let Some(word) = words.next() else {
        return Err("a command is missing".to_owned());
    };
    let names: Vec<String> = words.collect();
    if word == "help" {
        return Ok(Parsed::Help);
    }
    let json = raw.json;
    if word == "logs" {
        let request = LogRequest {
            version: VERSION,
            names,
            lines: raw.lines,
            follow: raw.follow,
        };
        return Ok(Parsed::Run {
            command: Command::Logs(request),
            json,
        });
    }
    if raw.follow || raw.lines.is_some() {
        return Err(format!("{word} takes neither -f nor -n"));
    }
    let op = verb(&word)?;
    match (op, names.is_empty()) {
        (Verb::List | Verb::Poweroff | Verb::Reboot, false) => {
            Err(format!("{word} takes no names"))
        }
        (Verb::Start | Verb::Stop | Verb::Restart, true) => Err(format!("{word} needs a name")),
        (Verb::Reexec, _) if names.len() > 1 => Err("reexec takes one file".to_owned()),
        _ => Ok(Parsed::Run {
            command: Command::Ask { op, names },
            json,
        }),
    }
}

fn verb(word: &str) -> Result<Verb, String> {
    Ok(match word {
        "list" | "ls" => Verb::List,
        "status" => Verb::Status,
        "start" => Verb::Start,
        "stop" => Verb::Stop,
        "restart" => Verb::Restart,
        "reexec" => Verb::Reexec,
        "poweroff" => Verb::Poweroff,
        "reboot" => Verb::Reboot,
        _ => return Err(format!("unknown command {word}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Parsed, String> {
        parse(
            &line
                .split_whitespace()
                .map(OsString::from)
                .collect::<Vec<_>>(),
        )
    }

    fn ask(op: Verb, names: &[&str]) -> Command {
        Command::Ask {
            op,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn commands() {
        for (line, command, json) in [
            ("list", ask(Verb::List, &[]), false),
            ("--json list", ask(Verb::List, &[]), true),
            ("status web --json", ask(Verb::Status, &["web"]), true),
            ("stop a b", ask(Verb::Stop, &["a", "b"]), false),
            ("start -- -odd", ask(Verb::Start, &["-odd"]), false),
            ("poweroff", ask(Verb::Poweroff, &[]), false),
        ] {
            assert_eq!(parsed(line), Ok(Parsed::Run { command, json }), "{line}");
        }
    }

    #[test]
    fn logs() {
        for line in [
            "logs -f -n 3 web",
            "logs web --follow --lines=3",
            "logs -n3 -f web",
        ] {
            let expected = LogRequest {
                version: VERSION,
                names: vec!["web".to_owned()],
                lines: Some(3),
                follow: true,
            };
            let run = Parsed::Run {
                command: Command::Logs(expected),
                json: false,
            };
            assert_eq!(parsed(line), Ok(run), "{line}");
        }
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
            "list -f",
        ] {
            assert!(parsed(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn help() {
        for line in ["-h", "--help", "help", "stop --help"] {
            assert_eq!(parsed(line), Ok(Parsed::Help), "{line}");
        }
    }
}
