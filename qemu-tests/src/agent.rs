//! The harness's side of the agent's channel.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use agent_protocol::{Answer, Op, Request, Response};
use anyhow::{Context, Result, bail};

use crate::watched::Watched;

#[derive(Debug, Default)]
struct Heard {
    answers: HashMap<u64, Answer>,
    /// How often an agent said hello: it may be started again.
    hellos: u32,
    closed: bool,
}

/// The agent in a guest.
#[derive(Debug)]
pub struct Agent {
    writer: Mutex<UnixStream>,
    heard: Watched<Heard>,
    next: AtomicU64,
}

impl Agent {
    /// Listens for the agent at QEMU's end of the port.
    ///
    /// # Errors
    /// The stream cannot be shared with the thread that reads it.
    pub fn start(stream: UnixStream) -> Result<Self> {
        let heard: Watched<Heard> = Watched::default();
        let reader = BufReader::new(stream.try_clone()?);
        let listener = heard.clone();
        thread::spawn(move || listen(reader, &listener));
        Ok(Self {
            writer: Mutex::new(stream),
            heard,
            next: AtomicU64::new(1),
        })
    }

    /// How often an agent has said hello.
    ///
    /// # Panics
    /// The reader panicked.
    #[must_use]
    pub fn hellos(&self) -> u32 {
        self.heard.lock().hellos
    }

    /// Waits until an agent has said hello `count` times in all.
    ///
    /// # Errors
    /// Not within `timeout`, or the channel closed.
    pub fn wait_hello(&self, count: u32, timeout: Duration) -> Result<()> {
        self.wait(timeout, |heard| (heard.hellos >= count).then_some(()))
            .context("waiting for the agent's hello")
    }

    /// Asks `op` and waits up to `timeout` for the answer, which may be
    /// [`Answer::Failed`].
    ///
    /// # Errors
    /// The channel is lost, or no answer came in time.
    ///
    /// # Panics
    /// Another thread panicked while it wrote a request.
    pub fn ask(&self, op: &Op, timeout: Duration) -> Result<Answer> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut line = serde_json::to_vec(&Request { id, op: op.clone() })?;
        line.push(b'\n');
        self.writer
            .lock()
            .expect("no writer panicked")
            .write_all(&line)
            .with_context(|| format!("ask the agent {op:?}"))?;
        self.wait(timeout, |heard| heard.answers.remove(&id))
            .with_context(|| format!("the agent's answer to {op:?}"))
    }

    fn wait<T>(
        &self,
        timeout: Duration,
        mut look: impl FnMut(&mut Heard) -> Option<T>,
    ) -> Result<T> {
        self.heard.wait(timeout, |heard| {
            let found = look(heard);
            if found.is_none() && heard.closed {
                bail!("the agent's channel closed");
            }
            Ok(found)
        })
    }
}

fn listen(reader: impl BufRead, heard: &Watched<Heard>) {
    for line in reader.lines().map_while(Result::ok) {
        // An agent that was killed in the middle of a line leaves its half.
        let start = line.rfind("{\"id\"").unwrap_or(0);
        let Ok(response) = serde_json::from_str::<Response>(&line[start..]) else {
            continue;
        };
        heard.change(|heard| match response.answer {
            Answer::Hello { .. } => heard.hellos += 1,
            answer => {
                heard.answers.insert(response.id, answer);
            }
        });
    }
    heard.change(|heard| heard.closed = true);
}
