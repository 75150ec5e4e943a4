//! VMware's format in its stream-optimised form, which is what is uploaded
//! ("Virtual Disk Format 5.0"): compressed grains, each with its address, then
//! tables.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use super::super::compress::GZIP_LEVEL;
use super::super::rootfs::Fields;
use super::{Raw, number};

const SECTOR_LEN: usize = 512;
const SECTOR: u64 = SECTOR_LEN as u64;
/// In bytes.
const GRAIN: usize = 65536;
const GRAIN_SECTORS: u64 = GRAIN as u64 / SECTOR;
/// Grains in a table.
const TABLE: usize = 512;
const TABLE_ENTRIES: u32 = 512;
/// Sectors before the first grain.
const OVERHEAD: usize = 128;
const DESCRIPTOR_SECTORS: usize = 20;
/// Lines end as they should; compressed, with markers.
const FLAGS: u32 = 0x0003_0001;
/// "The directory is told by the footer."
const AT_END: u64 = u64::MAX;

/// What a marker announces.
#[derive(Clone, Copy)]
enum Marker {
    End = 0,
    Table = 1,
    Directory = 2,
    Footer = 3,
}

/// Writes `raw` into `out`, which is empty. `name` is the file's own.
///
/// # Errors
/// Reading or writing failed, or the disk is too large.
pub(in super::super) fn write(
    raw: Raw<'_>,
    name: &str,
    seed: &[u8; 32],
    out: &File,
) -> io::Result<()> {
    let mut stream = Stream {
        out: BufWriter::with_capacity(256 * 1024, out),
        at: 0,
    };
    let capacity = raw.size.div_ceil(SECTOR).next_multiple_of(GRAIN_SECTORS);
    stream.put(&header(capacity, AT_END))?;
    let descriptor = descriptor(capacity, name, seed);
    stream.put(
        &Fields(descriptor)
            .zeros_to(DESCRIPTOR_SECTORS * SECTOR_LEN)
            .0,
    )?;
    stream.put(&vec![0; (OVERHEAD - 1 - DESCRIPTOR_SECTORS) * SECTOR_LEN])?;

    let mut grains = vec![0_u32; usize::try_from(raw.blocks(GRAIN)).map_err(io::Error::other)?];
    let mut block = vec![0; GRAIN];
    for (index, place) in (0_u64..).zip(&mut grains) {
        if raw.read(index, &mut block)? {
            *place = stream.sector()?;
            let packed = pack(&block)?;
            let marker = Fields::default()
                .u64(index * GRAIN_SECTORS)
                .u32(number(packed.len() as u64)?);
            stream.put_sectors(marker.bytes(&packed))?;
        }
    }
    let mut directory = Fields::default();
    for table in grains.chunks(TABLE) {
        if table.iter().all(|&place| place == 0) {
            directory = directory.u32(0);
            continue;
        }
        stream.marker(Marker::Table, (TABLE * 4) as u64 / SECTOR)?;
        directory = directory.u32(stream.sector()?);
        let entries = table
            .iter()
            .fold(Fields::default(), |all, place| all.u32(*place));
        stream.put(&entries.zeros_to(TABLE * 4).0)?;
    }
    let sectors = (directory.0.len() as u64).div_ceil(SECTOR);
    stream.marker(Marker::Directory, sectors)?;
    let directory_at = u64::from(stream.sector()?);
    stream.put_sectors(directory)?;
    stream.marker(Marker::Footer, 1)?;
    stream.put(&header(capacity, directory_at))?;
    stream.marker(Marker::End, 0)?;
    stream.out.flush()
}

struct Stream<'a> {
    out: BufWriter<&'a File>,
    at: u64,
}

impl Stream<'_> {
    fn sector(&self) -> io::Result<u32> {
        number(self.at / SECTOR)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.at += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    fn put_sectors(&mut self, fields: Fields) -> io::Result<()> {
        let len = fields.0.len().next_multiple_of(512);
        self.put(&fields.zeros_to(len).0)
    }

    fn marker(&mut self, kind: Marker, sectors: u64) -> io::Result<()> {
        self.put_sectors(Fields::default().u64(sectors).u32(0).u32(kind as u32))
    }
}

fn pack(block: &[u8]) -> io::Result<Vec<u8>> {
    let level = flate2::Compression::new(GZIP_LEVEL);
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), level);
    zlib.write_all(block)?;
    zlib.finish()
}

fn header(capacity: u64, directory: u64) -> Vec<u8> {
    Fields(b"KDMV".to_vec())
        .u32(3)
        .u32(FLAGS)
        .u64(capacity)
        .u64(GRAIN_SECTORS)
        .u64(1)
        .u64(DESCRIPTOR_SECTORS as u64)
        .u32(TABLE_ENTRIES)
        .u64(0)
        .u64(directory)
        .u64(OVERHEAD as u64)
        .u8(0)
        .bytes(b"\n \r\n")
        .u16(1)
        .zeros_to(512)
        .0
}

fn descriptor(capacity: u64, name: &str, seed: &[u8; 32]) -> Vec<u8> {
    let [a, b, c, d, ..] = *seed;
    // All ones says that there is none.
    let id = u32::from_le_bytes([a, b, c, d]) & 0x7fff_ffff;
    let cylinders = (capacity / (255 * 63)).clamp(1, 65535);
    format!(
        "# Disk DescriptorFile\nversion=1\nCID={id:08x}\nparentCID=ffffffff\n\
         createType=\"streamOptimized\"\n\n# Extent description\n\
         RW {capacity} SPARSE \"{name}\"\n\n# The Disk Data Base\n#DDB\n\n\
         ddb.virtualHWVersion = \"10\"\nddb.geometry.cylinders = \"{cylinders}\"\n\
         ddb.geometry.heads = \"255\"\nddb.geometry.sectors = \"63\"\n\
         ddb.adapterType = \"lsilogic\"\n"
    )
    .into_bytes()
}
