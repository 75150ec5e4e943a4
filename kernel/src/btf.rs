//! The sections `.BTF` and `.BTF.base` of a module: its types, for BPF
//! programs that attach to its functions.
//!
//! The kernel reads them through on every load: they are a quarter of the time
//! that an unsigned module of Linux 6.12 takes, and a tenth of its size. They
//! are no part of what the module does, and Debian's kernels load a module
//! without them (`CONFIG_DEBUG_INFO_BTF_MODULES` asks for none to be there).
//!
//! The tables for tracers and stack traces go with them: `.orc_unwind*`, which
//! the kernel sorts on every load, and `__mcount_loc`. On 6.12 (unsigned,
//! `-icount shift=0`) a load without them is 50 of overlay's 62 ms quicker, and
//! 75 of scsi_mod's 85. The gain was measured; that `__mcount_loc` costs a search
//! of the symbols for each entry is inferred. Without them the module's
//! functions cannot be traced, and a stack trace through it is a guess.

use object::elf::{self, FileHeader64, SectionHeader64};
use object::endian::LittleEndian;
use object::read::elf::{FileHeader, SectionHeader};

/// What goes: the types, and the tables for tracers (x86 only; other
/// architectures have neither).
const GONE: [&[u8]; 8] = [
    b".BTF",
    b".BTF.base",
    b".orc_header",
    b".orc_unwind",
    b".orc_unwind_ip",
    b".rela.orc_unwind_ip",
    b"__mcount_loc",
    b".rela__mcount_loc",
];

/// What becomes of the modules' type information.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Btf {
    /// Cut out.
    #[default]
    Strip,
    /// Kept.
    Keep,
}

/// Offsets and lengths of the fields that change (ELF-64, "Section Header").
mod field {
    /// `e_shoff` of the file's header.
    pub(super) const SECTIONS: usize = 40;
    /// Length of a section's header.
    pub(super) const HEADER: usize = 64;
    /// `sh_offset` in it; `sh_size` follows.
    pub(super) const OFFSET: usize = 24;
}

/// The largest alignment of a section that is believed, in bytes.
const MAX_ALIGN: u64 = 1 << 16;

/// The module `elf` without its type information: the sections keep their
/// numbers, so that nothing that points at them changes, and close up.
///
/// # Errors
/// It is no relocatable little-endian 64-bit ELF file, or its sections lie
/// over each other. The error is the reason.
pub fn strip(elf: &[u8]) -> Result<Vec<u8>, String> {
    let (header, sections, gone) =
        sections(elf).map_err(|e| format!("not a kernel module: {e}"))?;
    if gone.is_empty() {
        return Ok(elf.to_vec());
    }
    if header.e_phnum.get(LittleEndian) != 0 {
        return Err("not a kernel module: it has program headers".to_owned());
    }
    let mut order: Vec<usize> = (1..sections.len()).collect();
    order.sort_by_key(|&index| sections[index].sh_offset(LittleEndian));

    let mut out = elf[..size_of::<FileHeader64<LittleEndian>>()].to_vec();
    let mut table: Vec<u8> = Vec::new();
    for section in sections {
        table.extend_from_slice(object::bytes_of(section));
    }
    for index in order {
        let entry = &mut table[index * field::HEADER..][..field::HEADER];
        if gone.contains(&index) {
            // No name, `SHT_NULL`, no length.
            entry.fill(0);
            continue;
        }
        let section = &sections[index];
        let data = section
            .data(LittleEndian, elf)
            .map_err(|e| format!("not a kernel module: {e}"))?;
        align(&mut out, section.sh_addralign(LittleEndian))?;
        entry[field::OFFSET..][..8].copy_from_slice(&(out.len() as u64).to_le_bytes());
        out.extend_from_slice(data);
        if out.len() > elf.len() {
            return Err("its sections lie over each other".to_owned());
        }
    }
    align(&mut out, 8)?;
    let at = (out.len() as u64).to_le_bytes();
    out[field::SECTIONS..][..8].copy_from_slice(&at);
    out.extend_from_slice(&table);
    Ok(out)
}

