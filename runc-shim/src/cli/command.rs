//! What a command line asks for, checked: after this nobody checks again.

use std::ffi::OsString;
use std::path::PathBuf;

use super::args::{Line, usage};
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

/// How a process is started and what it gets from the caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Launch {
    /// Where the process's number is written.
    pub pid_file: Option<PathBuf>,
    /// Where the outer side of its terminal is sent.
    pub console_socket: Option<PathBuf>,
    /// Whether to return once the program runs.
    pub detach: bool,
    /// How many descriptors beside 0, 1 and 2 it gets.
    pub preserve_fds: u32,
}

/// Options of `create` and `run`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Create {
    /// The container.
    pub id: String,
    /// Its bundle; without one the current directory.
    pub bundle: PathBuf,
    /// How it is started.
    pub launch: Launch,
    /// `run`: whether to keep the container after its end.
    pub keep: bool,
    /// Whether it stays in the caller's session keyring.
    pub keep_keyring: bool,
    /// Whether its root is laid over the host's instead of taking its place.
    pub no_pivot: bool,
}

/// Options of `exec`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exec {
    /// The container.
    pub id: String,
    /// A file that holds a `process` as in `config.json`, in the place of what
    /// follows.
    pub process: Option<PathBuf>,
    /// The program and its arguments.
    pub args: Vec<String>,
    /// Whether it gets a terminal.
    pub tty: bool,
    /// User, and group if it is named.
    pub user: Option<(u32, Option<u32>)>,
    /// Working directory.
    pub cwd: Option<String>,
    /// More of the environment.
    pub env: Vec<String>,
    /// More capabilities.
    pub caps: Vec<String>,
    /// Whether it can gain no rights.
    pub no_new_privs: Option<bool>,
    /// More groups.
    pub groups: Vec<u32>,
    /// A cgroup below the container's.
    pub cgroup: Option<String>,
    /// SELinux label.
    pub label: Option<String>,
    /// AppArmor profile.
    pub apparmor: Option<String>,
    /// Whether a paused container may be entered: the process waits then.
    pub ignore_paused: bool,
    /// How it is started.
    pub launch: Launch,
}

/// Limits to be changed, each by its option.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// A file that holds `resources` as in `config.json`; `-` is standard input.
    pub resources: Option<PathBuf>,
    /// Weight of block I/O.
    pub blkio_weight: Option<u16>,
    /// Microseconds.
    pub cpu_period: Option<u64>,
    /// Microseconds.
    pub cpu_quota: Option<i64>,
    /// Microseconds.
    pub cpu_burst: Option<u64>,
    /// Shares, in cgroup v1's measure.
    pub cpu_share: Option<u64>,
    /// 1: only when nothing else wants to run.
    pub cpu_idle: Option<i64>,
    /// Processors.
    pub cpuset_cpus: Option<String>,
    /// Memory nodes.
    pub cpuset_mems: Option<String>,
    /// Bytes.
    pub memory: Option<i64>,
    /// Bytes.
    pub memory_reservation: Option<i64>,
    /// Bytes of memory and swap together.
    pub memory_swap: Option<i64>,
    /// Processes and threads.
    pub pids_limit: Option<i64>,
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
    /// Run another program in it.
    Exec(Box<Exec>),
    /// Print all containers.
    List {
        /// As JSON, or as a table.
        json: bool,
        /// The ids alone.
        quiet: bool,
    },
    /// Print its processes.
    Ps {
        /// The container.
        id: String,
        /// Their numbers as JSON, or what ps(1) says of them.
        json: bool,
        /// For ps(1).
        args: Vec<String>,
    },
    /// Hold its processes.
    Pause {
        /// The container.
        id: String,
    },
    /// Let them go on.
    Resume {
        /// The container.
        id: String,
    },
    /// Change its limits.
    Update {
        /// The container.
        id: String,
        /// Which.
        limits: Box<Limits>,
    },
    /// Print what it uses, and when it runs out of memory.
    Events {
        /// The container.
        id: String,
        /// What it uses now, once.
        stats: bool,
        /// Seconds from one to the next.
        interval: u32,
    },
    /// Write an example of a configuration.
    Spec {
        /// Where.
        bundle: PathBuf,
        /// For an ordinary user.
        rootless: bool,
    },
    /// Print what this runtime can do.
    Features,
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
            Self::Exec(_) => "exec",
            Self::List { .. } => "list",
            Self::Ps { .. } => "ps",
            Self::Pause { .. } => "pause",
            Self::Resume { .. } => "resume",
            Self::Update { .. } => "update",
            Self::Events { .. } => "events",
            Self::Spec { .. } => "spec",
            Self::Features => "features",
            Self::Version => "version",
            Self::Help => "help",
        }
    }

    /// The container it is about.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Create(create) | Self::Run(create) => Some(&create.id),
            Self::Exec(exec) => Some(&exec.id),
            Self::Start { id }
            | Self::State { id }
            | Self::Kill { id, .. }
            | Self::Delete { id, .. }
            | Self::Ps { id, .. }
            | Self::Pause { id }
            | Self::Resume { id }
            | Self::Update { id, .. }
            | Self::Events { id, .. } => Some(id),
            Self::List { .. } | Self::Spec { .. } | Self::Features | Self::Version | Self::Help => {
                None
            }
        }
    }
}

