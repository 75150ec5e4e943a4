//! Images by name that are not in the store, or are to be asked for again.

use super::{Error, Finder, Image};
use crate::reference::Reference;
use crate::registry::{self, Client};

/// What may be done about an image that is not in the store.
#[derive(Debug, Default)]
pub struct Remote {
    /// Talks to registries; `None`: nobody is asked.
    pub client: Option<Client>,
    /// A registry is asked for each image, once, even if the store has it.
    pub always: bool,
}

impl Finder<'_> {
    /// The image that a name means: from the store, else from a registry into
    /// the store.
    pub(super) fn named(&self, text: &str, reference: &Reference) -> Result<Image, Error> {
        let always = self.remote.is_some_and(|remote| remote.always);
        let stored = self.store.find(text, reference, self.arch)?;
        match (stored, self.client()) {
            (Some(image), None) => Ok(image),
            (Some(image), Some(_)) if !always => Ok(image),
            (Some(image), Some(client)) => match client.pull(self.store, reference, &[self.arch]) {
                Ok(_) => self.in_store(text, reference),
                // It was made here: no registry knows it.
                Err(error) if is_unknown(&error) => Ok(image),
                Err(error) => Err(Error::Registry(Box::new(error))),
            },
            (None, Some(client)) => {
                client
                    .pull(self.store, reference, &[self.arch])
                    .map_err(|source| self.not_pulled(text, reference, source))?;
                self.in_store(text, reference)
            }
            (None, None) => self.in_store(text, reference),
        }
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

/// Whether the registry says that there is no such image, or none for us:
/// Docker's own tells these apart for nobody.
fn is_unknown(error: &registry::Error) -> bool {
    matches!(
        error,
        registry::Error::Answer {
            status: 401 | 403 | 404,
            ..
        }
    )
}
