//! A small HTTP server that answers as a test wants it to.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use hull::digest::Digest;
use serde_json::json;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: HashMap<String, String>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Where a `Range: bytes=N-` begins; 0 without one.
    pub fn from(&self) -> usize {
        let range = self.header("range").and_then(|r| r.strip_prefix("bytes="));
        range.map_or(0, |r| r.trim_end_matches('-').parse().unwrap())
    }
}

/// What is sent back, to the letter.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Status, further header lines, body.
    Whole(u16, String, Vec<u8>),
    /// The head of an answer of so many bytes, of which only these come; then
    /// the connection ends.
    Cut(u16, String, u64, Vec<u8>),
    /// The same, but nothing more comes, and the connection stays.
    Held(u16, String, u64, Vec<u8>),
    /// An answer without a length that never ends.
    Endless,
    /// No answer at all.
    Silence,
}

impl Reply {
    pub fn ok(body: &[u8]) -> Self {
        Self::Whole(200, String::new(), body.to_vec())
    }

    pub fn status(status: u16) -> Self {
        Self::Whole(status, String::new(), Vec::new())
    }

    pub fn with(status: u16, headers: &str) -> Self {
        Self::Whole(status, format!("{headers}\r\n"), Vec::new())
    }
}

type Handler = dyn Fn(&Request) -> Reply + Send + Sync;

/// A server on a free port of this machine; it ends with the test.
pub struct Server {
    pub host: String,
    pub seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let answer: Arc<Handler> = Arc::new(answer);
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                std::thread::spawn(move || serve(stream.unwrap(), &*answer, &log));
            }
        });
        Self { host, seen }
    }

    /// The requests so far whose path ends like this.
    pub fn requests(&self, end: &str) -> Vec<Request> {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .filter(|r| r.path.ends_with(end))
            .cloned()
            .collect()
    }

    pub fn name(&self, image: &str) -> String {
        format!("{}/{image}", self.host)
    }
}

/// Who speaks TLS is hung up on: it is not spoken here.
fn serve(mut stream: TcpStream, answer: &Handler, log: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(request) = read(&mut reader) {
        log.lock().unwrap().push(request.clone());
        if !send(&mut stream, &request, answer(&request)) {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    // The first byte of a TLS handshake.
    if *reader.fill_buf().ok()?.first()? == 0x16 {
        return None;
    }
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    if let Some(len) = headers.get("content-length") {
        let mut body = vec![0; len.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
    }
    Some(Request {
        method,
        path,
        headers,
    })
}

/// Whether the connection goes on.
fn send(stream: &mut TcpStream, request: &Request, reply: Reply) -> bool {
    let head = |status: u16, headers: &str, len: u64| {
        format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {len}\r\n\r\n").into_bytes()
    };
    let is_head = request.method == "HEAD";
    let (bytes, body, after) = match reply {
        Reply::Whole(status, headers, body) => {
            (head(status, &headers, body.len() as u64), body, After::Next)
        }
        Reply::Cut(status, headers, len, body) => (head(status, &headers, len), body, After::End),
        Reply::Held(status, headers, len, body) => (head(status, &headers, len), body, After::Hold),
        Reply::Silence => (Vec::new(), Vec::new(), After::Hold),
        Reply::Endless => {
            let head = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            (head, Vec::new(), After::Endless)
        }
    };
    if stream.write_all(&bytes).is_err() || (!is_head && stream.write_all(&body).is_err()) {
        return false;
    }
    match after {
        After::Next => true,
        After::End => false,
        After::Hold => {
            // Until the other side has had enough.
            let _ = stream.read(&mut [0; 1]);
            false
        }
        After::Endless => {
            let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
            while stream.write_all(&chunk).is_ok() {}
            false
        }
    }
}

enum After {
    Next,
    End,
    Hold,
    Endless,
}

/// An image of one layer, as a registry has it.
#[derive(Clone)]
pub struct Served {
    pub layer: Vec<u8>,
    pub config: Vec<u8>,
    pub manifest: Vec<u8>,
}

impl Served {
    /// A file of `len` bytes that do not compress.
    pub fn new(len: usize) -> Self {
        let mut state = 1u32;
        let content: Vec<u8> = (0..len)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(len as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        tar.append_data(&mut header, "blob", content.as_slice())
            .unwrap();
        let layer = tar.into_inner().unwrap();
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": [Digest::of(&layer).to_string()]},
        });
        let config = config.to_string().into_bytes();
        let manifest = manifest(&config, &layer, layer.len());
        Self {
            layer,
            config,
            manifest,
        }
    }

    pub fn layer_path(&self) -> String {
        format!("/blobs/{}", Digest::of(&self.layer))
    }

    /// As a registry without mistakes answers.
    pub fn answer(&self, request: &Request) -> Reply {
        let path = &request.path;
        if path.contains("/manifests/") {
            return Reply::ok(&self.manifest);
        }
        for blob in [&self.layer, &self.config] {
            if path.ends_with(&Digest::of(blob).to_string()) {
                return part(blob, request.from());
            }
        }
        Reply::status(if path == "/v2/" { 200 } else { 404 })
    }
}

/// A blob from `from` on, as who knows ranges answers.
pub fn part(blob: &[u8], from: usize) -> Reply {
    if from == 0 {
        return Reply::ok(blob);
    }
    let range = content_range(from, blob.len());
    Reply::Whole(206, range, blob[from..].to_vec())
}

pub fn content_range(from: usize, len: usize) -> String {
    format!("Content-Range: bytes {from}-{}/{len}\r\n", len - 1)
}

pub fn manifest(config: &[u8], layer: &[u8], layer_len: usize) -> Vec<u8> {
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": Digest::of(config).to_string(), "size": config.len(),
        },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": Digest::of(layer).to_string(), "size": layer_len,
        }],
    })
    .to_string()
    .into_bytes()
}
