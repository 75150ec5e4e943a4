//! The compiler against libseccomp: the same profile given to both, both
//! programs run for every call, convention and class of arguments.
//!
//! Needs HULLKIT_SECCOMP_PROFILES: profiles as Docker and Podman write them,
//! with `:` between. Without it the tests are skipped. libseccomp is reached
//! through `tests/seccomp/peer.c`, which is compiled here.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::tests::{Call, filters, is_newer, run};
use super::*;
use crate::spec::{Container, Operator};

/// libseccomp, in a process of its own.
struct Peer {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

fn token(arch: Arch) -> u32 {
    match arch {
        Arch::X32 => 0x4000_003e,
        other => audit(other),
    }
}

/// As `enum scmp_compare` counts.
fn operator(operator: Operator) -> u32 {
    match operator {
        Operator::NotEqual => 1,
        Operator::Less => 2,
        Operator::LessOrEqual => 3,
        Operator::Equal => 4,
        Operator::GreaterOrEqual => 5,
        Operator::Greater => 6,
        Operator::MaskedEqual => 7,
    }
}

impl Peer {
    fn start(dir: &Path) -> Self {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seccomp/peer.c");
        let program = dir.join("peer");
        let built = Command::new("cc")
            .args(["-Wall", "-o"])
            .arg(&program)
            .args([source, "-lseccomp"])
            .status()
            .unwrap();
        assert!(built.success(), "libseccomp-dev is installed");
        let mut process = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let to = process.stdin.take().unwrap();
        let from = BufReader::new(process.stdout.take().unwrap());
        Self { process, to, from }
    }

