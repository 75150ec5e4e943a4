//! Calling conventions: how a filter tells them apart, and their numbers.

use super::table::TABLE;
use crate::spec::Arch;

/// Set in the numbers of x32, which is told from x86_64 by nothing else.
pub(super) const X32_BIT: u32 = 0x4000_0000;

/// The machine's own convention.
#[must_use]
pub fn native() -> Arch {
    if cfg!(target_arch = "aarch64") {
        Arch::Aarch64
    } else {
        Arch::X86_64
    }
}

/// The value of `seccomp_data.arch` (linux/audit.h).
pub(super) fn audit(arch: Arch) -> u32 {
    match arch {
        Arch::X86_64 | Arch::X32 => 0xc000_003e,
        Arch::X86 => 0x4000_0003,
        Arch::Aarch64 => 0xc000_00b7,
        Arch::Arm => 0x4000_0028,
    }
}

/// Whether arguments have 32 bits only. Those of x32 come in registers of 64,
/// but libseccomp looks at no more than the lower half.
pub(super) fn is_narrow(arch: Arch) -> bool {
    matches!(arch, Arch::X86 | Arch::X32 | Arch::Arm)
}

/// A system call's number, without [`X32_BIT`]; `None`: it has no such call.
pub(super) fn number(arch: Arch, name: &str) -> Option<u32> {
    let at = TABLE
        .binary_search_by(|(known, _)| (*known).cmp(name))
        .ok()?;
    let (_, [x86_64, x86, x32, aarch64, arm]) = TABLE.get(at)?;
    let number = match arch {
        Arch::X86_64 => x86_64,
        Arch::X86 => x86,
        Arch::X32 => x32,
        Arch::Aarch64 => aarch64,
        Arch::Arm => arm,
    };
    u32::try_from(*number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_knows_the_libc_crates_numbers() {
        assert!(TABLE.is_sorted_by(|(a, _), (b, _)| a < b));
        let known = [
            ("read", libc::SYS_read),
            ("openat2", libc::SYS_openat2),
            ("mount_setattr", libc::SYS_mount_setattr),
            ("seccomp", libc::SYS_seccomp),
        ];
        for (name, expected) in known {
            assert_eq!(
                number(native(), name).map(i64::from),
                Some(expected),
                "{name}"
            );
        }
        assert_eq!(number(Arch::Arm, "cacheflush"), Some(0xf0002));
        assert_eq!(number(Arch::X32, "execve"), Some(520));
        assert_eq!(number(Arch::X86_64, "no_such_call"), None);
    }
}
