//! The channels that requests come in by, and the threads that answer them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use agent_protocol::{Answer, Op, PORT, Request, Response, probe_socket};

use crate::op;

/// How long the port may take to appear: a guest whose virtio console is a
/// module gets it only when the module is loaded.
const PORT_DEADLINE: Duration = Duration::from_secs(20);

/// Answers over the virtio-serial port until the machine ends.
pub(crate) fn serve_port() -> io::Result<()> {
    let path = find_port()?;
    let port = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_CLOEXEC)
        .open(&path)
        .map_err(|e| io::Error::new(e.kind(), format!("open {}: {e}", path.display())))?;
    let writer = Arc::new(Mutex::new(port.try_clone()?));
    let hello = Answer::Hello {
        pid: std::process::id(),
    };
    send(
        &writer,
        &Response {
            id: 0,
            answer: hello,
        },
    )?;
    serve(BufReader::new(port), &writer)
}

/// The device of the port [`PORT`], by its name in sysfs.
fn find_port() -> io::Result<PathBuf> {
    let start = Instant::now();
    loop {
        for entry in fs::read_dir("/sys/class/virtio-ports")
            .into_iter()
            .flatten()
        {
            let entry = entry?;
            let name = fs::read_to_string(entry.path().join("name")).unwrap_or_default();
            if name.trim_end() == PORT {
                return Ok(PathBuf::from("/dev").join(entry.file_name()));
            }
        }
        if start.elapsed() > PORT_DEADLINE {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("no virtio-serial port named {PORT}"),
            ));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Answers over the abstract socket of the probe `name` until SIGTERM.
pub(crate) fn serve_probe(name: &str) -> io::Result<()> {
    let term = crate::sys::block_term()?;
    let listener = UnixListener::bind_addr(&address(name)?)?;
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || {
                let writer = Arc::new(Mutex::new(client.try_clone()?));
                serve(BufReader::new(client), &writer)
            });
        }
    });
    term.wait()?;
    Ok(())
}

fn address(name: &str) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(probe_socket(name))
}

/// Reads requests until the other side goes; each is carried out in a thread
/// of its own, so that a long wait holds up nothing.
fn serve<W: Write + Send + 'static>(
    reader: impl BufRead,
    writer: &Arc<Mutex<W>>,
) -> io::Result<()> {
    for line in reader.lines() {
        let line = line?;
        let request: Request = match serde_json::from_str(&line) {
            Ok(request) => request,
            Err(e) => {
                eprintln!("qemu-agent: not a request: {e}: {line}");
                continue;
            }
        };
        let writer = Arc::clone(writer);
        thread::spawn(move || {
            let answer = match request.op {
                Op::In { pid, name, ask } => ask_probe(pid, &name, *ask),
                op => op::carry_out(op),
            };
            let answer = answer.unwrap_or_else(|e| Answer::Failed {
                errno: e.raw_os_error(),
                message: e.to_string(),
            });
            let response = Response {
                id: request.id,
                answer,
            };
            if let Err(e) = send(&writer, &response) {
                eprintln!("qemu-agent: answer {}: {e}", request.id);
            }
        });
    }
    Ok(())
}

fn send<W: Write>(writer: &Mutex<W>, response: &Response) -> io::Result<()> {
    let mut line = serde_json::to_vec(response)?;
    line.push(b'\n');
    let mut writer = writer
        .lock()
        .map_err(|_| io::Error::other("a writer panicked"))?;
    writer.write_all(&line)?;
    writer.flush()
}

/// Hands `op` to the probe `name` in the network namespace of `pid`, where its
/// abstract socket is.
fn ask_probe(pid: i32, name: &str, op: Op) -> io::Result<Answer> {
    // This thread serves one request, so it may change namespaces.
    let namespace = File::open(format!("/proc/{pid}/ns/net"))?;
    nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET)?;
    let mut stream = UnixStream::connect_addr(&address(name)?)?;
    let mut line = serde_json::to_vec(&Request { id: 1, op })?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    if answer.is_empty() {
        return Err(io::Error::other(format!(
            "the probe {name} went without an answer"
        )));
    }
    let response: Response = serde_json::from_str(&answer)?;
    Ok(response.answer)
}
