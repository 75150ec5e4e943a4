//! The loop: from the log process to the server, for ever.

use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::Error;
use crate::config::Config;
use crate::destination::{Connection, Route};
use crate::message::Sender;
use crate::positions::{Noted, Positions};
use crate::source::{Next, Source};

/// How much is sent at a time, in bytes of messages.
const BATCH: usize = 64 * 1024;

/// What is not confirmed is asked about so often.
const CONFIRM: Duration = Duration::from_millis(100);

/// After a failure it is tried again so long after …
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// … and at last so seldom.
const LAST_RETRY: Duration = Duration::from_secs(60);

/// Forwards until it cannot be done.
///
/// # Errors
/// What is not a matter of time: a file that is not there, or is wrong.
pub fn forever(config: &Config) -> Result<(), Error> {
    let route = Route::new(config)?;
    let mut forwarder = Forwarder {
        sender: Sender {
            form: config.server.form,
            facility: config.facility,
            host: config.host.clone().unwrap_or_else(host_name),
        },
        noted: Noted::read(&config.state)?,
        config,
    };
    let mut wait = FIRST_RETRY;
    let mut silent = false;
    loop {
        let before = forwarder.noted.positions().clone();
        let error = match route.connect() {
            Ok(connection) => forwarder.forward(connection)?,
            Err(error) => error,
        };
        if *forwarder.noted.positions() != before {
            (wait, silent) = (FIRST_RETRY, false);
        }
        // Once for each time that it is away.
        if !silent {
            eprintln!("logforward: {error}; trying again");
            silent = true;
        }
        std::thread::sleep(wait);
        wait = (wait * 2).min(LAST_RETRY);
    }
}

fn host_name() -> String {
    let name = nix::unistd::gethostname().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

struct Forwarder<'a> {
    config: &'a Config,
    sender: Sender,
    noted: Noted,
}

impl Forwarder<'_> {
    /// Forwards over `connection` until it breaks: how.
    fn forward(&mut self, mut connection: Connection) -> Result<Error, Error> {
        // Sent is not arrived: what has not is sent once more, next time.
        let mut sent = self.noted.positions().clone();
        loop {
            let source = Source::open(&self.config.socket, &self.config.logs)?;
            match self.forward_from(source, &mut connection, &mut sent) {
                // The log process has died, or has too many readers.
                Ok(()) => std::thread::sleep(FIRST_RETRY),
                Err(Broken::Way(error)) => return Ok(error),
                Err(Broken::Rest(error)) => return Err(error),
            }
        }
    }

    /// The same until the source ends.
    fn forward_from(
        &mut self,
        mut source: Source,
        connection: &mut Connection,
        sent: &mut Positions,
    ) -> Result<(), Broken> {
        loop {
            let (messages, end) = self.batch(&mut source, sent).map_err(Broken::Rest)?;
            if !messages.is_empty() {
                connection.send(&messages).map_err(Broken::Way)?;
            }
            let arrived = connection.has_arrived().map_err(Broken::Way)?;
            if arrived {
                self.noted.write(sent).map_err(Broken::Rest)?;
            }
            if end {
                return Ok(());
            }
            if messages.is_empty() && wait(&source, connection, arrived) {
                connection.listen().map_err(Broken::Way)?;
            }
        }
    }

    /// What there is to send, and whether that is the end.
    fn batch(
        &self,
        source: &mut Source,
        sent: &mut Positions,
    ) -> Result<(Vec<Vec<u8>>, bool), Error> {
        let mut messages = Vec::new();
        let mut size = 0;
        while size < BATCH {
            let line = match source.next_line()? {
                Next::Line(line) => line,
                Next::Nothing => return Ok((messages, false)),
                Next::End => return Ok((messages, true)),
            };
            let next = sent.next(&line.id);
            if line.n < next {
                continue;
            }
            if line.n > next {
                messages.push(self.sender.lost(line.n - next, &line));
            }
            let message = self.sender.line(&line);
            size += message.len();
            messages.push(message);
            sent.pass(&line.id, line.n);
        }
        Ok((messages, false))
    }
}

/// What keeps it from going on.
enum Broken {
    /// The way to the server.
    Way(Error),
    /// Something else.
    Rest(Error),
}

/// Waits for either end to say something; for a moment only, where something
/// is on its way. Whether the server has.
fn wait(source: &Source, connection: &Connection, arrived: bool) -> bool {
    let timeout = match arrived {
        true => PollTimeout::NONE,
        false => PollTimeout::try_from(CONFIRM).unwrap_or(PollTimeout::MAX),
    };
    let mut fds = [
        PollFd::new(source.fd(), PollFlags::POLLIN),
        PollFd::new(connection.fd(), PollFlags::POLLIN),
    ];
    // Interrupted: it is looked at again.
    let _count = poll(&mut fds, timeout);
    let [_, server] = fds;
    server.any().unwrap_or(false)
}
