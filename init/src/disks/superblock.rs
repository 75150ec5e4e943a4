//! Which filesystem is there, its UUID and its label: by the magic numbers and
//! offsets of the kernel's own headers.

use super::{Disk, label, uuid};

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Its name to `mount(2)`, or `swap`, `crypto_LUKS`.
    pub kind: &'static str,
    /// As its own tools write it.
    pub uuid: Option<String>,
    /// What people call it.
    pub label: Option<String>,
}

/// Looks for a filesystem on `disk`.
pub fn probe<D: Disk + ?Sized>(disk: &D) -> Option<Found> {
    let probes: [fn(&D) -> Option<Found>; 9] = [
        luks, xfs, squashfs, erofs, ext, btrfs, swap, iso9660,
        // Last: any sector that boots looks like one.
        fat,
    ];
    probes.into_iter().find_map(|probe| probe(disk))
}

/// LUKS 1 and 2: the UUID is text.
fn luks<D: Disk + ?Sized>(disk: &D) -> Option<Found> {
    (disk.bytes(0)? == *b"LUKS\xba\xbe").then_some(())?;
    Some(Found {
        kind: "crypto_LUKS",
        uuid: label(&disk.bytes::<40>(168)?),
        label: match disk.bytes(6)? {
            [0, 2] => label(&disk.bytes::<48>(24)?),
            _ => None,
        },
    })
}

/// `fs/xfs/libxfs/xfs_format.h`, `struct xfs_dsb`.
fn xfs<D: Disk + ?Sized>(disk: &D) -> Option<Found> {
    (disk.bytes(0)? == *b"XFSB").then_some(())?;
    Some(Found {
        kind: "xfs",
        uuid: uuid(disk.bytes(32)?),
        label: label(&disk.bytes::<12>(108)?),
    })
}

/// `fs/squashfs/squashfs_fs.h`: version 4, which has neither.
fn squashfs<D: Disk + ?Sized>(disk: &D) -> Option<Found> {
    let found = disk.bytes(0)? == *b"hsqs" && disk.bytes(28)? == [4, 0];
    found.then(|| Found {
        kind: "squashfs",
        ..Found::default()
    })
}

/// `fs/erofs/erofs_fs.h`, `struct erofs_super_block`.
fn erofs<D: Disk + ?Sized>(disk: &D) -> Option<Found> {
    (disk.bytes(1024)? == 0xe0f5_e1e2_u32.to_le_bytes()).then_some(())?;
    Some(Found {
        kind: "erofs",
        uuid: uuid(disk.bytes(1024 + 48)?),
        label: label(&disk.bytes::<16>(1024 + 64)?),
    })
}

/// `fs/ext4/ext4.h`, `struct ext4_super_block`.
fn ext<D: Disk + ?Sized>(disk: &D) -> Option<Found> {
    let at = |offset: u64| 1024 + offset;
    (disk.bytes(at(0x38))? == [0x53, 0xef]).then_some(())?;
    let features = |offset| disk.bytes(at(offset)).map(u32::from_le_bytes);
    let (compatible, incompatible, read_only) = (features(0x5c)?, features(0x60)?, features(0x64)?);
    /// `EXT4_FEATURE_COMPAT_HAS_JOURNAL`.
    const JOURNAL: u32 = 0x4;
    // What ext3 knows: filetype, recover, meta_bg; sparse_super, large_file,
    // btree_dir.
    let beyond_ext3 = incompatible & !0x16 != 0 || read_only & !0x7 != 0;
    Some(Found {
        kind: match (beyond_ext3, compatible & JOURNAL) {
            (true, _) => "ext4",
            (false, 0) => "ext2",
            (false, _) => "ext3",
        },
        uuid: uuid(disk.bytes(at(0x68))?),
        label: label(&disk.bytes::<16>(at(0x78))?),
    })
}

/// `include/uapi/linux/btrfs_tree.h`, `struct btrfs_super_block`.
fn btrfs<D: Disk + ?Sized>(disk: &D) -> Option<Found> {
    const SUPER: u64 = 64 * 1024;
    (disk.bytes(SUPER + 64)? == *b"_BHRfS_M").then_some(())?;
    Some(Found {
        kind: "btrfs",
        uuid: uuid(disk.bytes(SUPER + 32)?),
        label: label(&disk.bytes::<256>(SUPER + 0x12b)?),
    })
}

/// `include/linux/swap.h`, `union swap_header`: at the end of a page, whose size
/// is that of the machine which made it.
fn swap<D: Disk + ?Sized>(disk: &D) -> Option<Found> {
    let is_there = |page: &u64| disk.bytes(page - 10) == Some(*b"SWAPSPACE2");
    [4096, 16384, 65536].iter().find(|page| is_there(page))?;
    Some(Found {
        kind: "swap",
        uuid: uuid(disk.bytes(1024 + 12)?),
        label: label(&disk.bytes::<16>(1024 + 28)?),
    })
}

/// ECMA-119, the primary volume descriptor. Its "UUID" is when it was changed
/// last, as blkid has it.
fn iso9660<D: Disk + ?Sized>(disk: &D) -> Option<Found> {
    const DESCRIPTOR: u64 = 32 * 1024;
    (disk.bytes(DESCRIPTOR)? == *b"\x01CD001").then_some(())?;
    let date = |offset| {
        let digits: [u8; 16] = disk.bytes(DESCRIPTOR + offset)?;
        let written = digits.iter().all(u8::is_ascii_digit) && digits.iter().any(|d| *d != b'0');
        written.then_some(digits)
    };
    let date = date(830).or_else(|| date(813));
    Some(Found {
        kind: "iso9660",
        uuid: date.and_then(|digits| dashed(&digits)),
        label: label(&disk.bytes::<32>(DESCRIPTOR + 40)?),
    })
}

