//! Disks that come and go, looked at in a thread: one that does not answer must
//! not keep the power button from being heard.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use super::problem;
use crate::disks::links::{self, Places};

/// How many disks wait to be looked at; more of them, and all are looked at.
const QUEUE: usize = 256;

/// A disk is looked at when nothing was said of any for so long, or after ten
/// times that: a driver that says "changed" without an end costs little.
const SETTLE: Duration = Duration::from_millis(20);

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// A disk has come, or is another one.
    There(String),
    /// It has gone.
    Gone(String),
    /// Something; nobody knows what.
    All,
}

/// The thread's other end.
#[derive(Debug)]
pub(super) struct Disks(Option<SyncSender<News>>);

impl Disks {
    /// Begins, and looks at all that are there.
    pub(super) fn start() -> Self {
        let (sender, receiver) = sync_channel(QUEUE);
        let thread = thread::Builder::new().spawn(move || run(&receiver));
        let sender = thread
            .inspect_err(|error| problem(&crate::Error::os("start", "thread")(error.kind())))
            .ok()
            .map(|_| sender);
        let disks = Self(sender);
        disks.tell(News::All);
        disks
    }

    /// Tells it what has happened.
    pub(super) fn tell(&self, news: News) {
        if let Some(sender) = &self.0
            && let Err(TrySendError::Full(_)) = sender.try_send(news)
        {
            // It is behind by far: it sees what there is when it looks at all,
            // which is asked for when there is room again.
            let _next_time = sender.try_send(News::All);
        }
    }
}

fn run(receiver: &Receiver<News>) {
    let places = Places::default();
    while let Ok(first) = receiver.recv() {
        let mut batch = vec![first];
        for _ in 0..10 {
            match receiver.recv_timeout(SETTLE) {
                Ok(news) => batch.push(news),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            }
            batch.extend(receiver.try_iter());
        }
        look(&places, batch);
    }
}

/// Looks at each disk once; what has gone first, so that its names are free.
fn look(places: &Places, batch: Vec<News>) {
    let (mut there, mut gone, mut all) = (BTreeSet::new(), BTreeSet::new(), false);
    for news in batch {
        match news {
            News::There(name) => {
                gone.remove(&name);
                there.insert(name);
            }
            News::Gone(name) => {
                there.remove(&name);
                gone.insert(name);
            }
            News::All => all = true,
        }
    }
    let removed = gone.iter().map(|name| links::remove(places, name));
    let made = there.iter().map(|name| links::update(places, name));
    let errors = removed.chain(made).filter_map(Result::err);
    let errors: Vec<_> = match all {
        true => links::update_all(places),
        false => errors.collect(),
    };
    for error in &errors {
        problem(error);
    }
}
