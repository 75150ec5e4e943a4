//! QEMU's format, version 3 (QEMU, `docs/interop/qcow2.txt`).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::Raw;

const CLUSTER: usize = 65536;
const MAGIC: &[u8] = b"QFI\xfb";
/// Entries of 8 bytes in a cluster, of 2 bytes in a refcount block.
const ENTRIES: u64 = (CLUSTER / 8) as u64;
const COUNTS: u64 = (CLUSTER / 2) as u64;
/// In a map's entry: used once, may be written in place.
const COPIED: u64 = 1 << 63;

/// Writes `raw` into `out`.
///
/// # Errors
/// Reading or writing failed.
pub(in super::super) fn write(raw: Raw<'_>, out: &File) -> io::Result<()> {
    let used = raw.used(CLUSTER)?;
    let layout = Layout::new(raw.blocks(CLUSTER), &used);
    out.write_all_at(&layout.header(raw.size), 0)?;
    let at = |cluster: u64| cluster * CLUSTER as u64;
    // 1. Every cluster is used once.
    let blocks = layout.refcount_blocks.clone();
    let table: Vec<u8> = blocks
        .clone()
        .flat_map(|block| at(block).to_be_bytes())
        .collect();
    out.write_all_at(&table, at(layout.refcount_table))?;
    let counts = [0, 1].repeat(usize::try_from(layout.total).map_err(io::Error::other)?);
    out.write_all_at(&counts, at(blocks.start))?;
    // 2. The map of maps, and the maps.
    let mut level1 = vec![
        0;
        usize::try_from(raw.blocks(CLUSTER).div_ceil(ENTRIES) * 8)
            .map_err(io::Error::other)?
    ];
    let mut block = vec![0; CLUSTER];
    for (number, index) in (0_u64..).zip(&used) {
        let map = layout.map_of(index / ENTRIES);
        let entry = usize::try_from(index / ENTRIES * 8).map_err(io::Error::other)?;
        level1[entry..entry + 8].copy_from_slice(&(at(map) | COPIED).to_be_bytes());
        let data = layout.data + number;
        let entry = (at(data) | COPIED).to_be_bytes();
        out.write_all_at(&entry, at(map) + index % ENTRIES * 8)?;
        // 3. What is in the disk.
        raw.read(*index, &mut block)?;
        out.write_all_at(&block, at(data))?;
    }
    out.write_all_at(&level1, at(layout.level1))?;
    out.set_len(at(layout.total))
}

/// Which cluster holds what.
struct Layout {
    refcount_table: u64,
    refcount_blocks: std::ops::Range<u64>,
    level1: u64,
    level1_entries: u64,
    /// The maps that are there, by their place in the map of maps.
    maps: Vec<u64>,
    first_map: u64,
    data: u64,
    total: u64,
}

impl Layout {
    fn new(clusters: u64, used: &[u64]) -> Self {
        let mut maps: Vec<u64> = used.iter().map(|index| index / ENTRIES).collect();
        maps.dedup();
        let level1_entries = clusters.div_ceil(ENTRIES);
        let level1_clusters = level1_entries.div_ceil(ENTRIES).max(1);
        let rest = level1_clusters + (maps.len() + used.len()) as u64;
        // The counts count themselves.
        let mut blocks = 1;
        while 2 + blocks + rest > blocks * COUNTS {
            blocks += 1;
        }
        let table = blocks.div_ceil(ENTRIES);
        let level1 = 1 + table + blocks;
        let first_map = level1 + level1_clusters;
        let data = first_map + maps.len() as u64;
        Self {
            refcount_table: 1,
            refcount_blocks: 1 + table..level1,
            level1,
            level1_entries,
            first_map,
            data,
            total: data + used.len() as u64,
            maps,
        }
    }

    /// The cluster of the map with this place in the map of maps.
    fn map_of(&self, place: u64) -> u64 {
        self.first_map + self.maps.partition_point(|map| *map < place) as u64
    }

    fn header(&self, size: u64) -> Vec<u8> {
        let mut header = MAGIC.to_vec();
        let mut put = |bytes: &[u8]| header.extend_from_slice(bytes);
        let at = |cluster: u64| (cluster * CLUSTER as u64).to_be_bytes();
        put(&3_u32.to_be_bytes());
        // No backing file.
        put(&[0; 12]);
        put(&CLUSTER.ilog2().to_be_bytes());
        put(&size.to_be_bytes());
        put(&0_u32.to_be_bytes());
        put(&u32::try_from(self.level1_entries)
            .unwrap_or(u32::MAX)
            .to_be_bytes());
        put(&at(self.level1));
        put(&at(self.refcount_table));
        let table = self.refcount_blocks.start - self.refcount_table;
        put(&u32::try_from(table).unwrap_or(u32::MAX).to_be_bytes());
        // No snapshots, no features; counts of 2^4 bits; the header's length.
        put(&[0; 12]);
        put(&[0; 24]);
        put(&4_u32.to_be_bytes());
        put(&104_u32.to_be_bytes());
        header
    }
}
