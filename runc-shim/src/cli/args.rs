//! A command line taken apart, as runc's callers write it: options before and
//! after the command, `--name value`, `--name=value`, `-name`, and `--` before
//! what is none. What `exec` and `ps` pass on to a program stays as it is.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use crate::error::Error;

/// An option: its name, its short name or nothing, whether it takes a value.
type Form = (&'static str, &'static str, bool);

/// Those that may stand anywhere.
const GLOBAL: &[Form] = &[
    ("root", "", true),
    ("log", "", true),
    ("log-format", "", true),
    ("debug", "", false),
    ("systemd-cgroup", "", false),
    ("rootless", "", true),
    ("version", "v", false),
    ("help", "h", false),
];

const CREATE: &[Form] = &[
    ("bundle", "b", true),
    ("console-socket", "", true),
    ("pid-file", "", true),
    ("preserve-fds", "", true),
    ("no-pivot", "", false),
    ("no-new-keyring", "", false),
    // Only for `run`.
    ("detach", "d", false),
    ("keep", "", false),
    ("no-subreaper", "", false),
];

const EXEC: &[Form] = &[
    ("process", "p", true),
    ("tty", "t", false),
    ("user", "u", true),
    ("cwd", "", true),
    ("env", "e", true),
    ("cap", "c", true),
    ("no-new-privs", "", false),
    ("pid-file", "", true),
    ("detach", "d", false),
    ("console-socket", "", true),
    ("preserve-fds", "", true),
    ("additional-gids", "g", true),
    ("cgroup", "", true),
    ("process-label", "", true),
    ("apparmor", "", true),
    ("ignore-paused", "", false),
    ("no-subreaper", "", false),
];

const UPDATE: &[Form] = &[
    ("resources", "r", true),
    ("blkio-weight", "", true),
    ("cpu-period", "", true),
    ("cpu-quota", "", true),
    ("cpu-burst", "", true),
    ("cpu-share", "", true),
    ("cpu-idle", "", true),
    ("cpuset-cpus", "", true),
    ("cpuset-mems", "", true),
    ("memory", "", true),
    ("memory-reservation", "", true),
    ("memory-swap", "", true),
    ("pids-limit", "", true),
];

/// The commands, each with its options, and whether what follows its first
/// word is for another program.
const COMMANDS: &[(&str, &[Form], bool)] = &[
    ("create", CREATE, false),
    ("run", CREATE, false),
    ("start", &[], false),
    ("state", &[], false),
    ("kill", &[("all", "a", false), ("signal", "s", true)], false),
    ("delete", &[("force", "f", false)], false),
    ("exec", EXEC, true),
    (
        "list",
        &[("format", "f", true), ("quiet", "q", false)],
        false,
    ),
    ("ps", &[("format", "f", true)], true),
    ("pause", &[], false),
    ("resume", &[], false),
    ("update", UPDATE, false),
    (
        "events",
        &[("stats", "", false), ("interval", "", true)],
        false,
    ),
    (
        "spec",
        &[("bundle", "b", true), ("rootless", "", false)],
        false,
    ),
    ("features", &[], false),
    ("version", &[], false),
    ("help", &[], false),
];

/// What this runtime cannot do, though runc can.
const REFUSED: [&str; 2] = ["checkpoint", "restore"];

/// An option as it was given.
struct Given {
    name: &'static str,
    value: OsString,
    /// Whether it is the command's own, and not one of [`GLOBAL`].
    own: bool,
}

/// The command line taken apart.
pub(super) struct Line {
    /// The command; empty without one.
    pub(super) command: &'static str,
    options: Vec<Given>,
    words: VecDeque<OsString>,
}

pub(super) fn usage(message: impl Into<String>) -> Error {
    Error::Usage(message.into())
}

