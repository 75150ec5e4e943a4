//! A FAT32 filesystem with a few files in it, for firmware to read.
//!
//! Microsoft's FAT32 File System Specification, version 1.03. Files lie in one
//! piece, in the order in which they are given. Names are short ones (8.3),
//! which is all that firmware wants.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use super::region::Region;
use super::rootfs::Fields;
use crate::tree::Content;

const SECTOR: u64 = 512;
/// Before the first table: boot sector, information, and their copies.
const RESERVED: u64 = 32;
const TABLES: u64 = 2;
/// With fewer clusters it would be a FAT16 to its readers.
const LEAST_CLUSTERS: u64 = 65_525 + 16;
/// The root folder's cluster; numbers begin with 2.
const ROOT: u32 = 2;
const END: u32 = 0x0fff_ffff;
const ENTRY: usize = 32;
const IS_FOLDER: u8 = 0x10;
const IS_FILE: u8 = 0x20;
const MEDIA: u8 = 0xf8;
/// 1980-01-01, the first day that there is.
const DATE: u16 = 0x0021;

/// A file: its path, with `/` between parts, and its content.
pub(super) type FatFile<'a> = (&'a str, &'a Content);

/// How a filesystem is laid out.
#[derive(Clone, Debug)]
pub(super) struct Fat<'a> {
    files: Vec<FatFile<'a>>,
    folders: BTreeMap<String, Folder>,
    /// Of each file, its first cluster.
    firsts: Vec<u32>,
    sectors_per_cluster: u64,
    clusters: u64,
    used: u32,
}

#[derive(Clone, Debug, Default)]
struct Folder {
    cluster: u32,
    clusters: u32,
    /// Names, and what they are: a folder, or a file of this number.
    entries: Vec<(String, Option<usize>)>,
}

