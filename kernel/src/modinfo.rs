//! What a module says about itself: the ELF section `.modinfo`, which holds
//! `key=value` strings with a NUL after each.

use object::LittleEndian;
use object::elf::FileHeader64;
use object::read::elf::{FileHeader, SectionHeader};

/// The parts of `.modinfo` that decide how a module is found and loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModInfo {
    /// Patterns of what it serves: `virtio:d00000001v*`, `fs-xfs`, …
    pub aliases: Vec<String>,
    /// Names of the modules whose symbols it uses.
    pub depends: Vec<String>,
    /// As written: `pre: a b post: c`, one string per declaration.
    pub softdeps: Vec<String>,
    /// Names that it may ask for at run time.
    pub weakdeps: Vec<String>,
}

/// Reads the `.modinfo` of the module `elf`.
///
/// # Errors
/// It is no little-endian 64-bit relocatable ELF file, has no `.modinfo`, or
/// one whose values cannot stand in a line of text. The error is the reason.
pub fn parse(elf: &[u8]) -> Result<ModInfo, String> {
    let section = section(elf).map_err(|e| format!("not a kernel module: {e}"))?;
    let section = section.ok_or("not a kernel module: no section .modinfo")?;
    let mut info = ModInfo::default();
    for entry in section.split(|&byte| byte == 0) {
        let Some(at) = entry.iter().position(|&byte| byte == b'=') else {
            continue;
        };
        let (key, value) = (&entry[..at], &entry[at + 1..]);
        if !matches!(key, b"alias" | b"depends" | b"softdep" | b"weakdep") {
            continue;
        }
        let shown = String::from_utf8_lossy(key);
        let value = line(value).ok_or_else(|| format!("its {shown} has control characters"))?;
        match key {
            b"alias" => info.aliases.push(one_word(value)?),
            b"depends" => info.depends.extend(names(value, ',')),
            b"softdep" => info.softdeps.push(value.to_owned()),
            _ => info.weakdeps.extend(names(value, ' ')),
        }
    }
    Ok(info)
}

/// The bytes of the section `.modinfo`, if there is one.
fn section(elf: &[u8]) -> object::read::Result<Option<&[u8]>> {
    let header = FileHeader64::<LittleEndian>::parse(elf)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, elf)?;
    let Some((_, section)) = sections.section_by_name(endian, b".modinfo") else {
        return Ok(None);
    };
    section.data(endian, elf).map(Some)
}

/// A value that can stand in a line of an index: UTF-8, no control characters.
fn line(value: &[u8]) -> Option<&str> {
    let value = std::str::from_utf8(value).ok()?;
    (!value.chars().any(char::is_control)).then_some(value)
}

/// An alias: a word of its own in `modules.alias`.
fn one_word(value: &str) -> Result<String, String> {
    match value.contains(' ') || value.is_empty() {
        true => Err(format!("its alias `{value}` is not one word")),
        false => Ok(value.to_owned()),
    }
}

/// The names of a list, as [`name`] writes them.
fn names(list: &str, separator: char) -> impl Iterator<Item = String> {
    list.split(separator)
        .filter(|part| !part.is_empty())
        .map(name)
}

/// A module's name: the kernel makes no difference between `-` and `_`.
#[must_use]
pub fn name(written: &str) -> String {
    written.replace('-', "_")
}

/// A module that says this, for tests and fuzzing seeds: the least ELF file.
#[cfg(test)]
pub(crate) mod sample {
    /// An ELF file with a `.modinfo` of these `key=value` strings.
    pub(crate) fn module(entries: &[&str]) -> Vec<u8> {
        module_with(entries, b".note", b"")
    }

