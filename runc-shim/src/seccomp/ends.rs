//! Makes a program shorter: ends that are the same are shared.
//!
//! The kernel's work on a filter grows with the square of its length where
//! `net.core.bpf_jit_harden` has it hide the constants of programs, and half of
//! a search tree is its leaves.

use std::collections::BTreeMap;

use super::bpf::{JUMP, RETURN, is_condition};
use crate::sys::identity::Instruction;

/// How far a condition reaches.
const REACH: usize = 255;

/// Where an instruction leads, by places in the program. Every way leads
/// forward.
#[derive(Clone, Copy)]
enum Way {
    /// To the one behind it.
    On,
    /// Nowhere.
    End,
    /// Always there.
    Jump(usize),
    /// There if its condition holds, and there if not.
    Either(usize, usize),
}

/// The same program, with as few ends as its conditions reach.
pub(super) fn share(program: &[Instruction]) -> Vec<Instruction> {
    let mut ends = Ends::default();
    // From the last to the first, so that an end which is there for one serves
    // as many before it as reach it.
    let mut ways: Vec<Way> = program
        .iter()
        .enumerate()
        .rev()
        .map(|(place, instruction)| {
            let way = way(place, instruction);
            match way {
                Way::End => ends.see(place, instruction.k),
                Way::Either(yes, no) => {
                    let mut shared = |to: usize| match program.get(to) {
                        Some(end) if end.code == RETURN => ends.for_one(place, to, end.k),
                        _ => to,
                    };
                    return Way::Either(shared(yes), shared(no));
                }
                Way::On | Way::Jump(_) => {}
            }
            way
        })
        .collect();
    ways.reverse();
    keep(program, &ways, &reached(&ways))
}

/// The ends behind a place, by what they give.
#[derive(Default)]
struct Ends {
    /// The next one of each kind.
    next: BTreeMap<u32, usize>,
    /// The next one of each kind that a condition leads to.
    used: BTreeMap<u32, usize>,
}

impl Ends {
    fn see(&mut self, place: usize, gives: u32) {
        self.next.insert(gives, place);
    }

    /// Where a condition at `place`, which leads to the end at `to`, is to lead:
    /// to one that others use, if it reaches that, else to the next.
    fn for_one(&mut self, place: usize, to: usize, gives: u32) -> usize {
        let used = self.used.get(&gives).copied();
        let end = used.filter(|end| *end <= place + 1 + REACH);
        let next = self.next.get(&gives).copied();
        let end = end.or(next).unwrap_or(to);
        self.used.insert(gives, end);
        end
    }
}

fn way(place: usize, instruction: &Instruction) -> Way {
    let behind = |distance: usize| place + 1 + distance;
    match instruction.code {
        RETURN => Way::End,
        JUMP => Way::Jump(behind(
            usize::try_from(instruction.k).unwrap_or(usize::MAX - place - 1),
        )),
        code if is_condition(code) => {
            Way::Either(behind(instruction.jt.into()), behind(instruction.jf.into()))
        }
        _ => Way::On,
    }
}

/// Which instructions a call can come to.
fn reached(ways: &[Way]) -> Vec<bool> {
    let mut reached = vec![false; ways.len()];
    reached.iter_mut().take(1).for_each(|first| *first = true);
    for (place, way) in ways.iter().enumerate() {
        if reached.get(place) != Some(&true) {
            continue;
        }
        let next = match *way {
            Way::On => [Some(place + 1), None],
            Way::End => [None, None],
            Way::Jump(to) => [Some(to), None],
            Way::Either(yes, no) => [Some(yes), Some(no)],
        };
        for place in next.into_iter().flatten() {
            if let Some(reached) = reached.get_mut(place) {
                *reached = true;
            }
        }
    }
    reached
}

/// The instructions that are reached, and their ways among themselves.
fn keep(program: &[Instruction], ways: &[Way], reached: &[bool]) -> Vec<Instruction> {
    // How many are kept before each place.
    let mut kept = 0;
    let before: Vec<usize> = reached
        .iter()
        .map(|reached| {
            let before = kept;
            kept += usize::from(*reached);
            before
        })
        .collect();
    let distance = |from: usize, to: usize| {
        let (from, to) = (before.get(from).copied(), before.get(to).copied());
        to.unwrap_or(kept) - from.unwrap_or_default() - 1
    };
    // No distance has grown.
    let short = |from, to| u8::try_from(distance(from, to)).unwrap_or(u8::MAX);
    let all = program.iter().zip(ways).zip(reached).enumerate();
    all.filter(|(_, (_, reached))| **reached)
        .map(|(place, ((instruction, way), _))| match *way {
            Way::Jump(to) => Instruction {
                k: u32::try_from(distance(place, to)).unwrap_or(u32::MAX),
                ..*instruction
            },
            Way::Either(yes, no) => Instruction {
                jt: short(place, yes),
                jf: short(place, no),
                ..*instruction
            },
            Way::On | Way::End => *instruction,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::bpf::{IF_EQUAL, IF_GREATER, branch, give, load};
    use super::super::tests::{Call, run};
    use super::*;
    use crate::spec::Action;
    use proptest::prelude::*;

    /// A search tree over `numbers` whose leaves give what `leaf` says.
    fn tree(numbers: &[u32], leaf: &impl Fn(u32) -> Action) -> Vec<Instruction> {
        match numbers {
            [] => vec![give(Action::KillThread)],
            [one] => vec![give(leaf(*one))],
            _ => {
                let (low, high) = numbers.split_at(numbers.len() / 2);
                let last = low[low.len() - 1];
                branch(IF_GREATER, last, tree(high, leaf), tree(low, leaf))
            }
        }
    }

    fn verdict(program: &[Instruction], number: u32) -> u32 {
        let call = Call {
            number,
            audit: 0,
            args: [0; 6],
        };
        run(program, &call)
    }

    #[test]
    fn a_tree_loses_nearly_all_its_leaves() {
        let numbers: Vec<u32> = (0..600).collect();
        let leaf = |n: u32| Action::Errno(u16::try_from(n % 3).unwrap());
        let mut program = vec![load(0)];
        program.extend(tree(&numbers, &leaf));
        let short = share(&program);
        for number in 0..602 {
            assert_eq!(verdict(&short, number), verdict(&program, number));
        }
        // 599 comparisons and the jumps over far halves, three ends in reach
        // of each.
        assert!(program.len() > 1200, "{}", program.len());
        assert!(short.len() < 640, "{}", short.len());
    }

    #[test]
    fn what_has_no_condition_stays() {
        let program = vec![load(0), give(Action::Allow)];
        assert_eq!(share(&program), program);
        assert_eq!(share(&[]), []);
    }

    proptest! {
        #[test]
        fn the_same_is_given_for_every_number(
            leaves in proptest::collection::vec(0u16..5, 1..900),
            equal in any::<bool>(),
        ) {
            let numbers: Vec<u32> = (0..u32::try_from(leaves.len()).unwrap()).collect();
            let leaf = |n: u32| Action::Errno(leaves[usize::try_from(n).unwrap()]);
            let mut program = vec![load(0)];
            let rest = tree(&numbers, &leaf);
            program.extend(if equal {
                branch(IF_EQUAL, 7, vec![give(Action::Allow)], rest)
            } else {
                rest
            });
            let short = share(&program);
            prop_assert!(short.len() <= program.len());
            for number in numbers {
                prop_assert_eq!(verdict(&short, number), verdict(&program, number));
            }
        }
    }
}