impl Invocation {
    /// Reads the command line, without the program's name.
    ///
    /// # Errors
    /// It is none of ours: one line that says why.
    pub fn parse(arguments: Vec<OsString>) -> Result<Self, Error> {
        let mut line = Line::read(arguments)?;
        if line.has("systemd-cgroup") {
            return Err(usage(
                "--systemd-cgroup: this runtime manages cgroups itself, and has no part in systemd's",
            ));
        }
        choice(&line, "rootless", &["true", "false", "auto"])?;
        let log_format = match choice(&line, "log-format", &["text", "json"])? {
            Some("json") => LogFormat::Json,
            _ => LogFormat::Text,
        };
        Ok(Self {
            root: line
                .path("root")
                .unwrap_or_else(|| PathBuf::from(DEFAULT_ROOT)),
            log: line.path("log"),
            log_format,
            command: command(&mut line)?,
        })
    }
}

/// The option's value, which must be one of these.
fn choice<'a>(line: &'a Line, name: &str, allowed: &[&str]) -> Result<Option<&'a str>, Error> {
    let Some(value) = line.value(name) else {
        return Ok(None);
    };
    match value.to_str().filter(|text| allowed.contains(text)) {
        Some(text) => Ok(Some(text)),
        None => Err(usage(format!(
            "--{name} {}: must be {}",
            value.display(),
            allowed.join(" or ")
        ))),
    }
}

fn command(line: &mut Line) -> Result<Command, Error> {
    if line.has("version") {
        return Ok(Command::Version);
    }
    if line.has("help") {
        return Ok(Command::Help);
    }
    let command = match line.command {
        "create" | "run" => return create(line),
        "exec" => return exec(line).map(|exec| Command::Exec(Box::new(exec))),
        "update" => {
            return Ok(Command::Update {
                id: id(line)?,
                limits: Box::new(limits(line)?),
            });
        }
        "kill" => return kill(line),
        "start" => Command::Start { id: id(line)? },
        "state" => Command::State { id: id(line)? },
        "pause" => Command::Pause { id: id(line)? },
        "resume" => Command::Resume { id: id(line)? },
        "delete" => Command::Delete {
            id: id(line)?,
            force: line.has("force"),
        },
        "list" => Command::List {
            json: is_json(line)?,
            quiet: line.has("quiet"),
        },
        "ps" => Command::Ps {
            id: id(line)?,
            json: is_json(line)?,
            args: line.rest()?,
        },
        "events" => Command::Events {
            id: id(line)?,
            stats: line.has("stats"),
            interval: interval(line)?,
        },
        "spec" => Command::Spec {
            bundle: line.path("bundle").unwrap_or_default(),
            rootless: line.has_own("rootless"),
        },
        "features" => Command::Features,
        "version" => Command::Version,
        _ => return Ok(Command::Help),
    };
    line.end(&[])?;
    Ok(command)
}

fn id(line: &mut Line) -> Result<String, Error> {
    line.word("the container's id")
}

fn is_json(line: &Line) -> Result<bool, Error> {
    Ok(choice(line, "format", &["table", "json"])? == Some("json"))
}

/// `5s`, or a bare number of seconds.
fn interval(line: &Line) -> Result<u32, Error> {
    let Some(text) = line.text("interval")? else {
        return Ok(5);
    };
    let digits = text.strip_suffix('s').unwrap_or(&text);
    match digits.parse() {
        Ok(seconds @ 1..=86_400) => Ok(seconds),
        _ => Err(usage(format!(
            "--interval {text}: must be from 1s to 86400s"
        ))),
    }
}

