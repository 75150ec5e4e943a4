//! What every system image begins with: `rootfs-skel`.

use hullkit_bundle::layout;

use crate::tree::{Error, Meta, Node, Tree};

/// Folders: path, permissions.
const FOLDERS: &[(&str, u32)] = &[
    ("bin", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("lib", 0o755),
    ("mnt", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("sbin", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("usr/bin", 0o755),
    ("usr/lib", 0o755),
    ("usr/sbin", 0o755),
    ("var", 0o755),
];

/// Files of the folder `rootfs-skel`.
const FILES: &[(&str, &str)] = &[
    ("etc/group", include_str!("../../../rootfs-skel/etc/group")),
    ("etc/hosts", include_str!("../../../rootfs-skel/etc/hosts")),
    (
        "etc/os-release",
        include_str!("../../../rootfs-skel/etc/os-release"),
    ),
    (
        "etc/passwd",
        include_str!("../../../rootfs-skel/etc/passwd"),
    ),
];

/// Where `/etc/resolv.conf` lies in a tree.
pub(super) const RESOLV_CONF: &str = "etc/resolv.conf";

/// A new tree with the skeleton in it.
pub(super) fn tree() -> Result<Tree, Error> {
    let mut tree = Tree::new();
    for (path, mode) in FOLDERS {
        tree.add(path, Node::dir(Meta::root(*mode)))?;
    }
    for (path, text) in FILES {
        tree.add(path, Node::file(Meta::root(0o644), *text))?;
    }
    tree.add("etc/mtab", Node::symlink("/proc/mounts"))?;
    tree.add(RESOLV_CONF, Node::symlink(layout::RESOLV_CONF))?;
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::scan::scan;

    #[test]
    fn every_file_of_the_folder_is_in_it() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../rootfs-skel");
        let folder = scan(std::path::Path::new(folder)).unwrap();
        let built = tree().unwrap();
        for (path, node) in folder.walk().filter(|(path, _)| path != b"README.md") {
            let Some(content) = node.as_file() else {
                continue;
            };
            let there = built.get(&path).and_then(Node::as_file);
            assert_eq!(
                there.map(|c| c.read().unwrap()),
                Some(content.read().unwrap()),
                "{}",
                crate::tree::path::show(&path)
            );
        }
    }
}
