//! How much memory a machine must have for an initrd.

use std::collections::HashSet;
use std::io::Read;
use std::sync::Arc;

use super::Compression;
use crate::tree::{Content, Node, Tree};

const MIB: u64 = 1 << 20;
/// A page: what each file in memory is rounded up to.
const PAGE: u64 = 4096;
/// What an inode and its name take in the kernel.
const INODE: u64 = 1024;
/// What the kernel allocates and our own processes take beside the initrd;
/// what containers take comes on top.
const SYSTEM: u64 = 40 * MIB;

/// The least memory for a machine that boots `kernel` with `tree` as its
/// initrd, in MiB.
///
/// While it is unpacked, an initrd is there twice, compressed and not; and the
/// kernel gives the files half of what it has.
pub(super) fn least(tree: &Tree, kernel: &Content, compression: Compression) -> u64 {
    let unpacked = unpacked(tree);
    let packed = match compression {
        Compression::None => unpacked,
        // Not known before it is written; seldom more than half.
        _ => unpacked / 2,
    };
    let system = SYSTEM + kernel_memory(kernel);
    let both = unpacked + packed + system;
    // Half of what the kernel has left for all.
    let halves = 2 * unpacked + system / 2;
    both.max(halves).div_ceil(8 * MIB) * 8
}

/// The memory that the files of `tree` take.
fn unpacked(tree: &Tree) -> u64 {
    let mut seen = HashSet::new();
    tree.walk()
        .filter(|(_, node)| match node {
            Node::Dir(_) => true,
            Node::Leaf(leaf) => seen.insert(Arc::as_ptr(leaf)),
        })
        .map(|(_, node)| {
            let len = node.as_file().map_or(0, Content::len);
            INODE + len.next_multiple_of(PAGE)
        })
        .sum()
}

/// What the kernel takes where it runs: `init_size` of an x86 kernel's header
/// (Linux, `Documentation/arch/x86/boot.rst`), `image_size` of an arm64 one's
/// (`Documentation/arch/arm64/booting.rst`), else three times its file.
fn kernel_memory(kernel: &Content) -> u64 {
    let mut head = Vec::new();
    let read = kernel
        .open()
        .and_then(|from| from.take(1024).read_to_end(&mut head));
    let field = |at: usize, len: usize| {
        let mut bytes = [0; 8];
        bytes[..len].copy_from_slice(head.get(at..at + len)?);
        Some(u64::from_le_bytes(bytes))
    };
    let size = match read {
        Ok(_) if head.get(0x202..0x206) == Some(b"HdrS") => field(0x260, 4),
        Ok(_) if head.get(0x38..0x3c) == Some(b"ARMd") => field(0x10, 8),
        _ => None,
    };
    // A field that says more than any kernel takes is none.
    size.filter(|size| *size < 1 << 30)
        .unwrap_or(3 * kernel.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Meta;

    fn kernel(init_size: u32) -> Content {
        let mut head = vec![0; 1024];
        head[0x202..0x206].copy_from_slice(b"HdrS");
        head[0x260..0x264].copy_from_slice(&init_size.to_le_bytes());
        head.into()
    }

    fn tree(files: &[u64]) -> Tree {
        let mut tree = Tree::new();
        for (n, len) in files.iter().enumerate() {
            let content = Content::Range {
                file: Arc::new(tempfile::tempfile().unwrap()),
                offset: 0,
                len: *len,
            };
            tree.add(format!("f{n}"), Node::file(Meta::root(0o644), content))
                .unwrap();
        }
        tree
    }

    #[test]
    fn a_small_system_needs_what_the_kernel_needs() {
        let little = least(&tree(&[1]), &kernel(64 << 20), Compression::Zstd);
        assert_eq!(little, 112);
        let unknown = least(&tree(&[1]), &vec![0; 1 << 20].into(), Compression::Zstd);
        assert_eq!(unknown, 48);
    }

    #[test]
    fn a_large_one_needs_twice_its_files() {
        let kernel = kernel(64 << 20);
        let files = [300 << 20, 100 << 20];
        let zstd = least(&tree(&files), &kernel, Compression::Zstd);
        assert!((848..=864).contains(&zstd), "{zstd}");
        let plain = least(&tree(&files), &kernel, Compression::None);
        assert!((904..=920).contains(&plain), "{plain}");
    }

    #[test]
    fn a_file_with_two_names_counts_once() {
        let mut tree = tree(&[200 << 20]);
        let before = least(&tree, &kernel(0), Compression::None);
        tree.link("again", "f0").unwrap();
        assert_eq!(least(&tree, &kernel(0), Compression::None), before);
    }
}
