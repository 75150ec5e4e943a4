//! Compiles a system call filter to classic BPF. Pure.
//!
//! For each calling convention the rules become a map from numbers to
//! decisions, neighbours with the same decision become one range, and a binary
//! search over the ranges finds a call's decision in a few comparisons. What a
//! filter means, where its words leave it open, is what libseccomp and runc
//! make of it:
//!
//! - A call of a convention that is not named is killed.
//! - A rule without conditions outweighs those with conditions for the same
//!   call. A rule that says what holds anyway is left out.
//! - Of rules with conditions the order counts that libseccomp's tree has
//!   ([`order`]); where libseccomp refuses, because two contradict each other
//!   for the same conditions, the first counts.
//! - Several conditions on the same argument of a rule are alternatives.
//! - On x86 a rule for one of the calls behind `socketcall` or `ipc` goes for
//!   both ways to make it ([`multiplexed`]).
//! - Calls that are newer than every call that the rules name fail with ENOSYS
//!   instead of a default that forbids, so that a C library falls back to what
//!   it used before they existed.

mod arch;
mod bpf;
#[cfg(test)]
mod differential;
mod ends;
mod multiplexed;
mod order;
#[rustfmt::skip]
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use arch::native;

use crate::spec::{Action, Arch, Argument, Rule, Seccomp};
use crate::sys::identity::Instruction;
use arch::{X32_BIT, audit, is_narrow, number};
use bpf::{IF_EQUAL, IF_NOT_LESS, branch, give, load};

const ENOSYS: u16 = 38;

/// What a tracer gives a call as its number to have it skipped.
const SKIPPED: u32 = u32::MAX;

/// What happens to one system call.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Decision {
    /// Always the same.
    Always(Action),
    /// The first of these whose conditions all hold; else the default.
    First(Vec<Conditional>),
}

/// What happens where all conditions hold.
type Conditional = (Vec<Argument>, Action);

/// Compiles a filter for a machine with this convention of its own.
#[must_use]
pub fn compile(filter: &Seccomp, native: Arch) -> Vec<Instruction> {
    let mut archs = vec![native];
    archs.extend(
        filter
            .architectures
            .iter()
            .copied()
            .filter(|arch| family(*arch, native)),
    );
    archs.sort_by_key(|arch| (*arch != native, audit(*arch)));
    archs.dedup();
    // Each convention's part, from the last to the first: each is the "no" of
    // the one before.
    let mut rest = vec![give(Action::KillThread)];
    for arch in archs.iter().rev().filter(|arch| **arch != Arch::X32) {
        let part = if *arch == Arch::X86_64 {
            x86_64(filter, archs.contains(&Arch::X32))
        } else {
            let mut part = vec![load(bpf::NUMBER)];
            part.extend(search(
                &ranges(filter, *arch),
                is_narrow(*arch),
                filter.default_action,
            ));
            part
        };
        rest = branch(IF_EQUAL, audit(*arch), part, rest);
    }
    rest.insert(0, load(bpf::CONVENTION));
    ends::share(&rest)
}

/// Whether a machine of one convention ever sees calls of another: others need
/// no room in its filter.
fn family(arch: Arch, native: Arch) -> bool {
    let arm = |arch| matches!(arch, Arch::Aarch64 | Arch::Arm);
    arm(arch) == arm(native)
}

/// The convention whose numbers hold another's too: from [`X32_BIT`] on they
/// are x32's.
fn x86_64(filter: &Seccomp, x32: bool) -> Vec<Instruction> {
    let own = search(&ranges(filter, Arch::X86_64), false, filter.default_action);
    let other = if x32 {
        let mut list = ranges(filter, Arch::X32);
        for (start, _) in &mut list {
            *start |= X32_BIT;
        }
        search(&list, is_narrow(Arch::X32), filter.default_action)
    } else {
        // Filters run again after a tracer, who must be able to skip a call.
        let skip = vec![give(filter.default_action)];
        branch(IF_EQUAL, SKIPPED, skip, vec![give(Action::KillThread)])
    };
    let mut part = vec![load(bpf::NUMBER)];
    part.extend(branch(IF_NOT_LESS, X32_BIT, other, own));
    part
}

