//! Kernel parameters from `/etc/sysctl.conf` and `/etc/sysctl.d/*.conf`, as
//! `sysctl.conf(5)` has them. Globs in names are refused by name.
//!
//! A library, because PID 1 applies the image's own files with it at boot;
//! the program beside it is the container that applies those of its image.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// What could not be applied; everything else was.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or its folder cannot be read.
    #[error("read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
    /// A line that is no setting.
    #[error("{place}: {reason}; allowed is `[-]NAME = VALUE`, e.g. `net.ipv4.ip_forward = 1`")]
    Line {
        /// Where it stands.
        place: Place,
        /// What is wrong with it.
        reason: String,
    },
    /// The kernel refuses the setting, or has no such parameter.
    #[error("{place}: write {path}: {source}")]
    Write {
        /// Where it stands.
        place: Place,
        /// The parameter's file.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// One setting.
#[derive(Debug, PartialEq, Eq)]
struct Setting {
    /// Below `/proc/sys`.
    path: String,
    value: String,
    /// The line begins with `-`: a failure does not matter.
    optional: bool,
}

/// Applies the files below `etc` (`/etc`) to the parameters below `proc`
/// (`/proc/sys`): `sysctl.d/*.conf` sorted by name, then `sysctl.conf`; a
/// later setting wins. Returns what failed, in the order of the files.
#[must_use]
pub fn apply(etc: &Path, proc: &Path) -> Vec<Error> {
    let mut problems = Vec::new();
    let mut files = match conf_files(&etc.join("sysctl.d")) {
        Ok(files) => files,
        Err(error) => {
            problems.push(error);
            Vec::new()
        }
    };
    files.push(etc.join("sysctl.conf"));
    for file in files {
        match fs::read_to_string(&file) {
            Ok(text) => problems.extend(apply_text(&text, &file, proc)),
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(source) => problems.push(Error::Read { path: file, source }),
        }
    }
    problems
}

/// The `*.conf` in `folder`, sorted by name, which is the order in which they
/// count; none where there is no such folder.
fn conf_files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let read = |source| Error::Read {
        path: folder.to_owned(),
        source,
    };
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(read)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(read)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "conf")
        {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Applies the lines of `file`, whose content is `text`.
fn apply_text(text: &str, file: &Path, proc: &Path) -> Vec<Error> {
    let place = |number: usize| Place {
        file: file.to_owned(),
        line: number + 1,
    };
    let mut problems = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let setting = match parse(line) {
            Ok(Some(setting)) => setting,
            Ok(None) => continue,
            Err(reason) => {
                problems.push(Error::Line {
                    place: place(number),
                    reason,
                });
                continue;
            }
        };
        let path = proc.join(&setting.path);
        match fs::write(&path, &setting.value) {
            Err(source) if !setting.optional => {
                problems.push(Error::Write {
                    place: place(number),
                    path,
                    source,
                });
            }
            _ => {}
        }
    }
    problems
}

/// One line; `None` where it is empty or a comment.
fn parse(line: &str) -> Result<Option<Setting>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with(['#', ';']) {
        return Ok(None);
    }
    let (optional, line) = match line.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let (name, value) = line.split_once('=').ok_or("no `=`")?;
    Ok(Some(Setting {
        path: path_of(name.trim())?,
        value: value.trim().to_owned(),
        optional,
    }))
}

/// `net.ipv4.ip_forward` or `net/ipv4/ip_forward`: the first separator is the
/// one that separates, the other then stands for itself, so that
/// `net.ipv4.conf.eth0/1.forwarding` names the interface `eth0.1`.
fn path_of(name: &str) -> Result<String, String> {
    let path: String = match name.find(['.', '/']).map(|at| name.as_bytes().get(at)) {
        Some(Some(b'.')) => name
            .chars()
            .map(|c| match c {
                '.' => '/',
                '/' => '.',
                c => c,
            })
            .collect(),
        _ => name.to_owned(),
    };
    let leaves = path.split('/').any(|part| part.is_empty() || part == "..");
    if leaves || path.contains(['*', '?', '[']) {
        return Err(format!("{name:?} is not the name of a parameter"));
    }
    Ok(path)
}

#[cfg(test)]
mod tests;
