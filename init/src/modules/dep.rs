//! `modules.dep`: where each module lies, and what must be loaded before it.

use super::glob;

/// The file, and where each module's line begins.
#[derive(Debug, Default)]
pub struct Dep {
    text: String,
    /// (hash of the module's name, start of its line), sorted.
    lines: Vec<(u32, u32)>,
}

/// A module to load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Module<'a> {
    /// Its file, relative to the folder of `modules.dep`.
    pub path: &'a str,
    /// The rest of its line: the files that it needs.
    needs: &'a str,
}

impl<'a> Module<'a> {
    /// Its name, as its file has it.
    #[must_use]
    pub fn name(&self) -> &'a str {
        name_of(self.path)
    }

    /// The files that it needs, in the order in which they are loaded:
    /// `depmod` writes the first to load last.
    pub fn needs(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.needs.split_ascii_whitespace().rev()
    }
}

/// The module's name in the path of its file: `kernel/fs/fat/vfat.ko.xz` is
/// `vfat`.
#[must_use]
pub fn name_of(path: &str) -> &str {
    let file = path.rsplit_once('/').map_or(path, |(_, file)| file);
    file.split_once(".ko").map_or(file, |(name, _)| name)
}

/// Whether two names mean the same module.
#[must_use]
pub fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().map(glob::fold).eq(b.bytes().map(glob::fold))
}

/// FNV-1a of the name, the same for `-` and `_`.
fn hash(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(glob::fold(byte))).wrapping_mul(0x0100_0193)
    })
}

impl Dep {
    /// Indexes the content of a `modules.dep`.
    #[must_use]
    pub fn new(text: String) -> Self {
        let mut lines = Vec::with_capacity(text.len() / 96);
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            if let (Some((path, _)), Ok(offset)) = (line.split_once(':'), u32::try_from(start)) {
                lines.push((hash(name_of(path)), offset));
            }
            start += line.len();
        }
        lines.sort_unstable();
        Self { text, lines }
    }

    /// The module of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Module<'_>> {
        let wanted = hash(name);
        let first = self.lines.partition_point(|(hash, _)| *hash < wanted);
        self.lines
            .get(first..)?
            .iter()
            .take_while(|(hash, _)| *hash == wanted)
            .filter_map(|(_, start)| self.line(*start))
            .find(|module| same(module.name(), name))
    }

    fn line(&self, start: u32) -> Option<Module<'_>> {
        let line = self
            .text
            .get(usize::try_from(start).ok()?..)?
            .lines()
            .next()?;
        let (path, needs) = line.split_once(':')?;
        Some(Module { path, needs })
    }

    /// `module` behind all that it needs, in the order in which they are to be
    /// loaded, without those for which `skip` says so of their name.
    ///
    /// The file lists for each module all that it needs, also indirectly; one
    /// that lists only what is needed directly gives the same result.
    pub fn order<'a>(
        &'a self,
        module: Module<'a>,
        skip: &mut dyn FnMut(&str) -> bool,
    ) -> Vec<Module<'a>> {
        let mut order = Vec::new();
        self.visit(module, skip, &mut Vec::new(), &mut order);
        order
    }

    fn visit<'a>(
        &'a self,
        module: Module<'a>,
        skip: &mut dyn FnMut(&str) -> bool,
        seen: &mut Vec<&'a str>,
        order: &mut Vec<Module<'a>>,
    ) {
        // Also what ends a cycle, which only a broken file has.
        if seen.contains(&module.path) || seen.len() >= MAX_NEEDS {
            return;
        }
        seen.push(module.path);
        if skip(module.name()) {
            return;
        }
        for path in module.needs() {
            if let Some(needed) = self.find(name_of(path)) {
                self.visit(needed, skip, seen, order);
            }
        }
        order.push(module);
    }
}

/// No module needs so many; it bounds the recursion over a hostile file.
const MAX_NEEDS: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "\
kernel/net/core/failover.ko:
kernel/drivers/net/net_failover.ko: kernel/net/core/failover.ko
kernel/drivers/net/virtio_net.ko.xz: kernel/drivers/net/net_failover.ko kernel/net/core/failover.ko
kernel/crypto/ghash-generic.ko: kernel/lib/gone.ko
no colon
";

    fn order(dep: &Dep, name: &str) -> Vec<String> {
        dep.order(dep.find(name).unwrap(), &mut |_| false)
            .iter()
            .map(|m| m.name().to_owned())
            .collect()
    }

    #[test]
    fn finds_by_either_spelling() {
        let dep = Dep::new(TEXT.to_owned());
        assert_eq!(dep.find("virtio-net").unwrap().name(), "virtio_net");
        assert_eq!(dep.find("ghash_generic").unwrap().name(), "ghash-generic");
        assert_eq!(dep.find("nothing"), None);
        assert_eq!(dep.find(""), None);
    }

    #[test]
    fn what_is_needed_comes_first() {
        let dep = Dep::new(TEXT.to_owned());
        assert_eq!(
            order(&dep, "virtio_net"),
            ["failover", "net_failover", "virtio_net"]
        );
        // What the file does not have cannot be loaded first.
        assert_eq!(order(&dep, "ghash-generic"), ["ghash-generic"]);
    }

    #[test]
    fn what_is_loaded_is_left_out() {
        let dep = Dep::new(TEXT.to_owned());
        let module = dep.find("virtio_net").unwrap();
        let order = dep.order(module, &mut |name| {
            name == "net_failover" || name == "failover"
        });
        assert_eq!(order.len(), 1);
        assert!(dep.order(module, &mut |_| true).is_empty());
    }

    #[test]
    fn a_cycle_ends() {
        let dep = Dep::new("a.ko: b.ko\nb.ko: a.ko\n".to_owned());
        assert_eq!(order(&dep, "a"), ["b", "a"]);
    }

    proptest! {
        /// Modules 0..n, each needing some with a smaller number.
        #[test]
        fn each_once_and_behind_its_needs(needs in prop::collection::vec(
            prop::collection::vec(any::<prop::sample::Index>(), 0..4), 1..24
        )) {
            let mut text = String::new();
            for (i, needs) in needs.iter().enumerate() {
                text += &format!("kernel/m{i}.ko:");
                for index in needs.iter().filter(|_| i > 0) {
                    text += &format!(" kernel/m{}.ko", index.index(i));
                }
                text.push('\n');
            }
            let dep = Dep::new(text);
            for i in 0..needs.len() {
                let order = dep.order(dep.find(&format!("m{i}")).unwrap(), &mut |_| false);
                for (at, module) in order.iter().enumerate() {
                    for path in module.needs() {
                        prop_assert!(order[..at].iter().any(|m| m.path == path));
                    }
                    prop_assert!(!order[..at].contains(module));
                }
                prop_assert_eq!(order.last().unwrap().name(), format!("m{i}"));
            }
        }

        #[test]
        fn any_file_is_survived(text in "([ab/]{0,4}(.ko)?[: \n]){0,20}", name in "[ab]{0,2}") {
            let dep = Dep::new(text);
            if let Some(module) = dep.find(&name) {
                let _ = dep.order(module, &mut |_| false);
            }
        }
    }
}
