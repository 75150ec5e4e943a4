//! The default seccomp profile, which knows an entry's capabilities: what a
//! capability is for is allowed only with it. [`table`] is the profile as
//! data; this module turns it into `linux.seccomp`.

mod table;

use std::collections::BTreeSet;

use serde::Serialize;

use crate::arch::Arch;
use crate::spec::Capability;

/// `linux.seccomp` of the OCI runtime specification.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the OCI runtime specification's fields")]
pub struct Seccomp {
    pub default_action: Action,
    pub default_errno_ret: u32,
    pub architectures: Vec<&'static str>,
    pub syscalls: Vec<Rule>,
}

/// What happens to a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Action {
    /// It is carried out.
    #[serde(rename = "SCMP_ACT_ALLOW")]
    Allow,
    /// It fails with an error number.
    #[serde(rename = "SCMP_ACT_ERRNO")]
    Errno,
}

/// `linux.seccomp.syscalls[]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the OCI runtime specification's fields")]
pub struct Rule {
    pub names: Vec<&'static str>,
    pub action: Action,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Arg>,
}

/// `linux.seccomp.syscalls[].args[]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the OCI runtime specification's fields")]
pub struct Arg {
    pub index: u32,
    pub value: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_two: Option<u64>,
    pub op: Operator,
}

/// How an argument is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Operator {
    /// It is `value`.
    #[serde(rename = "SCMP_CMP_EQ")]
    Equal,
    /// Under the mask `value` it is `value_two`.
    #[serde(rename = "SCMP_CMP_MASKED_EQ")]
    MaskedEqual,
}

/// "Operation not permitted", on all our architectures.
const EPERM: u32 = 1;
/// "Function not implemented", on all our architectures.
const ENOSYS: u32 = 38;

/// The profile of an entry that holds `capabilities` on `arch`.
#[must_use]
pub fn profile(arch: Arch, capabilities: &[Capability]) -> Seccomp {
    let held = |name: &str| capabilities.iter().any(|c| c.name() == name);
    let mut names: BTreeSet<&'static str> = table::ALWAYS.iter().copied().collect();
    for (capability, calls) in table::BY_CAPABILITY {
        if held(capability) {
            names.extend(*calls);
        }
    }
    let any_family = table::ANY_FAMILY.iter().any(|name| held(name));
    if any_family {
        names.insert("socket");
    }
    let mut syscalls = vec![allow(names.into_iter().collect(), None)];
    syscalls.extend(personality());
    if !any_family {
        syscalls.extend(socket());
    }
    if !held("CAP_SYS_ADMIN") {
        syscalls.extend(clone());
    }
    Seccomp {
        default_action: Action::Errno,
        default_errno_ret: EPERM,
        architectures: architectures(arch).to_vec(),
        syscalls,
    }
}

