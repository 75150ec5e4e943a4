//! What comes out: a kernel and the tree that belongs into a system image.

use std::collections::BTreeSet;
use std::io::{self, Write};

use crate::compression::Compression;
use crate::{Btf, Error, Machine, ModuleCompression, Selection, Signatures};

/// What is to become of a package's modules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Which are taken.
    pub modules: Selection,
    /// Whether they stay signed.
    pub signatures: Signatures,
    /// Whether they keep their types. They do in any case where they stay
    /// signed: the signature is over all of the module.
    pub btf: Btf,
    /// How each of them is stored.
    pub compression: ModuleCompression,
}

/// A kernel, ready to become an image.
#[derive(Debug)]
pub struct Kernel {
    /// As `uname -r` says it: `6.12.117+deb12-cloud-amd64`.
    pub release: String,
    /// For which machine it is.
    pub machine: Machine,
    /// What a boot loader takes.
    pub image: Vec<u8>,
    /// How it was configured, where the package says so.
    pub config: Option<Vec<u8>>,
    /// The files of `kernel.tar`, sorted by path.
    pub files: Vec<File>,
    /// How many modules the package has; what is chosen is in `files`.
    pub modules_in_package: usize,
}

/// A file of `kernel.tar`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// From the system image's root, without a leading slash.
    pub path: String,
    /// What it holds.
    pub contents: Vec<u8>,
}

impl Kernel {
    /// The first two numbers of the release: `6.12`.
    #[must_use]
    pub fn series(&self) -> &str {
        let mut dots = self.release.match_indices(['.', '-', '+']);
        let end = dots.nth(1).map_or(self.release.len(), |(at, _)| at);
        &self.release[..end]
    }

    /// How many modules `kernel.tar` has.
    #[must_use]
    pub fn modules(&self) -> usize {
        self.files
            .iter()
            .filter(|file| Compression::of_module(&file.path).is_some())
            .count()
    }

    /// Writes `kernel.tar`. The bytes follow from the files alone: sorted,
    /// folders before what is in them, all of root's, of time 0.
    ///
    /// # Errors
    /// `out` cannot be written.
    pub fn write_tar(&self, out: impl Write) -> Result<(), Error> {
        let mut tar = tar::Builder::new(out);
        for folder in self.folders() {
            let mut header = header(tar::EntryType::Directory, 0o755, 0);
            let appended = tar.append_data(&mut header, format!("{folder}/"), io::empty());
            appended.map_err(|source| Error::Write {
                path: folder.to_owned(),
                source,
            })?;
        }
        for file in &self.files {
            let mut header = header(tar::EntryType::Regular, 0o644, file.contents.len() as u64);
            let appended = tar.append_data(&mut header, &file.path, &*file.contents);
            appended.map_err(|source| Error::Write {
                path: file.path.clone(),
                source,
            })?;
        }
        let finished = tar.into_inner().and_then(|mut out| out.flush());
        finished.map_err(|source| Error::Write {
            path: "the end mark".to_owned(),
            source,
        })
    }

    /// All folders of the files' paths, sorted.
    fn folders(&self) -> BTreeSet<&str> {
        let paths = self.files.iter().map(|file| file.path.as_str());
        paths
            .flat_map(|path| path.match_indices('/').map(|(at, _)| &path[..at]))
            .collect()
    }
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(release: &str, files: &[(&str, &str)]) -> Kernel {
        let files = files.iter().map(|(path, contents)| File {
            path: (*path).to_owned(),
            contents: contents.as_bytes().to_vec(),
        });
        Kernel {
            release: release.to_owned(),
            machine: Machine::X86_64,
            image: Vec::new(),
            config: None,
            files: files.collect(),
            modules_in_package: 0,
        }
    }

    #[test]
    fn series_of_a_release() {
        for (release, series) in [
            ("6.12.117+deb12-cloud-amd64", "6.12"),
            ("6.1.0-56-cloud-amd64", "6.1"),
            ("6.12+deb13-amd64", "6.12"),
            ("6.12", "6.12"),
        ] {
            assert_eq!(kernel(release, &[]).series(), series);
        }
    }

    #[test]
    fn tar_has_folders_then_files() {
        let long = format!("lib/modules/6.12/{}/a.ko", "deep".repeat(40));
        let kernel = kernel(
            "6.12",
            &[("lib/modules/6.12/kernel/b.ko", "bb"), (&long, "a")],
        );
        let mut bytes = Vec::new();
        kernel.write_tar(&mut bytes).unwrap();
        assert_eq!(kernel.modules(), 2);

        let mut archive = tar::Archive::new(&*bytes);
        let entries: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                assert_eq!((header.uid().unwrap(), header.mtime().unwrap()), (0, 0));
                entry.path().unwrap().display().to_string()
            })
            .collect();
        let deep = long.rsplit_once('/').unwrap().0;
        let folders = ["lib/", "lib/modules/", "lib/modules/6.12/"].map(String::from);
        assert_eq!(entries[..3], folders);
        assert_eq!(
            entries[3..5],
            [format!("{deep}/"), "lib/modules/6.12/kernel/".to_owned()]
        );
        assert_eq!(entries[5..], ["lib/modules/6.12/kernel/b.ko", &long]);
    }
}