fn launch(line: &Line, detach: bool) -> Result<Launch, Error> {
    let preserve_fds = line.number("preserve-fds")?.unwrap_or_default();
    if preserve_fds > 1 << 16 {
        return Err(usage(format!(
            "--preserve-fds {preserve_fds}: must be at most 65536"
        )));
    }
    Ok(Launch {
        pid_file: line.path("pid-file"),
        console_socket: line.path("console-socket"),
        detach,
        preserve_fds,
    })
}

fn create(line: &mut Line) -> Result<Command, Error> {
    let run = line.command == "run";
    let create = Create {
        id: id(line)?,
        bundle: line.path("bundle").unwrap_or_else(|| PathBuf::from(".")),
        launch: launch(line, !run || line.has("detach"))?,
        keep: line.has("keep"),
        keep_keyring: line.has("no-new-keyring"),
        no_pivot: line.has("no-pivot"),
    };
    if run {
        line.end(&[])?;
        return Ok(Command::Run(create));
    }
    line.end(&["detach", "keep", "no-subreaper"])?;
    Ok(Command::Create(create))
}

fn exec(line: &mut Line) -> Result<Exec, Error> {
    let id = id(line)?;
    let args = line.rest()?;
    let process = line.path("process");
    if args.is_empty() && process.is_none() {
        return Err(usage("exec: the program is missing"));
    }
    let groups = line.texts("additional-gids")?;
    let group = |text: &String| number_of("additional-gids", text);
    Ok(Exec {
        id,
        process,
        args,
        tty: line.has("tty"),
        user: line.text("user")?.map(|text| user(&text)).transpose()?,
        cwd: line.text("cwd")?.filter(|text| !text.is_empty()),
        env: line.texts("env")?,
        caps: line.texts("cap")?,
        no_new_privs: line.given("no-new-privs"),
        groups: groups.iter().map(group).collect::<Result<_, _>>()?,
        cgroup: line.text("cgroup")?.filter(|text| !text.is_empty()),
        label: line.text("process-label")?.filter(|text| !text.is_empty()),
        apparmor: line.text("apparmor")?.filter(|text| !text.is_empty()),
        ignore_paused: line.has("ignore-paused"),
        launch: launch(line, line.has("detach"))?,
    })
}

fn number_of(name: &str, text: &str) -> Result<u32, Error> {
    text.parse()
        .map_err(|_| usage(format!("--{name} {text}: is not an id")))
}

/// `UID` or `UID:GID`.
fn user(text: &str) -> Result<(u32, Option<u32>), Error> {
    match text.split_once(':') {
        None => Ok((number_of("user", text)?, None)),
        Some((uid, gid)) => Ok((number_of("user", uid)?, Some(number_of("user", gid)?))),
    }
}

fn limits(line: &Line) -> Result<Limits, Error> {
    line.end(&[])?;
    let bytes = |name| line.text(name)?.map(|text| bytes(name, &text)).transpose();
    Ok(Limits {
        resources: line.path("resources"),
        blkio_weight: line.number("blkio-weight")?,
        cpu_period: line.number("cpu-period")?,
        cpu_quota: line.number("cpu-quota")?,
        cpu_burst: line.number("cpu-burst")?,
        cpu_share: line.number("cpu-share")?,
        cpu_idle: line.number("cpu-idle")?,
        cpuset_cpus: line.text("cpuset-cpus")?,
        cpuset_mems: line.text("cpuset-mems")?,
        memory: bytes("memory")?,
        memory_reservation: bytes("memory-reservation")?,
        memory_swap: bytes("memory-swap")?,
        pids_limit: line.number("pids-limit")?,
    })
}

/// `64m`, `1g`, `1024`, `-1`: as Docker writes sizes, a letter being a power
/// of 1024.
fn bytes(name: &str, text: &str) -> Result<i64, Error> {
    let wrong = || {
        usage(format!(
            "--{name} {text}: must be bytes such as 1048576, 1024k, 1m or -1"
        ))
    };
    let lower = text.to_ascii_lowercase();
    let lower = lower.strip_suffix('b').unwrap_or(&lower);
    let lower = lower.strip_suffix('i').unwrap_or(lower);
    let power = |letter| "kmgtp".find(letter);
    let (digits, power) = match lower.char_indices().next_back() {
        Some((at, letter)) if power(letter).is_some() => (
            lower.get(..at).unwrap_or_default(),
            power(letter).map_or(0, |p| p + 1),
        ),
        _ => (lower, 0),
    };
    let number: i64 = digits.parse().map_err(|_| wrong())?;
    let unit = 1_i64 << (10 * power);
    number
        .checked_mul(unit)
        .filter(|n| *n >= -1)
        .ok_or_else(wrong)
}

