//! The modules of a kernel and what they need of each other.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::modinfo::{self, ModInfo};
use crate::{Error, glob};

/// One module.
#[derive(Clone, Debug)]
pub struct Module {
    /// Below `lib/modules/RELEASE`, uncompressed: `kernel/drivers/net/veth.ko`.
    pub path: String,
    /// What it says of itself.
    pub info: ModInfo,
}

impl Module {
    /// Its name as the kernel has it: the file's, with `_` for `-`.
    #[must_use]
    pub fn name(&self) -> String {
        name_of(&self.path)
    }

    /// Its path without the ending `.ko`.
    #[must_use]
    pub fn stem(&self) -> &str {
        self.path.strip_suffix(".ko").unwrap_or(&self.path)
    }
}

/// The name of the module at `path`.
fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    modinfo::name(file.strip_suffix(".ko").unwrap_or(file))
}

/// All modules of a kernel; the others are named by their place in
/// [`Graph::modules`].
#[derive(Debug)]
pub struct Graph {
    modules: Vec<Module>,
    by_name: HashMap<String, usize>,
    /// Paths of what is built in, without `.ko`.
    builtin: Vec<String>,
    builtin_names: HashSet<String>,
}

impl Graph {
    /// The graph of `modules`, in this order; `builtin` are the paths of
    /// `modules.builtin`.
    ///
    /// # Errors
    /// Two modules have the same name: the kernel could load one of them only.
    pub fn new<'a>(
        modules: Vec<Module>,
        builtin: impl Iterator<Item = &'a str>,
    ) -> Result<Self, Error> {
        let mut by_name: HashMap<String, usize> = HashMap::new();
        for (index, module) in modules.iter().enumerate() {
            if let Some(other) = by_name.insert(module.name(), index) {
                return Err(Error::Ambiguous {
                    first: modules[other].path.clone(),
                    second: module.path.clone(),
                });
            }
        }
        let builtin: Vec<String> = builtin
            .map(|path| path.strip_suffix(".ko").unwrap_or(path).to_owned())
            .collect();
        let builtin_names = builtin.iter().map(|path| name_of(path)).collect();
        Ok(Self {
            modules,
            by_name,
            builtin,
            builtin_names,
        })
    }

    /// All modules.
    #[must_use]
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// The paths of what is built in, without `.ko`.
    #[must_use]
    pub fn builtin(&self) -> &[String] {
        &self.builtin
    }

    /// The modules that `index` uses symbols of.
    fn depends(&self, index: usize) -> Result<Vec<usize>, Error> {
        let module = &self.modules[index];
        let mut found = Vec::new();
        for needed in &module.info.depends {
            match self.by_name.get(needed) {
                Some(&other) => found.push(other),
                None if self.builtin_names.contains(needed) => {}
                None => {
                    return Err(Error::Dependency {
                        module: module.name(),
                        needs: needed.clone(),
                    });
                }
            }
        }
        Ok(found)
    }

    /// The modules that a soft or weak dependency of this name can mean: the
    /// module itself, else all that have a matching alias. Often none: such
    /// names are hints, and what they name may be built in.
    fn resolve(&self, wanted: &str) -> Vec<usize> {
        if let Some(&index) = self.by_name.get(&modinfo::name(wanted)) {
            return vec![index];
        }
        let serves = |alias: &String| match alias.contains('[') {
            true => glob::matches(alias, wanted),
            false => glob::matches(&modinfo::name(alias), &modinfo::name(wanted)),
        };
        let all = self.modules.iter().enumerate();
        all.filter(|(_, module)| module.info.aliases.iter().any(serves))
            .map(|(index, _)| index)
            .collect()
    }

    /// `wanted` and everything that it needs or may ask for: dependencies by
    /// symbols, soft and weak ones, and what those need in turn.
    ///
    /// # Errors
    /// A module depends on one that is neither there nor built in.
    pub fn closure(&self, wanted: BTreeSet<usize>) -> Result<BTreeSet<usize>, Error> {
        let mut resolved: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut found = wanted.clone();
        let mut open: Vec<usize> = wanted.into_iter().collect();
        while let Some(index) = open.pop() {
            let info = &self.modules[index].info;
            let soft = info
                .softdeps
                .iter()
                .flat_map(|declared| soft_names(declared));
            let hints = soft.chain(info.weakdeps.iter().map(String::as_str));
            let mut needed = self.depends(index)?;
            for hint in hints {
                needed.extend(&*resolved.entry(hint).or_insert_with(|| self.resolve(hint)));
            }
            open.extend(needed.into_iter().filter(|&index| found.insert(index)));
        }
        Ok(found)
    }

    /// What has to be loaded before `index`, in the order to load it.
    ///
    /// # Errors
    /// A module on the way depends on one that is neither there nor built in,
    /// or on itself.
    pub fn load_order(&self, index: usize) -> Result<Vec<usize>, Error> {
        // Depth first without recursion: a hostile chain must not use up the
        // stack. `path` holds the modules on the way down, each with those
        // that are still to be looked at.
        let mut order = Vec::new();
        let mut done = HashSet::new();
        let mut path = vec![(index, self.depends(index)?.into_iter())];
        while let Some((current, rest)) = path.last_mut() {
            let current = *current;
            match rest.next() {
                Some(next) if done.contains(&next) => {}
                Some(next) if path.iter().any(|&(above, _)| above == next) => {
                    return Err(Error::Cycle {
                        module: self.modules[next].name(),
                        by: self.modules[current].name(),
                    });
                }
                Some(next) => path.push((next, self.depends(next)?.into_iter())),
                None => {
                    path.pop();
                    done.insert(current);
                    order.push(current);
                }
            }
        }
        order.pop();
        Ok(order)
    }
}

