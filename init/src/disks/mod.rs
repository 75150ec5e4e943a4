//! What a disk or a partition is, and the names that it has below `/dev/disk`.
//!
//! [`superblock`] and [`partition`] read what is on it, [`names`] makes names of
//! that, [`links`] the links. Whoever formats a disk writes what is read here:
//! every number is checked, nothing is believed.

pub mod links;
pub mod names;
pub mod partition;
pub mod superblock;

use std::fs::File;
use std::os::unix::fs::FileExt;

/// What is read from.
pub trait Disk {
    /// The bytes from `offset` on, if there are so many.
    fn bytes<const N: usize>(&self, offset: u64) -> Option<[u8; N]>;
}

impl Disk for File {
    fn bytes<const N: usize>(&self, offset: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.read_exact_at(&mut bytes, offset).ok()?;
        Some(bytes)
    }
}

impl Disk for [u8] {
    fn bytes<const N: usize>(&self, offset: u64) -> Option<[u8; N]> {
        let offset = usize::try_from(offset).ok()?;
        self.get(offset..)?.first_chunk().copied()
    }
}

/// `67e55044-10b1-426f-9247-bb680e5fe0c8`.
fn uuid(bytes: [u8; 16]) -> Option<String> {
    use std::fmt::Write as _;
    if bytes == [0; 16] {
        return None;
    }
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.into_iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a string does not fail.
        let _infallible = write!(text, "{byte:02x}");
    }
    Some(text)
}

/// Text up to the first NUL, without blanks at its end. None: there is none.
fn label(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|&byte| byte == 0);
    let text = bytes.get(..end.unwrap_or(bytes.len()))?;
    let text = String::from_utf8_lossy(text);
    let text = text.trim_end();
    (!text.is_empty()).then(|| text.to_owned())
}
