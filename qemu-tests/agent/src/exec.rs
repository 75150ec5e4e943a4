//! Running a program with a time limit.

use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use agent_protocol::Exec;

/// What the readers of the program's output send.
enum Output {
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
}

/// Runs `argv` with `stdin`, until it ends, `timeout` is over, or its standard
/// output holds `until`.
pub(crate) fn run(
    argv: &[String],
    stdin: String,
    timeout: Duration,
    until: Option<&str>,
) -> io::Result<Exec> {
    let (program, args) = argv
        .split_first()
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (sender, output) = mpsc::channel();
    start_pumps(&mut child, stdin, &sender);
    drop(sender);

    let deadline = Instant::now() + timeout;
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut timed_out = false;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match output.recv_timeout(left) {
            Ok(Output::Stdout(bytes)) => stdout.extend(bytes),
            Ok(Output::Stderr(bytes)) => stderr.extend(bytes),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                timed_out = true;
                break;
            }
        }
        if until.is_some_and(|text| String::from_utf8_lossy(&stdout).contains(text)) {
            break;
        }
    }
    // Its output is at its end; most often so is the program itself.
    if timed_out || until.is_some() || !ends_by(&mut child, deadline)? {
        child.kill()?;
    }
    let status = child.wait()?;
    Ok(Exec {
        code: status.code(),
        signal: status.signal(),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
        timed_out,
    })
}

/// Whether the program, whose output is closed, ends before `deadline`.
fn ends_by(child: &mut Child, deadline: Instant) -> io::Result<bool> {
    while Instant::now() < deadline {
        if child.try_wait()?.is_some() {
            return Ok(true);
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(false)
}

fn start_pumps(child: &mut Child, stdin: String, output: &Sender<Output>) {
    if let Some(mut pipe) = child.stdin.take() {
        // A program that does not read its input is no error.
        thread::spawn(move || pipe.write_all(stdin.as_bytes()));
    }
    if let Some(pipe) = child.stdout.take() {
        pump(pipe, output.clone(), Output::Stdout);
    }
    if let Some(pipe) = child.stderr.take() {
        pump(pipe, output.clone(), Output::Stderr);
    }
}

fn pump(mut pipe: impl Read + Send + 'static, output: Sender<Output>, wrap: fn(Vec<u8>) -> Output) {
    thread::spawn(move || {
        let mut buffer = [0; 16384];
        while let Ok(n @ 1..) = pipe.read(&mut buffer) {
            let Some(bytes) = buffer.get(..n) else { return };
            if output.send(wrap(bytes.to_vec())).is_err() {
                return;
            }
        }
    });
}
