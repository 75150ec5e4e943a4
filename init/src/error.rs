//! The crate's one error type.

use std::io;
use std::path::Path;

use nix::errno::Errno;

/// What PID 1 or one of its companions could not do: the operation, its
/// object, and the reason. Its text is one line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call, or an operation on a file, failed.
    #[error("{op} {object}: {}", word(source))]
    Os {
        /// What was being done: `mount`, `read`.
        op: &'static str,
        /// To what: a path, a name.
        object: String,
        /// The kernel's word.
        source: io::Error,
    },
    /// A kernel module cannot be had.
    #[error("load module {name}: {reason}")]
    Module {
        /// What was asked for: a module's name or an alias.
        name: String,
        /// Why not.
        reason: String,
    },
    /// A JSON file or message is not what it should be.
    #[error("{object}: {source}")]
    Json {
        /// The file or the sender.
        object: String,
        /// What, and where.
        source: serde_json::Error,
    },
    /// A bundle's `runtime.json` could not be read.
    #[error(transparent)]
    Runtime(#[from] hullkit_bundle::runtime::Error),
    /// The initrd did not fit into memory.
    #[error(
        "the initrd does not fit into the machine's {mebibytes} MiB of memory: \
         it needs at least {wanted} MiB"
    )]
    Memory {
        /// What there is.
        mebibytes: u64,
        /// What there should be.
        wanted: String,
    },
    /// A bundle asks for what cannot be.
    #[error("{object}: {reason}")]
    Bundle {
        /// The key, or the file.
        object: String,
        /// Why not.
        reason: String,
    },
}

/// The kernel's word for people: without its number.
fn word(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => Errno::from_raw(number).desc().to_owned(),
        None => error.to_string(),
    }
}

impl Error {
    /// An [`Error::Os`] about `object`, for `map_err`.
    pub fn os<E: Into<io::Error>>(
        op: &'static str,
        object: &str,
    ) -> impl FnOnce(E) -> Self + use<E> {
        let object = object.to_owned();
        move |source| Self::Os {
            op,
            object,
            source: source.into(),
        }
    }

    /// An [`Error::Os`] about the file `path`, for `map_err`.
    pub fn path<E: Into<io::Error>>(
        op: &'static str,
        path: &Path,
    ) -> impl FnOnce(E) -> Self + use<E> {
        Self::os(op, &path.display().to_string())
    }
}
