//! Classic BPF, as far as filters need it: instructions and their assembly.

use crate::spec::{Action, Argument, Operator};
use crate::sys::identity::Instruction;

const LOAD_WORD: u16 = 0x20;
pub(super) const JUMP: u16 = 0x05;
pub(super) const RETURN: u16 = 0x06;
const AND: u16 = 0x54;
pub(super) const IF_EQUAL: u16 = 0x15;
pub(super) const IF_GREATER: u16 = 0x25;
pub(super) const IF_NOT_LESS: u16 = 0x35;

/// Whether an instruction with this code leads one way or another.
pub(super) const fn is_condition(code: u16) -> bool {
    matches!(code, IF_EQUAL | IF_GREATER | IF_NOT_LESS)
}

/// Where `struct seccomp_data` has the number and the convention.
pub(super) const NUMBER: u32 = 0;
pub(super) const CONVENTION: u32 = 4;

const fn plain(code: u16, k: u32) -> Instruction {
    Instruction {
        code,
        jt: 0,
        jf: 0,
        k,
    }
}

/// Loads the word at an offset of `struct seccomp_data`.
pub(super) const fn load(offset: u32) -> Instruction {
    plain(LOAD_WORD, offset)
}

/// Keeps these bits.
pub(super) const fn and(mask: u32) -> Instruction {
    plain(AND, mask)
}

/// Ends with an action.
pub(super) fn give(action: Action) -> Instruction {
    let value = match action {
        Action::KillProcess => 0x8000_0000,
        Action::KillThread => 0,
        Action::Trap => 0x0003_0000,
        Action::Errno(errno) => 0x0005_0000 | u32::from(errno),
        Action::Trace(number) => 0x7ff0_0000 | u32::from(number),
        Action::Notify => 0x7fc0_0000,
        Action::Log => 0x7ffc_0000,
        Action::Allow => 0x7fff_0000,
    };
    plain(RETURN, value)
}

/// `if accumulator OP k { yes } else { no }`, where each part ends by itself.
pub(super) fn branch(
    code: u16,
    k: u32,
    yes: Vec<Instruction>,
    no: Vec<Instruction>,
) -> Vec<Instruction> {
    let mut program = Vec::with_capacity(yes.len() + no.len() + 2);
    match u8::try_from(no.len()) {
        Ok(distance) => program.push(Instruction {
            code,
            jt: distance,
            jf: 0,
            k,
        }),
        // A condition reaches 255 instructions, a plain jump any.
        Err(_) => {
            program.push(Instruction {
                code,
                jt: 0,
                jf: 1,
                k,
            });
            program.push(plain(JUMP, u32::try_from(no.len()).unwrap_or(u32::MAX)));
        }
    }
    program.extend(no);
    program.extend(yes);
    program
}

/// Where a comparison leads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    /// To the next comparison.
    Next,
    /// The condition holds.
    Pass,
    /// It does not.
    Fail,
}

/// A condition as loads and comparisons of words. Arguments are little-endian
/// on every machine that we know; `narrow`: only the lower word counts.
enum Word {
    Do(Instruction),
    If(u16, u32, To, To),
}

/// The lower and the higher word.
pub(super) fn halves(value: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
    (
        u32::from_le_bytes([a, b, c, d]),
        u32::from_le_bytes([e, f, g, h]),
    )
}

fn words(argument: &Argument, narrow: bool) -> Vec<Word> {
    use Operator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, MaskedEqual, NotEqual};
    use To::{Fail, Next, Pass};
    let offset = 16 + 8 * u32::from(argument.index);
    let (value, mask) = argument.compared();
    let (low, high) = halves(value);
    let (low_mask, high_mask) = halves(mask);
    let mut words = Vec::with_capacity(6);
    if !narrow {
        words.push(Word::Do(load(offset + 4)));
        match argument.operator {
            Equal => words.push(Word::If(IF_EQUAL, high, Next, Fail)),
            NotEqual => words.push(Word::If(IF_EQUAL, high, Next, Pass)),
            Greater | GreaterOrEqual => {
                words.push(Word::If(IF_GREATER, high, Pass, Next));
                words.push(Word::If(IF_EQUAL, high, Next, Fail));
            }
            Less | LessOrEqual => {
                words.push(Word::If(IF_GREATER, high, Fail, Next));
                words.push(Word::If(IF_EQUAL, high, Next, Pass));
            }
            MaskedEqual => {
                words.push(Word::Do(and(high_mask)));
                words.push(Word::If(IF_EQUAL, high, Next, Fail));
            }
        }
    }
    words.push(Word::Do(load(offset)));
    if argument.operator == MaskedEqual {
        words.push(Word::Do(and(low_mask)));
    }
    words.push(match argument.operator {
        Equal => Word::If(IF_EQUAL, low, Pass, Fail),
        NotEqual => Word::If(IF_EQUAL, low, Fail, Pass),
        Greater => Word::If(IF_GREATER, low, Pass, Fail),
        GreaterOrEqual => Word::If(IF_NOT_LESS, low, Pass, Fail),
        Less => Word::If(IF_NOT_LESS, low, Fail, Pass),
        LessOrEqual => Word::If(IF_GREATER, low, Fail, Pass),
        MaskedEqual => Word::If(IF_EQUAL, low, Pass, Fail),
    });
    words
}

/// `if all conditions hold { return action }`; what follows it goes on.
pub(super) fn rule(arguments: &[Argument], narrow: bool, action: Action) -> Vec<Instruction> {
    // A list of six conditions has 36 words at most, so every distance fits.
    let parts: Vec<Vec<Word>> = arguments.iter().map(|a| words(a, narrow)).collect();
    let total: usize = parts.iter().map(Vec::len).sum();
    let mut program = Vec::with_capacity(total + 1);
    let mut end_of_part = 0;
    for part in &parts {
        end_of_part += part.len();
        for word in part {
            let here = program.len() + 1;
            let distance = |to: To| {
                let target = match to {
                    To::Next => here,
                    To::Pass => end_of_part,
                    To::Fail => total + 1,
                };
                u8::try_from(target - here).unwrap_or(u8::MAX)
            };
            program.push(match word {
                Word::Do(instruction) => *instruction,
                Word::If(code, k, yes, no) => Instruction {
                    code: *code,
                    jt: distance(*yes),
                    jf: distance(*no),
                    k: *k,
                },
            });
        }
    }
    program.push(give(action));
    program
}
