//! The calls that 32-bit x86 makes by way of another, which gets the call's
//! number as its first argument: socketcall(2) and ipc(2).

use crate::spec::{Argument, Operator};

const SOCKETCALL: u32 = 102;
const IPC: u32 = 117;

/// From 1 on (linux/net.h).
const SOCKET_CALLS: [&str; 20] = [
    "socket",
    "bind",
    "connect",
    "listen",
    "accept",
    "getsockname",
    "getpeername",
    "socketpair",
    "send",
    "recv",
    "sendto",
    "recvfrom",
    "shutdown",
    "setsockopt",
    "getsockopt",
    "sendmsg",
    "recvmsg",
    "accept4",
    "recvmmsg",
    "sendmmsg",
];

/// With their numbers (linux/ipc.h).
const IPC_CALLS: [(&str, u64); 12] = [
    ("semop", 1),
    ("semget", 2),
    ("semctl", 3),
    ("semtimedop", 4),
    ("msgsnd", 11),
    ("msgrcv", 12),
    ("msgget", 13),
    ("msgctl", 14),
    ("shmat", 21),
    ("shmdt", 22),
    ("shmget", 23),
    ("shmctl", 24),
];

/// The other way to make the call `name`: the number, and the conditions that
/// tell it apart. As libseccomp has it, those on the first argument give way;
/// what a socket call's others point to no filter can see.
pub(super) fn call(name: &str, conditions: &[Argument]) -> Option<(u32, Vec<Argument>)> {
    let socket = (1..).zip(SOCKET_CALLS).find(|(_, call)| *call == name);
    let (number, value) = match socket {
        Some((value, _)) => (SOCKETCALL, value),
        None => (IPC, IPC_CALLS.iter().find(|(call, _)| *call == name)?.1),
    };
    let which = Argument {
        index: 0,
        operator: Operator::Equal,
        value,
        value_two: 0,
    };
    let others = conditions.iter().filter(|condition| condition.index != 0);
    Some((number, [which].iter().chain(others).copied().collect()))
}