/// `YYYY-MM-DD-HH-MM-SS-cc`.
fn dashed(digits: &[u8; 16]) -> Option<String> {
    let text = std::str::from_utf8(digits).ok()?;
    let (year, rest) = text.split_at_checked(4)?;
    let pairs = (0..6).filter_map(|pair| rest.get(2 * pair..2 * pair + 2));
    Some(pairs.fold(year.to_owned(), |text, pair| text + "-" + pair))
}

/// Microsoft's FAT specification, the boot sector. The label is that of the
/// sector; one in the root folder, which may be another, is not looked for.
fn fat<D: Disk + ?Sized>(disk: &D) -> Option<Found> {
    (disk.bytes(510)? == [0x55, 0xaa]).then_some(())?;
    // The sector's size is a power of two, the FATs one or two, and there is
    // a jump to the code.
    let sector = u16::from_le_bytes(disk.bytes(11)?);
    let [fats] = disk.bytes(16)?;
    let [jump] = disk.bytes(0)?;
    let sound = matches!(sector, 512 | 1024 | 2048 | 4096)
        && matches!(fats, 1 | 2)
        && matches!(jump, 0xeb | 0xe9);
    sound.then_some(())?;
    let extended = if disk.bytes(82)? == *b"FAT32   " {
        64
    } else if disk.bytes(54)? == *b"FAT" {
        36
    } else {
        return None;
    };
    // Behind the drive and its flags: a signature, the serial number, the label.
    (disk.bytes(extended + 2)? == [0x29]).then_some(())?;
    let [a, b, c, d]: [u8; 4] = disk.bytes(extended + 3)?;
    let name: [u8; 11] = disk.bytes(extended + 7)?;
    Some(Found {
        kind: "vfat",
        uuid: Some(format!("{d:02X}{c:02X}-{b:02X}{a:02X}")),
        label: label(&name).filter(|label| label != "NO NAME"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UUID: [u8; 16] = [
        0x67, 0xe5, 0x50, 0x44, 0x10, 0xb1, 0x42, 0x6f, 0x92, 0x47, 0xbb, 0x68, 0x0e, 0x5f, 0xe0,
        0xc8,
    ];
    const TEXT: &str = "67e55044-10b1-426f-9247-bb680e5fe0c8";

    fn disk(parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut disk = vec![0; 70 * 1024];
        for (offset, bytes) in parts {
            disk[*offset..*offset + bytes.len()].copy_from_slice(bytes);
        }
        disk
    }

    fn found(parts: &[(usize, &[u8])]) -> (&'static str, String, String) {
        let found = probe(disk(parts).as_slice()).unwrap();
        (
            found.kind,
            found.uuid.unwrap_or_default(),
            found.label.unwrap_or_default(),
        )
    }

    #[test]
    fn each_by_its_magic() {
        let is = |kind, label: &str| (kind, TEXT.to_owned(), label.to_owned());
        assert_eq!(
            found(&[(0, b"XFSB"), (32, &UUID), (108, b"data")]),
            is("xfs", "data")
        );
        let ext: [(usize, &[u8]); 3] = [(1080, b"\x53\xef"), (1128, &UUID), (1144, b"my data ")];
        assert_eq!(found(&ext), is("ext2", "my data"));
        assert_eq!(
            found(&[&ext[..], &[(1116, b"\x04")]].concat()),
            is("ext3", "my data")
        );
        assert_eq!(
            found(&[&ext[..], &[(1120, b"\x40")]].concat()),
            is("ext4", "my data")
        );
        assert_eq!(
            found(&[(65600, b"_BHRfS_M"), (65568, &UUID), (65835, b"b")]),
            is("btrfs", "b")
        );
        assert_eq!(
            found(&[(4086, b"SWAPSPACE2"), (1036, &UUID), (1052, b"s")]),
            is("swap", "s")
        );
        assert_eq!(
            found(&[(1024, b"\xe2\xe1\xf5\xe0"), (1072, &UUID), (1088, b"e")]),
            is("erofs", "e")
        );
        assert_eq!(
            found(&[(0, b"hsqs"), (28, b"\x04")]),
            ("squashfs", String::new(), String::new())
        );
    }

    #[test]
    fn those_with_other_names() {
        let fat: [(usize, &[u8]); 7] = [
            (0, b"\xeb"),
            (510, b"\x55\xaa"),
            (12, b"\x02"),
            (16, b"\x02"),
            (82, b"FAT32   "),
            (66, b"\x29\x78\x56\x34\x12"),
            (71, b"EFI SYSTEM "),
        ];
        let is = ("vfat", "1234-5678".to_owned(), "EFI SYSTEM".to_owned());
        assert_eq!(found(&fat), is);
        let unnamed = [&fat[..6], &[(71, &b"NO NAME    "[..])]].concat();
        assert_eq!(found(&unnamed).2, "");
        let iso = found(&[
            (32768, b"\x01CD001"),
            (32808, b"HULLKIT                         "),
            (33581, b"2026112403153399"),
            (33598, b"0000000000000000"),
        ]);
        let date = "2026-11-24-03-15-33-99".to_owned();
        assert_eq!(iso, ("iso9660", date, "HULLKIT".to_owned()));
    }

    #[test]
    fn a_boot_sector_is_no_fat() {
        assert_eq!(probe(disk(&[(510, b"\x55\xaa")]).as_slice()), None);
        assert_eq!(probe(&[][..]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
            let _either = probe(bytes.as_slice());
        }
    }
}
