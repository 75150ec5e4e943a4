//! The program that the container's first process becomes.

use std::ffi::CString;

use super::Choices;
use crate::spec::Process;
use crate::sys::process::StringList;

/// Where a program is looked for when its environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program, ready for execve(2).
#[derive(Clone, Debug)]
pub struct Program {
    /// The files that it may be, in order.
    pub candidates: Vec<CString>,
    /// `argv`.
    pub arguments: StringList,
    /// `envp`, but for what the child adds: without a `HOME` that of the user
    /// ([`Program::needs_home`]), and with sockets its own number
    /// ([`Program::listens`]).
    pub environment: StringList,
    /// Whose home that is.
    pub uid: u32,
    /// Whether it has sockets that listen, and must know that they are its own
    /// (sd_listen_fds(3)).
    pub listens: bool,
}

impl Program {
    /// With sockets that listen it is told of them.
    pub(super) fn new(process: &Process, choices: &Choices) -> Self {
        let name = process.args.first().cloned().unwrap_or_default();
        let mut environment = process.env.clone();
        let listening = choices.listening;
        if listening > 0 {
            environment.retain(|entry| !entry.as_bytes().starts_with(b"LISTEN_"));
            environment.extend(CString::new(format!("LISTEN_FDS={listening}")));
            let names = choices.names.as_ref();
            environment.extend(names.map(|names| {
                let mut entry = b"LISTEN_FDNAMES=".to_vec();
                entry.extend(names.as_bytes());
                // It comes from an environment: it has no NUL.
                CString::new(entry).unwrap_or_default()
            }));
        }
        Self {
            candidates: candidates(&name, &process.env),
            arguments: StringList::new(process.args.clone()),
            environment: StringList::new(environment),
            uid: process.uid,
            listens: listening > 0,
        }
    }

    /// Whether the environment lacks a `HOME` that says something.
    #[must_use]
    pub fn needs_home(&self) -> bool {
        let home = |entry: &&CString| entry.as_bytes().starts_with(b"HOME=");
        let value = self.environment.strings().iter().rfind(home);
        value.is_none_or(|entry| entry.as_bytes() == b"HOME=")
    }

    /// The environment with this `HOME`, if there is one, in place of an empty
    /// one, and, where it listens, with `pid` as the process's own number.
    #[must_use]
    pub fn completed(&self, home: Option<&[u8]>, pid: u32) -> StringList {
        let mut entries: Vec<CString> = self.environment.strings().to_vec();
        if let Some(home) = home {
            entries.retain(|entry| entry.as_bytes() != b"HOME=");
            entries.extend(CString::new([b"HOME=", home].concat()));
        }
        if self.listens {
            entries.extend(CString::new(format!("LISTEN_PID={pid}")));
        }
        StringList::new(entries)
    }
}

/// As execvp(3): a name with a slash is a path, else it is looked for.
fn candidates(name: &CString, environment: &[CString]) -> Vec<CString> {
    if name.as_bytes().contains(&b'/') {
        return vec![name.clone()];
    }
    let path = environment
        .iter()
        .rev()
        .find_map(|entry| entry.as_bytes().strip_prefix(b"PATH="))
        .unwrap_or(DEFAULT_PATH.as_bytes());
    path.split(|b| *b == b':')
        .filter_map(|folder| {
            let folder = if folder.is_empty() { b"." } else { folder };
            CString::new([folder, b"/", name.as_bytes()].concat()).ok()
        })
        .collect()
}
