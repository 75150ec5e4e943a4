//! Which modules an image gets: lists of patterns.
//!
//! A list is text, a pattern a line; `#` begins a comment.
//!
//! ```text
//! virtio_net                    a module by its name, `-` and `_` alike
//! nft_*                         names, by a shell pattern
//! kernel/drivers/net/ethernet/  a folder and all below it
//! kernel/fs/*/nls_utf8          paths, by a shell pattern
//! !kernel/drivers/md/dm-vdo/    not these, of what the lines above chose
//! ?aesni_intel                  if the package has it; else no error
//! @default                      all lines of Hullkit's own list
//! ```
//!
//! Paths are those of `modules.order`: below `lib/modules/RELEASE`, with or
//! without `.ko`. What the chosen modules depend on comes along by itself, even
//! if a `!` line names it.

use std::collections::BTreeSet;

use crate::graph::Graph;
use crate::{Error, glob, modinfo};

/// Hullkit's own list: what virtual machines and common hardware need to boot,
/// mount and network.
const DEFAULT: &str = include_str!("../modules/default.list");

/// The modules that an image is to have, before their dependencies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Every module of the package.
    All,
    /// Those that a list names.
    List {
        /// The list's file, for messages.
        name: String,
        /// Its lines, in order.
        lines: Vec<Line>,
    },
}

/// A line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// From 1.
    number: usize,
    /// As written.
    text: String,
    pattern: Pattern,
    /// Whether it takes away.
    exclude: bool,
    /// Whether it is an error that it matches nothing. Hullkit's own list
    /// serves many kernels, of which each has only a part.
    required: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    /// Over the name, with `_` for `-`.
    Name(String),
    /// Over the path without `.ko`.
    Path(String),
}

impl Pattern {
    fn matches(&self, stem: &str) -> bool {
        match self {
            Self::Name(pattern) => {
                let file = stem.rsplit('/').next().unwrap_or(stem);
                glob::matches(pattern, &modinfo::name(file))
            }
            Self::Path(pattern) => glob::matches(pattern, stem),
        }
    }

    /// The text of a line without `!` or `?`; the error is a reason.
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a `!` or `?` without a pattern".to_owned());
        }
        if text.contains(char::is_whitespace) {
            return Err(format!("`{text}`: one pattern a line"));
        }
        if text.starts_with(['/', '@']) {
            let form = "a name, a path such as `kernel/fs/xfs/`, or `@default`";
            return Err(format!("`{text}`: {form}"));
        }
        let stem = text.strip_suffix(".ko").unwrap_or(text);
        Ok(match (stem.contains('/'), stem.ends_with('/')) {
            (false, _) => Self::Name(modinfo::name(stem)),
            (true, false) => Self::Path(stem.to_owned()),
            (true, true) => Self::Path(format!("{stem}*")),
        })
    }
}

impl Default for Selection {
    /// Hullkit's own list.
    fn default() -> Self {
        let name = "kernel/modules/default.list".to_owned();
        // A test parses it: the list is part of the program.
        let lines = parse_lines(&name, DEFAULT, false).unwrap_or_default();
        Self::List { name, lines }
    }
}

impl Selection {
    /// The list `text` of the file `name`.
    ///
    /// # Errors
    /// A line is not of a list's form.
    pub fn parse(name: &str, text: &str) -> Result<Self, Error> {
        let lines = parse_lines(name, text, true)?;
        Ok(Self::List {
            name: name.to_owned(),
            lines,
        })
    }

    /// The modules of `graph` that are chosen, without their dependencies.
    ///
    /// # Errors
    /// A line of a list other than Hullkit's own matches nothing.
    pub fn choose(&self, graph: &Graph) -> Result<BTreeSet<usize>, Error> {
        let modules = graph.modules();
        let Self::List { name, lines } = self else {
            return Ok((0..modules.len()).collect());
        };
        let mut chosen = BTreeSet::new();
        for line in lines {
            let matching = |(_, stem): &(usize, &str)| line.pattern.matches(stem);
            let stems = modules.iter().map(|module| module.stem()).enumerate();
            let found: Vec<usize> = stems.filter(matching).map(|(index, _)| index).collect();
            if line.exclude {
                chosen.retain(|index| !found.contains(index));
            } else {
                chosen.extend(&found);
            }
            let built_in = || {
                graph
                    .builtin()
                    .iter()
                    .any(|stem| line.pattern.matches(stem))
            };
            if line.required && found.is_empty() && !built_in() {
                return Err(Error::List {
                    list: name.clone(),
                    line: line.number,
                    reason: format!("`{}` matches no module of the package", line.text),
                });
            }
        }
        Ok(chosen)
    }
}

