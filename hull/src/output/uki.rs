//! A unified kernel image: systemd's EFI stub with kernel, initrd and command
//! line as further sections (UAPI group, "Unified Kernel Image"; PE format).

use std::io::{self, Write};

use super::bios::Piece;
use super::rootfs::Fields;
use crate::arch::Arch;
use crate::tree::Content;

/// Sections begin in the file at a multiple of this: a CD's sector, a page.
const FILE_ALIGN: u64 = 4096;
const SECTION: usize = 40;
/// Data that is initialised, and only read.
const READ_ONLY_DATA: u32 = 0x4000_0040;

/// What goes into one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'a> {
    pub(super) stub: &'a Content,
    pub(super) os_release: &'a Content,
    pub(super) cmdline: &'a Content,
    pub(super) initrd: &'a Content,
    pub(super) kernel: &'a Content,
}

/// Where things lie in the program that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) len: u64,
    pub(super) kernel: Piece,
    pub(super) initrd: Piece,
    pub(super) cmdline: Piece,
}

/// The stub's file below systemd's folder.
pub(super) fn stub_path(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "usr/lib/systemd/boot/efi/linuxx64.efi.stub",
        Arch::Aarch64 => "usr/lib/systemd/boot/efi/linuxaa64.efi.stub",
    }
}

/// The name by which firmware finds the program on a disk that it does not
/// know.
pub(super) fn boot_path(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "EFI/BOOT/BOOTX64.EFI",
        Arch::Aarch64 => "EFI/BOOT/BOOTAA64.EFI",
    }
}

/// Writes it.
///
/// # Errors
/// The stub is no PE program or has no room for more sections; something
/// cannot be read or written.
pub(super) fn write(parts: &Parts<'_>, out: &mut dyn Write) -> io::Result<Layout> {
    let mut stub = Stub::read(parts.stub)?;
    let contents = [
        (".osrel", parts.os_release),
        (".cmdline", parts.cmdline),
        (".initrd", parts.initrd),
        (".linux", parts.kernel),
    ];
    let mut pieces = Vec::new();
    let mut at = (stub.bytes.len() as u64).next_multiple_of(FILE_ALIGN);
    for (name, content) in contents {
        let piece = Piece {
            at,
            len: content.len(),
        };
        stub.add(name, piece)?;
        pieces.push(piece);
        at = (at + piece.len).next_multiple_of(FILE_ALIGN);
    }
    stub.finish()?;
    let mut written = stub.bytes.len() as u64;
    out.write_all(&stub.bytes)?;
    for ((_, content), piece) in contents.iter().zip(&pieces) {
        pad(out, piece.at - written)?;
        content.copy_to(out)?;
        written = piece.at + piece.len;
    }
    pad(out, at - written)?;
    Ok(Layout {
        len: at,
        kernel: pieces[3],
        initrd: pieces[2],
        cmdline: pieces[1],
    })
}

fn pad(out: &mut dyn Write, len: u64) -> io::Result<()> {
    let len = usize::try_from(len).map_err(io::Error::other)?;
    out.write_all(&vec![0; len])
}

/// A PE program that gets further sections.
struct Stub {
    bytes: Vec<u8>,
    /// Of the COFF header, behind the signature.
    coff: usize,
    /// Of the next section header.
    next: usize,
    sections: u16,
    alignment: u32,
    /// The first address behind all sections.
    end: u32,
}

impl Stub {
    fn read(content: &Content) -> io::Result<Self> {
        let bytes = content.read()?;
        let get32 = |at: usize| field(&bytes, at).map(u32::from_le_bytes);
        let get16 = |at: usize| field(&bytes, at).map(u16::from_le_bytes);
        let parse = || {
            let pe = usize::try_from(get32(0x3c)?).ok()?;
            let coff = pe.checked_add(4)?;
            let optional = coff + 20;
            let is_pe32_plus = bytes.get(pe..coff)? == b"PE\0\0" && get16(optional)? == 0x20b;
            let sections = get16(coff + 2).filter(|_| is_pe32_plus)?;
            let table = optional + usize::from(get16(coff + 16)?);
            let next = table + SECTION * usize::from(sections);
            let mut end = 0;
            for header in (table..next).step_by(SECTION) {
                end = end.max(get32(header + 12)?.checked_add(get32(header + 8)?)?);
            }
            let alignment = get32(optional + 32).filter(|n| n.is_power_of_two())?;
            Some((coff, next, sections, alignment, end))
        };
        let (coff, next, sections, alignment, end) = parse()
            .ok_or_else(|| io::Error::other("the EFI stub is not a program for 64-bit EFI"))?;
        Ok(Self {
            bytes,
            coff,
            next,
            sections,
            alignment,
            end,
        })
    }

    fn put(&mut self, at: usize, bytes: &[u8]) -> io::Result<()> {
        let place = self.bytes.get_mut(at..at + bytes.len());
        place.ok_or_else(no_room)?.copy_from_slice(bytes);
        Ok(())
    }

