//! The hardware watchdog: it resets the machine when this loop does not go
//! round any more. The loop itself feeds it, and nobody else.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};

use super::{now, problem};
use crate::klog::{Level, Line};
use crate::life::record::Writer;
use crate::supervise::{End, Time};
use crate::sys::watchdog;

/// The device that is fed.
const DEVICE: &str = "/dev/watchdog0";

/// How often it is fed within its time.
const FEEDS: u64 = 4;

/// The watchdog, if there is one.
#[derive(Debug, Default)]
pub(super) struct Watchdog {
    /// In what time a sign of life is due, in seconds; 0: it is left alone.
    wanted: u32,
    fed: Option<Fed>,
}

/// A watchdog that counts.
#[derive(Debug)]
struct Fed {
    device: File,
    /// Milliseconds between two signs of life.
    every: u64,
    next: Time,
}

impl Watchdog {
    /// A watchdog that resets the machine after so many seconds; with 0, none.
    pub(super) fn new(seconds: u32) -> Self {
        Self {
            wanted: seconds,
            fed: None,
        }
    }

    /// Begins to feed it, if it is there and is to be fed. Opening the device
    /// starts it.
    pub(super) fn open(&mut self) {
        if self.wanted == 0 || self.fed.is_some() {
            return;
        }
        match OpenOptions::new().write(true).open(DEVICE) {
            Ok(device) => self.begin(device, "watched"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => problem(&format!("open {DEVICE}: {error}")),
        }
    }

    /// Goes on with the one that the life before has fed.
    pub(super) fn adopt(&mut self, device: OwnedFd) {
        self.begin(device.into(), "watched");
    }

    fn begin(&mut self, device: File, state: &str) {
        let wanted = i32::try_from(self.wanted.max(1)).unwrap_or(i32::MAX);
        // One whose time cannot be set keeps its own, which is some ten
        // seconds at least.
        let seconds = watchdog::set_timeout(&device, wanted).unwrap_or(10);
        let every = u64::try_from(seconds).unwrap_or(1).max(1) * 1000 / FEEDS;
        let next = now();
        Line::new(Level::Info, "init", state)
            .with("within_s", seconds)
            .write();
        self.fed = Some(Fed {
            device,
            every,
            next,
        });
        self.feed();
    }

    /// When the next sign of life is due.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.fed.as_ref().map(|fed| fed.next)
    }

    /// Gives a sign of life, if it is time.
    pub(super) fn feed(&mut self) {
        if let Some(fed) = &mut self.fed
            && fed.next <= now()
        {
            fed.next = now().after(fed.every);
            // A device that is broken is not our end; it may be the machine's.
            let _reset = fed.device.write_all(b"\0");
        }
    }

    /// The last sign of life: the machine has its whole time to end, and is
    /// reset if it does not. One that is to stay stopped is let alone.
    pub(super) fn leave(self, end: End) {
        if let Some(mut fed) = self.fed {
            let last = if end == End::Halt { b"V" } else { b"\0" };
            let _reset = fed.device.write_all(last);
            if end != End::Halt {
                // Closed, it would count all the same, and say so.
                std::mem::forget(fed.device);
            }
        }
    }

    /// Writes which descriptor it has.
    pub(super) fn save(&self, to: &mut Writer) {
        if let Some(fed) = &self.fed {
            to.record("watchdog").fd("device", &fed.device.as_raw_fd());
        }
    }
}
