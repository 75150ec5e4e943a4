//! `linux.seccomp`: the words of libseccomp into typed rules.

use super::raw;
use super::{Invalid, Result, absolute_path};

/// What happens to a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The whole process is killed.
    KillProcess,
    /// The thread is killed.
    KillThread,
    /// The thread gets SIGSYS.
    Trap,
    /// It fails with this error number.
    Errno(u16),
    /// Whoever has the filter's listener decides.
    Notify,
    /// The tracer is told this number.
    Trace(u16),
    /// It is let through and logged.
    Log,
    /// It is let through.
    Allow,
}

/// The calling conventions that a filter can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// 64-bit x86.
    X86_64,
    /// 32-bit x86.
    X86,
    /// 64-bit x86 with 32-bit pointers.
    X32,
    /// 64-bit ARM.
    Aarch64,
    /// 32-bit ARM.
    Arm,
}

/// How an argument is compared with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `==`
    Equal,
    /// `>=`
    GreaterOrEqual,
    /// `>`
    Greater,
    /// `argument & value == value_two`
    MaskedEqual,
}

/// A condition on an argument of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Which, 0 to 5.
    pub index: u8,
    /// How it is compared.
    pub operator: Operator,
    /// With what.
    pub value: u64,
    /// For [`Operator::MaskedEqual`].
    pub value_two: u64,
}

/// What happens to some system calls, where all conditions hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Names; those that an architecture lacks mean nothing there.
    pub names: Vec<String>,
    /// What happens.
    pub action: Action,
    /// The conditions.
    pub args: Vec<Argument>,
}

/// A system call filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seccomp {
    /// Where no rule says otherwise.
    pub default_action: Action,
    /// The conventions allowed beside the machine's own.
    pub architectures: Vec<Arch>,
    /// `SECCOMP_FILTER_FLAG_…` bits.
    pub flags: u64,
    /// The rules.
    pub rules: Vec<Rule>,
    /// Who decides about [`Action::Notify`]; with such a rule there is one.
    pub listener: Option<Listener>,
}

/// Who gets the filter's listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// A socket of the host.
    pub path: String,
    /// What it is told beside the container's state.
    pub metadata: String,
}

/// What libseccomp knows beside ours: never seen on our machines, so a filter
/// need not speak of them.
const FOREIGN: [&str; 17] = [
    "MIPS",
    "MIPS64",
    "MIPS64N32",
    "MIPSEL",
    "MIPSEL64",
    "MIPSEL64N32",
    "PPC",
    "PPC64",
    "PPC64LE",
    "S390",
    "S390X",
    "PARISC",
    "PARISC64",
    "RISCV64",
    "LOONGARCH64",
    "M68K",
    "SH",
];

/// Means something only with a listener, and the kernel refuses it without.
const WAIT_KILLABLE_RECV: u64 = 1 << 5;

const DEFAULT_ERRNO: u32 = 1; // EPERM
const MAX_ERRNO: u32 = 4095;

fn action(field: &str, word: &str, errno_ret: Option<u32>) -> Result<Action> {
    let number = |max: u32| match errno_ret.unwrap_or(DEFAULT_ERRNO) {
        n if n <= max => Ok(u16::try_from(n).unwrap_or(u16::MAX)),
        n => Err(Invalid::new(
            field,
            format!("errnoRet: {n} is not from 0 to {max}"),
        )),
    };
    let action = match word {
        "SCMP_ACT_ERRNO" => return number(MAX_ERRNO).map(Action::Errno),
        "SCMP_ACT_TRACE" => return number(u32::from(u16::MAX)).map(Action::Trace),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_NOTIFY" => Action::Notify,
        other => {
            return Err(Invalid::choice(
                field,
                other,
                "SCMP_ACT_ALLOW, _ERRNO, _KILL, _KILL_PROCESS, _KILL_THREAD, _LOG, _NOTIFY, _TRACE, _TRAP",
            ));
        }
    };
    if errno_ret.is_some() {
        return Err(Invalid::new(
            field,
            format!("errnoRet means nothing with {word}"),
        ));
    }
    Ok(action)
}

fn architecture(field: &str, word: &str) -> Result<Option<Arch>> {
    let name = word.strip_prefix("SCMP_ARCH_").unwrap_or_default();
    Ok(Some(match name {
        "X86_64" => Arch::X86_64,
        "X86" => Arch::X86,
        "X32" => Arch::X32,
        "AARCH64" => Arch::Aarch64,
        "ARM" => Arch::Arm,
        "NATIVE" => return Ok(None),
        other if FOREIGN.contains(&other) => return Ok(None),
        _ => {
            return Err(Invalid::choice(
                field,
                word,
                "SCMP_ARCH_X86_64, _X86, _X32, _AARCH64, _ARM and libseccomp's others",
            ));
        }
    }))
}

fn flag(field: &str, word: &str) -> Result<u64> {
    match word {
        // There is one thread when the filter is loaded.
        "SECCOMP_FILTER_FLAG_TSYNC" => Ok(0),
        "SECCOMP_FILTER_FLAG_LOG" => Ok(libc::SECCOMP_FILTER_FLAG_LOG),
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => Ok(libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW),
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => Ok(WAIT_KILLABLE_RECV),
        other => Err(Invalid::choice(
            field,
            other,
            "SECCOMP_FILTER_FLAG_TSYNC, _LOG, _SPEC_ALLOW, _WAIT_KILLABLE_RECV",
        )),
    }
}

