//! A value that one thread changes while others wait for what they look for.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// The value, shared.
#[derive(Debug, Default)]
pub(crate) struct Watched<T>(Arc<(Mutex<T>, Condvar)>);

impl<T> Clone for Watched<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Watched<T> {
    /// The value as it is now. It stands still while it is held.
    ///
    /// # Panics
    /// A thread panicked while it held it.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.0.lock().expect("who held it is alive")
    }

    /// Changes the value; who waits looks again.
    ///
    /// # Panics
    /// A thread panicked while it held it.
    pub(crate) fn change(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.lock());
        self.0.1.notify_all();
    }

    /// Waits until `look` finds what it looks for.
    ///
    /// # Errors
    /// Those of `look`, which end the wait; or the time is up.
    ///
    /// # Panics
    /// A thread panicked while it held the value.
    pub(crate) fn wait<R>(
        &self,
        timeout: Duration,
        mut look: impl FnMut(&mut T) -> Result<Option<R>>,
    ) -> Result<R> {
        let deadline = Instant::now() + timeout;
        let mut value = self.lock();
        loop {
            if let Some(found) = look(&mut value)? {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("not within {timeout:?}");
            }
            let (again, _) = self
                .0
                .1
                .wait_timeout(value, left)
                .expect("who held it is alive");
            value = again;
        }
    }
}
