//! Kernel modules: those that the hardware asks for ([`coldplug`]), those that
//! somebody names, and those that the kernel asks for itself ([`modprobe`]).
//!
//! The files of `/lib/modules/RELEASE` are `depmod`'s (`docs/modules.md`).
//! Nothing of them stays in memory behind the boot.

pub mod alias;
pub mod coldplug;
pub mod dep;
pub mod glob;
pub mod modprobe;
pub mod nodes;
pub mod softdep;
pub mod unpack;

use std::cell::OnceCell;
use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use hullkit_bundle::layout;
use nix::errno::Errno;
use nix::kmod::{self, ModuleInitFlags};

use crate::Error;
use crate::cmdline::Cmdline;
use alias::Wanted;
use dep::{Dep, Module};

/// The modules of the running kernel.
#[derive(Debug)]
pub struct Modules {
    dir: PathBuf,
    dep: Dep,
    softdep: String,
    /// Only read when a name is not a module's.
    alias: OnceCell<String>,
    options: Vec<(String, String)>,
    blacklist: Vec<String>,
}

/// Parameters of modules that would make a network interface when they are
/// loaded, of a name that somebody who asks for one wants to give himself. The
/// command line's come after them.
const NO_INTERFACES: [(&str, &str); 3] = [
    ("bonding", "max_bonds=0"),
    ("dummy", "numdummies=0"),
    ("ifb", "numifbs=0"),
];

/// Softdeps of softdeps, at most so deep.
const MAX_DEPTH: usize = 8;

/// `MODULE_INIT_COMPRESSED_FILE` of `finit_module(2)`, since Linux 5.17.
const COMPRESSED: ModuleInitFlags = ModuleInitFlags::from_bits_retain(4);

impl Modules {
    /// Reads what there is for the running kernel; `None` where the image has
    /// no modules for it.
    ///
    /// # Errors
    /// A file is there and cannot be read.
    pub fn open(cmdline: &Cmdline) -> Result<Option<Self>, Error> {
        let release = nix::sys::utsname::uname().map_err(Error::os("read", "kernel release"))?;
        let dir = Path::new(layout::MODULES).join(release.release());
        let Some(dep) = read(&dir, "modules.dep")? else {
            return Ok(None);
        };
        Ok(Some(Self {
            dep: Dep::new(dep),
            softdep: read(&dir, "modules.softdep")?.unwrap_or_default(),
            alias: OnceCell::new(),
            dir,
            options: cmdline.module_options.clone(),
            blacklist: cmdline.blacklist.clone(),
        }))
    }

    /// Loads the module called `name`, or those that `name` is an alias of,
    /// with what they need.
    ///
    /// # Errors
    /// There is none, or the kernel refused one.
    pub fn load(&self, name: &str) -> Result<(), Error> {
        self.load_at(name, 0)
    }

    fn load_at(&self, name: &str, depth: usize) -> Result<(), Error> {
        if is_loaded(name) {
            return Ok(());
        }
        if let Some(module) = self.dep.find(name) {
            return self.insert(module, depth);
        }
        let names = alias::modules(self.aliases()?, &Wanted::new([name]));
        let mut result = Err(Error::Module {
            name: name.to_owned(),
            reason: format!("not in {}", self.dir.display()),
        });
        for module in names.iter().filter(|module| !self.is_blacklisted(module)) {
            // One that works is enough: the others may be for other processors.
            result = result.or(self.load_aliased(module, depth));
        }
        match result {
            Err(_) if names.is_empty() && self.is_builtin(name)? => Ok(()),
            result => result,
        }
    }

    /// Loads the module that `modules.alias` calls `name`.
    fn load_aliased(&self, name: &str, depth: usize) -> Result<(), Error> {
        match self.dep.find(name) {
            Some(module) => self.insert(module, depth),
            None => Err(Error::Module {
                name: name.to_owned(),
                reason: "named in modules.alias, not in modules.dep".to_owned(),
            }),
        }
    }

    /// Loads what drives the devices of these modaliases, if `takes` says so of
    /// the module's file. A device without a driver is no error, nor is a
    /// driver that finds none of its devices.
    ///
    /// # Errors
    /// `modules.alias` cannot be read.
    pub fn load_for<T: AsRef<[u8]>>(
        &self,
        modaliases: &[T],
        takes: impl Fn(&str) -> bool,
    ) -> Result<Loaded, Error> {
        let names = alias::modules(self.aliases()?, &Wanted::new(modaliases));
        let mut loaded = Loaded::default();
        for name in names {
            let found = self.dep.find(name);
            let Some(module) = found.filter(|module| takes(module.path)) else {
                continue;
            };
            if self.is_blacklisted(name) || is_loaded(name) {
                continue;
            }
            match self.insert(module, 0) {
                Ok(()) => loaded.count += 1,
                Err(Error::Os { source, .. }) if is_no_device(&source) => {}
                Err(error) => loaded.failed.push(error),
            }
        }
        Ok(loaded)
    }

    /// Loads `module` behind what it needs, each between its softdeps.
    fn insert(&self, module: Module<'_>, depth: usize) -> Result<(), Error> {
        for module in self.dep.order(module, &mut is_loaded) {
            let (pre, post) = softdep::of(&self.softdep, module.name());
            self.load_soft(&pre, depth);
            self.finit(module)?;
            self.load_soft(&post, depth);
        }
        Ok(())
    }

