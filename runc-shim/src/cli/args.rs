//! The command line, as runc's callers write it: options before and after the
//! command, `--name value`, `--name=value` and `-name`.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::signals;
use crate::error::Error;

/// `--root` where none is given.
const DEFAULT_ROOT: &str = "/run/runc-shim";

/// The form of the log file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// runc's JSON object a line.
    Json,
}

/// A whole command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// Where the states are.
    pub root: PathBuf,
    /// Where errors are written, beside standard error.
    pub log: Option<PathBuf>,
    /// In which form.
    pub log_format: LogFormat,
    /// What to do.
    pub command: Command,
}

/// Options of `create` and `run`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Create {
    /// The container.
    pub id: String,
    /// Its bundle; without one the current directory.
    pub bundle: PathBuf,
    /// Where its process's number is written.
    pub pid_file: Option<PathBuf>,
    /// `run`: whether to return once the program runs.
    pub detach: bool,
    /// `run`: whether to keep the container after its end.
    pub keep: bool,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Set a container up; its program waits.
    Create(Create),
    /// Let its program run.
    Start {
        /// The container.
        id: String,
    },
    /// Both.
    Run(Create),
    /// Print its state.
    State {
        /// The container.
        id: String,
    },
    /// Send a signal.
    Kill {
        /// The container.
        id: String,
        /// Which signal.
        signal: i32,
        /// To every process of it.
        all: bool,
    },
    /// Remove what is left of it.
    Delete {
        /// The container.
        id: String,
        /// Kill it before, and do not mind if there is none.
        force: bool,
    },
    /// Print the version.
    Version,
    /// Print the usage.
    Help,
}

impl Command {
    /// Its word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Start { .. } => "start",
            Self::Run(_) => "run",
            Self::State { .. } => "state",
            Self::Kill { .. } => "kill",
            Self::Delete { .. } => "delete",
            Self::Version => "version",
            Self::Help => "help",
        }
    }

    /// The container it is about.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Create(create) | Self::Run(create) => Some(&create.id),
            Self::Start { id } | Self::State { id } => Some(id),
            Self::Kill { id, .. } | Self::Delete { id, .. } => Some(id),
            Self::Version | Self::Help => None,
        }
    }
}

/// The options that runc's callers may give; the second: takes a value.
const OPTIONS: [(&str, bool); 20] = [
    ("root", true),
    ("log", true),
    ("log-format", true),
    ("debug", false),
    ("systemd-cgroup", false),
    ("rootless", true),
    ("version", false),
    ("help", false),
    ("bundle", true),
    ("pid-file", true),
    ("console-socket", true),
    ("preserve-fds", true),
    ("no-pivot", false),
    ("no-new-keyring", false),
    ("detach", false),
    ("keep", false),
    ("force", false),
    ("all", false),
    ("no-subreaper", false),
    ("signal", true),
];

fn long_name(name: &str) -> &str {
    match name {
        "b" => "bundle",
        "d" => "detach",
        "f" => "force",
        "a" => "all",
        "v" => "version",
        "h" => "help",
        other => other,
    }
}

/// An option as it was given.
struct Given {
    name: &'static str,
    value: OsString,
}

/// The command line taken apart: options, and what is none.
struct Split {
    options: Vec<Given>,
    words: VecDeque<OsString>,
}

fn usage(message: impl Into<String>) -> Error {
    Error::Usage(message.into())
}

