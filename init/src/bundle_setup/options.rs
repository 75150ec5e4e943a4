//! Mount options as fstab has them: flags of `mount(2)` and what is left for
//! the filesystem.

use nix::mount::MsFlags;

/// Options, sorted by who takes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Options {
    /// Of the mount.
    pub(super) flags: MsFlags,
    /// Propagation: a call of its own.
    pub(super) propagation: Vec<MsFlags>,
    /// For the filesystem, with commas.
    pub(super) data: String,
}

/// Sorts `options`. A later one overrides an earlier one.
pub(super) fn parse(options: &[String]) -> Options {
    let mut parsed = Options {
        flags: MsFlags::empty(),
        propagation: Vec::new(),
        data: String::new(),
    };
    for option in options {
        if let Some(flags) = propagation(option) {
            parsed.propagation.push(flags);
        } else if let Some((flag, set)) = flag(option) {
            parsed.flags.set(flag, set);
        } else {
            if !parsed.data.is_empty() {
                parsed.data.push(',');
            }
            parsed.data.push_str(option);
        }
    }
    parsed
}

fn propagation(option: &str) -> Option<MsFlags> {
    let (kind, recursive) = match option.strip_prefix('r') {
        Some(kind) => (kind, MsFlags::MS_REC),
        None => (option, MsFlags::empty()),
    };
    let kind = match kind {
        "shared" => MsFlags::MS_SHARED,
        "slave" => MsFlags::MS_SLAVE,
        "private" => MsFlags::MS_PRIVATE,
        "unbindable" => MsFlags::MS_UNBINDABLE,
        _ => return None,
    };
    Some(kind | recursive)
}

fn flag(option: &str) -> Option<(MsFlags, bool)> {
    Some(match option {
        "defaults" => (MsFlags::empty(), true),
        "bind" => (MsFlags::MS_BIND, true),
        "rbind" => (MsFlags::MS_BIND | MsFlags::MS_REC, true),
        "remount" => (MsFlags::MS_REMOUNT, true),
        "ro" => (MsFlags::MS_RDONLY, true),
        "rw" => (MsFlags::MS_RDONLY, false),
        "suid" => (MsFlags::MS_NOSUID, false),
        "nosuid" => (MsFlags::MS_NOSUID, true),
        "dev" => (MsFlags::MS_NODEV, false),
        "nodev" => (MsFlags::MS_NODEV, true),
        "exec" => (MsFlags::MS_NOEXEC, false),
        "noexec" => (MsFlags::MS_NOEXEC, true),
        "sync" => (MsFlags::MS_SYNCHRONOUS, true),
        "async" => (MsFlags::MS_SYNCHRONOUS, false),
        "dirsync" => (MsFlags::MS_DIRSYNC, true),
        "mand" => (MsFlags::MS_MANDLOCK, true),
        "nomand" => (MsFlags::MS_MANDLOCK, false),
        "atime" => (MsFlags::MS_NOATIME, false),
        "noatime" => (MsFlags::MS_NOATIME, true),
        "diratime" => (MsFlags::MS_NODIRATIME, false),
        "nodiratime" => (MsFlags::MS_NODIRATIME, true),
        "relatime" => (MsFlags::MS_RELATIME, true),
        "norelatime" => (MsFlags::MS_RELATIME, false),
        "strictatime" => (MsFlags::MS_STRICTATIME, true),
        "nostrictatime" => (MsFlags::MS_STRICTATIME, false),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(options: &[&str]) -> Options {
        parse(&options.iter().map(|o| (*o).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn flags_data_and_propagation() {
        let options = of(&["rbind", "ro", "rshared", "size=10%", "mode=755", "private"]);
        assert_eq!(
            options.flags,
            MsFlags::MS_BIND | MsFlags::MS_REC | MsFlags::MS_RDONLY
        );
        assert_eq!(
            options.propagation,
            [MsFlags::MS_SHARED | MsFlags::MS_REC, MsFlags::MS_PRIVATE]
        );
        assert_eq!(options.data, "size=10%,mode=755");
    }

    #[test]
    fn the_last_word_counts() {
        assert_eq!(of(&["ro", "rw", "noexec", "exec"]).flags, MsFlags::empty());
        assert_eq!(of(&["rw", "ro"]).flags, MsFlags::MS_RDONLY);
    }
}
