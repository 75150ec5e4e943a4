//! The serial console: kept in a file, cut into lines, read as events.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::MutexGuard;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::event::{self, Event};
use crate::watched::Watched;

/// What the console has shown so far.
#[derive(Debug, Default)]
pub struct Log {
    /// Whole lines, without line ends.
    pub lines: Vec<String>,
    /// Those of PID 1, read.
    pub events: Vec<Event>,
    /// What stands behind the last line end.
    pub partial: String,
    /// The line of a kernel panic.
    pub panic: Option<String>,
    /// Whether the console is gone.
    pub closed: bool,
}

/// A console that is read in the background.
#[derive(Clone, Debug)]
pub struct Console {
    log: Watched<Log>,
}

impl Console {
    /// Reads `input` to its end, and keeps it in the file `copy`.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn start(input: impl Read + Send + 'static, copy: &Path) -> Result<Self> {
        let copy = File::create(copy).with_context(|| format!("make {}", copy.display()))?;
        let console = Self {
            log: Watched::default(),
        };
        let reader = console.clone();
        thread::spawn(move || reader.read(input, copy));
        Ok(console)
    }

    fn read(&self, mut input: impl Read, mut copy: File) {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = input.read(&mut buffer) {
            // The copy is for people; a full disk must not end the reading.
            let _ = copy.write_all(&buffer[..n]);
            let text = String::from_utf8_lossy(&buffer[..n]);
            self.log.change(|log| log.take(&text));
        }
        self.log.change(|log| log.closed = true);
    }

    /// What has been shown so far. The console stands still while it is held.
    ///
    /// # Panics
    /// The thread that reads the console panicked.
    pub fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock()
    }

    /// Waits until `look` finds what it looks for; `what` names it.
    ///
    /// # Errors
    /// The time is up, the kernel panicked, or the console closed before.
    ///
    /// # Panics
    /// The thread that reads the console panicked.
    pub fn wait<T>(
        &self,
        what: &str,
        timeout: Duration,
        look: impl Fn(&Log) -> Option<T>,
    ) -> Result<T> {
        let found = self.log.wait(timeout, |log| {
            let found = look(log);
            if found.is_none() {
                if let Some(panic) = &log.panic {
                    bail!("{panic}");
                }
                if log.closed {
                    bail!("the console closed");
                }
            }
            Ok(found)
        });
        found.map_err(|error| anyhow!("waiting for {what}: {error}"))
    }

    /// The last `count` lines, for a failure's report.
    #[must_use]
    pub fn tail(&self, count: usize) -> String {
        let log = self.lock();
        let skip = log.lines.len().saturating_sub(count);
        let mut tail = log.lines[skip..].join("\n");
        if !log.partial.is_empty() {
            tail.push('\n');
            tail.push_str(&log.partial);
        }
        tail
    }
}

impl Log {
    fn take(&mut self, text: &str) {
        self.partial.push_str(text);
        while let Some(end) = self.partial.find('\n') {
            let rest = self.partial.split_off(end + 1);
            let line = std::mem::replace(&mut self.partial, rest);
            self.take_line(line.trim_end_matches(['\r', '\n']));
        }
    }

    fn take_line(&mut self, line: &str) {
        const PANICS: [&str; 3] = ["Kernel panic", "Attempted to kill init", "Oops: "];
        if self.panic.is_none() && PANICS.iter().any(|panic| line.contains(panic)) {
            self.panic = Some(line.to_owned());
        }
        // Something else may have written on the line before the kernel did.
        let kernel = line.find("[ ").map_or(line, |start| &line[start..]);
        self.events
            .extend(event::parse(line).or_else(|| event::parse(kernel)));
        self.lines.push(line.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn console_of(text: &'static str) -> Console {
        let copy = tempfile::NamedTempFile::new().unwrap();
        Console::start(io::Cursor::new(text), copy.path()).unwrap()
    }

    const SOON: Duration = Duration::from_secs(5);

    #[test]
    fn an_event_is_found_across_lines() {
        let console = console_of(
            "SeaBIOS\r\n[    0.100000] Linux\r\n[    1.000000] hullkit: service web: running pid=7\r\n",
        );
        let pid = console.wait("web", SOON, |log| log.events.first()?.number("pid"));
        assert_eq!(pid.unwrap(), 7);
    }

    #[test]
    fn a_panic_ends_every_wait() {
        let console =
            console_of("[    1.000000] Kernel panic - not syncing: Attempted to kill init!\n");
        let error = console
            .wait("nothing", SOON, |_| None::<()>)
            .unwrap_err()
            .to_string();
        assert!(error.contains("Kernel panic"), "{error}");
    }

    #[test]
    fn a_closed_console_ends_every_wait() {
        let error = console_of("no line end").wait("nothing", SOON, |_| None::<()>);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("console closed"), "{error}");
    }

    #[test]
    fn a_line_of_the_kernel_behind_a_prompt_is_an_event() {
        let console = console_of("~ # [    1.000000] hullkit: boot: done ms=3\n");
        assert!(
            console
                .wait("boot", SOON, |log| log.events.first().cloned())
                .is_ok()
        );
    }
}
