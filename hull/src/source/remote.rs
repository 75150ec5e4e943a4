//! Images by name that are not in the store, or are to be asked for again.

use std::path::Path;

use super::{Error, Finder, Image};
use crate::lock::Lock;
use crate::reference::Reference;
use crate::registry::{self, Client};
use crate::signature::Policy;

/// What may be done about an image that is not in the store, and what is
/// asked of every image.
#[derive(Debug, Default)]
pub struct Remote {
    /// Talks to registries; `None`: nobody is asked.
    pub client: Option<Client>,
    /// A registry is asked for each image, even if the store has it.
    pub always: bool,
    /// Which digests the names mean.
    pub lock: Option<Lock>,
    /// Which images are taken.
    pub policy: Option<Policy>,
}

impl Finder<'_> {
    /// The image that a name means: from the store, else from a registry into
    /// the store.
    pub(super) fn named(&self, text: &str, name: &Reference) -> Result<Image, Error> {
        let image = match self.remote.and_then(|remote| remote.lock.as_ref()) {
            Some(lock) => self.stored_or_pulled(text, &lock.pinned(name, self.arch)?)?,
            None => self.stored_or_pulled(text, name)?,
        };
        self.admit(name, &image)?;
        Ok(image)
    }

    fn stored_or_pulled(&self, text: &str, name: &Reference) -> Result<Image, Error> {
        let stored = self.store.find(text, name, self.arch)?;
        let Some(client) = self.client() else {
            return stored.map_or_else(|| self.in_store(text, name), Ok);
        };
        // What a digest names stays the same.
        let always = self.remote.is_some_and(|remote| remote.always) && name.digest().is_none();
        let pull = || client.pull(self.store, name, &[self.arch], self.policy());
        match stored {
            Some(image) if !always => Ok(image),
            Some(image) => match pull() {
                Ok(_) => self.in_store(text, name),
                // It was made here: no registry knows it.
                Err(error) if error.is_unknown() => Ok(image),
                Err(error) => Err(Error::Registry(Box::new(error))),
            },
            None => {
                pull().map_err(|source| self.not_pulled(text, name, source))?;
                self.in_store(text, name)
            }
        }
    }

    /// Asks the policy. What speaks for the image is in the store; where it is
    /// not, a registry is asked, and it is kept.
    fn admit(&self, name: &Reference, image: &Image) -> Result<(), Error> {
        let (Some(policy), Some(manifest)) = (self.policy(), &image.manifest) else {
            return Ok(());
        };
        let digest = manifest.digest;
        let Err(refused) = policy.check(name, digest, &self.store.evidence(digest)) else {
            return Ok(());
        };
        let client = self.client().filter(|_| policy.wants_signature(name));
        let Some(Ok(evidence)) = client.map(|client| client.evidence(name, digest)) else {
            return Err(refused.into());
        };
        policy.check(name, digest, &evidence)?;
        let keep = || self.store.adding()?.put_evidence(digest, &evidence);
        keep().map_err(|e| Error::Registry(Box::new(e.into())))
    }

    fn policy(&self) -> Option<&Policy> {
        self.remote.and_then(|remote| remote.policy.as_ref())
    }

    /// Asks the policy about an image that is at a place on this machine.
    pub(super) fn admit_place(&self, transport: &str, place: &Path) -> Result<(), Error> {
        let Some(policy) = self.policy() else {
            return Ok(());
        };
        let place = std::path::absolute(place).map_err(|source| Error::Read {
            path: place.to_owned(),
            source,
        })?;
        Ok(policy.check_place(transport, &place)?)
    }

    fn client(&self) -> Option<&Client> {
        self.remote.and_then(|remote| remote.client.as_ref())
    }

    fn not_pulled(&self, name: &str, reference: &Reference, source: registry::Error) -> Error {
        Error::NotPulled {
            name: name.to_owned(),
            arch: self.arch,
            hint: self.hint(reference),
            source: Box::new(source),
        }
    }
}
