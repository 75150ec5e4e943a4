//! A system becomes files to boot from. All of a build's files appear
//! together at its end, or none.

pub mod compress;
pub mod cpio;

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

pub use compress::Compression;

use crate::assemble::System;
use crate::atomic::NewFile;
use crate::layer::write_tar;
use crate::tree::{Content, Meta, Node};

/// A form of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// `N-kernel`, `N-initrd.img`, `N-cmdline`.
    KernelInitrd,
    /// `N.tar`: the root, with the kernel and its command line in `boot/`.
    Tar,
}

impl Format {
    const ALL: [(&'static str, Self); 2] =
        [("kernel+initrd", Self::KernelInitrd), ("tar", Self::Tar)];
}

/// A name of no format of ours.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("format {0:?} is not known; there are kernel+initrd and tar")]
pub struct UnknownFormat(pub String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        Self::ALL
            .into_iter()
            .find(|(known, _)| *known == name)
            .map(|(_, format)| format)
            .ok_or_else(|| UnknownFormat(name.to_owned()))
    }
}

/// Why a result could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The format needs what the system has not.
    #[error("kernel+initrd needs a kernel, and the YAML names none (kernel: image)")]
    NoKernel,
    /// Writing failed, or reading what goes into the file.
    #[error("writing {path}: {source}")]
    Write {
        /// The file that was to be.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Where results go, and how.
#[derive(Clone, Debug)]
pub struct Target<'a> {
    /// The folder; made where it lacks.
    pub dir: &'a Path,
    /// What the files' names begin with.
    pub name: &'a str,
    /// Of the initrd.
    pub compression: Compression,
}

/// Writes `system` in `formats`; returns the files' paths.
///
/// # Errors
/// A file cannot be read or written; nothing is left then.
pub fn write(
    system: &System,
    formats: &[Format],
    target: &Target<'_>,
) -> Result<Vec<PathBuf>, Error> {
    std::fs::create_dir_all(target.dir).map_err(|source| Error::Write {
        path: target.dir.to_owned(),
        source,
    })?;
    let mut pending = Pending {
        target,
        files: Vec::new(),
    };
    for format in formats {
        match format {
            Format::KernelInitrd => kernel_initrd(system, &mut pending)?,
            Format::Tar => tar(system, &mut pending)?,
        }
    }
    pending.publish()
}

fn kernel_initrd(system: &System, pending: &mut Pending<'_>) -> Result<(), Error> {
    let kernel = system.kernel.as_ref().ok_or(Error::NoKernel)?;
    pending.add("-kernel", |out| kernel.copy_to(out))?;
    pending.add("-cmdline", |out| out.write_all(system.cmdline.as_bytes()))?;
    let compression = pending.target.compression;
    pending.add("-initrd.img", |out| {
        // The kernel wants microcode first and not compressed.
        if let Some(ucode) = &system.ucode {
            ucode.copy_to(out)?;
        }
        compress::compressed(compression, out, |out| cpio::write_cpio(&system.tree, out))
    })
}

fn tar(system: &System, pending: &mut Pending<'_>) -> Result<(), Error> {
    pending.add(".tar", |out| {
        let mut tree = system.tree.clone();
        let boot = [
            ("boot/kernel", system.kernel.clone()),
            ("boot/cmdline", cmdline(system)),
            ("boot/ucode.cpio", system.ucode.clone()),
        ];
        for (path, content) in boot {
            if let Some(content) = content {
                tree.add(path, Node::file(Meta::root(0o644), content))
                    .map_err(io::Error::other)?;
            }
        }
        write_tar(&tree, out)
    })
}

fn cmdline(system: &System) -> Option<Content> {
    system
        .kernel
        .as_ref()
        .map(|_| Content::from(system.cmdline.as_str()))
}

/// Files that are written and have no name yet.
struct Pending<'a> {
    target: &'a Target<'a>,
    files: Vec<(NewFile, PathBuf)>,
}

impl Pending<'_> {
    fn add(
        &mut self,
        suffix: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Error> {
        let path = self
            .target
            .dir
            .join(format!("{}{suffix}", self.target.name));
        if path.is_dir() {
            // Known now, before another file has got its name.
            let source = io::ErrorKind::IsADirectory.into();
            return Err(Error::Write { path, source });
        }
        let written = NewFile::create(self.target.dir).and_then(|file| {
            let mut out = BufWriter::with_capacity(256 * 1024, file);
            write(&mut out)?;
            out.into_inner().map_err(io::IntoInnerError::into_error)
        });
        match written {
            Ok(file) => {
                self.files.push((file, path));
                Ok(())
            }
            Err(source) => Err(Error::Write { path, source }),
        }
    }

    fn publish(self) -> Result<Vec<PathBuf>, Error> {
        let mut paths = Vec::new();
        for (file, path) in self.files {
            match file.persist(&path) {
                Ok(()) => paths.push(path),
                Err(source) => return Err(Error::Write { path, source }),
            }
        }
        Ok(paths)
    }
}

#[cfg(test)]
mod tests;