fn kill(line: &mut Line) -> Result<Command, Error> {
    let id = id(line)?;
    let word = match line.text("signal")? {
        Some(option) => option,
        None if line.has_words() => line.word("the signal")?,
        None => "TERM".to_owned(),
    };
    line.end(&[])?;
    let signal =
        signals::parse(&word).ok_or_else(|| usage(format!("kill: {word} is not a signal")))?;
    Ok(Command::Kill {
        id,
        signal,
        all: line.has("all"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Invocation, String> {
        let words = line.split_whitespace().map(OsString::from).collect();
        Invocation::parse(words).map_err(|e| e.to_string())
    }

    fn command(line: &str) -> Command {
        parse(line).unwrap().command
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
                launch: Launch {
                    pid_file: Some(PathBuf::from("/p")),
                    detach: true,
                    ..Launch::default()
                },
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
        assert_eq!(command("kill c"), kill(15));
        assert_eq!(command("kill c KILL"), kill(9));
        assert_eq!(command("kill c 9"), kill(9));
        assert_eq!(command("kill --signal SIGHUP c"), kill(1));
        assert!(parse("kill c NONSENSE").is_err());
    }

    #[test]
    fn what_follows_the_id_is_the_programs() {
        let Command::Exec(exec) = command("exec -t -u 5:6 -e A=1 --env B=2 -d c sh -c -e --root")
        else {
            panic!("not exec");
        };
        assert_eq!(exec.args, ["sh", "-c", "-e", "--root"]);
        assert_eq!(exec.env, ["A=1", "B=2"]);
        assert_eq!(exec.user, Some((5, Some(6))));
        assert!(exec.tty && exec.launch.detach);
        let Command::Ps { args, json, .. } = command("ps -f json c -o pid") else {
            panic!("not ps");
        };
        assert_eq!(
            (args, json),
            (vec!["-o".to_owned(), "pid".to_owned()], true)
        );
    }

    #[test]
    fn a_word_means_what_its_command_says() {
        let plain = command("--rootless auto spec");
        assert!(matches!(
            plain,
            Command::Spec {
                rootless: false,
                ..
            }
        ));
        let spec = command("--rootless true spec --rootless");
        assert_eq!(
            spec,
            Command::Spec {
                bundle: PathBuf::new(),
                rootless: true
            }
        );
        assert_eq!(
            command("delete -f c"),
            Command::Delete {
                id: "c".to_owned(),
                force: true
            }
        );
        assert_eq!(
            command("list -f json"),
            Command::List {
                json: true,
                quiet: false
            }
        );
    }

    #[test]
    fn sizes_have_units() {
        for (text, expected) in [
            ("-1", -1),
            ("0", 0),
            ("10", 10),
            ("1k", 1024),
            ("64M", 64 << 20),
            ("2gb", 2 << 30),
            ("1GiB", 1 << 30),
        ] {
            assert_eq!(bytes("memory", text).unwrap(), expected, "{text}");
        }
        for text in ["", "k", "-2", "1x", "9999999999p", "1.5g"] {
            assert!(bytes("memory", text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for (line, says) in [
            ("crate c", "unknown command crate"),
            ("create", "create: the container's id is missing"),
            ("create --bundle", "--bundle needs a value"),
            ("--bumble create c", "unknown option --bumble"),
            ("start --force c", "start: --force is not an option of it"),
            ("create --keep c", "create: --keep is not an option of it"),
            ("start c d", "start: d is one too many"),
            (
                "--log-format xml start c",
                "--log-format xml: must be text or json",
            ),
            (
                "--rootless maybe list",
                "--rootless maybe: must be true or false or auto",
            ),
            (
                "--systemd-cgroup list",
                "--systemd-cgroup: this runtime manages cgroups itself, and has no part in systemd's",
            ),
            ("exec c", "exec: the program is missing"),
            ("exec --user me c true", "--user me: is not an id"),
            (
                "checkpoint c",
                "checkpoint: this runtime does not freeze containers to disk",
            ),
            (
                "update --memory lots c",
                "--memory lots: must be bytes such as 1048576, 1024k, 1m or -1",
            ),
            (
                "events --interval 0 c",
                "--interval 0: must be from 1s to 86400s",
            ),
            (
                "run --preserve-fds -3 c",
                "--preserve-fds -3: is not a number that it can be",
            ),
        ] {
            assert_eq!(parse(line).unwrap_err(), says);
        }
    }
}