impl Split {
    fn read(arguments: Vec<OsString>) -> Result<Self, Error> {
        let mut split = Self {
            options: Vec::new(),
            words: VecDeque::new(),
        };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let bytes = argument.as_bytes();
            if bytes == b"--" {
                split.words.extend(arguments.by_ref());
            } else if bytes.len() > 1 && bytes.starts_with(b"-") {
                let option = split.option(bytes, &mut arguments)?;
                split.options.push(option);
            } else {
                split.words.push_back(argument);
            }
        }
        Ok(split)
    }

    fn option(
        &self,
        bytes: &[u8],
        rest: &mut impl Iterator<Item = OsString>,
    ) -> Result<Given, Error> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let bare = bytes
            .strip_prefix(b"--")
            .or(bytes.strip_prefix(b"-"))
            .unwrap_or_default();
        let mut parts = bare.splitn(2, |b| *b == b'=');
        let name = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
        let value = parts.next().map(|v| OsString::from_vec(v.to_vec()));
        let known = OPTIONS.iter().find(|(known, _)| *known == long_name(&name));
        let Some((name, takes_value)) = known else {
            return Err(usage(format!("unknown option {text}")));
        };
        let value = match (takes_value, value) {
            (true, Some(value)) => value,
            (true, None) => rest
                .next()
                .ok_or_else(|| usage(format!("{text} needs a value")))?,
            (false, None) => OsString::new(),
            (false, Some(value)) if value == "true" => OsString::new(),
            (false, Some(_)) => return Err(usage(format!("{text}: takes no value"))),
        };
        Ok(Given { name, value })
    }

    fn has(&self, name: &str) -> bool {
        self.options.iter().any(|o| o.name == name)
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        let last = self.options.iter().rfind(|o| o.name == name)?;
        Some(PathBuf::from(&last.value))
    }

    /// The next word, which must be there.
    fn word(&mut self, what: &str) -> Result<String, Error> {
        let word = self
            .words
            .pop_front()
            .ok_or_else(|| usage(format!("{what} is missing")))?;
        word.into_string()
            .map_err(|word| usage(format!("{} is not text", word.display())))
    }

    /// Refuses options that this command does not have, and those of runc that
    /// this runtime does not know yet.
    fn only(&self, command: &str, allowed: &[&str]) -> Result<(), Error> {
        let global = [
            "root",
            "log",
            "log-format",
            "debug",
            "rootless",
            "version",
            "help",
        ];
        for option in &self.options {
            let name = option.name;
            if name == "systemd-cgroup" {
                return Err(usage(
                    "--systemd-cgroup: this runtime manages cgroups itself",
                ));
            }
            if !global.contains(&name) && !allowed.contains(&name) {
                return Err(usage(format!("{command}: --{name} is not an option of it")));
            }
        }
        match self.words.front() {
            Some(word) => Err(usage(format!(
                "{command}: {} is one too many",
                word.display()
            ))),
            None => Ok(()),
        }
    }
}

impl Invocation {
    /// Reads the command line, without the program's name.
    ///
    /// # Errors
    /// It is none of ours: one line that says why.
    pub fn parse(arguments: Vec<OsString>) -> Result<Self, Error> {
        let mut split = Split::read(arguments)?;
        let command = command(&mut split)?;
        let log_format = match split.path("log-format") {
            None => LogFormat::Text,
            Some(form) if form.as_os_str() == "text" => LogFormat::Text,
            Some(form) if form.as_os_str() == "json" => LogFormat::Json,
            Some(form) => {
                let form = form.display();
                return Err(usage(format!("--log-format {form}: must be text or json")));
            }
        };
        Ok(Self {
            root: split
                .path("root")
                .unwrap_or_else(|| PathBuf::from(DEFAULT_ROOT)),
            log: split
                .path("log")
                .filter(|path| !path.as_os_str().is_empty()),
            log_format,
            command,
        })
    }
}

fn command(split: &mut Split) -> Result<Command, Error> {
    if split.has("version") {
        return Ok(Command::Version);
    }
    if split.has("help") || split.words.is_empty() {
        return Ok(Command::Help);
    }
    let word = split.word("the command")?;
    match word.as_str() {
        "create" => create(split, &word, &[]).map(Command::Create),
        "run" => create(split, &word, &["detach", "keep", "no-subreaper"]).map(Command::Run),
        "start" => {
            let id = split.word("the container's id")?;
            split.only(&word, &[])?;
            Ok(Command::Start { id })
        }
        "state" => {
            let id = split.word("the container's id")?;
            split.only(&word, &[])?;
            Ok(Command::State { id })
        }
        "kill" => kill(split),
        "delete" => {
            let id = split.word("the container's id")?;
            split.only(&word, &["force"])?;
            let force = split.has("force");
            Ok(Command::Delete { id, force })
        }
        "version" => Ok(Command::Version),
        "help" => Ok(Command::Help),
        "exec" | "list" | "ps" | "pause" | "resume" | "update" | "events" | "spec" | "features"
        | "checkpoint" | "restore" => Err(usage(format!(
            "{word}: this runtime does not have the command"
        ))),
        other => Err(usage(format!("unknown command {other}"))),
    }
}

