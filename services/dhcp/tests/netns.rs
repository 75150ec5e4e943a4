//! The client against a real server: dnsmasq, in a network namespace that a
//! veth joins to the client's. Needs root, `ip`, `unshare` and `dnsmasq`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use hullkit_dhcp::lease::Lease;

/// Two namespaces; gone when dropped.
struct Net {
    server: String,
    client: String,
    dir: tempfile::TempDir,
}

impl Net {
    /// `None`, with the reason said, where this machine cannot do it.
    fn new(name: &str) -> Option<Self> {
        let can = nix::unistd::geteuid().is_root()
            && ["ip -V", "unshare --version", "dnsmasq --version"]
                .iter()
                .all(|command| {
                    let mut words = command.split(' ');
                    let mut command = Command::new(words.next().unwrap());
                    command
                        .args(words)
                        .output()
                        .is_ok_and(|out| out.status.success())
                });
        if !can {
            eprintln!("skipped: needs root, ip, unshare and dnsmasq");
            return None;
        }
        let id = std::process::id();
        let net = Self {
            server: format!("hks-{id}-{name}"),
            client: format!("hkc-{id}-{name}"),
            dir: tempfile::tempdir().unwrap(),
        };
        ip(&format!("netns add {}", net.server));
        ip(&format!("netns add {}", net.client));
        fs::create_dir(net.dir.path().join("run")).unwrap();
        net.join(1);
        Some(net)
    }

    /// The client's `cN`, joined to the server's `sN` with 10.99.N.1.
    fn join(&self, n: u8) {
        let (server, client) = (&self.server, &self.client);
        ip(&format!(
            "link add c{n} netns {client} type veth peer name s{n} netns {server}"
        ));
        ip(&format!("-n {server} addr add 10.99.{n}.1/24 dev s{n}"));
        ip(&format!("-n {server} link set s{n} up"));
    }

