//! Asking again: with credentials where they are wanted, and later where that
//! may help.

use std::time::Duration;

use ureq::http::{HeaderMap, StatusCode};

use super::endpoint::Endpoint;
use super::http::{Again, Answer, Failure, Request, read_small, refusal};
use super::{Client, Error, Limits};

/// What is left of our patience.
pub(super) struct Patience<'a> {
    limits: &'a Limits,
    failed: u32,
    hung: bool,
}

impl<'a> Patience<'a> {
    pub(super) fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            failed: 0,
            hung: false,
        }
    }

    /// It got on: what failed before does not count any more.
    pub(super) fn renew(&mut self) {
        self.failed = 0;
        self.hung = false;
    }

    /// Waits until it makes sense to ask again.
    ///
    /// # Errors
    /// It makes none: the failure's error.
    pub(super) fn wait(&mut self, failure: Failure) -> Result<(), Error> {
        let pause = match failure.again {
            Again::No => return Err(*failure.error),
            Again::Once if self.hung => return Err(*failure.error),
            Again::Once => {
                self.hung = true;
                Duration::ZERO
            }
            Again::Later(asked) => {
                let own = self.limits.pause * 2u32.saturating_pow(self.failed);
                asked.unwrap_or(own.min(self.limits.longest_pause))
            }
        };
        if self.failed == self.limits.repeats || pause > self.limits.longest_pause {
            return Err(*failure.error);
        }
        self.failed += 1;
        std::thread::sleep(pause);
        Ok(())
    }
}

impl Client {
    /// Does `one` until it works, or cannot be expected to.
    pub(super) fn repeatedly<T>(
        &self,
        mut one: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T, Error> {
        let mut patience = Patience::new(&self.options.limits);
        loop {
            match one() {
                Ok(done) => return Ok(done),
                Err(failure) => patience.wait(failure)?,
            }
        }
    }

    /// Asks a registry once, as who we are to it; where it wants to know that,
    /// it is told.
    pub(super) fn ask(
        &self,
        at: &Endpoint,
        scope: &str,
        request: &Request,
    ) -> Result<Answer, Failure> {
        let mut request = request.clone();
        // An upload may go to another host.
        let ours = at.is_at(&request.uri);
        request.authorization = at.authorization(scope).filter(|_| ours);
        let answer = self.exchange(&at.host, &request)?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        if !ours || !self.authenticate(at, scope, &request.what, &answer.headers)? {
            return Err(refusal(&at.host, &request, answer).into());
        }
        request.authorization = at.authorization(scope);
        let answer = self.exchange(&at.host, &request)?;
        if answer.status == StatusCode::UNAUTHORIZED {
            return Err(refusal(&at.host, &request, answer).into());
        }
        Ok(answer)
    }

    /// Asks for something small, with repeats.
    pub(super) fn ask_small(
        &self,
        at: &Endpoint,
        scope: &str,
        request: &Request,
    ) -> Result<(HeaderMap, Vec<u8>), Error> {
        self.repeatedly(|| {
            let answer = self.ask(at, scope, request)?;
            read_small(&at.host, &request.what, &self.options.limits, answer)
        })
    }
}
