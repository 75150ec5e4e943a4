//! The real program, between a log process that the test plays and real
//! servers: Debian's rsyslog (`build/deps.sh test` installs it), and a plain
//! TCP listener for JSON.

use std::cell::Cell;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use hullkit_bundle::control::{LogLine, LogRequest, Stream, VERSION};

/// Generous: hitting it is a failure.
const LIMIT: Duration = Duration::from_secs(120);

/// A process that ends with the test.
struct Running(Child);

impl Running {
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The lines that the log process has, and who waits for more.
type Lines = Arc<(Mutex<Vec<LogLine>>, Condvar)>;

/// What the log process does: all lines, then those that come.
fn log_process(socket: &Path) -> Lines {
    let lines = Lines::default();
    let listener = UnixListener::bind(socket).unwrap();
    let shared = Arc::clone(&lines);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, lines) = (stream.unwrap(), Arc::clone(&shared));
            thread::spawn(move || serve(&stream, &lines));
        }
    });
    lines
}

fn serve(mut stream: &UnixStream, lines: &Lines) {
    let mut request = String::new();
    BufReader::new(stream).read_line(&mut request).unwrap();
    let request: LogRequest = serde_json::from_str(&request).unwrap();
    assert!(request.version == VERSION && request.follow);
    let mut next = 0;
    loop {
        let kept = lines.0.lock().unwrap();
        let kept = lines.1.wait_while(kept, |kept| kept.len() <= next).unwrap();
        let new: Vec<LogLine> = kept[next..].to_vec();
        drop(kept);
        next += new.len();
        for line in new {
            let mut text = serde_json::to_vec(&line).unwrap();
            text.push(b'\n');
            if stream.write_all(&text).is_err() {
                return;
            }
        }
    }
}

/// Lines `line 1`, … of the service `web`, up to `last`.
fn push(lines: &Lines, last: usize) {
    let mut kept = lines.0.lock().unwrap();
    for n in kept.len()..last {
        kept.push(LogLine {
            time_ms: 1_795_490_133_250,
            id: "services.web".to_owned(),
            stream: Stream::Stdout,
            text: format!("line {}", n + 1),
            n: n as u64,
            lost: 0,
        });
    }
    lines.1.notify_all();
}

/// The folder of a test, and what is in it.
struct Scene {
    dir: tempfile::TempDir,
    lines: Lines,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let lines = log_process(&dir.path().join("log.sock"));
        Self { dir, lines }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn forward(&self, args: &[&str]) -> Running {
        let said = fs::File::create(self.path("said")).unwrap();
        let forwarder = Command::new(env!("CARGO_BIN_EXE_logforward"))
            .args(["--socket", &self.text("log.sock")])
            .args(["--state", &self.text("arrived"), "--host", "guest"])
            .args(args)
            .stderr(said)
            .spawn();
        Running(forwarder.unwrap())
    }

    /// rsyslog, with an input of `kind` at `port`; each message becomes a line
    /// of the file `out`.
    fn rsyslog(&self, input: &str) -> Running {
        let config = format!(
            "{input}\n\
             template(name=\"t\" type=\"string\" string=\"%app-name% %msgid% %hostname% %syslogseverity-text% %structured-data%%msg%\\n\")\n\
             action(type=\"omfile\" file=\"{}\" template=\"t\" asyncWriting=\"off\")\n",
            self.text("out")
        );
        fs::write(self.path("rsyslog.conf"), config).unwrap();
        let server = Command::new("rsyslogd")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .args(["-n", "-f", &self.text("rsyslog.conf")])
            .args(["-i", &self.text("rsyslog.pid")])
            .stdout(Stdio::null())
            .stderr(fs::File::create(self.path("rsyslog.said")).unwrap())
            .spawn();
        Running(server.expect("rsyslogd: build/deps.sh test installs it"))
    }

