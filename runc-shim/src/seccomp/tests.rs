//! Filters are run by an interpreter of BPF and compared with what the rules
//! say when they are read one by one.

use super::*;
use crate::spec::Operator;
use proptest::prelude::*;

/// A system call as a filter sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) number: u32,
    pub(super) audit: u32,
    pub(super) args: [u64; 6],
}

impl Call {
    fn word(&self, offset: u32) -> u32 {
        match offset {
            0 => self.number,
            4 => self.audit,
            16.. => {
                let arg = self.args[usize::try_from((offset - 16) / 8).unwrap()];
                let shift = if offset.is_multiple_of(8) { 0 } else { 32 };
                u32::try_from((arg >> shift) & 0xffff_ffff).unwrap()
            }
            other => panic!("offset {other}"),
        }
    }
}

/// Runs a filter as the kernel would; a jump out of it panics.
pub(super) fn run(program: &[Instruction], call: &Call) -> u32 {
    assert!(program.len() <= 4096, "the kernel takes 4096 instructions");
    let mut accumulator = 0;
    let mut at = 0;
    loop {
        let i = program[at];
        at += 1;
        let jump = |condition: bool| usize::from(if condition { i.jt } else { i.jf });
        match i.code {
            0x20 => accumulator = call.word(i.k),
            0x54 => accumulator &= i.k,
            0x05 => at += usize::try_from(i.k).unwrap(),
            0x15 => at += jump(accumulator == i.k),
            0x25 => at += jump(accumulator > i.k),
            0x35 => at += jump(accumulator >= i.k),
            0x06 => return i.k,
            other => panic!("instruction {other:#x}"),
        }
    }
}

fn result(action: Action) -> u32 {
    give(action).k
}

fn holds(argument: &Argument, arch: Arch, args: &[u64; 6]) -> bool {
    let seen = if is_narrow(arch) {
        0xffff_ffff
    } else {
        u64::MAX
    };
    let found = args[usize::from(argument.index)] & seen;
    let value = argument.value & seen;
    match argument.operator {
        Operator::NotEqual => found != value,
        Operator::Less => found < value,
        Operator::LessOrEqual => found <= value,
        Operator::Equal => found == value,
        Operator::GreaterOrEqual => found >= value,
        Operator::Greater => found > value,
        Operator::MaskedEqual => (found ^ argument.value_two) & value == 0,
    }
}

/// Whether a call is newer than all that a filter that forbids has named.
pub(super) fn is_newer(filter: &Seccomp, arch: Arch, number_of_call: u32) -> bool {
    let bare = if arch == Arch::X32 {
        number_of_call & !X32_BIT
    } else {
        number_of_call
    };
    let names = filter.rules.iter().flat_map(|rule| &rule.names);
    let numbers = names.filter_map(|name| number(arch, name));
    let newest = numbers.filter(|n| *n < 0xf_0000).max();
    let forbids = !matches!(
        filter.default_action,
        Action::Allow | Action::Log | Action::Trace(_)
    );
    let own = arch == Arch::Arm && bare >= 0xf_0000;
    let old = |newest| newest >= bare || arch == Arch::X32 && bare <= 547;
    forbids && newest.is_some_and(|newest| !old(newest)) && !own
}

/// What the rules say about a call, read one by one. Of several with conditions
/// that hold any may count; which one, libseccomp is asked elsewhere.
fn expected(filter: &Seccomp, arch: Arch, call: &Call) -> Vec<u32> {
    let number_of = |name: &String| number(arch, name);
    let bare = if arch == Arch::X32 {
        call.number & !X32_BIT
    } else {
        call.number
    };
    let about = |rule: &&Rule| rule.names.iter().filter_map(number_of).any(|n| n == bare);
    let says = |rule: &&Rule| rule.action != filter.default_action;
    let rules: Vec<&Rule> = filter.rules.iter().filter(about).filter(says).collect();
    let nothing = |rule: &Rule| {
        let mut sets = alternatives(rule).into_iter();
        sets.any(|set| set.iter().all(|a| a.always_holds(is_narrow(arch))))
    };
    if let Some(rule) = rules.iter().find(|rule| nothing(rule)) {
        return vec![result(rule.action)];
    }
    let matches = |rule: &&&Rule| {
        let mut sets = alternatives(rule).into_iter();
        sets.any(|set| set.iter().all(|a| holds(a, arch, &call.args)))
    };
    let matching: Vec<u32> = rules
        .iter()
        .filter(matches)
        .map(|rule| result(rule.action))
        .collect();
    if !matching.is_empty() {
        return matching;
    }
    if is_newer(filter, arch, call.number) {
        return vec![result(Action::Errno(ENOSYS))];
    }
    vec![result(filter.default_action)]
}

fn call(arch: Arch, name: &str, args: [u64; 6]) -> Call {
    let bit = if arch == Arch::X32 { X32_BIT } else { 0 };
    Call {
        number: number(arch, name).unwrap() | bit,
        audit: audit(arch),
        args,
    }
}

fn rule(names: &[&str], action: Action, args: &[Argument]) -> Rule {
    Rule {
        names: names.iter().map(ToString::to_string).collect(),
        action,
        args: args.to_vec(),
    }
}

fn masked(index: u8, mask: u64, value: u64) -> Argument {
    Argument {
        index,
        operator: Operator::MaskedEqual,
        value: mask,
        value_two: value,
    }
}