    /// The same, with one more section.
    pub(crate) fn module_with(entries: &[&str], name: &[u8], data: &[u8]) -> Vec<u8> {
        const PROGBITS: u32 = 1;
        const STRTAB: u32 = 3;
        let names = [b"\0.shstrtab\0.modinfo\0", name, b"\0"].concat();
        let info: Vec<u8> = entries
            .iter()
            .flat_map(|e| [e.as_bytes(), b"\0"].concat())
            .collect();
        let sections = [
            (1u32, STRTAB, &names[..]),
            (20, PROGBITS, data),
            (11, PROGBITS, &info[..]),
        ];

        let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        // ET_REL, EM_X86_64, version, entry, phoff.
        elf.extend([1u16.to_le_bytes(), 62u16.to_le_bytes()].concat());
        elf.extend(1u32.to_le_bytes());
        elf.extend([0u8; 16]);
        let length: usize = sections.iter().map(|(_, _, data)| data.len()).sum();
        elf.extend((64 + length as u64).to_le_bytes());
        elf.extend([0u8; 4]);
        for half in [64u16, 0, 0, 64, 4, 1] {
            elf.extend(half.to_le_bytes());
        }
        let mut table = vec![0u8; 64];
        for (name, kind, data) in sections {
            table.extend(name.to_le_bytes());
            table.extend(kind.to_le_bytes());
            table.extend([0u8; 16]);
            table.extend((elf.len() as u64).to_le_bytes());
            table.extend((data.len() as u64).to_le_bytes());
            table.extend([0u8; 24]);
            elf.extend_from_slice(data);
        }
        elf.extend(table);
        elf
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_counts() {
        let elf = sample::module(&[
            "license=GPL",
            "alias=virtio:d00000001v*",
            "alias=net-pf-40",
            "depends=net_failover,libcrc32c-x",
            "softdep=pre: a-b post: c",
            "weakdep=d e-f",
            "parm=x:has=equals",
            "noise",
        ]);
        let expected = ModInfo {
            aliases: vec!["virtio:d00000001v*".into(), "net-pf-40".into()],
            depends: vec!["net_failover".into(), "libcrc32c_x".into()],
            softdeps: vec!["pre: a-b post: c".into()],
            weakdeps: vec!["d".into(), "e_f".into()],
        };
        assert_eq!(parse(&elf).unwrap(), expected);
        assert_eq!(
            parse(&sample::module(&["depends="])).unwrap(),
            ModInfo::default()
        );
    }

    #[test]
    fn not_a_module() {
        for bytes in [&b""[..], b"\x7fELF", b"#!/bin/sh\n", &[0; 4096]] {
            let reason = parse(bytes).unwrap_err();
            assert!(reason.starts_with("not a kernel module: "), "{reason}");
        }
        let mut elf = sample::module(&["license=GPL"]);
        let at = elf.windows(8).position(|w| w == b".modinfo").unwrap();
        elf[at + 1] = b'x';
        assert_eq!(
            parse(&elf).unwrap_err(),
            "not a kernel module: no section .modinfo"
        );
    }

    #[test]
    fn nothing_breaks_out_of_its_line() {
        let reason = parse(&sample::module(&["alias=x y\nalias * evil"])).unwrap_err();
        assert_eq!(reason, "its alias has control characters");
        let reason = parse(&sample::module(&["alias=x evil"])).unwrap_err();
        assert_eq!(reason, "its alias `x evil` is not one word");
    }

    proptest::proptest! {
        #[test]
        fn any_change_is_survived(at in 0usize..400, byte: u8) {
            let mut elf = sample::module(&["alias=a*", "depends=b,c", "softdep=pre: d"]);
            let at = at % elf.len();
            elf[at] = byte;
            let _ = parse(&elf);
        }

        #[test]
        fn what_is_written_is_read(aliases in proptest::collection::vec("[a-z0-9:*]{1,20}", 0..5)) {
            let entries: Vec<String> = aliases.iter().map(|a| format!("alias={a}")).collect();
            let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
            assert_eq!(parse(&sample::module(&entries)).unwrap().aliases, aliases);
        }
    }
}