    /// Softdeps: what is not there, or does not work, is done without.
    fn load_soft(&self, names: &[&str], depth: usize) {
        if depth < MAX_DEPTH {
            for name in names {
                let _done_without = self.load_at(name, depth + 1);
            }
        }
    }

    fn finit(&self, module: Module<'_>) -> Result<(), Error> {
        let path = self.dir.join(module.path);
        let file = File::open(&path).map_err(Error::path("open", &path))?;
        let options = CString::new(self.options_of(module.name())).unwrap_or_default();
        let result = match path.extension().and_then(|e| e.to_str()) {
            Some("ko") => kmod::finit_module(&file, &options, ModuleInitFlags::empty()),
            // Each kernel unpacks one form at most, and Debian's not this one.
            Some("zst") => {
                let elf = unpack::zstd(&file).map_err(Error::path("unpack", &path))?;
                kmod::init_module(&elf, &options)
            }
            _ => kmod::finit_module(&file, &options, COMPRESSED),
        };
        match result {
            // Somebody else was faster.
            Ok(()) | Err(Errno::EEXIST) => Ok(()),
            // The file is open: what is missing is what it refers to.
            Err(Errno::ENOENT) => Err(Error::Module {
                name: module.name().to_owned(),
                reason: "it needs a module that is missing".to_owned(),
            }),
            Err(errno) => Err(Error::os("load module", module.name())(errno)),
        }
    }

    fn options_of(&self, module: &str) -> String {
        let asked = self
            .options
            .iter()
            .map(|(name, option)| (&**name, &**option));
        let options: Vec<&str> = NO_INTERFACES
            .into_iter()
            .chain(asked)
            .filter(|(name, _)| dep::same(name, module))
            .map(|(_, option)| option)
            .collect();
        options.join(" ")
    }

    fn is_blacklisted(&self, name: &str) -> bool {
        self.blacklist.iter().any(|listed| dep::same(listed, name))
    }

    /// The content of `modules.devname`, for [`nodes::make`].
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn devnames(&self) -> Result<String, Error> {
        Ok(read(&self.dir, "modules.devname")?.unwrap_or_default())
    }

    fn aliases(&self) -> Result<&str, Error> {
        if let Some(text) = self.alias.get() {
            return Ok(text);
        }
        let text = read(&self.dir, "modules.alias")?.unwrap_or_default();
        Ok(self.alias.get_or_init(|| text))
    }

    fn is_builtin(&self, name: &str) -> Result<bool, Error> {
        let text = read(&self.dir, "modules.builtin")?.unwrap_or_default();
        Ok(text.lines().any(|path| dep::same(dep::name_of(path), name)))
    }
}

/// What [`Modules::load_for`] did.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Modules that were loaded, without those that they needed.
    pub count: usize,
    /// Those that the kernel refused.
    pub failed: Vec<Error>,
}

/// Loads the module or filesystem `name` if the kernel does not have it yet,
/// for somebody who needs it now.
///
/// # Errors
/// There is none, or the kernel refused it.
pub fn ensure(name: &str) -> Result<(), Error> {
    if is_loaded(name) {
        return Ok(());
    }
    let cmdline = Cmdline::read().map_err(Error::os("read", "/proc/cmdline"))?;
    match Modules::open(&cmdline)? {
        Some(modules) => modules.load(name),
        None => Err(Error::Module {
            name: name.to_owned(),
            reason: "the image has no modules for this kernel".to_owned(),
        }),
    }
}

/// Loads the module of the filesystem `kind` if the kernel does not have it
/// yet.
///
/// # Errors
/// There is none, or the kernel refused it.
pub fn ensure_filesystem(kind: &str) -> Result<(), Error> {
    let path = "/proc/filesystems";
    let known = fs::read_to_string(path).map_err(Error::os("read", path))?;
    if is_filesystem(&known, kind) {
        return Ok(());
    }
    // The kernel's own way to ask; what it is built for is in the alias.
    ensure(&format!("fs-{kind}"))
}

/// Whether the content of `/proc/filesystems` has `kind`.
#[must_use]
pub fn is_filesystem(filesystems: &str, kind: &str) -> bool {
    filesystems
        .lines()
        .any(|line| line.rsplit('\t').next() == Some(kind))
}

/// Whether the module is loaded, or built in and has parameters: asked before
/// each load, because the kernel reads and checks a whole file before it says
/// that it has it already.
fn is_loaded(name: &str) -> bool {
    let mut path = String::from("/sys/module/");
    path.extend(name.chars().map(|c| if c == '-' { '_' } else { c }));
    !name.contains('/') && Path::new(&path).exists()
}

/// A driver's word for "none of my devices is here".
fn is_no_device(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::ENODEV | Errno::ENXIO)
    )
}

/// A file of the module folder; `None` where it has none of that name.
fn read(dir: &Path, name: &str) -> Result<Option<String>, Error> {
    let path = dir.join(name);
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(String::from_utf8(bytes).unwrap_or_else(|error| {
            String::from_utf8_lossy(error.as_bytes()).into_owned()
        }))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::path("read", &path)(e)),
    }
}

#[cfg(test)]
mod tests;
