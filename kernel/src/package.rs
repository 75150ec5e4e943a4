//! From a package's files to a [`Kernel`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use crate::compression::Compression;
use crate::graph::{Graph, Module};
use crate::{Btf, Error, File, Kernel, Options, Signatures};
use crate::{btf, image, index, modinfo, signature};

/// More modules than any kernel has; Ubuntu's has 7,000.
const MAX_MODULES: usize = 20_000;

/// The files of a package that a kernel is made of, as they come.
#[derive(Debug, Default)]
pub struct PackageFiles {
    /// Path and bytes of the kernel image, with the release in its name.
    image: Option<(String, Vec<u8>)>,
    config: Option<Vec<u8>>,
    builtin: String,
    order: String,
    release: Option<String>,
    /// By path below `lib/modules/RELEASE`, uncompressed.
    modules: BTreeMap<String, Packed>,
}

/// A module as the package has it.
#[derive(Debug)]
struct Packed {
    /// In the package.
    path: String,
    how: Compression,
    bytes: Vec<u8>,
}

impl Packed {
    fn unpack(&self) -> Result<Vec<u8>, Error> {
        let path = self.path.clone();
        self.how
            .unpack(&self.bytes)
            .map_err(|source| Error::Unpack { path, source })
    }
}

/// What a path of a package means.
enum Role<'a> {
    Image {
        release: &'a str,
    },
    Config,
    Builtin {
        release: &'a str,
    },
    Order {
        release: &'a str,
    },
    Module {
        release: &'a str,
        stem: &'a str,
        how: Compression,
    },
}

impl<'a> Role<'a> {
    fn of(path: &'a str) -> Option<Self> {
        if let Some(boot) = path.strip_prefix("boot/") {
            return match boot.split_once('-')? {
                ("vmlinuz", release) => Some(Self::Image { release }),
                ("config", _) => Some(Self::Config),
                _ => None,
            };
        }
        // From Debian 13 on `/lib` is a link to `/usr/lib` in packages as well.
        let tree = path
            .strip_prefix("usr/")
            .unwrap_or(path)
            .strip_prefix("lib/modules/")?;
        let (release, below) = tree.split_once('/')?;
        match below {
            "modules.builtin" => Some(Self::Builtin { release }),
            "modules.order" => Some(Self::Order { release }),
            _ => {
                let (stem, how) = Compression::of_module(below)?;
                Some(Self::Module { release, stem, how })
            }
        }
    }
}

impl PackageFiles {
    /// Before the first file.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the file at `path` (relative to the package's root) is one that
    /// [`PackageFiles::add`] has a use for.
    #[must_use]
    pub fn wants(path: &str) -> bool {
        Role::of(path).is_some()
    }

    /// Takes a file; one that is of no use is let go.
    ///
    /// # Errors
    /// A second kernel, a second release, or a name that cannot stand in an
    /// index.
    pub fn add(&mut self, path: &str, bytes: Vec<u8>) -> Result<(), Error> {
        let Some(role) = Role::of(path) else {
            return Ok(());
        };
        match role {
            Role::Image { release } => {
                self.set_release(release)?;
                if let Some((first, _)) = &self.image {
                    return Err(Error::Ambiguous {
                        first: first.clone(),
                        second: path.to_owned(),
                    });
                }
                self.image = Some((path.to_owned(), bytes));
            }
            Role::Config => self.config = Some(bytes),
            Role::Builtin { release } => {
                self.set_release(release)?;
                self.builtin = text(path, bytes)?;
            }
            Role::Order { release } => {
                self.set_release(release)?;
                self.order = text(path, bytes)?;
            }
            Role::Module { release, stem, how } => {
                self.set_release(release)?;
                self.add_module(
                    format!("{stem}.ko"),
                    Packed {
                        path: path.to_owned(),
                        how,
                        bytes,
                    },
                )?;
            }
        }
        Ok(())
    }