    /// Adds the header of a section that lies at `piece` in the file.
    fn add(&mut self, name: &str, piece: Piece) -> io::Result<()> {
        let large = || io::Error::other(format!("{name}: too large for an EFI program"));
        let number = |value: u64| u32::try_from(value).map_err(|_| large());
        let address = self
            .end
            .checked_next_multiple_of(self.alignment)
            .ok_or_else(large)?;
        let header = Fields(name.as_bytes().to_vec())
            .zeros_to(8)
            .u32(number(piece.len)?)
            .u32(address)
            .u32(number(piece.len.next_multiple_of(FILE_ALIGN))?)
            .u32(number(piece.at)?)
            .zeros_to(36)
            .u32(READ_ONLY_DATA)
            .0;
        // The headers' room, which is a field of the optional header.
        let room = field(&self.bytes, self.coff + 20 + 60).map_or(0, u32::from_le_bytes);
        if self.next + SECTION > room as usize {
            return Err(no_room());
        }
        self.put(self.next, &header)?;
        self.next += SECTION;
        self.sections += 1;
        self.end = address.checked_add(number(piece.len)?).ok_or_else(large)?;
        Ok(())
    }

    /// Counts the sections, and the memory that the program wants.
    fn finish(&mut self) -> io::Result<()> {
        let size = self
            .end
            .checked_next_multiple_of(self.alignment)
            .ok_or_else(no_room)?;
        let optional = self.coff + 20;
        self.put(self.coff + 2, &self.sections.to_le_bytes())?;
        self.put(optional + 56, &size.to_le_bytes())?;
        // No checksum: EFI does not look at it.
        self.put(optional + 64, &0_u32.to_le_bytes())
    }
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn no_room() -> io::Error {
    io::Error::other("the EFI stub has no room for the headers of four more sections")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A stub of one section, with room for headers.
    fn stub(room: u32) -> Vec<u8> {
        let mut bytes = Fields(b"MZ".to_vec())
            .zeros_to(0x3c)
            .u32(0x40)
            .bytes(b"PE\0\0")
            .u16(0x8664)
            .u16(1)
            .zeros_to(0x44 + 16)
            .u16(240)
            .u16(0)
            .u16(0x20b);
        bytes = bytes
            .zeros_to(0x58 + 32)
            .u32(4096)
            .zeros_to(0x58 + 60)
            .u32(room);
        bytes
            .zeros_to(0x58 + 240)
            .bytes(b".text\0\0\0")
            .u32(100)
            .u32(4096)
            .u32(512)
            .u32(1024)
            .zeros_to(2000)
            .0
    }

    fn parts<'a>(contents: &'a [Content; 5]) -> Parts<'a> {
        let [stub, os_release, cmdline, initrd, kernel] = contents;
        Parts {
            stub,
            os_release,
            cmdline,
            initrd,
            kernel,
        }
    }

    #[test]
    fn sections_lie_where_their_headers_say() {
        let contents = [
            stub(1024).into(),
            Content::from("ID=hullkit"),
            Content::from("quiet"),
            Content::from(vec![1; 5000]),
            Content::from(vec![2; 70_000]),
        ];
        let mut out = Vec::new();
        let layout = write(&parts(&contents), &mut out).unwrap();
        assert_eq!(layout.len, out.len() as u64);
        let slice = |piece: Piece| {
            let at = usize::try_from(piece.at).unwrap();
            &out[at..at + usize::try_from(piece.len).unwrap()]
        };
        assert_eq!(slice(layout.cmdline), b"quiet");
        assert!(slice(layout.kernel) == vec![2; 70_000]);
        assert_eq!(layout.kernel.at % 2048, 0);
        let file = object::File::parse(&*out).unwrap();
        use object::{Object as _, ObjectSection as _};
        let mut end = 0;
        for name in [".text", ".osrel", ".cmdline", ".initrd", ".linux"] {
            let section = file.section_by_name(name).unwrap();
            assert!(
                section.address() >= end && section.address() % 4096 == 0,
                "{name}"
            );
            end = section.address() + section.size();
        }
        let initrd = file.section_by_name(".initrd").unwrap();
        assert!(initrd.data().unwrap()[..5000] == vec![1; 5000]);
    }

    #[test]
    fn a_stub_without_room_is_refused() {
        let contents = [stub(400).into(), "".into(), "".into(), "".into(), "".into()];
        let error = write(&parts(&contents), &mut io::sink()).unwrap_err();
        assert!(error.to_string().contains("no room"), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_for_a_stub_are_survived(
            mut bytes in prop::collection::vec(any::<u8>(), 0..600),
            real in any::<bool>(),
            at in 0..2000_usize,
        ) {
            if real {
                let noise = std::mem::replace(&mut bytes, stub(1024));
                for (place, byte) in bytes[at..].iter_mut().zip(noise) {
                    *place = byte;
                }
            }
            let contents = [bytes.into(), "".into(), "".into(), "".into(), "".into()];
            let _ = write(&parts(&contents), &mut io::sink());
        }
    }
}
