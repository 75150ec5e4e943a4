//! A request by HTTP/1.0 (RFC 1945), and whether the answer is a good one.

use std::io::{Read as _, Write as _};

use crate::Error;

/// As much of an answer as is looked at, in bytes: its first line.
const HEAD: u64 = 1024;

/// Asks for `path`.
///
/// # Errors
/// Nobody answers, or not with a status from 200 to 399.
pub(super) fn get(address: &str, path: &str) -> Result<(), Error> {
    let mut stream = super::connect(address)?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .map_err(Error::os("write to", address))?;
    let mut head = Vec::new();
    while !head.contains(&b'\n') && (head.len() as u64) < HEAD {
        let mut part = [0; 256];
        match stream
            .read(&mut part)
            .map_err(Error::os("read from", address))?
        {
            0 => break,
            count => head.extend_from_slice(part.get(..count).unwrap_or_default()),
        }
    }
    match status(&head) {
        Some(200..=399) => Ok(()),
        Some(code) => Err(bad(address, path, &format!("status {code}"))),
        None => Err(bad(address, path, "no answer by HTTP")),
    }
}

fn bad(address: &str, path: &str, reason: &str) -> Error {
    Error::Bundle {
        object: format!("http://{address}{path}"),
        reason: reason.to_owned(),
    }
}

/// The status of an answer: `HTTP/1.1 204 No Content`.
fn status(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let (_, rest) = line.strip_prefix("HTTP/")?.split_once(' ')?;
    let code = rest.get(..3)?;
    let end = rest.as_bytes().get(3);
    let ends = end.is_none_or(|byte| matches!(byte, b' ' | b'\r'));
    code.parse().ok().filter(|_| ends)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn reads_the_status() {
        assert_eq!(status(b"HTTP/1.1 204 No Content\r\nX: y\r\n"), Some(204));
        assert_eq!(status(b"HTTP/1.0 200\r\n"), Some(200));
        for wrong in [
            "",
            "HTTP/1.1",
            "HTTP/1.1 2000 x",
            "HTTP/1.1 2",
            "SSH-2.0 200 x",
            "HTTP/1.1 abc",
        ] {
            assert_eq!(status(wrong.as_bytes()), None, "{wrong}");
        }
    }

    fn answer(text: &'static [u8]) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut request = [0; 256];
            let count = client.read(&mut request).unwrap();
            client.write_all(text).unwrap();
            String::from_utf8_lossy(&request[..count]).into_owned()
        });
        let result = get(&address, "/health?x").map_err(|e| e.to_string());
        assert!(
            server
                .join()
                .unwrap()
                .starts_with("GET /health?x HTTP/1.0\r\nHost: 127.0.0.1:")
        );
        result
    }

    #[test]
    fn a_good_answer_is_one_from_200_to_399() {
        assert_eq!(answer(b"HTTP/1.1 200 OK\r\n\r\n"), Ok(()));
        assert_eq!(answer(b"HTTP/1.1 301 Moved\r\n\r\n"), Ok(()));
        let error = answer(b"HTTP/1.1 503 Busy\r\n\r\n").unwrap_err();
        assert!(error.ends_with("/health?x: status 503"), "{error}");
        let error = answer(b"").unwrap_err();
        assert!(error.ends_with("no answer by HTTP"), "{error}");
    }
}
