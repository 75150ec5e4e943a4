//! Device rules into a program of eBPF for `BPF_CGROUP_DEVICE`. Pure.
//!
//! The kernel calls it with a pointer to three words: the access wanted (upper
//! half) and the kind of device (lower half) in the first, then major and
//! minor. It returns 1 to allow, 0 to deny. Rules are tried from the last to
//! the first, so that a later one overrides an earlier one.

use crate::spec::{Access, DeviceKind, DeviceRule};

/// What every container may use beside its own rules: runc's list.
const DEFAULTS: [DeviceRule; 10] = [
    allow(DeviceKind::Char, None, None, Access(Access::MKNOD)),
    allow(DeviceKind::Block, None, None, Access(Access::MKNOD)),
    allow(DeviceKind::Char, Some(1), Some(3), Access::ALL), // null
    allow(DeviceKind::Char, Some(1), Some(5), Access::ALL), // zero
    allow(DeviceKind::Char, Some(1), Some(7), Access::ALL), // full
    allow(DeviceKind::Char, Some(1), Some(8), Access::ALL), // random
    allow(DeviceKind::Char, Some(1), Some(9), Access::ALL), // urandom
    allow(DeviceKind::Char, Some(5), Some(0), Access::ALL), // tty
    allow(DeviceKind::Char, Some(5), Some(2), Access::ALL), // ptmx
    allow(DeviceKind::Char, Some(136), None, Access::ALL),  // pts/N
];

const fn allow(
    kind: DeviceKind,
    major: Option<u32>,
    minor: Option<u32>,
    access: Access,
) -> DeviceRule {
    DeviceRule {
        allow: true,
        kind: Some(kind),
        major,
        minor,
        access,
    }
}

/// A register.
#[derive(Clone, Copy)]
enum Reg {
    Result = 0,
    Context = 1,
    Kind = 2,
    Access = 3,
    Major = 4,
    Minor = 5,
    Scratch = 6,
}

fn encode(code: u8, to: Reg, from: Reg, offset: i16, immediate: u32) -> u64 {
    let [low, high] = offset.to_le_bytes();
    let registers = (from as u8) << 4 | to as u8;
    let [a, b, c, d] = immediate.to_le_bytes();
    u64::from_le_bytes([code, registers, low, high, a, b, c, d])
}

fn load_word(to: Reg, offset: i16) -> u64 {
    encode(0x61, to, Reg::Context, offset, 0)
}

fn copy(to: Reg, from: Reg) -> u64 {
    encode(0xbf, to, from, 0, 0)
}

fn set(to: Reg, value: u32) -> u64 {
    encode(0xb7, to, Reg::Result, 0, value)
}

fn and(to: Reg, mask: u32) -> u64 {
    encode(0x54, to, Reg::Result, 0, mask)
}

fn shift_right(to: Reg, bits: u32) -> u64 {
    encode(0x74, to, Reg::Result, 0, bits)
}

const JUMP_IF_NOT_EQUAL: u8 = 0x56;
const JUMP_IF_EQUAL: u8 = 0x16;
const EXIT: u64 = 0x95;

/// The program for these rules, 8 bytes an instruction.
#[must_use]
pub fn device_program(rules: &[DeviceRule]) -> Vec<u64> {
    let mut program = vec![
        load_word(Reg::Kind, 0),
        copy(Reg::Access, Reg::Kind),
        shift_right(Reg::Access, 16),
        and(Reg::Kind, 0xffff),
        load_word(Reg::Major, 4),
        load_word(Reg::Minor, 8),
    ];
    for rule in rules.iter().chain(&DEFAULTS).rev() {
        let tests = tests(rule);
        let end = [set(Reg::Result, u32::from(rule.allow)), EXIT];
        if tests.is_empty() {
            // It decides all that is left; the kernel refuses a program with
            // instructions that cannot be reached.
            program.extend(end);
            return program;
        }
        append(&mut program, &tests, &end);
    }
    program.extend([set(Reg::Result, 0), EXIT]);
    program
}

/// A step of a rule: compute, or leave the rule where a register has (not) a
/// value.
enum Test {
    Compute(u64),
    LeaveIf(u8, Reg, u32),
}

fn tests(rule: &DeviceRule) -> Vec<Test> {
    let mut tests = Vec::new();
    let kind = rule.kind.map(|kind| match kind {
        DeviceKind::Block => 1,
        DeviceKind::Char | DeviceKind::Fifo => 2,
    });
    let fields = [
        (Reg::Kind, kind),
        (Reg::Major, rule.major),
        (Reg::Minor, rule.minor),
    ];
    for (register, value) in fields {
        tests.extend(value.map(|value| Test::LeaveIf(JUMP_IF_NOT_EQUAL, register, value)));
    }
    if rule.access != Access::ALL {
        tests.push(Test::Compute(copy(Reg::Scratch, Reg::Access)));
        if rule.allow {
            // All that is wanted must be allowed.
            tests.push(Test::Compute(and(Reg::Scratch, !rule.access.0)));
            tests.push(Test::LeaveIf(JUMP_IF_NOT_EQUAL, Reg::Scratch, 0));
        } else {
            // Any of what is wanted may be denied.
            tests.push(Test::Compute(and(Reg::Scratch, rule.access.0)));
            tests.push(Test::LeaveIf(JUMP_IF_EQUAL, Reg::Scratch, 0));
        }
    }
    tests
}

