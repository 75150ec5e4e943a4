//! What the tests share: folders, the program, the real registry.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use hull::digest::Digest;
use tempfile::TempDir;

/// A user's home, with a store and nothing else.
pub struct Scene(pub TempDir);

impl Scene {
    pub fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// The program, with a home of its own and no proxy.
    pub fn hull(&self) -> Command {
        let mut hull = Command::new(env!("CARGO_BIN_EXE_hull"));
        hull.current_dir(self.0.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.0.path())
            .env("HULL_STORE", self.path("store"))
            .env("HULL_GUEST", self.path("guest"));
        hull
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.hull().args(args).output().unwrap()
    }

    /// Runs it and expects success; returns its standard output.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{args:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs it and expects exit code 1 and one line, which is returned.
    #[track_caller]
    pub fn fails(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        errors
    }

    /// Every image of the store is whole.
    #[track_caller]
    pub fn is_whole(&self) {
        assert_eq!(
            self.ok(&["image", "gc", "--check"]),
            "every image is whole\n"
        );
    }

    /// Docker's configuration, with a password for `host`.
    pub fn log_in(&self, host: &str, user: &str, password: &str) {
        let config = serde_json::json!({"auths": {host: {"username": user, "password": password}}});
        self.write(".docker/config.json", config.to_string());
    }

    /// Puts an image into the store whose `/text` says `text`.
    pub fn image(&self, name: &str, arch: &str, text: &str) {
        self.write("rootfs/text", text);
        let from = format!("dir:{}", self.path("rootfs").display());
        self.ok(&["image", "import", "--arch", arch, name, &from]);
    }

    /// What `/text` of an image in the store says.
    #[track_caller]
    pub fn text(&self, name: &str, arch: &str) -> String {
        let layout = self.path("exported");
        let _ = std::fs::remove_dir_all(&layout);
        let to = format!("docker-archive:{}", layout.display());
        self.ok(&["image", "export", "--arch", arch, name, &to]);
        let bytes = std::fs::read(&layout).unwrap();
        let layer = member(&bytes, |name| name.ends_with(".tar"));
        String::from_utf8(member(&layer, |name| name == "text")).unwrap()
    }
}

/// A member of a tar, the first that is wanted.
fn member(tar: &[u8], wanted: impl Fn(&str) -> bool) -> Vec<u8> {
    let mut archive = tar::Archive::new(tar);
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if wanted(&entry.path().unwrap().to_string_lossy()) {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
            return bytes;
        }
    }
    panic!("not in the archive");
}

/// Debian's registry on a free port of this machine.
pub struct Registry {
    child: Child,
    pub host: String,
    _dir: TempDir,
}

impl Registry {
    pub fn start() -> Self {
        Self::with(tempfile::tempdir().unwrap(), "")
    }

    /// It wants a password: `me`, `s3cret`.
    pub fn with_password() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("htpasswd");
        // htpasswd -bnBC 5 me s3cret
        let line = "me:$2y$05$kMWI/gwtDPxZ2BzhcHS4t.PSCOYw8hhsTxqHSNg10tZW76uNCnNBq\n";
        std::fs::write(&file, line).unwrap();
        let auth = format!(
            "auth: {{htpasswd: {{realm: test, path: '{}'}}}}\n",
            file.display()
        );
        Self::with(dir, &auth)
    }

    fn with(dir: TempDir, more: &str) -> Self {
        let config = dir.path().join("config.yml");
        let data = dir.path().join("data");
        let text = format!(
            "version: 0.1\n\
             storage: {{filesystem: {{rootdirectory: '{}'}}, delete: {{enabled: true}}}}\n\
             http: {{addr: '127.0.0.1:0'}}\n\
             log: {{level: info, accesslog: {{disabled: true}}}}\n{more}",
            data.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("docker-registry is not here: build/deps.sh test installs it");
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut host = None;
        let mut line = String::new();
        while host.is_none() && log.read_line(&mut line).unwrap() > 0 {
            host = line
                .split("listening on ")
                .nth(1)
                .map(|rest| rest.split(['"', ' ', '\n']).next().unwrap().to_owned());
            line.clear();
        }
        // What it says from now on is of no interest, but has to go somewhere.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self {
            child,
            host: host.expect("the registry listens"),
            _dir: dir,
        }
    }

    /// One request, by hand; the answer's head. It has to succeed.
    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> String {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(&self.host).unwrap();
        let len = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: {kind}\r\n\
             Content-Length: {len}\r\nConnection: close\r\n\r\n",
            self.host
        );
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
        answer
    }

    /// Puts a blob into a repository, by hand.
    pub fn put_blob(&self, repository: &str, bytes: &[u8]) {
        let kind = "application/octet-stream";
        let answer = self.ask(
            "POST",
            &format!("/v2/{repository}/blobs/uploads/"),
            kind,
            b"",
        );
        let mut lines = answer.lines();
        let place = lines
            .find_map(|line| line.strip_prefix("Location: "))
            .unwrap();
        let place = place.split_once(&self.host).unwrap().1;
        let place = format!("{place}&digest={}", Digest::of(bytes));
        self.ask("PUT", &place, kind, bytes);
    }

    pub fn name(&self, image: &str) -> String {
        format!("{}/{image}", self.host)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The digest in a line of output.
#[track_caller]
pub fn digest_in(text: &str) -> Digest {
    let word = text
        .split_whitespace()
        .find(|word| word.starts_with("sha256:"));
    word.expect("a digest").parse().unwrap()
}

/// All files below a folder, as paths.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut found: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}