/// The calling conventions that programs may use on `arch`. x32 is none: hardly
/// a kernel has it (Debian's does not), and it has been a way around filters.
const fn architectures(arch: Arch) -> &'static [&'static str] {
    match arch {
        Arch::X86_64 => &["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        Arch::Aarch64 => &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
    }
}

fn allow(names: Vec<&'static str>, arg: Option<Arg>) -> Rule {
    Rule {
        names,
        action: Action::Allow,
        errno_ret: None,
        args: arg.into_iter().collect(),
    }
}

fn personality() -> impl Iterator<Item = Rule> {
    table::PERSONALITIES.iter().map(|value| {
        let arg = Arg {
            index: 0,
            value: *value,
            value_two: None,
            op: Operator::Equal,
        };
        allow(vec!["personality"], Some(arg))
    })
}

/// The kernel looks at the low 32 bits of the family, so we do too: a rule
/// "not `AF_VSOCK`" on all 64 would let `AF_VSOCK + 2^32` through.
fn socket() -> impl Iterator<Item = Rule> {
    table::FAMILIES.iter().map(|family| {
        let arg = Arg {
            index: 0,
            value: 0xffff_ffff,
            value_two: Some(*family),
            op: Operator::MaskedEqual,
        };
        allow(vec!["socket"], Some(arg))
    })
}

/// Without CAP_SYS_ADMIN `clone` makes no namespaces. `clone3` has its flags
/// behind a pointer, where no filter sees them: it is "not there", and libcs
/// fall back to `clone`.
fn clone() -> [Rule; 2] {
    let no_namespaces = Arg {
        index: 0,
        value: table::CLONE_NAMESPACES,
        value_two: Some(0),
        op: Operator::MaskedEqual,
    };
    [
        allow(vec!["clone"], Some(no_namespaces)),
        Rule {
            names: vec!["clone3"],
            action: Action::Errno,
            errno_ret: Some(ENOSYS),
            args: Vec::new(),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(capabilities: &[&str]) -> Seccomp {
        let held: Vec<Capability> = capabilities
            .iter()
            .map(|name| Capability::from_name(name).unwrap())
            .collect();
        profile(Arch::X86_64, &held)
    }

    /// Whether `name` is allowed whatever its arguments.
    fn allows(profile: &Seccomp, name: &str) -> bool {
        profile.syscalls.iter().any(|rule| {
            rule.action == Action::Allow && rule.args.is_empty() && rule.names.contains(&name)
        })
    }

    #[test]
    fn no_name_stands_in_both_tables_or_twice() {
        let mut seen = BTreeSet::new();
        for name in table::ALWAYS {
            assert!(seen.insert(*name), "{name} twice");
        }
        for (capability, calls) in table::BY_CAPABILITY {
            assert!(Capability::from_name(capability).is_some(), "{capability}");
            for call in *calls {
                assert!(!seen.contains(call), "{call} needs no {capability}");
            }
        }
    }

    #[test]
    fn a_capability_brings_its_calls_and_no_others() {
        let plain = of(&[]);
        for (capability, calls) in table::BY_CAPABILITY {
            let with = of(&[capability]);
            for call in *calls {
                assert!(!allows(&plain, call), "{call} without capabilities");
                assert!(allows(&with, call), "{call} with {capability}");
            }
        }
        assert!(!allows(&of(&["CAP_SYS_TIME"]), "mount"));
    }

    #[test]
    fn nobody_gets_what_is_left_out() {
        let all: Vec<&str> = Capability::names().to_vec();
        for name in [
            "io_uring_setup",
            "io_uring_enter",
            "io_uring_register",
            "modify_ldt",
            "vm86",
            "socketcall",
            "uselib",
            "nfsservctl",
        ] {
            assert!(!allows(&of(&all), name), "{name}");
        }
    }

    #[test]
    fn clone_makes_no_namespaces_without_sys_admin() {
        let plain = of(&["CAP_NET_ADMIN"]);
        assert!(!allows(&plain, "clone"));
        let rule = |name: &str| {
            let mut rules = plain.syscalls.iter().filter(|r| r.names.contains(&name));
            (rules.next().unwrap(), rules.next())
        };
        let (clone, None) = rule("clone") else {
            panic!("one rule for clone");
        };
        assert_eq!(clone.args[0].value, 0x7e02_0000);
        assert_eq!(clone.args[0].value_two, Some(0));
        let (clone3, None) = rule("clone3") else {
            panic!("one rule for clone3");
        };
        assert_eq!(
            (clone3.action, clone3.errno_ret),
            (Action::Errno, Some(ENOSYS))
        );
        assert!(allows(&of(&["CAP_SYS_ADMIN"]), "clone3"));
    }

    #[test]
    fn vsock_is_for_administrators() {
        const AF_VSOCK: u64 = 40;
        let rules = of(&[]).syscalls;
        let families = rules
            .iter()
            .filter(|r| r.names == ["socket"])
            .map(|r| r.args[0]);
        for arg in families {
            assert_eq!((arg.op, arg.value), (Operator::MaskedEqual, 0xffff_ffff));
            assert_ne!(arg.value_two, Some(AF_VSOCK));
        }
        assert!(!allows(&of(&[]), "socket"));
        assert!(allows(&of(&["CAP_NET_ADMIN"]), "socket"));
    }
}
