//! What can go wrong on the way from package to kernel.

use std::io;

/// Why no kernel could be made. Each message names the file in the package, or
/// the line of the module list, that it is about.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A compressed file does not unpack, or to more than is accepted.
    #[error("unpacking {path}: {source}")]
    Unpack {
        /// The file in the package.
        path: String,
        /// What went wrong.
        source: io::Error,
    },
    /// A module is not an ELF file of the kernel's kind.
    #[error("module {path}: {reason}")]
    Module {
        /// The file in the package.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The kernel image is not one that is known how to boot.
    #[error("kernel image {path}: {reason}")]
    Image {
        /// The file in the package.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The package lacks a file.
    #[error("the package has no {what}")]
    Missing {
        /// The file, or a pattern of it.
        what: &'static str,
    },
    /// Two files claim the same place.
    #[error("the package has both {first} and {second}")]
    Ambiguous {
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// A module depends on one that is neither there nor built in.
    #[error("module {module} depends on {needs}, which the package lacks")]
    Dependency {
        /// The module's name.
        module: String,
        /// The name that is not there.
        needs: String,
    },
    /// Modules depend on each other in a circle.
    #[error("module {module} depends on itself by way of {by}")]
    Cycle {
        /// A module of the circle.
        module: String,
        /// The one that needs it.
        by: String,
    },
    /// A line of a module list is not one.
    #[error("{list}:{line}: {reason}")]
    List {
        /// The list's file.
        list: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// `kernel.tar` could not be written.
    #[error("writing {path} into kernel.tar: {source}")]
    Write {
        /// The file.
        path: String,
        /// What went wrong.
        source: io::Error,
    },
}
