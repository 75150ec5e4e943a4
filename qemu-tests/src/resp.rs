//! A client of Redis, as far as the tests talk to one: its protocol RESP2.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A connection to a Redis server.
#[derive(Debug)]
pub struct Redis {
    stream: BufReader<TcpStream>,
}

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(10);

impl Redis {
    /// Connects, again and again until a server answers to PING: a forwarded
    /// port takes connections before anything in the guest listens.
    ///
    /// # Errors
    /// None answers within `timeout`.
    pub fn connect(address: SocketAddr, timeout: Duration) -> Result<Self> {
        let deadline = Instant::now() + timeout;
        loop {
            match Self::try_connect(address) {
                Ok(redis) => return Ok(redis),
                Err(e) if Instant::now() > deadline => {
                    return Err(e.context(format!("no Redis at {address} within {timeout:?}")));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    fn try_connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, ANSWER)?;
        stream.set_read_timeout(Some(ANSWER))?;
        let mut redis = Self {
            stream: BufReader::new(stream),
        };
        match redis.command(&["PING"])?.as_deref() {
            Some("PONG") => Ok(redis),
            other => bail!("PING was answered with {other:?}"),
        }
    }

    /// Sends a command and returns the answer: the text of a string or a
    /// number, none for the null string.
    ///
    /// # Errors
    /// The connection is lost, or the server answers with an error.
    pub fn command(&mut self, words: &[&str]) -> Result<Option<String>> {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        self.stream.get_mut().write_all(request.as_bytes())?;
        self.answer().with_context(|| format!("redis: {words:?}"))
    }

    fn answer(&mut self) -> Result<Option<String>> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            bail!("the server closed the connection");
        }
        let line = line.trim_end();
        match line.split_at_checked(1) {
            Some(("+" | ":", text)) => Ok(Some(text.to_owned())),
            Some(("-", error)) => bail!("{error}"),
            Some(("$", "-1")) => Ok(None),
            Some(("$", length)) => {
                let mut text = vec![0; length.parse::<usize>()? + 2];
                self.stream.read_exact(&mut text)?;
                text.truncate(text.len() - 2);
                Ok(Some(String::from_utf8(text)?))
            }
            _ => bail!("not RESP: {line:?}"),
        }
    }
}
