//! The small initrd of a system whose root lies on a disk: `/init`, the modules
//! that drive disks, and the name of the root.

use std::collections::BTreeSet;
use std::io;

use hullkit_bundle::layout;
use hullkit_bundle::root::{ROOT_FILE, RootFile};

use crate::tree::path::show;
use crate::tree::{Content, Dir, Meta, Node, Tree};

/// Folders of the kernel's modules in which drivers of disks are, and of what
/// disks are attached to.
const FOLDERS: [&str; 15] = [
    "kernel/drivers/ata/",
    "kernel/drivers/block/",
    "kernel/drivers/cdrom/",
    "kernel/drivers/firewire/",
    "kernel/drivers/message/",
    "kernel/drivers/mmc/",
    "kernel/drivers/nvme/host/",
    "kernel/drivers/nvdimm/",
    "kernel/drivers/pci/",
    "kernel/drivers/scsi/",
    "kernel/drivers/ufs/",
    "kernel/drivers/usb/host/",
    "kernel/drivers/usb/storage/",
    "kernel/drivers/virtio/",
    "kernel/drivers/xen/",
];
/// What of these drives no disk, or none that a system boots from.
const NO_DISKS: [&str; 5] = ["loop", "nbd", "virtio_balloon", "virtio_input", "zram"];

/// The tree of the initrd for `root`, out of the system's `tree` and our
/// program `init`.
///
/// # Errors
/// The files of the modules cannot be read.
pub(super) fn tree(tree: &Tree, init: &Content, root: &RootFile) -> io::Result<Tree> {
    let mut starter = Tree::new();
    for (path, mode) in [
        ("dev", 0o755),
        ("mnt", 0o755),
        ("proc", 0o555),
        ("sys", 0o555),
    ] {
        add(&mut starter, path, Node::dir(Meta::root(mode)))?;
    }
    let file = |mode, content: Content| Node::file(Meta::root(mode), content);
    add(&mut starter, layout::INIT, file(0o755, init.clone()))?;
    add(
        &mut starter,
        ROOT_FILE,
        file(0o644, root.to_text().as_str().into()),
    )?;
    let modules = tree.resolve(layout::MODULES).and_then(Node::as_dir);
    for (release, node) in modules.into_iter().flat_map(|dir| &dir.entries) {
        if let Node::Dir(dir) = node {
            let place = format!("{}/{}", layout::MODULES, show(release));
            add_modules(&mut starter, &place, dir, &root.kind)?;
        }
    }
    Ok(starter)
}

fn add(tree: &mut Tree, path: &str, node: Node) -> io::Result<()> {
    tree.add(path, node).map_err(io::Error::other)
}

/// Adds to `starter` what of a kernel's modules in `dir` a disk may need.
fn add_modules(starter: &mut Tree, place: &str, dir: &Dir, filesystem: &str) -> io::Result<()> {
    let index = Index::read(dir)?;
    let chosen = index.choose(filesystem);
    for path in &chosen {
        let Some(node) = at(dir, path) else { continue };
        add(starter, &format!("{place}/{path}"), node.clone())?;
    }
    let names: BTreeSet<String> = chosen.iter().map(|path| name_of(path)).collect();
    let has = |name: Option<&str>| name.is_some_and(|name| names.contains(&underscores(name)));
    let files = [
        // PATH: DEPENDENCIES
        (
            "modules.dep",
            keep(&index.dep, |line| {
                let path = line.split(':').next();
                path.is_some_and(|path| chosen.contains(path))
            }),
        ),
        // alias PATTERN NAME
        (
            "modules.alias",
            keep(&index.alias, |line| has(line.split(' ').next_back())),
        ),
        // softdep NAME pre: NAMES post: NAMES
        (
            "modules.softdep",
            keep(&index.softdep, |line| has(line.split(' ').nth(1))),
        ),
    ];
    for (name, text) in files {
        let node = Node::file(Meta::root(0o644), text.as_str());
        add(starter, &format!("{place}/{name}"), node)?;
    }
    Ok(())
}

/// The lines that `wanted` takes, and comments.
fn keep(text: &str, wanted: impl Fn(&str) -> bool) -> String {
    text.lines()
        .filter(|line| line.starts_with('#') || wanted(line))
        .flat_map(|line| [line, "\n"])
        .collect()
}

/// What depmod says of a kernel's modules.
struct Index {
    dep: String,
    alias: String,
    softdep: String,
}

impl Index {
    fn read(dir: &Dir) -> io::Result<Self> {
        let read = |name: &str| match at(dir, name).and_then(Node::as_file) {
            Some(content) => {
                Ok::<_, io::Error>(String::from_utf8_lossy(&content.read()?).into_owned())
            }
            None => Ok(String::new()),
        };
        Ok(Self {
            dep: read("modules.dep")?,
            alias: read("modules.alias")?,
            softdep: read("modules.softdep")?,
        })
    }

    /// The paths of the modules that a disk with this filesystem may need,
    /// with all that those need.
    fn choose(&self, filesystem: &str) -> BTreeSet<&str> {
        let mut chosen = BTreeSet::new();
        let mut open: Vec<&str> = self
            .paths()
            .filter(|path| {
                let name = name_of(path);
                name == filesystem
                    || FOLDERS.iter().any(|folder| path.starts_with(folder))
                        && !NO_DISKS.contains(&name.as_str())
            })
            .collect();
        while let Some(path) = open.pop() {
            if chosen.insert(path) {
                open.extend(self.needs(path));
            }
        }
        chosen
    }

    fn paths(&self) -> impl Iterator<Item = &str> {
        self.dep.lines().filter_map(|line| line.split(':').next())
    }

