//! The text files that `modprobe` and Hullkit's init find modules by, as
//! depmod writes them (`modules.dep(5)`), over the modules that were chosen.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::graph::{Graph, Module};
use crate::{Error, ModuleCompression};

/// `modules.dep`: `PATH: DEPENDENCIES…`, all of them, the last one to be loaded
/// first; the paths are those of the files, compressed or not.
///
/// # Errors
/// A dependency is missing or goes in a circle.
pub fn dep(
    graph: &Graph,
    chosen: &BTreeSet<usize>,
    compression: ModuleCompression,
) -> Result<String, Error> {
    let ending = compression.ending();
    let mut text = String::new();
    for &index in chosen {
        text.push_str(&graph.modules()[index].path);
        text.push_str(ending);
        text.push(':');
        for needed in graph.load_order(index)?.into_iter().rev() {
            text.push(' ');
            text.push_str(&graph.modules()[needed].path);
            text.push_str(ending);
        }
        text.push('\n');
    }
    Ok(text)
}

/// `modules.alias`: `alias PATTERN MODULE`.
#[must_use]
pub fn alias(graph: &Graph, chosen: &BTreeSet<usize>) -> String {
    let aliases = chosen_modules(graph, chosen)
        .flat_map(|module| module.info.aliases.iter().map(move |alias| (module, alias)));
    lines(aliases, |text, (module, alias)| {
        writeln!(text, "alias {alias} {}", module.name())
    })
}

/// `modules.softdep`: `softdep MODULE pre: … post: …`.
#[must_use]
pub fn softdep(graph: &Graph, chosen: &BTreeSet<usize>) -> String {
    let softdeps = chosen_modules(graph, chosen).flat_map(|module| {
        module
            .info
            .softdeps
            .iter()
            .map(move |declared| (module, declared))
    });
    lines(softdeps, |text, (module, declared)| {
        writeln!(text, "softdep {} {declared}", module.name())
    })
}

/// `modules.devname`: `MODULE NAME TYPEMAJOR:MINOR`, the device nodes whose
/// opening loads the module.
#[must_use]
pub fn devname(graph: &Graph, chosen: &BTreeSet<usize>) -> String {
    lines(
        chosen_modules(graph, chosen).filter_map(node),
        |text, node| {
            writeln!(
                text,
                "{} {} {}{}:{}",
                node.module, node.name, node.kind, node.major, node.minor
            )
        },
    )
}

/// `modules.order` without the modules that were not chosen.
#[must_use]
pub fn order(graph: &Graph, chosen: &BTreeSet<usize>) -> String {
    lines(chosen_modules(graph, chosen), |text, module| {
        writeln!(text, "{}", module.path)
    })
}

fn chosen_modules<'a>(
    graph: &'a Graph,
    chosen: &'a BTreeSet<usize>,
) -> impl Iterator<Item = &'a Module> {
    chosen.iter().map(|&index| &graph.modules()[index])
}

/// One line for each item.
fn lines<T>(
    items: impl Iterator<Item = T>,
    line: impl Fn(&mut String, T) -> std::fmt::Result,
) -> String {
    items.fold(String::new(), |mut text, item| {
        // Writing to a string does not fail.
        let _ = line(&mut text, item);
        text
    })
}

/// A device node that a module serves.
struct Node {
    module: String,
    name: String,
    kind: char,
    major: u32,
    minor: u32,
}

/// The node of a module with the aliases `devname:NAME` and
/// `char-major-N-N` or `block-major-N-N`.
fn node(module: &Module) -> Option<Node> {
    let aliases = &module.info.aliases;
    let name = aliases
        .iter()
        .find_map(|alias| alias.strip_prefix("devname:"))?;
    let (kind, major, minor) = aliases.iter().find_map(|alias| {
        let (kind, numbers) = match alias.strip_prefix("char-major-") {
            Some(numbers) => ('c', numbers),
            None => ('b', alias.strip_prefix("block-major-")?),
        };
        let (major, minor) = numbers.split_once('-')?;
        Some((kind, major.parse().ok()?, minor.parse().ok()?))
    })?;
    Some(Node {
        module: module.name(),
        name: name.to_owned(),
        kind,
        major,
        minor,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::sample::graph;

    #[test]
    fn each_file() {
        let graph = graph(
            &[
                (
                    "net-x",
                    &["depends=lib-b,lib_a", "alias=pci:v0000*", "alias=x"],
                ),
                ("lib_a", &["depends=lib_b", "softdep=pre: crypto-crc32c"]),
                ("lib-b", &["alias=y"]),
                ("tun", &["alias=devname:net/tun", "alias=char-major-10-200"]),
                ("half", &["alias=devname:half", "alias=char-major-10-*"]),
            ],
            &[],
        );
        let chosen = BTreeSet::from([0, 1, 2, 3, 4]);
        assert_eq!(
            dep(&graph, &chosen, ModuleCompression::None).unwrap(),
            "kernel/net-x.ko: kernel/lib_a.ko kernel/lib-b.ko\n\
             kernel/lib_a.ko: kernel/lib-b.ko\n\
             kernel/lib-b.ko:\nkernel/tun.ko:\nkernel/half.ko:\n"
        );
        assert_eq!(
            alias(&graph, &BTreeSet::from([0, 2])),
            "alias pci:v0000* net_x\nalias x net_x\nalias y lib_b\n"
        );
        assert_eq!(
            softdep(&graph, &chosen),
            "softdep lib_a pre: crypto-crc32c\n"
        );
        assert_eq!(devname(&graph, &chosen), "tun net/tun c10:200\n");
        assert_eq!(
            order(&graph, &BTreeSet::from([1, 3])),
            "kernel/lib_a.ko\nkernel/tun.ko\n"
        );
    }
}