fn small() -> Seccomp {
    Seccomp {
        default_action: Action::Errno(1),
        architectures: vec![Arch::X86, Arch::X32, Arch::Arm],
        flags: 0,
        listener: None,
        rules: vec![
            rule(
                &["read", "write", "no_such_call", "mseal"],
                Action::Allow,
                &[],
            ),
            rule(&["clone"], Action::Allow, &[masked(0, 0x7e02_0000, 0)]),
            rule(&["clone3"], Action::Errno(ENOSYS), &[]),
        ],
    }
}

#[test]
fn a_small_filter_does_what_it_says() {
    let program = compile(&small(), Arch::X86_64);
    let run = |call: Call| run(&program, &call);
    let allow = result(Action::Allow);
    for arch in [Arch::X86_64, Arch::X86, Arch::X32] {
        assert_eq!(run(call(arch, "read", [0; 6])), allow, "{arch:?}");
        assert_eq!(run(call(arch, "clone", [0x11, 0, 0, 0, 0, 0])), allow);
        assert_eq!(
            run(call(arch, "clone", [0x1000_0000, 0, 0, 0, 0, 0])),
            result(Action::Errno(1))
        );
        assert_eq!(run(call(arch, "clone3", [0; 6])), result(Action::Errno(38)));
        assert_eq!(run(call(arch, "ptrace", [0; 6])), result(Action::Errno(1)));
    }
    let newer = Call {
        number: 900,
        audit: audit(Arch::X86_64),
        args: [0; 6],
    };
    assert_eq!(run(newer), result(Action::Errno(38)));
    // ARM on x86 is a convention like any other that is not ours.
    assert_eq!(
        run(call(Arch::Arm, "read", [0; 6])),
        result(Action::KillThread)
    );
}

#[test]
fn x32_is_killed_where_it_is_not_named() {
    let filter = Seccomp {
        architectures: vec![],
        ..small()
    };
    let program = compile(&filter, Arch::X86_64);
    assert_eq!(
        run(&program, &call(Arch::X32, "read", [0; 6])),
        result(Action::KillThread)
    );
    assert_eq!(
        run(&program, &call(Arch::X86, "read", [0; 6])),
        result(Action::KillThread)
    );
    assert_eq!(
        run(&program, &call(Arch::X86_64, "read", [0; 6])),
        result(Action::Allow)
    );
}

#[test]
fn a_search_takes_few_comparisons() {
    let names: Vec<&str> = {
        let known = |name: &&str| number(Arch::X86_64, name).is_some();
        table::TABLE
            .iter()
            .map(|(name, _)| *name)
            .filter(known)
            .step_by(2)
            .collect()
    };
    let filter = Seccomp {
        default_action: Action::Errno(1),
        architectures: vec![],
        flags: 0,
        listener: None,
        rules: vec![rule(&names, Action::Allow, &[])],
    };
    let program = compile(&filter, Arch::X86_64);
    assert!(program.len() < 700, "{}", program.len());
    assert_eq!(
        run(&program, &call(Arch::X86_64, names[7], [0; 6])),
        result(Action::Allow)
    );
}

const NAMES: [&str; 9] = [
    "read",
    "write",
    "clone",
    "socket",
    "ptrace",
    "mseal",
    "personality",
    "getpid",
    "futex",
];

fn values() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..4u64,
        Just(u64::MAX),
        Just(1 << 32),
        Just((1 << 32) + 1),
        Just(0xffff_ffff)
    ]
}

fn arguments() -> impl Strategy<Value = Argument> {
    let operators = prop_oneof![
        Just(Operator::NotEqual),
        Just(Operator::Less),
        Just(Operator::LessOrEqual),
        Just(Operator::Equal),
        Just(Operator::GreaterOrEqual),
        Just(Operator::Greater),
        Just(Operator::MaskedEqual),
    ];
    (0..3u8, operators, values(), values()).prop_map(|(index, operator, value, value_two)| {
        Argument {
            index,
            operator,
            value,
            value_two,
        }
    })
}

fn actions() -> impl Strategy<Value = Action> {
    prop_oneof![
        Just(Action::Allow),
        Just(Action::Log),
        Just(Action::KillProcess),
        Just(Action::Trap),
        Just(Action::Notify),
        (0..4u16).prop_map(Action::Errno),
        (0..4u16).prop_map(Action::Trace),
    ]
}

pub(super) fn filters() -> impl Strategy<Value = Seccomp> {
    let names = proptest::sample::subsequence(NAMES.to_vec(), 1..5);
    let rules = (
        names,
        actions(),
        proptest::collection::vec(arguments(), 0..4),
    )
        .prop_map(|(names, action, args)| rule(&names, action, &args));
    let archs = proptest::sample::subsequence(vec![Arch::X86, Arch::X32], 0..3);
    (actions(), archs, proptest::collection::vec(rules, 0..8)).prop_map(
        |(default_action, architectures, rules)| Seccomp {
            default_action,
            architectures,
            flags: 0,
            listener: None,
            rules,
        },
    )
}

proptest! {
    #[test]
    fn a_filter_does_what_its_rules_say(
        filter in filters(),
        number in prop_oneof![0..500u32, Just(u32::MAX >> 3)],
        name in proptest::sample::select(NAMES.to_vec()),
        args in proptest::array::uniform6(values()),
    ) {
        let program = compile(&filter, Arch::X86_64);
        let named = call(Arch::X86_64, name, args);
        prop_assert!(expected(&filter, Arch::X86_64, &named).contains(&run(&program, &named)));
        let any = Call { number, audit: audit(Arch::X86_64), args };
        prop_assert!(expected(&filter, Arch::X86_64, &any).contains(&run(&program, &any)));
        if filter.architectures.contains(&Arch::X32) {
            let named = call(Arch::X32, name, args);
            prop_assert!(expected(&filter, Arch::X32, &named).contains(&run(&program, &named)));
        }
    }
}
