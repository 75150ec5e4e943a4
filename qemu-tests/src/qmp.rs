//! QEMU's control channel (QMP): JSON objects over a unix socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::watched::Watched;

#[derive(Debug, Default)]
struct Heard {
    /// Answers that nobody has taken yet.
    answers: Vec<Value>,
    /// The reason of QEMU's `SHUTDOWN` event: `guest-shutdown`, `guest-reset`.
    shutdown: Option<String>,
    closed: bool,
}

/// A connection to a running QEMU.
#[derive(Debug)]
pub struct Qmp {
    /// Held for a whole question and answer.
    writer: Mutex<UnixStream>,
    heard: Watched<Heard>,
}

/// How long QEMU itself may take to answer.
const ANSWER: Duration = Duration::from_secs(20);

impl Qmp {
    /// Does the handshake.
    ///
    /// # Errors
    /// The other side is no QMP.
    pub fn start(stream: UnixStream) -> Result<Self> {
        let heard: Watched<Heard> = Watched::default();
        let reader = BufReader::new(stream.try_clone()?);
        let listener = heard.clone();
        thread::spawn(move || listen(reader, &listener));
        let qmp = Self {
            writer: Mutex::new(stream),
            heard,
        };
        qmp.execute("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    /// Runs a command and returns what it returns.
    ///
    /// # Errors
    /// QEMU refuses it, does not answer, or is gone.
    ///
    /// # Panics
    /// A thread panicked in the middle of another command.
    pub fn execute(&self, command: &str, arguments: &Value) -> Result<Value> {
        let mut writer = self.writer.lock().expect("no command panicked");
        let line = json!({"execute": command, "arguments": arguments});
        writer
            .write_all(format!("{line}\n").as_bytes())
            .with_context(|| format!("ask QEMU to {command}"))?;
        let answer = self
            .wait(ANSWER, |heard| {
                (!heard.answers.is_empty()).then(|| heard.answers.remove(0))
            })
            .with_context(|| format!("QEMU's answer to {command}"))?;
        match answer.get("error") {
            Some(error) => bail!("QEMU: {command}: {error}"),
            None => Ok(answer["return"].clone()),
        }
    }

    /// Waits for QEMU's end and returns the reason that it gave, if any.
    ///
    /// # Errors
    /// QEMU runs on after `timeout`.
    pub fn wait_closed(&self, timeout: Duration) -> Result<Option<String>> {
        self.wait(timeout, |heard| {
            heard.closed.then(|| heard.shutdown.clone())
        })
    }

    fn wait<T>(
        &self,
        timeout: Duration,
        mut look: impl FnMut(&mut Heard) -> Option<T>,
    ) -> Result<T> {
        self.heard.wait(timeout, |heard| {
            let found = look(heard);
            if found.is_none() && heard.closed {
                bail!("QEMU has ended");
            }
            Ok(found)
        })
    }
}

fn listen(reader: impl BufRead, heard: &Watched<Heard>) {
    for line in reader.lines().map_while(Result::ok) {
        let Ok(message) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        heard.change(|heard| {
            if message["event"] == "SHUTDOWN" {
                heard.shutdown = message["data"]["reason"].as_str().map(str::to_owned);
            } else if message.get("return").is_some() || message.get("error").is_some() {
                heard.answers.push(message);
            }
        });
    }
    heard.change(|heard| heard.closed = true);
}
