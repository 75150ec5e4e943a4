//! One session on one terminal.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::utsname::uname;
use nix::unistd::setsid;

use crate::{Error, sys};

/// What a session runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// `login`: a user and a password.
    Password,
    /// A root shell at once.
    Insecure,
}

impl Login {
    /// As the environment's `INSECURE` says; only `true` opens the door.
    #[must_use]
    pub fn from_env(insecure: Option<&OsStr>) -> Self {
        if insecure.is_some_and(|value| value == "true") {
            Self::Insecure
        } else {
            Self::Password
        }
    }

    /// The program, and the name that it is called by: a leading `-` makes the
    /// shell a login shell (`sh(1)`).
    fn program(self) -> (&'static str, &'static str) {
        match self {
            Self::Password => ("/bin/login", "login"),
            Self::Insecure => ("/bin/sh", "-sh"),
        }
    }
}

/// A session that is to be.
#[derive(Debug)]
pub struct Session {
    tty: PathBuf,
    name: OsString,
    login: Login,
}

impl Session {
    /// On the terminal `name` below `/dev`.
    #[must_use]
    pub fn new(name: &OsStr, login: Login) -> Self {
        Self {
            tty: Path::new("/dev").join(name),
            name: name.to_owned(),
            login,
        }
    }

    /// Makes the terminal the controlling one of a session of its own, greets,
    /// and becomes the shell or login. Returns only what failed.
    #[must_use]
    pub fn run(&self) -> Error {
        match self.try_run() {
            Err(error) => error,
        }
    }

    fn try_run(&self) -> Result<Infallible, Error> {
        // A process group's leader cannot: then it has a session already.
        let _ = setsid();
        let terminal = self.open()?;
        sys::set_controlling_terminal(&terminal).map_err(self.failed("take over"))?;
        self.greet(&terminal).map_err(self.failed("write to"))?;
        let stdio = || {
            terminal
                .try_clone()
                .map(Stdio::from)
                .map_err(self.failed("duplicate"))
        };
        let (program, name) = self.login.program();
        let source = Command::new(program)
            .arg0(name)
            .env("TERM", self.term())
            .env("HOME", "/root")
            .current_dir(home())
            .stdin(stdio()?)
            .stdout(stdio()?)
            .stderr(stdio()?)
            .exec();
        Err(Error::Run {
            program: program.into(),
            source,
        })
    }

    fn open(&self) -> Result<File, Error> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(&self.tty)
            .map_err(self.failed("open"))
    }

    /// The image's `/etc/issue`, and which machine and terminal this is.
    fn greet(&self, mut terminal: &File) -> io::Result<()> {
        let issue = fs::read_to_string("/etc/issue").unwrap_or_default();
        let uname = uname()?;
        write!(
            terminal,
            "\n{issue}{} {} {} on {}\n",
            uname.nodename().to_string_lossy(),
            uname.release().to_string_lossy(),
            uname.machine().to_string_lossy(),
            self.name.to_string_lossy(),
        )
    }

    /// What the terminal understands: the screen's own, else the least that
    /// every serial program does.
    fn term(&self) -> &'static str {
        let digits = self.name.to_str().and_then(|name| name.strip_prefix("tty"));
        if digits.is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit())) {
            "linux"
        } else {
            "vt102"
        }
    }

    fn failed(&self, op: &'static str) -> impl Fn(io::Error) -> Error {
        let tty = self.tty.clone();
        move |source| Error::Terminal {
            op,
            tty: tty.clone(),
            source,
        }
    }
}

/// Where the shell starts: root's home, where the image has one.
fn home() -> &'static Path {
    let home = Path::new("/root");
    if home.is_dir() { home } else { Path::new("/") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_true_opens_the_door() {
        assert_eq!(Login::from_env(None), Login::Password);
        assert_eq!(Login::from_env(Some(OsStr::new("1"))), Login::Password);
        assert_eq!(Login::from_env(Some(OsStr::new("false"))), Login::Password);
        assert_eq!(Login::from_env(Some(OsStr::new("true"))), Login::Insecure);
    }

    #[test]
    fn the_screen_is_no_serial_line() {
        let term = |name: &str| Session::new(OsStr::new(name), Login::Insecure).term();
        assert_eq!(term("tty1"), "linux");
        assert_eq!(term("ttyS0"), "vt102");
        assert_eq!(term("hvc0"), "vt102");
    }

    #[test]
    fn a_terminal_that_is_not_there_is_named() {
        let error = Session::new(OsStr::new("ttyNONE"), Login::Insecure)
            .open()
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "open /dev/ttyNONE: No such file or directory (os error 2)"
        );
    }
}
