//! Disks in the forms of hypervisors and clouds: what is not zero of a raw
//! disk, with a map.

pub(super) mod gcp;
pub(super) mod qcow2;
pub(super) mod vhd;
pub(super) mod vmdk;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// A raw disk in a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw<'a> {
    pub(super) file: &'a File,
    /// In bytes.
    pub(super) size: u64,
}

impl Raw<'_> {
    /// How many blocks of `size` bytes it has.
    fn blocks(&self, size: usize) -> u64 {
        self.size.div_ceil(size as u64)
    }

    /// Reads the `index`th block, zeros behind the disk's end; whether there is
    /// anything else than zeros in it.
    fn read(&self, index: u64, block: &mut [u8]) -> io::Result<bool> {
        let at = index * block.len() as u64;
        let left = usize::try_from(self.size.saturating_sub(at)).unwrap_or(usize::MAX);
        let (there, behind) = block.split_at_mut(block.len().min(left));
        self.file.read_exact_at(there, at)?;
        behind.fill(0);
        // Compared with itself, one byte on: `memcmp` is as quick as it gets.
        Ok(!(there.first().is_none_or(|&byte| byte == 0)
            && there.get(1..).unwrap_or_default() == &there[..there.len().saturating_sub(1)]))
    }

    /// The blocks of `size` bytes that are not all zero.
    fn used(&self, size: usize) -> io::Result<Vec<u64>> {
        let mut block = vec![0; size];
        let mut used = Vec::new();
        for index in 0..self.blocks(size) {
            if self.read(index, &mut block)? {
                used.push(index);
            }
        }
        Ok(used)
    }
}

/// A number of the format's 32 bits.
fn number(value: u64) -> io::Result<u32> {
    u32::try_from(value).map_err(|_| io::Error::other("the disk is too large for this format"))
}

#[cfg(test)]
mod tests;