/// The lines of the list `text`, with `@default` written out.
fn parse_lines(list: &str, text: &str, required: bool) -> Result<Vec<Line>, Error> {
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let line = line.split('#').next().unwrap_or("").trim();
        if line == "@default" {
            lines.extend(parse_lines("default.list", DEFAULT, false)?);
            continue;
        }
        if line.is_empty() {
            continue;
        }
        let (exclude, required, text) = match line.split_at_checked(1) {
            Some(("!", text)) => (true, required, text.trim_start()),
            Some(("?", text)) => (false, false, text.trim_start()),
            _ => (false, required, line),
        };
        let pattern = Pattern::parse(text).map_err(|reason| Error::List {
            list: list.to_owned(),
            line: number,
            reason,
        })?;
        lines.push(Line {
            number,
            text: text.to_owned(),
            pattern,
            exclude,
            required,
        });
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::sample::module;

    fn graph() -> Graph {
        let paths = [
            "kernel/drivers/net/veth.ko",
            "kernel/drivers/net/ethernet/intel/e1000.ko",
            "kernel/drivers/md/dm-mod.ko",
            "kernel/drivers/md/dm-vdo/dm-vdo.ko",
            "kernel/fs/nls/nls_utf8.ko",
        ];
        let modules = paths.iter().map(|path| module(path, &[])).collect();
        Graph::new(modules, ["kernel/fs/ext4/ext4.ko"].into_iter()).unwrap()
    }

    fn chosen(list: &str) -> Result<Vec<String>, String> {
        let graph = graph();
        let selection = Selection::parse("my.list", list).map_err(|e| e.to_string())?;
        let chosen = selection.choose(&graph).map_err(|e| e.to_string())?;
        Ok(chosen
            .into_iter()
            .map(|index| graph.modules()[index].name())
            .collect())
    }

    #[test]
    fn each_form_of_line() {
        for (list, expected) in [
            ("", &[][..]),
            ("veth", &["veth"]),
            ("dm_mod.ko # device mapper", &["dm_mod"]),
            ("dm-*", &["dm_mod", "dm_vdo"]),
            ("kernel/drivers/net/", &["veth", "e1000"]),
            ("kernel/drivers/net/*.ko", &["veth", "e1000"]),
            ("kernel/*/e1000", &["e1000"]),
            ("\n# all of md\nkernel/drivers/md/\n!dm-vdo\n", &["dm_mod"]),
            ("ext4", &[]),
            ("?vedth\n? veth", &["veth"]),
            (
                "@default\nnls_utf8",
                &["veth", "e1000", "dm_mod", "nls_utf8"],
            ),
        ] {
            assert_eq!(chosen(list).unwrap(), expected, "{list}");
        }
        assert_eq!(Selection::All.choose(&graph()).unwrap().len(), 5);
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (list, expected) in [
            (
                "veth\n\nvedth # typo",
                "my.list:3: `vedth` matches no module of the package",
            ),
            (
                "kernel/drivers/nte/",
                "my.list:1: `kernel/drivers/nte/` matches no module of the package",
            ),
            ("veth e1000", "my.list:1: `veth e1000`: one pattern a line"),
            ("!", "my.list:1: a `!` or `?` without a pattern"),
            (
                "@all",
                "my.list:1: `@all`: a name, a path such as `kernel/fs/xfs/`, or `@default`",
            ),
            (
                "/lib/modules",
                "my.list:1: `/lib/modules`: a name, a path such as `kernel/fs/xfs/`, or `@default`",
            ),
        ] {
            assert_eq!(chosen(list).unwrap_err(), expected);
        }
    }

    #[test]
    fn the_virtio_list_parses() {
        let list = include_str!("../modules/virtio.list");
        assert!(
            matches!(Selection::parse("x", list), Ok(Selection::List { lines, .. }) if lines.len() > 20)
        );
    }

    #[test]
    fn the_own_list_parses() {
        let lines = parse_lines("default.list", DEFAULT, false).unwrap();
        assert!(lines.len() > 50, "{}", lines.len());
        assert!(
            matches!(Selection::default(), Selection::List { lines: used, .. } if used == lines)
        );
    }
}