/// The names in a soft dependency as written: `pre: a b post: c`.
fn soft_names(declared: &str) -> impl Iterator<Item = &str> {
    declared
        .split_whitespace()
        .filter(|word| !matches!(*word, "pre:" | "post:"))
}

#[cfg(test)]
pub(crate) mod sample {
    use super::*;

    /// A module at `path` with these `key=value` strings.
    pub(crate) fn module(path: &str, entries: &[&str]) -> Module {
        let info = modinfo::parse(&modinfo::sample::module(entries)).unwrap();
        Module {
            path: path.to_owned(),
            info,
        }
    }

    /// A graph of modules, `kernel/NAME.ko` each.
    pub(crate) fn graph(modules: &[(&str, &[&str])], builtin: &[&str]) -> Graph {
        let modules = modules
            .iter()
            .map(|(name, entries)| module(&format!("kernel/{name}.ko"), entries));
        Graph::new(modules.collect(), builtin.iter().copied()).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::sample::{graph, module};
    use super::*;

    fn names(graph: &Graph, indexes: impl IntoIterator<Item = usize>) -> Vec<String> {
        indexes
            .into_iter()
            .map(|index| graph.modules()[index].name())
            .collect()
    }

    #[test]
    fn closure_takes_every_kind_of_dependency() {
        let graph = graph(
            &[
                (
                    "fs-x",
                    &["depends=lib-a", "softdep=pre: crypto-crc32c post: late"],
                ),
                ("lib_a", &["depends=lib_b,built_in"]),
                ("lib_b", &[]),
                ("crc-fast", &["alias=crypto-crc32c"]),
                ("crc_slow", &["alias=crypto_crc32*"]),
                ("late", &["weakdep=hint nowhere"]),
                ("hint", &[]),
                ("other", &["depends=lib_b"]),
            ],
            &["kernel/lib/built-in.ko"],
        );
        let found = graph.closure(BTreeSet::from([0])).unwrap();
        let expected = [
            "fs_x", "lib_a", "lib_b", "crc_fast", "crc_slow", "late", "hint",
        ]
        .map(String::from);
        assert_eq!(names(&graph, found), expected);
        assert_eq!(
            names(&graph, graph.load_order(0).unwrap()),
            ["lib_b", "lib_a"]
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let graph = graph(&[("a", &["depends=gone"])], &[]);
        let error = graph.closure(BTreeSet::from([0])).unwrap_err().to_string();
        assert_eq!(error, "module a depends on gone, which the package lacks");
    }

    #[test]
    fn a_circle_ends() {
        let graph = graph(
            &[
                ("a", &["depends=b"]),
                ("b", &["depends=c"]),
                ("c", &["depends=b"]),
            ],
            &[],
        );
        assert_eq!(graph.closure(BTreeSet::from([0])).unwrap().len(), 3);
        let error = graph.load_order(0).unwrap_err().to_string();
        assert_eq!(error, "module b depends on itself by way of c");
    }

    #[test]
    fn a_name_is_taken_once() {
        let modules = vec![module("kernel/a-b.ko", &[]), module("extra/a_b.ko", &[])];
        let error = Graph::new(modules, [].into_iter()).unwrap_err().to_string();
        assert_eq!(error, "the package has both kernel/a-b.ko and extra/a_b.ko");
    }

    #[test]
    fn a_long_chain_needs_no_stack() {
        let count = 5_000;
        let modules = (0..count).map(|i| {
            let depends = if i + 1 < count {
                format!("depends=m{}", i + 1)
            } else {
                "a=b".into()
            };
            module(&format!("kernel/m{i}.ko"), &[&depends])
        });
        let graph = Graph::new(modules.collect(), [].into_iter()).unwrap();
        assert_eq!(graph.load_order(0).unwrap().len(), count - 1);
    }

    proptest::proptest! {
        /// In any graph without circles each module comes after what it needs.
        #[test]
        fn load_order_is_an_order(edges in proptest::collection::vec((0usize..12, 0usize..12), 0..40)) {
            let mut depends = vec![Vec::new(); 12];
            for (a, b) in edges {
                // From higher to lower: no circle.
                if a != b {
                    depends[a.max(b)].push(format!("m{}", a.min(b)));
                }
            }
            let modules = depends.iter().enumerate().map(|(i, depends)| {
                module(&format!("kernel/m{i}.ko"), &[&format!("depends={}", depends.join(","))])
            });
            let graph = Graph::new(modules.collect(), [].into_iter()).unwrap();
            for index in 0..12 {
                let mut order = graph.load_order(index).unwrap();
                order.push(index);
                for (at, &loaded) in order.iter().enumerate() {
                    for needed in graph.depends(loaded).unwrap() {
                        assert!(order[..at].contains(&needed));
                    }
                }
                let whole = graph.closure(BTreeSet::from([index])).unwrap();
                assert_eq!(whole, order.into_iter().collect());
            }
        }
    }
}