    /// A server on `sN` that gives addresses `first` to `last`.
    fn serve(&self, n: u8, first: u8, last: u8) -> Process {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.server, "dnsmasq", "-k", "-p", "0"]);
        command.args([
            "--bind-interfaces",
            "--no-ping",
            "--dhcp-authoritative",
            "--conf-file=/dev/null",
        ]);
        command.args(["--log-facility=-", "--pid-file=", "--leasefile-ro"]);
        command.arg(format!("--interface=s{n}"));
        command.arg(format!(
            "--dhcp-range=10.99.{n}.{first},10.99.{n}.{last},255.255.255.0,120"
        ));
        command.arg(format!("--dhcp-option=6,10.99.{n}.1"));
        // T1 and T2, so that a test need not wait for the half of 120 s.
        command.args([
            "--dhcp-option=58,4",
            "--dhcp-option=59,8",
            "--dhcp-option=15,lab.example",
        ]);
        let log = self.dir.path().join(format!("log{n}"));
        let process = Process::start(command, &log);
        process.wait_log("DHCP, sockets bound", &log);
        process
    }

    fn client(&self, args: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.client, "unshare", "-m", "sh", "-c"]);
        command.arg("mount --bind \"$0\" /run && exec \"$@\"");
        command
            .arg(self.dir.path().join("run"))
            .arg(env!("CARGO_BIN_EXE_dhcp"));
        command.args(args.split_ascii_whitespace());
        command
    }

    fn once(&self, args: &str) -> Output {
        self.client(args).output().unwrap()
    }

    fn lease(&self, n: u8) -> Option<Lease> {
        let file = self.dir.path().join(format!("run/dhcp/c{n}.json"));
        serde_json::from_slice(&fs::read(file).ok()?).ok()
    }

    fn resolv_conf(&self) -> String {
        fs::read_to_string(self.dir.path().join("run/resolvconf/resolv.conf")).unwrap()
    }

    fn show(&self, what: &str) -> String {
        ip(&format!("-n {} -4 {what}", self.client))
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for name in [&self.server, &self.client] {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

/// A program that runs until it is dropped.
struct Process(Child);

impl Process {
    fn start(mut command: Command, log: &Path) -> Self {
        let out = fs::File::create(log).unwrap();
        let err = out.try_clone().unwrap();
        Self(
            command
                .stdin(Stdio::null())
                .stdout(out)
                .stderr(err)
                .spawn()
                .unwrap(),
        )
    }

    fn wait_log(&self, what: &str, log: &Path) {
        until(what, || {
            fs::read_to_string(log).is_ok_and(|text| text.contains(what))
        });
    }

    /// Asks it to end; how it did.
    fn end(&mut self) -> ExitStatus {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        self.0.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ip(line: &str) -> String {
    let out = Command::new("ip").args(line.split(' ')).output().unwrap();
    assert!(
        out.status.success(),
        "ip {line}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8(out.stdout).unwrap()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(40), "no {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn stderr(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

fn log(net: &Net, name: &str) -> PathBuf {
    net.dir.path().join(name)
}

#[test]
fn one_shot_gets_a_lease_and_a_daemon_takes_it_over_and_renews() {
    let Some(net) = Net::new("renew") else { return };
    let _server = net.serve(1, 50, 60);
    let start = Instant::now();
    let out = net.once("-1 --timeout 20 c1");
    assert!(out.status.success(), "{}", stderr(&out));
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    let first = net.lease(1).unwrap();
    assert!(
        net.show("addr show dev c1")
            .contains(&format!("{}/24", first.address))
    );
    assert!(
        net.show("route")
            .contains("default via 10.99.1.1 dev c1 proto dhcp")
    );
    assert_eq!(
        net.resolv_conf(),
        "search lab.example\nnameserver 10.99.1.1\n"
    );

    let mut daemon = Process::start(net.client("c1"), &log(&net, "daemon"));
    let renewed = |since: &Lease| {
        net.lease(1)
            .is_some_and(|lease| lease.obtained > since.obtained)
    };
    until("takeover", || renewed(&first));
    let taken = net.lease(1).unwrap();
    assert_eq!(taken.address, first.address);
    until("renewal", || renewed(&taken));
    assert_eq!(net.lease(1).unwrap().address, first.address);
    assert_eq!(daemon.end().code(), Some(0), "SIGTERM is obeyed");
    assert!(
        net.show("addr show dev c1").contains("10.99.1."),
        "the address stays"
    );
}

#[test]
fn a_server_that_refuses_gives_another_address() {
    let Some(net) = Net::new("nak") else { return };
    let server = net.serve(1, 50, 50);
    assert!(net.once("-1 --timeout 20 c1").status.success());
    assert_eq!(net.lease(1).unwrap().address.octets()[3], 50);
    drop(server);
    let _server = net.serve(1, 70, 70);
    let _daemon = Process::start(net.client("c1"), &log(&net, "daemon"));
    until("another address", || {
        net.lease(1).is_some_and(|l| l.address.octets()[3] == 70)
    });
    let addresses = net.show("addr show dev c1");
    assert!(
        addresses.contains("10.99.1.70/24") && !addresses.contains("10.99.1.50"),
        "{addresses}"
    );
}

#[test]
fn a_lease_that_nobody_renews_ends() {
    let Some(net) = Net::new("gone") else { return };
    let server = net.serve(1, 50, 60);
    assert!(net.once("-1 --timeout 20 c1").status.success());
    drop(server);
    // As if it were almost over: 120 s would be long to wait for.
    let mut lease = net.lease(1).unwrap();
    (lease.seconds, lease.t1, lease.t2) = (Some(6), 3, 5);
    let file = net.dir.path().join("run/dhcp/c1.json");
    fs::write(&file, serde_json::to_vec(&lease).unwrap()).unwrap();
    let _daemon = Process::start(net.client("c1"), &log(&net, "daemon"));
    until("end of the lease", || !file.exists());
    assert!(!net.show("addr show dev c1").contains("inet "));
}

#[test]
fn two_interfaces_are_served() {
    let Some(net) = Net::new("two") else { return };
    net.join(2);
    let (_one, _two) = (net.serve(1, 50, 60), net.serve(2, 50, 60));
    let _daemon = Process::start(net.client("c1 c2"), &log(&net, "daemon"));
    until("both leases", || {
        net.lease(1).is_some() && net.lease(2).is_some()
    });
    until("both name servers", || {
        net.resolv_conf().matches("nameserver").count() == 2
    });
    let routes = net.show("route");
    assert_eq!(routes.matches("default via").count(), 2, "{routes}");
}

#[test]
fn without_a_card_or_an_answer_a_one_shot_says_so() {
    let Some(net) = Net::new("none") else { return };
    let start = Instant::now();
    for args in ["-1", "-1 nosuch"] {
        let out = net.once(args);
        assert_eq!(out.status.code(), Some(1));
        assert!(
            stderr(&out).starts_with("dhcp: no network card: "),
            "{}",
            stderr(&out)
        );
    }
    assert!(start.elapsed() < Duration::from_secs(2), "at once");
    let out = net.once("-1 --timeout 2 c1");
    assert_eq!(out.status.code(), Some(1));
    assert!(
        stderr(&out).starts_with("dhcp: no lease within 2 s on c1: "),
        "{}",
        stderr(&out)
    );
    assert_eq!(net.once("--nonsense").status.code(), Some(2));
}
