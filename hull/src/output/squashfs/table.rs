//! Tables: metadata blocks, and a list of where each begins.

use std::collections::BTreeMap;
use std::io;

use super::super::rootfs::{Fields, Out, too_large};
use super::block::{Packer, Stream};
use super::metadata;
use crate::tree::Xattrs;

/// Writes `bytes` as a table; returns where its list of blocks is.
pub(super) fn put(out: &mut Out<'_>, packer: &Packer, bytes: &[u8]) -> io::Result<u64> {
    let (blocks, starts) = metadata(bytes, packer)?;
    let begin = out.at;
    out.put(&blocks)?;
    let list = out.at;
    for start in starts {
        out.put(&(begin + start).to_le_bytes())?;
    }
    Ok(list)
}

/// The extended attributes of all inodes; equal sets are stored once.
#[derive(Debug, Default)]
pub(super) struct XattrTable {
    sets: Vec<Xattrs>,
    by_set: BTreeMap<Xattrs, u32>,
}

/// The namespaces that the format has numbers for.
const NAMESPACES: [(&[u8], u16); 3] = [(b"user.", 0), (b"trusted.", 1), (b"security.", 2)];

impl XattrTable {
    /// The number of this set; `None` where nothing of it can be kept.
    pub(super) fn index(&mut self, xattrs: &Xattrs) -> io::Result<Option<u32>> {
        let kept: Xattrs = xattrs
            .iter()
            .filter(|(name, _)| split(name).is_some())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if kept.is_empty() {
            return Ok(None);
        }
        if let Some(&index) = self.by_set.get(&kept) {
            return Ok(Some(index));
        }
        let index = u32::try_from(self.sets.len()).map_err(|_| too_large("attributes"))?;
        self.by_set.insert(kept.clone(), index);
        self.sets.push(kept);
        Ok(Some(index))
    }

    /// Writes it; returns where its header is, if there is anything in it.
    pub(super) fn put(&self, out: &mut Out<'_>, packer: &Packer) -> io::Result<Option<u64>> {
        if self.sets.is_empty() {
            return Ok(None);
        }
        let mut values = Stream::new(packer);
        let mut entries = Fields::default();
        for set in &self.sets {
            let at = values.position()?.reference();
            let bytes = set_bytes(set)?;
            values.put(&bytes)?;
            entries = entries
                .u64(at)
                .u32(u32::try_from(set.len()).map_err(io::Error::other)?)
                .u32(u32::try_from(bytes.len()).map_err(|_| too_large("attributes"))?);
        }
        let values_at = out.at;
        out.put(&values.finish()?.0)?;
        let (blocks, starts) = metadata(&entries.0, packer)?;
        let begin = out.at;
        out.put(&blocks)?;
        let header_at = out.at;
        let mut header = Fields::default()
            .u64(values_at)
            .u32(u32::try_from(self.sets.len()).map_err(io::Error::other)?)
            .u32(0);
        for start in starts {
            header = header.u64(begin + start);
        }
        out.put(&header.0)?;
        Ok(Some(header_at))
    }
}

/// The number of the namespace, and the rest of the name.
fn split(name: &[u8]) -> Option<(u16, &[u8])> {
    NAMESPACES
        .iter()
        .find_map(|(prefix, number)| Some((*number, name.strip_prefix(*prefix)?)))
}

fn set_bytes(set: &Xattrs) -> io::Result<Vec<u8>> {
    let mut bytes = Fields::default();
    for (name, value) in set {
        let Some((namespace, rest)) = split(name) else {
            continue;
        };
        bytes = bytes
            .u16(namespace)
            .u16(u16::try_from(rest.len()).map_err(|_| too_large("an attribute's name"))?)
            .bytes(rest)
            .u32(u32::try_from(value.len()).map_err(|_| too_large("an attribute"))?)
            .bytes(value);
    }
    Ok(bytes.0)
}