type Parsed<'a> = (
    &'a FileHeader64<LittleEndian>,
    &'a [SectionHeader64<LittleEndian>],
    Vec<usize>,
);

/// The header, all sections, and the numbers of those that are to go.
fn sections(elf: &[u8]) -> object::read::Result<Parsed<'_>> {
    let header = FileHeader64::<LittleEndian>::parse(elf)?;
    let endian = header.endian()?;
    let table = header.sections(endian, elf)?;
    // A hostile file may call the first section, which is none, or the table
    // of names itself so.
    let names = usize::from(header.e_shstrndx.get(endian));
    let gone = table.iter().enumerate().filter(|&(index, section)| {
        let name = table.section_name(endian, section);
        ![0, names].contains(&index)
            && section.sh_type(endian) != elf::SHT_NULL
            && name.is_ok_and(|name| GONE.contains(&name))
    });
    let gone = gone.map(|(index, _)| index).collect();
    let all = header.section_headers(endian, elf)?;
    Ok((header, all, gone))
}

/// Fills up to a multiple of `to`, where 0 means 1.
fn align(out: &mut Vec<u8>, to: u64) -> Result<(), String> {
    let to = usize::try_from(to.max(1))
        .ok()
        .filter(|&to| to as u64 <= MAX_ALIGN);
    let to = to.ok_or("a section's alignment is over 64 KiB")?;
    out.resize(out.len().next_multiple_of(to), 0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modinfo::{self, sample};

    #[test]
    fn what_has_none_is_unchanged() {
        let module = sample::module(&["alias=x"]);
        assert_eq!(strip(&module).unwrap(), module);
    }

    #[test]
    fn the_rest_stays_and_closes_up() {
        let module = sample::module_with(&["alias=x", "depends=y"], b".BTF", &[0x9f; 1000]);
        let stripped = strip(&module).unwrap();
        assert!(
            stripped.len() < module.len() - 1000 + 8,
            "{} {}",
            stripped.len(),
            module.len()
        );
        assert!(!stripped.windows(8).any(|bytes| bytes == [0x9f; 8]));
        assert_eq!(
            modinfo::parse(&stripped).unwrap(),
            modinfo::parse(&module).unwrap()
        );
        assert_eq!(strip(&stripped).unwrap(), stripped);
        let (_, before, gone) = sections(&module).unwrap();
        let (_, after, none) = sections(&stripped).unwrap();
        assert_eq!((before.len(), gone.len()), (after.len(), 1));
        assert!(none.is_empty());
    }

    #[test]
    fn the_tracers_tables_go_too() {
        for name in GONE {
            let module = sample::module_with(&["alias=x"], name, &[7; 64]);
            assert!(strip(&module).unwrap().len() < module.len());
        }
    }

    #[test]
    fn the_table_of_names_stays() {
        let mut module = sample::module_with(&["alias=x"], b".BTF", b"");
        // Section 1, the table itself, gets the name of section 2.
        let table = module.len() - 4 * field::HEADER;
        let name = module[table + 2 * field::HEADER];
        module[table + field::HEADER] = name;
        let stripped = strip(&module).unwrap();
        assert_eq!(modinfo::parse(&stripped).unwrap().aliases, ["x"]);
        assert_eq!(strip(&stripped).unwrap(), stripped);
    }

    #[test]
    fn not_a_module() {
        assert!(strip(b"").is_err());
        assert!(strip(&[0x7f; 100]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_change_is_survived(at: proptest::sample::Index, byte: u8) {
            let mut module = sample::module_with(&["alias=x"], b".BTF", b"types");
            let at = at.index(module.len());
            module[at] = byte;
            if let Ok(stripped) = strip(&module) {
                // No more than it was, but for the table's alignment.
                assert!(stripped.len() < module.len() + 8 + 64 * 64);
            }
        }
    }
}
