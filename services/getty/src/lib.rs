//! What `getty` is made of: which consoles there are ([`console`]), keeping a
//! session on each ([`serve`]), and one session ([`Session`]).

pub mod console;
pub mod serve;
mod session;
mod sys;

use std::io;
use std::path::PathBuf;

pub use session::{Login, Session};

/// Why a session or all of them ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel has no console that can be opened.
    #[error(
        "no console: none of {tried} can be opened; name one on the kernel command line (console=ttyS0)"
    )]
    NoConsole {
        /// The names that were tried.
        tried: String,
    },
    /// The terminal cannot be had.
    #[error("{op} {tty}: {source}")]
    Terminal {
        /// What was being done.
        op: &'static str,
        /// To which terminal.
        tty: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
    /// The shell or login program cannot be run.
    #[error("run {program}: {source}")]
    Run {
        /// The program.
        program: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
}
