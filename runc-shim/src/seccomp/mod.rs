//! to be replaced
use crate::spec::{Arch, Seccomp};
use crate::sys::identity::Instruction;
/// stub
pub fn native() -> Arch {
    Arch::X86_64
}
/// stub
pub fn compile(_: &Seccomp, _: Arch) -> Vec<Instruction> {
    vec![Instruction {
        code: 6,
        jt: 0,
        jf: 0,
        k: 0x7fff0000,
    }]
}