    /// The lines of `out` that are there when `enough` says so.
    fn wait(&self, what: &str, enough: impl Fn(&[String]) -> bool) -> Vec<String> {
        let begin = Instant::now();
        loop {
            let text = fs::read_to_string(self.path("out")).unwrap_or_default();
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            if enough(&lines) {
                return lines;
            }
            let said = |name| fs::read_to_string(self.path(name)).unwrap_or_default();
            assert!(
                begin.elapsed() < LIMIT,
                "{what}: {} lines, the last {:?}; logforward: {}; rsyslogd: {}",
                lines.len(),
                lines.last(),
                said("said"),
                said("rsyslog.said")
            );
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// As rsyslog writes the line `n`.
fn wanted(n: usize) -> String {
    format!("web stdout guest info [meta sequenceId=\"{n}\"]line {n}")
}

fn all(count: usize) -> Vec<String> {
    (1..=count).map(wanted).collect()
}

#[test]
fn datagrams() {
    let (scene, port) = (Scene::new(), free_port());
    let input = format!(
        "module(load=\"imudp\")\ninput(type=\"imudp\" port=\"{port}\" address=\"127.0.0.1\")"
    );
    let _server = scene.rsyslog(&input);
    // Nobody confirms a datagram: the first ones may come before the server.
    let _forwarder = scene.forward(&[&format!("syslog+udp://127.0.0.1:{port}")]);
    let count = Cell::new(0);
    scene.wait("a datagram", |lines| {
        count.set(count.get() + 1);
        push(&scene.lines, count.get());
        !lines.is_empty()
    });
}

#[test]
fn a_stream_loses_and_doubles_nothing() {
    let (scene, port) = (Scene::new(), free_port());
    let input = format!(
        "module(load=\"imtcp\")\ninput(type=\"imtcp\" port=\"{port}\" address=\"127.0.0.1\")"
    );
    let url = format!("syslog+tcp://127.0.0.1:{port}");
    push(&scene.lines, 500);
    // The server comes later.
    let mut forwarder = scene.forward(&[&url]);
    let mut server = scene.rsyslog(&input);
    scene.wait("the first", |lines| lines.len() >= 500);
    // The forwarder's death: what has arrived is not sent again.
    let noted = || fs::read_to_string(scene.path("arrived")).unwrap_or_default();
    scene.wait("its note", |_| noted().starts_with("500 "));
    forwarder.kill();
    push(&scene.lines, 600);
    let _forwarder = scene.forward(&[&url]);
    let lines = scene.wait("the second", |lines| lines.len() >= 600);
    assert_eq!(lines, all(600));
    // The server's death.
    scene.wait("its note", |_| noted().starts_with("600 "));
    server.kill();
    push(&scene.lines, 650);
    let _server = scene.rsyslog(&input);
    push(&scene.lines, 700);
    let lines = scene.wait("the third", |lines| lines.last() == Some(&wanted(700)));
    // What the dead one had confirmed and not written is its own affair; here
    // it was given nothing after its last line.
    assert_eq!(lines, all(700));
}

#[test]
fn tls_with_a_certificate_that_is_believed() {
    let (scene, port) = (Scene::new(), free_port());
    certificates(&scene);
    let input = format!(
        "global(defaultNetstreamDriver=\"gtls\" defaultNetstreamDriverCAFile=\"{ca}\" \
         defaultNetstreamDriverCertFile=\"{cert}\" defaultNetstreamDriverKeyFile=\"{key}\")\n\
         module(load=\"imtcp\" streamDriver.name=\"gtls\" streamDriver.mode=\"1\" \
         streamDriver.authMode=\"x509/certvalid\")\n\
         input(type=\"imtcp\" port=\"{port}\" address=\"127.0.0.1\")",
        ca = scene.text("ca.pem"),
        cert = scene.text("server.pem"),
        key = scene.text("server.key"),
    );
    let _server = scene.rsyslog(&input);
    push(&scene.lines, 100);
    let url = format!("syslog+tls://127.0.0.1:{port}");
    let own = [
        "--cert",
        &scene.text("server.pem"),
        "--key",
        &scene.text("server.key"),
    ];
    let ca = scene.text("ca.pem");
    let forwarder = scene.forward(&[&["--ca", &ca, &url], own.as_slice()].concat());
    let lines = scene.wait("by TLS", |lines| lines.len() >= 100);
    assert_eq!(lines, all(100));
    drop(forwarder);
    // Whom nobody vouches for gets nothing.
    push(&scene.lines, 200);
    let other = scene.text("other.pem");
    let _forwarder = scene.forward(&[&["--ca", &other, &url], own.as_slice()].concat());
    scene.wait("a refusal", |_| {
        let said = fs::read_to_string(scene.path("said")).unwrap_or_default();
        said.contains("TLS with 127.0.0.1") && said.contains("invalid peer certificate")
    });
    assert_eq!(scene.wait("no more", |_| true), all(100));
}

/// A CA, a certificate of 127.0.0.1 by it, and another CA.
fn certificates(scene: &Scene) {
    let openssl = |args: &str| {
        let done = Command::new("openssl")
            .args(args.split(' '))
            .current_dir(scene.dir.path())
            .output()
            .expect("openssl: build/deps.sh test installs it");
        assert!(done.status.success(), "{args}: {done:?}");
    };
    let new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    openssl(&format!("{new} -subj /CN=ca -keyout ca.key -out ca.pem"));
    openssl(&format!(
        "{new} -subj /CN=other -keyout other.key -out other.pem"
    ));
    openssl(
        "req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=server \
         -keyout server.key -out server.csr",
    );
    fs::write(scene.path("ext"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    openssl(
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -days 2 -set_serial 1 -extfile ext \
         -out server.pem",
    );
}

#[test]
fn json_and_what_is_lost() {
    let scene = Scene::new();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    push(&scene.lines, 10);
    // The first four are not kept any more.
    scene.lines.0.lock().unwrap().drain(..4);
    let _forwarder = scene.forward(&[&format!("json+tcp://127.0.0.1:{port}")]);
    let (stream, _) = listener.accept().unwrap();
    let lines = BufReader::new(stream).lines().take(7);
    let objects: Vec<serde_json::Value> = lines
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    assert_eq!(objects[0]["lost"], 4);
    for (n, object) in (5..).zip(&objects[1..]) {
        assert_eq!(object["text"], format!("line {n}"));
        assert_eq!(
            (&object["id"], &object["host"]),
            (&"services.web".into(), &"guest".into())
        );
    }
}

#[test]
fn what_cannot_be_is_said() {
    let scene = Scene::new();
    let output = |args: &[&str]| {
        let mut forwarder = scene.forward(args);
        let code = forwarder.0.wait().unwrap().code();
        (code, fs::read_to_string(scene.path("said")).unwrap())
    };
    let (code, said) = output(&["ftp://x"]);
    assert!(
        code == Some(2) && said.contains("allowed: syslog+udp"),
        "{said}"
    );
    let (code, said) = output(&["--ca", "/nowhere", "syslog+tls://x"]);
    assert!(code == Some(1) && said.contains("read /nowhere"), "{said}");
    let empty = scene.text("empty.pem");
    fs::write(&empty, "").unwrap();
    let (code, said) = output(&["--ca", &empty, "syslog+tls://x"]);
    assert!(
        code == Some(1) && said.contains("holds no certificate"),
        "{said}"
    );
}