impl Line {
    pub(super) fn read(arguments: Vec<OsString>) -> Result<Self, Error> {
        let mut line = Self {
            command: "",
            options: Vec::new(),
            words: VecDeque::new(),
        };
        let mut own: &[Form] = &[];
        let mut passes_on = false;
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let bytes = argument.as_bytes();
            if bytes == b"--" {
                line.words.extend(arguments.by_ref());
            } else if bytes.len() > 1 && bytes.starts_with(b"-") {
                line.take_option(bytes, own, &mut arguments)?;
            } else if line.command.is_empty() {
                (line.command, own, passes_on) = command(&argument)?;
            } else {
                line.words.push_back(argument);
                if passes_on {
                    line.words.extend(arguments.by_ref());
                }
            }
        }
        Ok(line)
    }

    fn take_option(
        &mut self,
        bytes: &[u8],
        own: &[Form],
        rest: &mut impl Iterator<Item = OsString>,
    ) -> Result<(), Error> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let bare = bytes
            .strip_prefix(b"--")
            .or(bytes.strip_prefix(b"-"))
            .unwrap_or_default();
        let mut parts = bare.splitn(2, |b| *b == b'=');
        let name = parts.next().unwrap_or_default();
        let value = parts.next().map(|v| OsString::from_vec(v.to_vec()));
        let named = |(long, short, _): &&Form| long.as_bytes() == name || short.as_bytes() == name;
        let found = own.iter().find(named);
        let is_own = found.is_some();
        let form = found.or_else(|| GLOBAL.iter().find(named));
        let Some((name, _, takes_value)) = form.filter(|_| !name.is_empty()) else {
            return Err(self.unknown(name, &text));
        };
        let value = match (takes_value, value) {
            (true, Some(value)) => value,
            (true, None) => rest
                .next()
                .ok_or_else(|| usage(format!("{text} needs a value")))?,
            (false, None) => "true".into(),
            (false, Some(value)) if value == "true" || value == "false" => value,
            (false, Some(_)) => {
                return Err(usage(format!("{text}: takes true, false or no value")));
            }
        };
        self.options.push(Given {
            name,
            value,
            own: is_own,
        });
        Ok(())
    }

    fn unknown(&self, name: &[u8], text: &str) -> Error {
        let mut elsewhere = COMMANDS.iter().flat_map(|(_, forms, _)| forms.iter());
        if self.command.is_empty() || !elsewhere.any(|(long, ..)| long.as_bytes() == name) {
            return usage(format!("unknown option {text}"));
        }
        usage(format!("{}: {text} is not an option of it", self.command))
    }

    /// The option's last value. An empty one is the same as none, because that
    /// is how callers leave an option out.
    pub(super) fn value(&self, name: &str) -> Option<&OsString> {
        let last = self.options.iter().rfind(|o| o.name == name)?;
        Some(&last.value).filter(|value| !value.is_empty())
    }

    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.value(name).map(PathBuf::from)
    }

    /// Whether the option was given, and not as `=false`; `None`: not at all.
    pub(super) fn given(&self, name: &str) -> Option<bool> {
        self.value(name).map(|value| value != "false")
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.given(name) == Some(true)
    }

    /// [`Line::has`] for an option whose name is a global one's too.
    pub(super) fn has_own(&self, name: &str) -> bool {
        let own = |given: &Given| given.name == name && given.own;
        self.options.iter().any(|o| own(o) && o.value != "false")
    }

    /// The option's value as text.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Error> {
        Ok(self.texts(name)?.pop())
    }

    /// All values of an option that may be given several times.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, Error> {
        let values = self.options.iter().filter(|o| o.name == name);
        values
            .map(|option| {
                let text = option.value.to_str().map(str::to_owned);
                text.ok_or_else(|| {
                    usage(format!("--{name} {}: is not text", option.value.display()))
                })
            })
            .collect()
    }

    /// The option's value as a number.
    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Error> {
        let parse = |text: String| {
            text.parse()
                .map_err(|_| usage(format!("--{name} {text}: is not a number that it can be")))
        };
        self.text(name)?.map(parse).transpose()
    }

    /// The next word, which must be there.
    pub(super) fn word(&mut self, what: &str) -> Result<String, Error> {
        let word = self
            .words
            .pop_front()
            .ok_or_else(|| usage(format!("{}: {what} is missing", self.command)))?;
        word.into_string()
            .map_err(|word| usage(format!("{} is not text", word.display())))
    }

    pub(super) fn has_words(&self) -> bool {
        !self.words.is_empty()
    }

    /// All words that are left.
    pub(super) fn rest(&mut self) -> Result<Vec<String>, Error> {
        let mut rest = Vec::with_capacity(self.words.len());
        while self.has_words() {
            rest.push(self.word("an argument")?);
        }
        Ok(rest)
    }

    /// Refuses what is one too many: a word, or these options.
    pub(super) fn end(&self, except: &[&str]) -> Result<(), Error> {
        let command = self.command;
        if let Some(word) = self.words.front() {
            let word = word.display();
            return Err(usage(format!("{command}: {word} is one too many")));
        }
        match except.iter().find(|name| self.has(name)) {
            Some(name) => Err(usage(format!("{command}: --{name} is not an option of it"))),
            None => Ok(()),
        }
    }
}

fn command(word: &OsString) -> Result<(&'static str, &'static [Form], bool), Error> {
    if let Some(command) = COMMANDS.iter().find(|(name, ..)| word == name) {
        return Ok(*command);
    }
    let word = word.display();
    Err(usage(
        if REFUSED.iter().any(|name| *name == word.to_string()) {
            format!("{word}: this runtime does not freeze containers to disk")
        } else {
            format!("unknown command {word}")
        },
    ))
}