    /// The filter by libseccomp, and the names that it does not know; `None`:
    /// it refuses.
    fn compile(
        &mut self,
        filter: &Seccomp,
        archs: &[Arch],
    ) -> Option<(Vec<Instruction>, BTreeSet<String>)> {
        self.to
            .write_all(question(filter, archs).as_bytes())
            .unwrap();
        self.to.flush().unwrap();
        let mut unknown = BTreeSet::new();
        loop {
            let mut line = String::new();
            self.from.read_line(&mut line).unwrap();
            let (word, rest) = line
                .trim_end()
                .split_once(' ')
                .unwrap_or((line.trim_end(), ""));
            match word {
                "unknown" => {
                    unknown.insert(rest.to_owned());
                }
                "refused" => return None,
                "ok" => {
                    let mut bytes = vec![0; rest.parse().unwrap()];
                    self.from.read_exact(&mut bytes).unwrap();
                    return Some((bytes.chunks_exact(8).map(instruction).collect(), unknown));
                }
                other => panic!("libseccomp's process says {other:?}"),
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn instruction(bytes: &[u8]) -> Instruction {
    Instruction {
        code: u16::from_le_bytes([bytes[0], bytes[1]]),
        jt: bytes[2],
        jf: bytes[3],
        k: u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
    }
}

/// The rules as runc hands them over.
fn question(filter: &Seccomp, archs: &[Arch]) -> String {
    let mut text = format!("filter {}\n", give(filter.default_action).k);
    for arch in archs {
        writeln!(text, "arch {}", token(*arch)).unwrap();
    }
    let says = |rule: &&Rule| rule.action != filter.default_action;
    for rule in filter.rules.iter().filter(says) {
        for name in &rule.names {
            for conditions in alternatives(rule) {
                let action = give(rule.action).k;
                write!(text, "rule {action} {name} {}", conditions.len()).unwrap();
                for c in conditions {
                    let op = operator(c.operator);
                    write!(text, " {} {op} {} {}", c.index, c.value, c.value_two).unwrap();
                }
                text.push('\n');
            }
        }
    }
    text + "end\n"
}

/// What is worth trying as an argument: around every value that a rule names,
/// in both words.
fn values(filter: &Seccomp, index: u8) -> Vec<u64> {
    let mut values = BTreeSet::from([0, 1, u64::MAX]);
    let all = filter.rules.iter().flat_map(|rule| &rule.args);
    for condition in all.filter(|condition| condition.index == index) {
        for value in [condition.value, condition.value_two] {
            values.extend([value, value.wrapping_add(1), value.wrapping_sub(1)]);
            values.extend([value ^ 1 << 32, value | 1 << 63, value & 0xffff_ffff]);
        }
    }
    values.into_iter().collect()
}

/// Every call by number; those that a rule has conditions for, and those that
/// tell others apart by their first argument, with every argument worth trying.
fn calls(filter: &Seccomp, arch: Arch) -> Vec<Call> {
    let bit = if arch == Arch::X32 { X32_BIT } else { 0 };
    let mut calls = Vec::new();
    let mut add = |number: u32, args: [u64; 3]| {
        calls.push(Call {
            number: number | bit,
            audit: audit(arch),
            args: [args[0], args[1], args[2], 0, 0, 0],
        });
    };
    for number in (0..600).chain(0xf_0000..0xf_0008) {
        add(number, [0; 3]);
        add(number, [u64::MAX; 3]);
    }
    let conditional = filter.rules.iter().filter(|rule| !rule.args.is_empty());
    let names = conditional.flat_map(|rule| &rule.names);
    let mut numbers: BTreeSet<u32> = names.filter_map(|name| number(arch, name)).collect();
    if arch == Arch::X86 {
        numbers.extend([102, 117]);
    }
    let [mut first, second, third] = [0, 1, 2].map(|index| values(filter, index));
    // What socketcall and ipc tell calls apart by.
    first.extend(2..26);
    for number in numbers {
        for (at, first) in first.iter().enumerate() {
            for (at_second, second) in second.iter().enumerate() {
                // Every pair with the first, and of the third one each.
                let third = third[(at + at_second) % third.len()];
                add(number, [*first, *second, third]);
            }
        }
    }
    calls
}

/// Gives a filter to both, and compares; how many calls were.
fn compare(peer: &mut Peer, filter: &Seccomp, native: Arch) -> Option<usize> {
    let mut archs = vec![native];
    archs.extend(
        filter
            .architectures
            .iter()
            .copied()
            .filter(|a| *a != native),
    );
    let (theirs, unknown) = peer.compile(filter, &archs)?;
    let mut filter = filter.clone();
    for rule in &mut filter.rules {
        rule.names.retain(|name| !unknown.contains(name));
    }
    let ours = compile(&filter, native);
    let mut count = 0;
    for arch in archs {
        for call in calls(&filter, arch) {
            let found = run(&ours, &call);
            let expected = if is_newer(&filter, arch, call.number) {
                give(Action::Errno(ENOSYS)).k
            } else {
                run(&theirs, &call)
            };
            assert_eq!(found, expected, "{}", told(&filter, arch, &call));
            count += 1;
        }
    }
    Some(count)
}

/// A call, and what the filter's rules say about it.
fn told(filter: &Seccomp, arch: Arch, call: &Call) -> String {
    let bare = call.number & !X32_BIT;
    let named = super::table::TABLE.iter().map(|(name, _)| *name);
    let names: Vec<&str> = named
        .filter(|name| number(arch, name) == Some(bare))
        .collect();
    let about = |rule: &&Rule| rule.names.iter().any(|name| names.contains(&name.as_str()));
    let rules: Vec<_> = filter
        .rules
        .iter()
        .filter(about)
        .map(|rule| (rule.action, &rule.args))
        .collect();
    let (number, args) = (call.number, call.args);
    let default = filter.default_action;
    format!("{arch:?} {names:?} {number} {args:x?}, default {default:?}: {rules:#?}")
}

/// A profile of Docker or Podman as they make a `config.json` of it, for a
/// container with these capabilities.
fn resolve(profile: &Value, goarch: &str, native: &str, capabilities: &[&str]) -> Seccomp {
    let map = profile["archMap"].as_array().unwrap();
    let own = map.iter().find(|a| a["architecture"] == native).unwrap();
    let mut architectures = vec![own["architecture"].clone()];
    architectures.extend(own["subArchitectures"].as_array().unwrap().clone());
    let words = |value: &Value| -> Vec<String> {
        let list = value.as_array().cloned().unwrap_or_default();
        list.iter()
            .map(|w| w.as_str().unwrap().to_owned())
            .collect()
    };
    let has = |name: &String| capabilities.contains(&name.as_str());
    let applies = |rule: &&Value| {
        let (includes, excludes) = (&rule["includes"], &rule["excludes"]);
        let arches = words(&includes["arches"]);
        (arches.is_empty() || arches.iter().any(|a| a == goarch))
            && words(&includes["caps"]).iter().all(has)
            && !words(&excludes["arches"]).iter().any(|a| a == goarch)
            && !words(&excludes["caps"]).iter().any(has)
    };
    let rules = profile["syscalls"].as_array().unwrap();
    let rules: Vec<Value> = rules.iter().filter(applies).cloned().collect();
    let config = json!({
        "ociVersion": "1.2.1",
        "process": {"args": ["x"], "cwd": "/"},
        "root": {"path": "r"},
        "linux": {
            "namespaces": [{"type": "mount"}],
            "seccomp": {
                "defaultAction": profile["defaultAction"],
                "defaultErrnoRet": profile["defaultErrnoRet"],
                "architectures": architectures,
                "syscalls": rules,
            }
        }
    });
    let container = Container::parse(config.to_string().as_bytes()).unwrap();
    container.seccomp.unwrap()
}

#[test]
fn the_default_profiles_do_what_libseccomp_makes_of_them() {
    let Ok(profiles) = std::env::var("HULLKIT_SECCOMP_PROFILES") else {
        println!("skipped: HULLKIT_SECCOMP_PROFILES names no profiles");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let mut peer = Peer::start(dir.path());
    let machines = [
        (Arch::X86_64, "amd64", "SCMP_ARCH_X86_64"),
        (Arch::Aarch64, "arm64", "SCMP_ARCH_AARCH64"),
    ];
    for path in profiles.split(':') {
        let profile = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        for (native, goarch, word) in machines {
            let sets: [&[&str]; 3] = [&[], &["CAP_AUDIT_WRITE"], &["CAP_SYS_ADMIN", "CAP_BPF"]];
            for capabilities in sets {
                let filter = resolve(&profile, goarch, word, capabilities);
                let count = compare(&mut peer, &filter, native).expect("libseccomp takes it");
                println!("{path} {native:?} {capabilities:?}: {count} calls agree");
            }
        }
    }
}

/// Makes every comparison one for equality, with a mask now and then.
fn by_equality(mut filter: Seccomp) -> Seccomp {
    for argument in filter.rules.iter_mut().flat_map(|rule| &mut rule.args) {
        argument.operator = match argument.operator {
            Operator::GreaterOrEqual | Operator::MaskedEqual => Operator::MaskedEqual,
            _ => Operator::Equal,
        };
    }
    filter
}

/// Leaves each call one rule, and that one condition for each argument. With other comparisons in several rules for a
/// call, libseccomp's tree now and then loses one of them (two rules for "not
/// equal" share a node for the higher word, and its action), which is no measure.
fn one_rule_each(mut filter: Seccomp) -> Seccomp {
    let mut seen = BTreeSet::new();
    for rule in &mut filter.rules {
        rule.names.retain(|name| seen.insert(name.clone()));
        let mut indices = BTreeSet::new();
        rule.args.retain(|argument| indices.insert(argument.index));
    }
    filter
}

#[test]
fn any_filter_does_what_libseccomp_makes_of_it() {
    if std::env::var_os("HULLKIT_SECCOMP_PROFILES").is_none() {
        println!("skipped: HULLKIT_SECCOMP_PROFILES names no profiles");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut peer = Peer::start(dir.path());
    let mut runner = TestRunner::deterministic();
    let kinds = [
        ("by equality", by_equality as fn(Seccomp) -> Seccomp),
        ("one rule for each call", one_rule_each),
    ];
    for (kind, simplify) in kinds {
        let mut agree = 0;
        for _ in 0..60 {
            let filter = simplify(filters().new_tree(&mut runner).unwrap().current());
            agree += usize::from(compare(&mut peer, &filter, Arch::X86_64).is_some());
        }
        // The others hold rules that contradict each other, and are refused.
        println!("{agree} filters {kind} agree");
        assert!(agree >= 20, "{agree} {kind}");
    }
}