fn append(program: &mut Vec<u64>, tests: &[Test], end: &[u64]) {
    let length = tests.len() + end.len();
    for (at, test) in tests.iter().enumerate() {
        program.push(match test {
            Test::Compute(instruction) => *instruction,
            Test::LeaveIf(code, register, value) => {
                // A rule has at most nine instructions.
                let to_next = i16::try_from(length - at - 1).unwrap_or_default();
                encode(*code, *register, Reg::Result, to_next, *value)
            }
        });
    }
    program.extend(end);
}

#[cfg(test)]
mod tests_of_programs {
    use super::*;

    /// Runs a program as the kernel would, as far as ours go.
    fn run(program: &[u64], kind: u32, access: u32, major: u32, minor: u32) -> u32 {
        let context = [access << 16 | kind, major, minor];
        let mut registers = [0u32; 8];
        let mut at = 0;
        for _ in 0..10_000 {
            let [code, both, low, high, a, b, c, d] = program[at].to_le_bytes();
            let (to, from) = (usize::from(both & 15), usize::from(both >> 4));
            let offset = i16::from_le_bytes([low, high]);
            let immediate = u32::from_le_bytes([a, b, c, d]);
            at += 1;
            let skip = usize::try_from(offset).unwrap();
            match code {
                0x61 => registers[to] = context[skip / 4],
                0xbf => registers[to] = registers[from],
                0xb7 => registers[to] = immediate,
                0x54 => registers[to] &= immediate,
                0x74 => registers[to] >>= immediate,
                0x56 if registers[to] != immediate => at += skip,
                0x16 if registers[to] == immediate => at += skip,
                0x56 | 0x16 => {}
                0x95 => return registers[0],
                other => panic!("unknown instruction {other:#x}"),
            }
        }
        panic!("the program does not end");
    }

    const BLOCK: u32 = 1;
    const CHAR: u32 = 2;

    fn rule(allow: bool, kind: Option<DeviceKind>, major: Option<u32>, access: u32) -> DeviceRule {
        DeviceRule {
            allow,
            kind,
            major,
            minor: None,
            access: Access(access),
        }
    }

    #[test]
    fn without_rules_only_the_defaults_are_allowed() {
        let program = device_program(&[]);
        assert_eq!(run(&program, CHAR, Access::READ | Access::WRITE, 1, 3), 1);
        assert_eq!(run(&program, CHAR, Access::WRITE, 136, 5), 1);
        assert_eq!(run(&program, BLOCK, Access::MKNOD, 8, 0), 1);
        assert_eq!(run(&program, BLOCK, Access::READ, 8, 0), 0);
        assert_eq!(run(&program, CHAR, Access::READ, 1, 1), 0);
    }

    #[test]
    fn a_later_rule_overrides_an_earlier_one() {
        let all = rule(true, Some(DeviceKind::Block), None, 7);
        let not_8 = rule(false, Some(DeviceKind::Block), Some(8), 7);
        let program = device_program(&[all, not_8]);
        assert_eq!(run(&program, BLOCK, Access::READ, 8, 0), 0);
        assert_eq!(run(&program, BLOCK, Access::READ, 9, 0), 1);
        let program = device_program(&[not_8, all]);
        assert_eq!(run(&program, BLOCK, Access::READ, 8, 0), 1);
    }

    #[test]
    fn all_that_is_wanted_must_be_allowed() {
        let read = rule(true, Some(DeviceKind::Block), Some(8), Access::READ);
        let program = device_program(&[read]);
        assert_eq!(run(&program, BLOCK, Access::READ, 8, 0), 1);
        assert_eq!(run(&program, BLOCK, Access::READ | Access::WRITE, 8, 0), 0);
    }

    #[test]
    fn part_of_what_is_wanted_can_be_denied() {
        let all = rule(true, None, None, 7);
        let no_write = rule(false, None, None, Access::WRITE);
        let program = device_program(&[all, no_write]);
        assert_eq!(run(&program, BLOCK, Access::READ, 8, 0), 1);
        assert_eq!(run(&program, BLOCK, Access::READ | Access::WRITE, 8, 0), 0);
        // The defaults come last and stay.
        assert_eq!(run(&program, CHAR, Access::WRITE, 1, 3), 1);
    }

    #[test]
    fn nothing_follows_a_rule_for_everything() {
        let all = rule(true, None, None, 7);
        let program = device_program(&[rule(false, None, None, 7), all]);
        assert_eq!(program.last(), Some(&EXIT));
        assert_eq!(run(&program, BLOCK, 7, 8, 0), 1);
        assert!(program.len() < device_program(&[]).len() + 3);
    }
}
