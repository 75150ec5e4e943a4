//! What goes wrong, told as one line: what was being done, to what, and the
//! kernel's word.

use std::io;

use crate::spec::Invalid;
use crate::state::Status;
use crate::sys::error_text;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line is wrong.
    #[error("{0}")]
    Usage(String),
    /// A file or a call of the runtime's own.
    #[error("{doing} {object}: {}", error_text(.source))]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        object: String,
        /// The kernel's word.
        source: io::Error,
    },
    /// `config.json` asks for what is wrong or cannot be.
    #[error("{file}: {source}")]
    Config {
        /// The file.
        file: String,
        /// Which field, and why.
        source: Invalid,
    },
    /// `state.json` is not one of ours.
    #[error("read {file}: {source}")]
    State {
        /// The file.
        file: String,
        /// What, and where in it.
        source: serde_json::Error,
    },
    /// The id cannot be a name of a folder.
    #[error("\"{0}\" is not an id: letters, digits, and + - . _ after the first, at most 1024")]
    Id(String),
    /// The id is taken.
    #[error("a container of this id exists")]
    Exists,
    /// The id is unknown.
    #[error("container does not exist")]
    NotFound,
    /// The command needs another state.
    #[error("the container is {found}, and must be {wanted}")]
    WrongState {
        /// What it is.
        found: Status,
        /// What it must be.
        wanted: &'static str,
    },
    /// The command needs a container that runs. Callers look for these words.
    #[error("container not running: it is {0}")]
    NotRunning(Status),
    /// A step of the plan failed in the container's first process.
    #[error("{step}: {}{}", error_text(.source), in_brackets(.detail))]
    Step {
        /// Which, in words.
        step: String,
        /// What more is known.
        detail: String,
        /// The kernel's word.
        source: io::Error,
    },
    /// What failed in the container's first process, in its own words.
    #[error("{0}")]
    Inside(String),
    /// The container's first process ended before it was the program.
    #[error("{step}: the process ended with {end}")]
    Died {
        /// What it was doing, as far as known.
        step: &'static str,
        /// How it ended.
        end: String,
    },
    /// There is no cgroup v2, or it does not do what was asked.
    #[error("cgroup {path}: {problem}")]
    Cgroup {
        /// Below the cgroup2 root.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// A hook failed.
    #[error("{stage} hook {path}: {problem}")]
    Hook {
        /// At which stage.
        stage: &'static str,
        /// Its program.
        path: String,
        /// How.
        problem: String,
    },
    /// The kernel or this runtime lacks something.
    #[error("{0}")]
    Unsupported(String),
}

fn in_brackets(detail: &str) -> String {
    if detail.is_empty() {
        return String::new();
    }
    format!(" ({detail})")
}

impl Error {
    /// For [`Result::map_err`]: the kernel's error with what was being done.
    pub(crate) fn io(
        doing: &'static str,
        object: impl std::fmt::Display,
    ) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            doing,
            object: object.to_string(),
            source,
        }
    }
}
