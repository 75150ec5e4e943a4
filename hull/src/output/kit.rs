//! What several formats are made of, each made once: initrds, roots.

use std::cell::OnceCell;
use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::Path;
use std::sync::Arc;

use hullkit_bundle::root::RootFile;

use super::rootfs::Written;
use super::uki::{self, Layout, Parts, stub_path};
use super::{Compression, Error, Target, erofs, initrd, memory, squashfs, starter};
use crate::arch::Arch;
use crate::assemble::System;
use crate::atomic::NewFile;
use crate::cache::Cache;
use crate::tree::{Content, Node, Tree};

/// The parts of one build.
pub(super) struct Kit<'a> {
    pub(super) system: &'a System,
    pub(super) arch: Arch,
    pub(super) compression: Compression,
    stub: Option<&'a Tree>,
    time: u32,
    /// The least size of disks, in bytes.
    pub(super) disk_size: u64,
    cache: Option<&'a Cache>,
    /// For files without names; where the results go, too.
    dir: &'a Path,
    initrd: OnceCell<Initrd>,
    squashfs: OnceCell<Root>,
    erofs: OnceCell<Root>,
    uki: OnceCell<Uki>,
}

/// An initrd, and the least memory that it needs.
#[derive(Clone, Debug)]
struct Initrd {
    content: Content,
    mebibytes: u64,
}

/// An EFI program that is the system.
#[derive(Clone, Debug)]
pub(super) struct Uki {
    pub(super) content: Content,
    pub(super) layout: Layout,
}

/// A root filesystem, and the initrd that mounts it.
#[derive(Clone, Debug)]
pub(super) struct Root {
    pub(super) image: Content,
    pub(super) written: Written,
    pub(super) starter: Content,
}

impl<'a> Kit<'a> {
    pub(super) fn new(system: &'a System, target: &Target<'a>) -> Self {
        Self {
            system,
            arch: target.arch,
            compression: target.compression,
            stub: target.stub,
            time: target.time,
            disk_size: target.disk_size,
            cache: target.cache,
            dir: target.dir,
            initrd: OnceCell::new(),
            squashfs: OnceCell::new(),
            erofs: OnceCell::new(),
            uki: OnceCell::new(),
        }
    }

    pub(super) fn kernel(&self) -> Result<&Content, Error> {
        self.system.kernel.as_ref().ok_or(Error::NoKernel)
    }

    /// The system as an initrd.
    pub(super) fn initrd(&self) -> Result<&Content, Error> {
        let initrd = once(&self.initrd, || self.make_initrd(&self.system.tree))?;
        Ok(&initrd.content)
    }

    /// The memory that the system needs as an initrd, where it was made one.
    pub(super) fn least_memory(&self) -> Option<u64> {
        self.initrd.get().map(|initrd| initrd.mebibytes)
    }

    /// The system as a squashfs.
    pub(super) fn squashfs(&self) -> Result<&Root, Error> {
        once(&self.squashfs, || {
            let file = self.spool()?;
            let written = self.write_squashfs(&file, 0)?;
            self.root("squashfs", file, written)
        })
    }

    /// The system as an erofs.
    pub(super) fn erofs(&self) -> Result<&Root, Error> {
        once(&self.erofs, || {
            let file = self.spool()?;
            let written = erofs::write(&self.system.tree, &file, self.time).map_err(Error::Root)?;
            self.root("erofs", file, written)
        })
    }

    /// Writes the system as a squashfs into `file`, its data not before
    /// `data_at`.
    pub(super) fn write_squashfs(&self, file: &File, data_at: u64) -> Result<Written, Error> {
        let options = squashfs::Options {
            compression: self.compression,
            data_at,
            time: self.time,
        };
        squashfs::write(&self.system.tree, file, &options).map_err(Error::Root)
    }

    fn root(&self, kind: &str, file: File, written: Written) -> Result<Root, Error> {
        Ok(Root {
            starter: self.starter(kind, &written)?,
            image: Content::Range {
                file: Arc::new(file),
                offset: 0,
                len: written.end,
            },
            written,
        })
    }

    /// The initrd that mounts the root `written`.
    pub(super) fn starter(&self, kind: &str, written: &Written) -> Result<Content, Error> {
        let root = RootFile {
            kind: kind.to_owned(),
            mark: written.mark,
        };
        let init = self.system.init.as_ref().ok_or(Error::NoInit)?;
        let tree = starter::tree(&self.system.tree, init, &root).map_err(Error::Parts)?;
        Ok(self.make_initrd(&tree)?.content)
    }

    /// Microcode, then `tree`: the kernel wants microcode first and not
    /// compressed.
    fn make_initrd(&self, tree: &Tree) -> Result<Initrd, Error> {
        let spool = self.spool()?;
        let mebibytes = memory::least(tree, self.kernel()?, self.compression);
        let options = initrd::Options {
            compression: self.compression,
            mebibytes,
            cache: self.cache,
            spool: self.dir,
        };
        let written = (|| -> io::Result<u64> {
            let mut out = BufWriter::with_capacity(256 * 1024, &spool);
            if let Some(ucode) = &self.system.ucode {
                ucode.copy_to(&mut out)?;
            }
            initrd::write(tree, &options, &mut out)?;
            out.flush()?;
            drop(out);
            (&spool).stream_position()
        })();
        let len = written.map_err(Error::Parts)?;
        let content = Content::Range {
            file: Arc::new(spool),
            offset: 0,
            len,
        };
        Ok(Initrd { content, mebibytes })
    }

    /// The EFI program that mounts the squashfs.
    pub(super) fn uki(&self) -> Result<&Uki, Error> {
        once(&self.uki, || self.make_uki(&self.squashfs()?.starter))
    }

    /// An EFI program with this initrd.
    pub(super) fn make_uki(&self, initrd: &Content) -> Result<Uki, Error> {
        let path = stub_path(self.arch);
        let stub = self.stub.and_then(|tree| tree.resolve(path)?.as_file());
        let os_release = self.system.tree.resolve("etc/os-release");
        let nothing = Content::from("");
        let cmdline = Content::from(self.system.cmdline.as_str());
        let parts = Parts {
            stub: stub.ok_or(Error::NoStub { path })?,
            os_release: os_release.and_then(Node::as_file).unwrap_or(&nothing),
            cmdline: &cmdline,
            initrd,
            kernel: self.kernel()?,
        };
        let spool = self.spool()?;
        let mut out = BufWriter::with_capacity(256 * 1024, &spool);
        let layout = uki::write(&parts, &mut out)
            .and_then(|layout| out.flush().map(|()| layout))
            .map_err(Error::Parts)?;
        drop(out);
        let content = Content::Range {
            file: Arc::new(spool),
            offset: 0,
            len: layout.len,
        };
        Ok(Uki { content, layout })
    }

    /// The program that a BIOS starts.
    pub(super) fn bios_loader(&self) -> io::Result<&Content> {
        self.system.bios_loader.as_ref().ok_or_else(|| {
            io::Error::other(
                "bios-loader.o is not among the guest's programs; `make build` makes it",
            )
        })
    }

    /// A file without a name.
    pub(super) fn spool(&self) -> Result<File, Error> {
        NewFile::create(self.dir)
            .and_then(|file| file.file().try_clone())
            .map_err(Error::Parts)
    }
}

/// `OnceCell::get_or_try_init`, which is not stable yet.
fn once<T>(cell: &OnceCell<T>, make: impl FnOnce() -> Result<T, Error>) -> Result<&T, Error> {
    if let Some(made) = cell.get() {
        return Ok(made);
    }
    let made = make()?;
    Ok(cell.get_or_init(|| made))
}
