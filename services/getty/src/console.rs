//! The consoles of the machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Where the kernel lists them, the preferred one last
/// (`Documentation/ABI/testing/sysfs-tty`).
const ACTIVE: &str = "/sys/class/tty/console/active";

/// The names of the kernel's consoles below `/dev`, each once.
#[must_use]
pub fn active() -> Vec<String> {
    let active = fs::read_to_string(ACTIVE).unwrap_or_default();
    let cmdline = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    names(&active, &cmdline)
        .into_iter()
        .filter(|name| Path::new("/dev").join(name).exists())
        .collect()
}

/// The consoles of `active`, or where the kernel tells none, those that the
/// command line asks for. `tty0` is the screen's foreground terminal, whichever
/// that is: a session needs one of its own, so it gets `tty1`.
fn names(active: &str, cmdline: &str) -> Vec<String> {
    let listed: Vec<&str> = active.split_ascii_whitespace().collect();
    let asked = cmdline
        .split_ascii_whitespace()
        .filter_map(|word| word.strip_prefix("console="))
        .filter_map(|value| value.split(',').next());
    let all: Vec<&str> = if listed.is_empty() {
        asked.collect()
    } else {
        listed
    };
    let mut seen = BTreeSet::new();
    all.into_iter()
        .map(|name| if name == "tty0" { "tty1" } else { name })
        .filter(|name| is_name(name) && seen.insert((*name).to_owned()))
        .map(str::to_owned)
        .collect()
}

/// Whether this can be the name of a terminal below `/dev`: `ttyS0`, `hvc0`,
/// and no path out of it.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name != "null" && name.bytes().all(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_kernels_list_counts() {
        assert_eq!(names("tty0 ttyS0\n", "console=hvc0"), ["tty1", "ttyS0"]);
    }

    #[test]
    fn else_the_command_line_counts_each_once() {
        let cmdline = "quiet console=ttyS0,115200n8 console=ttyAMA0 console=ttyS0 console=null";
        assert_eq!(names("", cmdline), ["ttyS0", "ttyAMA0"]);
    }

    #[test]
    fn none_is_none() {
        assert!(names("", "quiet").is_empty());
    }

    proptest! {
        #[test]
        fn no_name_leaves_dev(active in ".{0,40}", cmdline in ".{0,40}") {
            for name in names(&active, &cmdline) {
                prop_assert!(!name.contains(['/', '.']));
            }
        }
    }
}