    fn add_module(&mut self, path: String, module: Packed) -> Result<(), Error> {
        let refused = |reason: &str| Error::Module {
            path: module.path.clone(),
            reason: reason.to_owned(),
        };
        if !path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b':')
        {
            return Err(refused("its path cannot stand in modules.dep"));
        }
        if self.modules.len() == MAX_MODULES {
            return Err(refused(&format!("more than {MAX_MODULES} modules")));
        }
        if let Some(first) = self.modules.get(&path) {
            return Err(Error::Ambiguous {
                first: first.path.clone(),
                second: module.path,
            });
        }
        self.modules.insert(path, module);
        Ok(())
    }

    fn set_release(&mut self, release: &str) -> Result<(), Error> {
        match &self.release {
            Some(known) if known != release => Err(Error::Ambiguous {
                first: format!("kernel {known}"),
                second: format!("kernel {release}"),
            }),
            _ => {
                self.release = Some(release.to_owned());
                Ok(())
            }
        }
    }

    /// Makes the kernel of the files so far, with the modules that `options`
    /// choose and what these need.
    ///
    /// # Errors
    /// The image or the release is missing, a file is broken, a dependency is
    /// not there, or a line of the list matches nothing.
    pub fn into_kernel(mut self, options: &Options) -> Result<Kernel, Error> {
        let (path, bytes) = self.image.take().ok_or(Error::Missing {
            what: "boot/vmlinuz-RELEASE",
        })?;
        let (machine, image) = image::bootable(&path, bytes)?;
        let release = self
            .release
            .take()
            .ok_or(Error::Missing { what: "release" })?;
        let graph = self.graph()?;
        let chosen = graph.closure(options.modules.choose(&graph)?)?;
        let modules_in_package = self.modules.len();

        let tree = format!("lib/modules/{release}");
        let mut files = self.chosen_modules(&graph, &chosen, options)?;
        files.extend([
            (
                "modules.alias".to_owned(),
                index::alias(&graph, &chosen).into_bytes(),
            ),
            ("modules.builtin".to_owned(), self.builtin.into_bytes()),
            (
                "modules.dep".to_owned(),
                index::dep(&graph, &chosen, options.compression)?.into_bytes(),
            ),
            (
                "modules.devname".to_owned(),
                index::devname(&graph, &chosen).into_bytes(),
            ),
            (
                "modules.order".to_owned(),
                index::order(&graph, &chosen).into_bytes(),
            ),
            (
                "modules.softdep".to_owned(),
                index::softdep(&graph, &chosen).into_bytes(),
            ),
        ]);
        let mut files: Vec<File> = files
            .into_iter()
            .map(|(path, contents)| File {
                path: format!("{tree}/{path}"),
                contents,
            })
            .collect();
        files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(Kernel {
            release,
            machine,
            image,
            config: self.config,
            files,
            modules_in_package,
        })
    }

    /// What every module says of itself, in the order of `modules.order`, those
    /// that it lacks after them.
    fn graph(&self) -> Result<Graph, Error> {
        let ranks: BTreeMap<&str, usize> = self
            .order
            .lines()
            .enumerate()
            .map(|(rank, path)| (path, rank))
            .collect();
        let mut packed: Vec<(&String, &Packed)> = self.modules.iter().collect();
        packed.sort_by_key(|(path, _)| ranks.get(path.as_str()).copied().unwrap_or(usize::MAX));
        let modules = in_parallel(packed, |(path, module)| {
            let info = modinfo::parse(&module.unpack()?).map_err(|reason| Error::Module {
                path: module.path.clone(),
                reason,
            })?;
            Ok(Module {
                path: path.clone(),
                info,
            })
        })?;
        Graph::new(modules, self.builtin.lines())
    }

    /// The files of the chosen modules. They are unpacked a second time here: to
    /// keep all of them from the first time would take 100 MB.
    fn chosen_modules(
        &mut self,
        graph: &Graph,
        chosen: &BTreeSet<usize>,
        options: &Options,
    ) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let paths = chosen.iter().map(|&index| &graph.modules()[index].path);
        let packed: Vec<Packed> = paths.filter_map(|path| self.modules.remove(path)).collect();
        self.modules.clear();
        // Each is let go as soon as it is unpacked: with all modules, both
        // forms together would take 200 MB.
        let contents = in_parallel(packed, |module| {
            let refused = |reason: String| Error::Module {
                path: module.path.clone(),
                reason,
            };
            let trimmed = trim(module.unpack()?, options).map_err(refused)?;
            let packed = options.compression.pack(trimmed);
            packed.map_err(|e| refused(format!("it cannot be compressed: {e}")))
        })?;
        let ending = options.compression.ending();
        let paths = chosen
            .iter()
            .map(|&index| format!("{}{ending}", graph.modules()[index].path));
        Ok(paths.zip(contents).collect())
    }
}

/// The module without what `options` say is not needed.
fn trim(module: Vec<u8>, options: &Options) -> Result<Vec<u8>, String> {
    match (options.signatures, options.btf) {
        (Signatures::Keep, _) => Ok(module),
        (Signatures::Strip, Btf::Keep) => Ok(signature::strip(&module)?.to_vec()),
        (Signatures::Strip, Btf::Strip) => btf::strip(signature::strip(&module)?),
    }
}

/// A text file of the package.
fn text(path: &str, bytes: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(bytes).map_err(|_| Error::Module {
        path: path.to_owned(),
        reason: "not UTF-8".to_owned(),
    })
}

/// Does `work` for each item on all processors; gives the results in the
/// items' order, or the error of the first item that has one.
fn in_parallel<T: Send, R: Send>(
    items: Vec<T>,
    work: impl Fn(T) -> Result<R, Error> + Sync,
) -> Result<Vec<R>, Error> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let queue = Mutex::new(items.into_iter().enumerate());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let worker = || {
        let mut done = Vec::new();
        while let Some((index, item)) = next() {
            let result = work(item);
            let failed = result.is_err();
            done.push((index, result));
            if failed {
                // Items are handed out in order, and the other threads finish
                // what they have: the first error is found whatever the timing.
                while next().is_some() {}
            }
        }
        done
    };
    let mut results: Vec<(usize, Result<R, Error>)> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads.min(16)).map(|_| scope.spawn(worker)).collect();
        let joined = handles.into_iter().map(|handle| {
            handle
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        joined.flatten().collect()
    });
    results.sort_unstable_by_key(|&(index, _)| index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests;