    /// What the module at `path` needs, and what it asks for softly.
    fn needs(&self, path: &str) -> Vec<&str> {
        let of_path = |line: &&str| line.split(':').next() == Some(path);
        let hard = self.dep.lines().find(of_path).into_iter().flat_map(|line| {
            let needed = line.split_once(':').map_or("", |(_, needed)| needed);
            needed.split_ascii_whitespace()
        });
        let name = name_of(path);
        let soft = self.softdep.lines().filter_map(|line| {
            let (module, rest) = line.strip_prefix("softdep ")?.split_once(' ')?;
            (underscores(module) == name).then_some(rest)
        });
        let soft = soft
            .flat_map(str::split_ascii_whitespace)
            .filter(|word| !word.ends_with(':'))
            .flat_map(|word| self.find(word));
        hard.chain(soft).collect()
    }

    /// The modules of this name, or with exactly this alias.
    fn find(&self, wanted: &str) -> Vec<&str> {
        let wanted = underscores(wanted);
        let aliased: BTreeSet<String> = self
            .alias
            .lines()
            .filter_map(|line| line.strip_prefix("alias ")?.split_once(' '))
            .filter(|(alias, _)| underscores(alias) == wanted)
            .map(|(_, name)| underscores(name))
            .collect();
        self.paths()
            .filter(|path| {
                let name = name_of(path);
                name == wanted || aliased.contains(&name)
            })
            .collect()
    }
}

/// What is at `path` in `dir`, without following links.
fn at<'a>(dir: &'a Dir, path: &str) -> Option<&'a Node> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let mut dir = dir;
    for part in folder.split('/').filter(|part| !part.is_empty()) {
        dir = dir.entries.get(part.as_bytes())?.as_dir()?;
    }
    dir.entries.get(name.as_bytes())
}

/// `kernel/drivers/block/xen-blkfront.ko.xz` is called `xen_blkfront`.
fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    underscores(file.split(".ko").next().unwrap_or(file))
}

fn underscores(name: &str) -> String {
    name.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use hullkit_bundle::root::Mark;

    use super::*;

    fn system() -> Tree {
        let mut tree = Tree::new();
        let dir = "lib/modules/6.1/";
        for (path, text) in [
            ("kernel/drivers/block/virtio_blk.ko", ""),
            ("kernel/drivers/block/loop.ko", ""),
            ("kernel/drivers/net/tun.ko", ""),
            ("kernel/drivers/scsi/sd_mod.ko", ""),
            ("kernel/lib/t10-pi.ko", ""),
            ("kernel/crypto/crc32c_generic.ko", ""),
            ("kernel/fs/squashfs/squashfs.ko", ""),
            ("kernel/fs/erofs/erofs.ko", ""),
            (
                "modules.dep",
                "kernel/drivers/block/virtio_blk.ko:\nkernel/drivers/block/loop.ko:\n\
                 kernel/drivers/net/tun.ko:\nkernel/lib/t10-pi.ko:\n\
                 kernel/drivers/scsi/sd_mod.ko: kernel/lib/t10-pi.ko\n\
                 kernel/crypto/crc32c_generic.ko:\nkernel/fs/squashfs/squashfs.ko:\n\
                 kernel/fs/erofs/erofs.ko:\n",
            ),
            (
                "modules.alias",
                "# Aliases\nalias scsi:t-0x00* sd_mod\nalias crc32c crc32c_generic\n\
                 alias char-major-10-200 tun\nalias fs-squashfs squashfs\n",
            ),
            ("modules.softdep", "softdep t10_pi pre: crc32c\n"),
        ] {
            let node = Node::file(Meta::root(0o644), text);
            tree.add(format!("{dir}{path}"), node).unwrap();
        }
        tree
    }

    #[test]
    fn disks_their_needs_and_one_filesystem() {
        let root = RootFile {
            kind: "squashfs".to_owned(),
            mark: Mark([7; 32]),
        };
        let starter = tree(&system(), &Content::from("program"), &root).unwrap();
        let paths: Vec<String> = starter
            .walk()
            .filter(|(_, node)| node.as_file().is_some())
            .map(|(path, _)| show(&path).replace("lib/modules/6.1/", ""))
            .collect();
        assert_eq!(
            paths,
            [
                "init",
                "kernel/crypto/crc32c_generic.ko",
                "kernel/drivers/block/virtio_blk.ko",
                "kernel/drivers/scsi/sd_mod.ko",
                "kernel/fs/squashfs/squashfs.ko",
                "kernel/lib/t10-pi.ko",
                "modules.alias",
                "modules.dep",
                "modules.softdep",
                "root.hullkit",
            ]
        );
        let text = |name: &str| {
            let node = starter.get(format!("lib/modules/6.1/{name}")).unwrap();
            String::from_utf8(node.as_file().unwrap().read().unwrap()).unwrap()
        };
        assert!(!text("modules.dep").contains("tun.ko"));
        assert_eq!(
            text("modules.alias"),
            "# Aliases\nalias scsi:t-0x00* sd_mod\nalias crc32c crc32c_generic\nalias fs-squashfs squashfs\n"
        );
        assert_eq!(text("modules.softdep"), "softdep t10_pi pre: crc32c\n");
    }

    #[test]
    fn a_system_without_modules_has_all_built_in() {
        let root = RootFile {
            kind: "erofs".to_owned(),
            mark: Mark([0; 32]),
        };
        let starter = tree(&Tree::new(), &Content::from("program"), &root).unwrap();
        assert!(starter.get("lib").is_none());
        let named = starter.get("root.hullkit").and_then(Node::as_file).unwrap();
        let text = String::from_utf8(named.read().unwrap()).unwrap();
        assert_eq!(RootFile::parse(&text), Some(root));
    }
}