fn create(split: &mut Split, command: &str, more: &[&str]) -> Result<Create, Error> {
    let id = split.word("the container's id")?;
    if split.has("console-socket") {
        return Err(usage(
            "--console-socket: this runtime does not support terminals",
        ));
    }
    if split
        .path("preserve-fds")
        .is_some_and(|n| n.as_os_str() != "0")
    {
        return Err(usage(
            "--preserve-fds: this runtime passes on 0, 1 and 2 only",
        ));
    }
    if split.has("no-pivot") {
        return Err(usage(
            "--no-pivot: this runtime always changes the root by pivot_root",
        ));
    }
    let mut allowed = vec!["bundle", "pid-file", "preserve-fds", "no-new-keyring"];
    allowed.extend(more);
    split.only(command, &allowed)?;
    Ok(Create {
        id,
        bundle: split.path("bundle").unwrap_or_else(|| PathBuf::from(".")),
        pid_file: split
            .path("pid-file")
            .filter(|path| !path.as_os_str().is_empty()),
        detach: split.has("detach"),
        keep: split.has("keep"),
    })
}

fn kill(split: &mut Split) -> Result<Command, Error> {
    let id = split.word("the container's id")?;
    let word = match (split.path("signal"), split.words.is_empty()) {
        (Some(option), _) => option.display().to_string(),
        (None, false) => split.word("the signal")?,
        (None, true) => "TERM".to_owned(),
    };
    split.only("kill", &["all", "signal"])?;
    let signal =
        signals::parse(&word).ok_or_else(|| usage(format!("kill: {word} is not a signal")))?;
    Ok(Command::Kill {
        id,
        signal,
        all: split.has("all"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Invocation, String> {
        let words = line.split_whitespace().map(OsString::from).collect();
        Invocation::parse(words).map_err(|e| e.to_string())
    }

    #[test]
    fn options_stand_before_and_after_the_command() {
        let one =
            parse("--root /r --log=/l --log-format json create --bundle /b --pid-file /p a.b");
        let other = parse("create --root=/r -b /b --log /l a.b --log-format=json -pid-file /p");
        assert_eq!(one, other);
        let one = one.unwrap();
        assert_eq!(one.root, PathBuf::from("/r"));
        assert_eq!(one.log_format, LogFormat::Json);
        assert_eq!(
            one.command,
            Command::Create(Create {
                id: "a.b".to_owned(),
                bundle: PathBuf::from("/b"),
                pid_file: Some(PathBuf::from("/p")),
                ..Create::default()
            })
        );
    }

    #[test]
    fn kill_takes_its_signal_as_a_word() {
        let kill = |signal| Command::Kill {
            id: "c".to_owned(),
            signal,
            all: false,
        };
        assert_eq!(parse("kill c").unwrap().command, kill(15));
        assert_eq!(parse("kill c KILL").unwrap().command, kill(9));
        assert_eq!(parse("kill c 9").unwrap().command, kill(9));
        assert_eq!(parse("kill --signal SIGHUP c").unwrap().command, kill(1));
        assert!(parse("kill c NONSENSE").is_err());
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for (line, says) in [
            ("crate c", "unknown command crate"),
            ("create", "the container's id is missing"),
            ("create --bundle", "--bundle needs a value"),
            ("--bumble create c", "unknown option --bumble"),
            ("start --force c", "start: --force is not an option of it"),
            ("start c d", "start: d is one too many"),
            (
                "--log-format xml start c",
                "--log-format xml: must be text or json",
            ),
            (
                "create --console-socket /s c",
                "--console-socket: this runtime does not support terminals",
            ),
            (
                "exec c true",
                "exec: this runtime does not have the command",
            ),
        ] {
            assert_eq!(parse(line).unwrap_err(), says);
        }
    }
}
