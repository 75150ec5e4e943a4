//! The program that the container's first process becomes.

use std::ffi::CString;

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
    /// `envp`. Without a `HOME` the child adds that of the user
    /// ([`Program::needs_home`]).
    pub environment: StringList,
    /// Whose home that is.
    pub uid: u32,
}

impl Program {
    /// With sockets that listen it is told of them (sd_listen_fds(3)), as the
    /// process that it will be in a pid namespace of its own.
    pub(super) fn new(process: &Process, listening: u32) -> Self {
        let name = process.args.first().cloned().unwrap_or_default();
        let mut environment = process.env.clone();
        if listening > 0 {
            environment.extend(CString::new(format!("LISTEN_FDS={listening}")));
            environment.push(c"LISTEN_PID=1".to_owned());
        }
        Self {
            candidates: candidates(&name, &process.env),
            arguments: StringList::new(process.args.clone()),
            environment: StringList::new(environment),
            uid: process.uid,
        }
    }

    /// Whether the environment lacks a `HOME` that says something.
    #[must_use]
    pub fn needs_home(&self) -> bool {
        let home = |entry: &&CString| entry.as_bytes().starts_with(b"HOME=");
        let value = self.environment.strings().iter().rfind(home);
        value.is_none_or(|entry| entry.as_bytes() == b"HOME=")
    }

    /// The environment with this `HOME` in place of an empty one.
    #[must_use]
    pub fn with_home(&self, home: &[u8]) -> StringList {
        let mut entries: Vec<CString> = self.environment.strings().to_vec();
        entries.retain(|entry| entry.as_bytes() != b"HOME=");
        entries.extend(CString::new([b"HOME=", home].concat()));
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
