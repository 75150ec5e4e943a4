//! Small programs for containers to run, written as steps.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::{abuse, block, given, notice, serve, sys};

/// Does the steps one after another; a step that fails ends it with code 1.
///
/// | step | does |
/// | --- | --- |
/// | `print=TEXT`, `error=TEXT` | a line on stdout, stderr |
/// | `lines=N` | N numbered lines on stdout |
/// | `ticks=MS` | numbered lines on stdout for ever, one each MS |
/// | `write=PATH:TEXT`, `append=PATH:TEXT` | a file |
/// | `sleep=MS` | waits |
/// | `term=wait` | waits for SIGTERM |
/// | `term=ignore` | ignores SIGTERM from now on |
/// | `forever` | waits for ever |
/// | `kill=PID:N` | sends a signal to another process |
/// | `mount=DEVICE:FOLDER` | mounts an ext4, and makes the folder |
/// | `remove=PATH` | removes a file |
/// | `signal=N` | sends itself a signal |
/// | `bomb` | forks for ever |
/// | `hog` | uses the processor for ever |
/// | `flood` | writes lines for ever |
/// | `fill=PATH` | fills a filesystem |
/// | `massacre=N` | kills N processes at random |
/// | `pester=PATH` | a hundred bad clients of a unix socket, for ever |
/// | `await=PATH` | waits until there is such a file |
/// | `present=PATH`, `absent=PATH` | fails unless there is, is not, such a file |
/// | `copy=FROM:TO` | copies a file's content |
/// | `notify=LINE;LINE` | tells PID 1 (`sd_notify(3)`) |
/// | `tell=SOCKET:LINE` | the same at another socket |
/// | `notices=N` | N notices, as fast as they are taken |
/// | `feed=MS:PATH` | `WATCHDOG=1` every so often, until there is such a file |
/// | `listen=PORT`, `listen=PATH` | a listening socket |
/// | `http=PORT:PATH` | answers by HTTP: 200, or 503 while there is such a file |
/// | `answer=N:NAME` | answers N connections (0: all) to the socket of that name that PID 1 gave |
/// | `echo=NAME` | sends a datagram back that comes to it |
/// | `call=PORT:LINE`, `call=PATH:LINE`, `call=udpPORT:LINE` | says a line, and prints the answer |
/// | `keep=NAME:TEXT` | leaves a file with PID 1, or prints that which was left |
/// | `newline=FD` | writes one to a descriptor |
/// | `succeed` | a child goes on, as `MAINPID`, and this process ends |
/// | `exit=CODE` | ends |
pub(crate) fn run(steps: &[&str]) -> ExitCode {
    for step in steps {
        let (verb, value) = step.split_once('=').unwrap_or((step, ""));
        if verb == "exit" {
            return value
                .parse::<u8>()
                .map_or(ExitCode::from(2), ExitCode::from);
        }
        if let Err(e) = act(verb, value) {
            eprintln!("qemu-agent: act {step}: {e}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn act(verb: &str, value: &str) -> io::Result<()> {
    match (verb, value) {
        ("print", text) => writeln!(io::stdout(), "{text}"),
        ("error", text) => writeln!(io::stderr(), "{text}"),
        ("lines", count) => lines(number(count)?),
        ("ticks", time) => ticks(Duration::from_millis(number(time)?)),
        ("write", file) => {
            let (path, text) = pair(file)?;
            fs::write(path, format!("{text}\n"))
        }
        ("append", file) => {
            let (path, text) = pair(file)?;
            let mut file = OpenOptions::new().append(true).create(true).open(path)?;
            writeln!(file, "{text}")
        }
        ("sleep", time) => {
            thread::sleep(Duration::from_millis(number(time)?));
            Ok(())
        }
        ("term", "wait") => sys::block_term()?.wait().map(drop).map_err(Into::into),
        // Blocked and never waited for: it stays pending.
        ("term", "ignore") => sys::block_term().map(drop),
        ("forever", "") => loop {
            thread::park();
        },
        ("await", path) => until_there(path, || Ok(())),
        ("present", path) => there(path, true),
        ("absent", path) => there(path, false),
        ("copy", files) => {
            let (from, to) = pair(files)?;
            fs::write(to, fs::read(from)?)
        }
        ("notify", lines) => notice::send(lines),
        ("tell", text) => {
            let (socket, line) = pair(text)?;
            notice::send_to(socket, line)
        }
        ("notices", count) => {
            (0..number(count)?).try_for_each(|n| notice::send(&format!("STATUS={n}")))
        }
        ("feed", text) => {
            let (time, path) = pair(text)?;
            let time = Duration::from_millis(number(time)?);
            until_there(path, || {
                thread::sleep(time);
                notice::send("WATCHDOG=1")
            })
        }
        ("listen", place) => serve::listen(place),
        ("http", text) => {
            let (port, ill) = pair(text)?;
            serve::http(port, ill)
        }
        ("answer", text) => {
            let (times, name) = pair(text)?;
            given::answer(name, number(times)?)
        }
        ("echo", name) => given::echo(name),
        ("call", text) => {
            let (place, line) = pair(text)?;
            given::call(place, line)
        }
        ("keep", text) => {
            let (name, text) = pair(text)?;
            given::keep(name, text)
        }
        ("newline", fd) => given::newline(fd),
        ("succeed", "") => succeed(),
        ("kill", target) => kill(target),
        ("mount", places) => {
            let (device, folder) = pair(places)?;
            block::mount_ext4(device, folder)
        }
        ("remove", path) => fs::remove_file(path),
        ("bomb", "") => abuse::fork_bomb(),
        ("hog", "") => abuse::hog(),
        ("flood", "") => abuse::flood(),
        ("fill", path) => abuse::fill(path),
        ("massacre", count) => abuse::massacre(number(count)?),
        ("pester", path) => abuse::pester(path),
        ("signal", signal) => sys::raise(signal),
        _ => Err(io::Error::other("no such step")),
    }
}

/// The child goes on with the next step.
fn succeed() -> io::Result<()> {
    match sys::fork()? {
        sys::Fork::Child => Ok(()),
        sys::Fork::Parent(child) => {
            notice::send(&format!("MAINPID={child}"))?;
            sys::exit(0)
        }
    }
}

fn lines(count: u64) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for n in 1..=count {
        writeln!(stdout, "line {n}")?;
    }
    stdout.flush()
}

fn ticks(every: Duration) -> io::Result<()> {
    let mut n: u64 = 0;
    loop {
        n += 1;
        writeln!(io::stdout(), "line {n}")?;
        thread::sleep(every);
    }
}

fn kill(target: &str) -> io::Result<()> {
    let (pid, signal) = pair(target)?;
    let pid = Pid::from_raw(pid.parse().map_err(io::Error::other)?);
    let signal: i32 = signal.parse().map_err(io::Error::other)?;
    Ok(nix::sys::signal::kill(pid, Signal::try_from(signal)?)?)
}

/// Does something again and again until there is a file.
fn until_there(path: &str, mut act: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    while !fs::exists(path)? {
        act()?;
        thread::sleep(POLL);
    }
    Ok(())
}

/// How often a file is looked for.
const POLL: Duration = Duration::from_millis(5);

fn there(path: &str, wanted: bool) -> io::Result<()> {
    if fs::exists(path)? == wanted {
        return Ok(());
    }
    Err(io::Error::other(format!("{path}: not so")))
}

fn number(value: &str) -> io::Result<u64> {
    value.parse().map_err(io::Error::other)
}

fn pair(value: &str) -> io::Result<(&str, &str)> {
    value
        .split_once(':')
        .ok_or_else(|| io::Error::other("wants PATH:TEXT"))
}