impl Argument {
    /// The value that is compared with, and the bits of the argument that are.
    #[must_use]
    pub fn compared(&self) -> (u64, u64) {
        match self.operator {
            Operator::MaskedEqual => (self.value_two & self.value, self.value),
            _ => (self.value, u64::MAX),
        }
    }

    /// Whether it says nothing: no bit is compared.
    #[must_use]
    pub fn always_holds(&self, narrow: bool) -> bool {
        let seen = if narrow { 0xffff_ffff } else { u64::MAX };
        self.compared().1 & seen == 0
    }

    fn validate(field: &str, raw: &raw::Argument) -> Result<Self> {
        let operator = match raw.op.as_str() {
            "SCMP_CMP_NE" => Operator::NotEqual,
            "SCMP_CMP_LT" => Operator::Less,
            "SCMP_CMP_LE" => Operator::LessOrEqual,
            "SCMP_CMP_EQ" => Operator::Equal,
            "SCMP_CMP_GE" => Operator::GreaterOrEqual,
            "SCMP_CMP_GT" => Operator::Greater,
            "SCMP_CMP_MASKED_EQ" => Operator::MaskedEqual,
            other => {
                return Err(Invalid::choice(
                    format!("{field}.op"),
                    other,
                    "SCMP_CMP_NE, _LT, _LE, _EQ, _GE, _GT, _MASKED_EQ",
                ));
            }
        };
        let index = match u8::try_from(raw.index) {
            Ok(index) if index < 6 => index,
            _ => {
                let problem = format!("{} is not from 0 to 5", raw.index);
                return Err(Invalid::new(format!("{field}.index"), problem));
            }
        };
        Ok(Self {
            index,
            operator,
            value: raw.value,
            value_two: raw.value_two,
        })
    }
}

impl Seccomp {
    pub(super) fn validate(raw: raw::Seccomp) -> Result<Self> {
        let prefix = "linux.seccomp";
        let default_action = action(
            &format!("{prefix}.defaultAction"),
            &raw.default_action,
            raw.default_errno_ret,
        )?;
        let mut architectures = Vec::new();
        for (i, word) in raw.architectures.iter().enumerate() {
            architectures.extend(architecture(&format!("{prefix}.architectures[{i}]"), word)?);
        }
        let mut flags = 0;
        for (i, word) in raw.flags.iter().enumerate() {
            flags |= flag(&format!("{prefix}.flags[{i}]"), word)?;
        }
        let mut rules = Vec::with_capacity(raw.syscalls.len());
        for (i, syscall) in raw.syscalls.into_iter().enumerate() {
            let field = format!("{prefix}.syscalls[{i}]");
            let mut args = Vec::with_capacity(syscall.args.len());
            for (j, argument) in syscall.args.iter().enumerate() {
                args.push(Argument::validate(&format!("{field}.args[{j}]"), argument)?);
            }
            rules.push(Rule {
                action: action(
                    &format!("{field}.action"),
                    &syscall.action,
                    syscall.errno_ret,
                )?,
                names: syscall.names,
                args,
            });
        }
        let mut listener = listener(&raw.listener_path, raw.listener_metadata)?;
        check_notify(default_action, &rules, listener.is_some())?;
        // The listener is for who decides; where nobody is asked it is none.
        if !rules.iter().any(|rule| rule.action == Action::Notify) {
            flags &= !WAIT_KILLABLE_RECV;
            listener = None;
        }
        Ok(Self {
            default_action,
            architectures,
            flags,
            rules,
            listener,
        })
    }
}

fn listener(path: &str, metadata: String) -> Result<Option<Listener>> {
    match (path, metadata.is_empty()) {
        ("", true) => Ok(None),
        ("", false) => Err(Invalid::new(
            "linux.seccomp.listenerMetadata",
            "is set without listenerPath",
        )),
        (path, _) => {
            absolute_path("linux.seccomp.listenerPath", path)?;
            Ok(Some(Listener {
                path: path.to_owned(),
                metadata,
            }))
        }
    }
}

/// The process tells the number of its listener by write(2), under the filter.
fn check_notify(default: Action, rules: &[Rule], listener: bool) -> Result<()> {
    if default == Action::Notify {
        let problem = "SCMP_ACT_NOTIFY cannot be the default: the listener would have to decide about its own delivery";
        return Err(Invalid::new("linux.seccomp.defaultAction", problem));
    }
    for (i, rule) in rules.iter().enumerate() {
        let field = || format!("linux.seccomp.syscalls[{i}].action");
        if rule.action != Action::Notify {
            continue;
        }
        if !listener {
            let problem = "SCMP_ACT_NOTIFY needs linux.seccomp.listenerPath";
            return Err(Invalid::new(field(), problem));
        }
        if rule.names.iter().any(|name| name == "write") {
            let problem = "SCMP_ACT_NOTIFY cannot be for write, by which the listener is delivered";
            return Err(Invalid::new(field(), problem));
        }
    }
    Ok(())
}
