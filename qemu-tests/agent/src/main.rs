//! The program of the test images, under four hats:
//!
//! ```text
//! qemu-agent port            answers the harness over the virtio-serial port
//! qemu-agent probe NAME      answers the agent from inside a container
//! qemu-agent act STEP…       does the steps one after another, then exits 0
//! qemu-agent orphans N       leaves N orphans behind for PID 1 to reap
//! qemu-agent terminal STEP… -- PROGRAM…
//!                            a person in front of a program's terminal
//! qemu-agent console SOCKET STEP…
//!                            the same, with a terminal that a runtime sends
//! qemu-agent measure ROUNDS PROGRAM… -- PROGRAM…
//!                            what programs take, in time and memory
//! qemu-agent bare ROUNDS PROGRAM…
//!                            the same for one in namespaces of its own
//! qemu-agent decide SOCKET STEP…
//!                            decides about system calls, for a runtime
//! ```
//!
//! The agent runs in a container with a view of the whole guest. A probe runs
//! in the container that a case is about, with exactly its privileges.

mod abuse;
mod act;
mod block;
mod channel;
mod decide;
mod exec;
mod given;
mod measure;
mod notice;
mod op;
mod orphans;
mod passed;
mod proc;
mod serve;
mod sys;
mod terminal;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args.as_slice() {
        ["port"] => channel::serve_port(),
        ["probe", name] => channel::serve_probe(name),
        ["act", steps @ ..] => return act::run(steps),
        ["terminal", rest @ ..] => match rest.iter().position(|word| *word == "--") {
            Some(at) => terminal::run(&rest[..at], &rest[at + 1..]),
            None => Err(std::io::Error::other("terminal: no -- before the program")),
        },
        ["console", socket, steps @ ..] => terminal::receive(socket.as_ref(), steps),
        ["decide", socket, steps @ ..] => decide::run(socket.as_ref(), steps),
        ["measure", rounds, words @ ..] => measure::programs(rounds, words),
        ["bare", rounds, program @ ..] => measure::bare(rounds, program),
        ["orphans", count] => orphans::leave(count),
        _ => {
            eprintln!(
                "usage: qemu-agent port | probe NAME | act STEP… | orphans N | terminal … | console … | decide … | measure … | bare …"
            );
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("qemu-agent: {e}");
            // Where there is no way to ask for the log, the console shows it.
            let _shown = std::fs::write("/dev/kmsg", format!("qemu-agent: {e}\n"));
            ExitCode::FAILURE
        }
    }
}