impl<'a> Fat<'a> {
    /// Lays `files` out in a filesystem with at least `spare` bytes left over.
    ///
    /// # Errors
    /// A name is not a short one, or a file too large.
    pub(super) fn plan(files: &[FatFile<'a>], spare: u64) -> io::Result<Self> {
        let bytes: u64 = files.iter().map(|(_, content)| content.len()).sum();
        // The tables' clusters are small, so that a small filesystem can be
        // one; beyond 2 GiB they grow.
        let sectors_per_cluster = match (bytes + spare) >> 31 {
            0 => 1,
            _ => 32,
        };
        let mut fat = Self {
            files: files.to_vec(),
            folders: BTreeMap::from([(String::new(), Folder::default())]),
            firsts: Vec::new(),
            sectors_per_cluster,
            clusters: 0,
            used: 0,
        };
        for (number, (path, _)) in files.iter().enumerate() {
            fat.enter(path, number)?;
        }
        let used = fat.place()?;
        let spare = spare.div_ceil(fat.cluster_size());
        fat.used = used;
        fat.clusters = (u64::from(used) + spare).max(LEAST_CLUSTERS);
        Ok(fat)
    }

    fn cluster_size(&self) -> u64 {
        self.sectors_per_cluster * SECTOR
    }

    /// Puts a file into its folder, which is made where it lacks.
    fn enter(&mut self, path: &str, number: usize) -> io::Result<()> {
        let (mut folder, mut rest) = (String::new(), path);
        while let Some((part, behind)) = rest.split_once('/') {
            let child = match folder.as_str() {
                "" => part.to_owned(),
                parent => format!("{parent}/{part}"),
            };
            short_name(part)?;
            if !self.folders.contains_key(&child) {
                self.folders.insert(child.clone(), Folder::default());
                let parent = self.folders.entry(folder).or_default();
                parent.entries.push((part.to_owned(), None));
            }
            folder = child;
            rest = behind;
        }
        short_name(rest)?;
        let folder = self.folders.entry(folder).or_default();
        folder.entries.push((rest.to_owned(), Some(number)));
        Ok(())
    }

    /// Gives clusters to folders, the root first, then to files; returns how
    /// many.
    fn place(&mut self) -> io::Result<u32> {
        let size = self.cluster_size();
        let clusters = |bytes: u64| {
            u32::try_from(bytes.div_ceil(size))
                .ok()
                .filter(|n| *n < END / 2)
                .ok_or_else(|| io::Error::other("too large for FAT32"))
        };
        let mut next = ROOT;
        for (path, folder) in &mut self.folders {
            // `.` and `..`, or the root's label.
            let own = if path.is_empty() { 1 } else { 2 };
            folder.cluster = next;
            folder.clusters = clusters(((folder.entries.len() + own) * ENTRY) as u64)?;
            next += folder.clusters;
        }
        for (path, content) in &self.files {
            if u32::try_from(content.len()).is_err() {
                return Err(io::Error::other(format!("{path}: 4 GiB or larger")));
            }
            // An empty file has no cluster.
            let count = clusters(content.len())?;
            self.firsts.push(if count == 0 { 0 } else { next });
            next = next
                .checked_add(count)
                .ok_or_else(|| io::Error::other("too large for FAT32"))?;
        }
        Ok(next - ROOT)
    }

    /// In sectors, of one table.
    fn table_sectors(&self) -> u64 {
        ((self.clusters + u64::from(ROOT)) * 4).div_ceil(SECTOR)
    }

    fn data_sector(&self) -> u64 {
        RESERVED + TABLES * self.table_sectors()
    }

    /// Its size, in bytes.
    pub(super) fn len(&self) -> u64 {
        (self.data_sector() + self.clusters * self.sectors_per_cluster) * SECTOR
    }

    fn cluster_at(&self, cluster: u32) -> u64 {
        let sector = self.data_sector() + u64::from(cluster - ROOT) * self.sectors_per_cluster;
        sector * SECTOR
    }

    /// Where the content of file `number` begins, in bytes.
    pub(super) fn place_of(&self, number: usize) -> Option<u64> {
        self.firsts
            .get(number)
            .filter(|first| **first != 0)
            .map(|first| self.cluster_at(*first))
    }

    /// Writes it into `file`, from `at` on, where all is zero; `hidden` is how
    /// many sectors there are before it on the disk.
    ///
    /// # Errors
    /// A content cannot be read, or the file not written.
    pub(super) fn write(&self, file: &File, at: u64, hidden: u64, serial: u32) -> io::Result<()> {
        let boot = self.boot_sector(hidden, serial)?;
        let info = self.information()?;
        // Sectors 0 and 1, and their copies.
        for copy in [0, 6] {
            file.write_all_at(&boot, at + copy * SECTOR)?;
            file.write_all_at(&info, at + (copy + 1) * SECTOR)?;
        }
        let table = self.table();
        for copy in 0..TABLES {
            let sector = RESERVED + copy * self.table_sectors();
            file.write_all_at(&table, at + sector * SECTOR)?;
        }
        for (path, folder) in &self.folders {
            let bytes = self.folder_bytes(path, folder)?;
            file.write_all_at(&bytes, at + self.cluster_at(folder.cluster))?;
        }
        for (number, (_, content)) in self.files.iter().enumerate() {
            if let Some(place) = self.place_of(number) {
                let mut out = Region::new(file, at + place);
                content.copy_to(&mut out)?;
                out.flush()?;
            }
        }
        Ok(())
    }

    fn boot_sector(&self, hidden: u64, serial: u32) -> io::Result<Vec<u8>> {
        let number = |value: u64| u32::try_from(value).map_err(io::Error::other);
        let byte = |value: u64| u8::try_from(value).map_err(io::Error::other);
        let word = |value: u64| u16::try_from(value).map_err(io::Error::other);
        Ok(Fields::default()
            .bytes(&[0xeb, 0x58, 0x90])
            .bytes(b"HULLKIT ")
            .u16(word(SECTOR)?)
            .u8(byte(self.sectors_per_cluster)?)
            .u16(word(RESERVED)?)
            .u8(byte(TABLES)?)
            // No fixed root folder, no short counts.
            .u16(0)
            .u16(0)
            .u8(MEDIA)
            .u16(0)
            // A geometry that nobody uses.
            .u16(63)
            .u16(255)
            .u32(number(hidden)?)
            .u32(number(self.len() / SECTOR)?)
            .u32(number(self.table_sectors())?)
            .u16(0)
            .u16(0)
            .u32(ROOT)
            // The information's sector, and the copy's.
            .u16(1)
            .u16(6)
            .zeros_to(64)
            .bytes(&[0x80, 0, 0x29])
            .u32(serial)
            .bytes(LABEL)
            .bytes(b"FAT32   ")
            .zeros_to(510)
            .u16(0xaa55)
            .0)
    }

    fn information(&self) -> io::Result<Vec<u8>> {
        let free = u32::try_from(self.clusters - u64::from(self.used)).map_err(io::Error::other)?;
        Ok(Fields::default()
            .u32(0x4161_5252)
            .zeros_to(484)
            .u32(0x6141_7272)
            .u32(free)
            .u32(ROOT + self.used)
            .zeros_to(508)
            .u32(0xaa55_0000)
            .0)
    }

    /// The used part of a table: all pieces lie one behind the other.
    fn table(&self) -> Vec<u8> {
        let mut table = Fields::default()
            .u32(0x0fff_ff00 | u32::from(MEDIA))
            .u32(END);
        let mut chain = |first: u32, count: u32| {
            let mut fields = std::mem::take(&mut table);
            for cluster in first..first + count {
                let is_last = cluster + 1 == first + count;
                fields = fields.u32(if is_last { END } else { cluster + 1 });
            }
            table = fields;
        };
        for folder in self.folders.values() {
            chain(folder.cluster, folder.clusters);
        }
        for ((_, content), first) in self.files.iter().zip(&self.firsts) {
            let count = content.len().div_ceil(self.cluster_size());
            chain(*first, u32::try_from(count).unwrap_or(0));
        }
        table.0
    }

    fn folder_bytes(&self, path: &str, folder: &Folder) -> io::Result<Vec<u8>> {
        let mut bytes = match path.rsplit_once('/') {
            _ if path.is_empty() => entry(*LABEL, 0x08, 0, 0),
            parent => {
                // The root is 0 to what is in it.
                let parent = parent.and_then(|(parent, _)| self.folders.get(parent));
                let above = parent.map_or(0, |parent| parent.cluster);
                [
                    entry(*b".          ", IS_FOLDER, folder.cluster, 0),
                    entry(*b"..         ", IS_FOLDER, above, 0),
                ]
                .concat()
            }
        };
        for (name, number) in &folder.entries {
            let short = short_name(name)?;
            bytes.extend(match number {
                None => {
                    let child = match path {
                        "" => name.clone(),
                        parent => format!("{parent}/{name}"),
                    };
                    let cluster = self.folders.get(&child).map_or(0, |child| child.cluster);
                    entry(short, IS_FOLDER, cluster, 0)
                }
                Some(number) => {
                    let len = self
                        .files
                        .get(*number)
                        .map_or(0, |(_, content)| content.len());
                    let len = u32::try_from(len).map_err(io::Error::other)?;
                    let first = self.firsts.get(*number).copied().unwrap_or(0);
                    entry(short, IS_FILE, first, len)
                }
            });
        }
        Ok(bytes)
    }
}

const LABEL: &[u8; 11] = b"HULLKIT    ";

fn entry(name: [u8; 11], attributes: u8, cluster: u32, len: u32) -> Vec<u8> {
    let [low, next, high, highest] = cluster.to_le_bytes();
    Fields::default()
        .bytes(&name)
        .u8(attributes)
        .zeros_to(16)
        .u16(DATE)
        .u16(DATE)
        .bytes(&[high, highest])
        .u16(0)
        .u16(DATE)
        .bytes(&[low, next])
        .u32(len)
        .0
}

/// `BOOTX64.EFI` as a folder has it.
fn short_name(name: &str) -> io::Result<[u8; 11]> {
    let (stem, ending) = name.split_once('.').unwrap_or((name, ""));
    let ok = |part: &str, most: usize| {
        let allowed = |c: u8| c.is_ascii_uppercase() || c.is_ascii_digit() || b"-_~".contains(&c);
        part.len() <= most && part.bytes().all(allowed)
    };
    if stem.is_empty() || !ok(stem, 8) || !ok(ending, 3) {
        return Err(io::Error::other(format!(
            "{name:?} is not a short name of FAT"
        )));
    }
    let mut short = [b' '; 11];
    short[..stem.len()].copy_from_slice(stem.as_bytes());
    short[8..8 + ending.len()].copy_from_slice(ending.as_bytes());
    Ok(short)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    fn check(files: &[(String, Vec<u8>)]) {
        let contents: Vec<Content> = files.iter().map(|(_, c)| c.clone().into()).collect();
        let files: Vec<FatFile<'_>> = files
            .iter()
            .zip(&contents)
            .map(|((path, _), content)| (path.as_str(), content))
            .collect();
        let fat = Fat::plan(&files, 0).unwrap();
        let image = tempfile::NamedTempFile::new().unwrap();
        image.as_file().set_len(fat.len()).unwrap();
        fat.write(image.as_file(), 0, 0, 7).unwrap();
        let said = Command::new("/usr/sbin/fsck.fat")
            .args(["-n", "-v"])
            .arg(image.path())
            .output()
            .expect("fsck.fat (build/deps.sh test installs it)");
        let text = String::from_utf8_lossy(&said.stdout);
        assert!(said.status.success(), "{text}");
        for (number, (path, content)) in files.iter().enumerate() {
            let read = Command::new("mtype")
                .env("MTOOLS_SKIP_CHECK", "1")
                .arg("-i")
                .arg(image.path())
                .arg(format!("::{path}"))
                .output()
                .expect("mtype (build/deps.sh test installs it)");
            assert!(read.stdout == content.read().unwrap(), "{path}");
            if let Some(place) = fat.place_of(number) {
                let mut found = vec![0; content.read().unwrap().len()];
                image.as_file().read_exact_at(&mut found, place).unwrap();
                assert!(found == content.read().unwrap(), "{path} in one piece");
            }
        }
    }

    #[test]
    fn what_firmware_looks_for() {
        check(&[
            ("EFI/BOOT/BOOTX64.EFI".to_owned(), vec![1; 3_000_000]),
            ("EFI/BOOT/EMPTY".to_owned(), Vec::new()),
            ("README.TXT".to_owned(), b"hello\n".to_vec()),
            ("EFI/LAST".to_owned(), vec![2; 513]),
        ]);
    }

    #[test]
    fn only_short_names() {
        let content = Content::from("");
        for bad in ["lower", "TOOLONGNAME", "A.LONG", "", "A.B.C", "A/", "/A"] {
            assert!(Fat::plan(&[(bad, &content)], 0).is_err(), "{bad}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        #[test]
        fn any_files_are_read_back(
            files in prop::collection::btree_map(
                "[A-Z]{1,8}(/[A-Z0-9]{1,8}){0,2}\\.[A-Z]{1,3}",
                prop::collection::vec(any::<u8>(), 0..3000),
                0..40,
            ),
        ) {
            check(&files.into_iter().collect::<Vec<_>>());
        }
    }
}