/// The rules as decisions by number.
fn decisions(filter: &Seccomp, arch: Arch) -> BTreeMap<u32, Decision> {
    let mut decisions: BTreeMap<u32, Decision> = BTreeMap::new();
    for rule in filter
        .rules
        .iter()
        .filter(|rule| rule.action != filter.default_action)
    {
        for name in &rule.names {
            for conditions in alternatives(rule) {
                if arch == Arch::X86
                    && let Some((number, conditions)) = multiplexed::call(name, &conditions)
                {
                    add(&mut decisions, number, arch, conditions, rule.action);
                }
                if let Some(number) = number(arch, name) {
                    add(&mut decisions, number, arch, conditions, rule.action);
                }
            }
        }
    }
    for decision in decisions.values_mut() {
        if let Decision::First(list) = decision {
            *list = order::sorted(std::mem::take(list), is_narrow(arch));
        }
    }
    decisions
}

/// The sets of conditions of which one must hold: that of the rule, or one for
/// each of its conditions where two are about the same argument.
fn alternatives(rule: &Rule) -> Vec<Vec<Argument>> {
    let mut seen = [false; 6];
    let repeated = rule.args.iter().any(|argument| {
        let seen = seen.get_mut(usize::from(argument.index));
        seen.is_some_and(|seen| std::mem::replace(seen, true))
    });
    if repeated {
        rule.args.iter().map(|argument| vec![*argument]).collect()
    } else {
        vec![rule.args.clone()]
    }
}

fn add(
    decisions: &mut BTreeMap<u32, Decision>,
    number: u32,
    arch: Arch,
    mut conditions: Vec<Argument>,
    action: Action,
) {
    let decision = decisions
        .entry(number)
        .or_insert_with(|| Decision::First(Vec::new()));
    let Decision::First(list) = decision else {
        return;
    };
    conditions.retain(|condition| !condition.always_holds(is_narrow(arch)));
    if conditions.is_empty() {
        *decision = Decision::Always(action);
    } else {
        list.push((conditions, action));
    }
}

/// Where 32-bit ARM's own calls begin.
const ARM_OWN: u32 = 0xf_0000;

/// The highest number that any rule names, whatever it says about it. The
/// numbers that a convention has apart from the common ones are no measure of
/// age: 32-bit ARM's own calls, and those of x32, which end where this says.
fn newest(filter: &Seccomp, arch: Arch) -> Option<u32> {
    const X32_OWN_END: u32 = 547;
    let names = filter.rules.iter().flat_map(|rule| &rule.names);
    let numbers = names
        .filter_map(|name| number(arch, name))
        .filter(|n| *n < ARM_OWN);
    let newest = numbers.max()?;
    Some(if arch == Arch::X32 {
        newest.max(X32_OWN_END)
    } else {
        newest
    })
}

/// From which number on which decision holds; the first begins at 0.
fn ranges(filter: &Seccomp, arch: Arch) -> Vec<(u32, Decision)> {
    let default = Decision::Always(filter.default_action);
    let mut list: Vec<(u32, Decision)> = vec![(0, default.clone())];
    if arch == Arch::Arm {
        list.push((ARM_OWN, default.clone()));
    }
    for (number, decision) in decisions(filter, arch) {
        list.push((number, decision));
        list.push((number + 1, default.clone()));
    }
    let forbids = !matches!(
        filter.default_action,
        Action::Allow | Action::Log | Action::Trace(_)
    );
    if let Some(newest) = newest(filter, arch).filter(|_| forbids) {
        list.push((newest + 1, Decision::Always(Action::Errno(ENOSYS))));
    }
    list.sort_by_key(|(start, _)| *start);
    // Of two that begin at the same number the later counts; then one that
    // says what the one before says is no beginning.
    list.reverse();
    list.dedup_by_key(|(start, _)| *start);
    list.reverse();
    list.dedup_by(|later, earlier| later.1 == earlier.1);
    list
}

/// A binary search over ranges, as nested comparisons.
fn search(ranges: &[(u32, Decision)], narrow: bool, default: Action) -> Vec<Instruction> {
    let (lower, upper) = ranges.split_at(ranges.len() / 2);
    match (lower, upper) {
        ([], [(_, decision)]) => decide(decision, narrow, default),
        (_, [(start, _), ..]) => branch(
            IF_NOT_LESS,
            *start,
            search(upper, narrow, default),
            search(lower, narrow, default),
        ),
        (_, []) => vec![give(default)],
    }
}

fn decide(decision: &Decision, narrow: bool, default: Action) -> Vec<Instruction> {
    match decision {
        Decision::Always(action) => vec![give(*action)],
        Decision::First(list) => {
            let mut program = Vec::new();
            for (arguments, action) in list {
                program.extend(bpf::rule(arguments, narrow, *action));
            }
            program.push(give(default));
            program
        }
    }
}
