//! How a system whose root lies on a disk finds it: the builder puts a mark
//! into the filesystem, and the same mark into the small initrd that boots it.

use core::fmt::Write as _;

/// Where the mark is, in bytes from the filesystem's begin: behind the
/// superblock of a squashfs (96 bytes) and its compressor's options, before
/// that of an erofs (at 1024), and behind a boot sector.
pub const MARK_OFFSET: u64 = 512;

/// Length of the record at [`MARK_OFFSET`], in bytes.
pub const RECORD: usize = MAGIC.len() + 32;

/// What a record begins with.
const MAGIC: [u8; 16] = *b"hullkit root\0\0\0\x01";

/// The file in the small initrd that names the root: [`RootFile`].
pub const ROOT_FILE: &str = "/root.hullkit";

/// What tells a root filesystem from every other: the digest (SHA-256) of its
/// content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(pub [u8; 32]);

impl Mark {
    /// As it stands on the disk.
    #[must_use]
    pub fn record(&self) -> [u8; RECORD] {
        let mut record = [0; RECORD];
        let (magic, digest) = record.split_at_mut(MAGIC.len());
        magic.copy_from_slice(&MAGIC);
        digest.copy_from_slice(&self.0);
        record
    }
}

/// The content of [`ROOT_FILE`]: `KIND HEX`, the filesystem's name and the
/// mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootFile {
    /// `squashfs` or `erofs`.
    pub kind: String,
    /// The root's mark.
    pub mark: Mark,
}

impl RootFile {
    /// Reads it; `None` where it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, hex) = text.trim_end().split_once(' ')?;
        let (pairs, []) = hex.as_bytes().as_chunks::<2>() else {
            return None;
        };
        let mut digest = [0; 32];
        if pairs.len() != digest.len() {
            return None;
        }
        for (byte, pair) in digest.iter_mut().zip(pairs) {
            *byte = u8::from_str_radix(core::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self {
            kind: kind.to_owned(),
            mark: Mark(digest),
        })
    }

    /// Its text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{} ", self.kind);
        for byte in self.mark.0 {
            // Writing to a String does not fail.
            let _ = write!(text, "{byte:02x}");
        }
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_as_it_was_written() {
        let file = RootFile {
            kind: "squashfs".to_owned(),
            mark: Mark(std::array::from_fn(|i| u8::try_from(i * 7).unwrap_or(0xff))),
        };
        assert_eq!(RootFile::parse(&file.to_text()), Some(file));
        for bad in [
            "",
            "squashfs",
            "squashfs 00",
            &format!("x {}", "zz".repeat(32)),
        ] {
            assert_eq!(RootFile::parse(bad), None, "{bad}");
        }
    }
}
