//! Images from and to a registry, by the OCI distribution specification 1.1.
//!
//! What a registry says is believed only where it can be checked: every
//! manifest and blob that a digest names is hashed, every answer has a limit
//! in bytes and in time, and credentials go to the host that they are for.
//! Requests that a registry may answer better a little later are repeated a
//! bounded number of times.

mod auth;
mod endpoint;
mod fetch;
mod http;
mod progress;
mod pull;
mod push;
mod retry;

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use progress::Progress;
pub use pull::{Pulled, Resolved};

use crate::digest::Digest;
use crate::reference::Reference;
use crate::{signature, source, store};
use endpoint::Endpoint;
use http::Agents;

/// Why a registry did not give or take an image. `what` is what was being
/// done, `host` the registry or mirror.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection, or it broke.
    #[error("{what}: registry {host} cannot be reached: {why}")]
    Unreachable {
        /// What was being done.
        what: String,
        /// Which registry.
        host: String,
        /// Why.
        why: String,
    },
    /// It keeps us waiting.
    #[error(
        "{what}: registry {host} hangs: {why}; what was loaded is kept, and the next try goes on from there"
    )]
    Hangs {
        /// What was being done.
        what: String,
        /// Which registry.
        host: String,
        /// For how long.
        why: String,
    },
    /// It said no.
    #[error("{what}: registry {host} answered {status}{said}: {advice}", advice = http::advice(*.status, .host))]
    Answer {
        /// What was being done.
        what: String,
        /// Which registry.
        host: String,
        /// The HTTP status.
        status: u16,
        /// Its own words in brackets, if there are any.
        said: String,
    },
    /// It sent us where we do not go.
    #[error("{what}: registry {host} redirects to {to}: {why}")]
    Redirect {
        /// What was being done.
        what: String,
        /// Which registry.
        host: String,
        /// Scheme and host of the place.
        to: String,
        /// Why we do not go there.
        why: &'static str,
    },
    /// It does not keep to the specification.
    #[error("{what}: registry {host}: {why}")]
    Protocol {
        /// What was being done.
        what: String,
        /// Which registry.
        host: String,
        /// What is wrong.
        why: String,
    },
    /// It sent something else than what was asked for.
    #[error(
        "{what}: what registry {host} sent has the digest {found}, not {expected}; it is refused"
    )]
    Digest {
        /// What was being done.
        what: String,
        /// Which registry.
        host: String,
        /// As it should be.
        expected: Digest,
        /// As it is.
        found: Digest,
    },
    /// It sent more or less than the manifest says.
    #[error(
        "{what}: registry {host} sends {found} bytes where the manifest says {expected}; it is refused"
    )]
    Size {
        /// What was being done.
        what: String,
        /// Which registry.
        host: String,
        /// In bytes.
        expected: u64,
        /// In bytes, or what is known of them.
        found: String,
    },
    /// The user's credentials cannot be read.
    #[error("credentials for {host}: {why}")]
    Credentials {
        /// For which registry.
        host: String,
        /// Why.
        why: String,
    },
    /// The image is not for this architecture.
    #[error("{what}: there is no image for {wanted}, only for {there}")]
    NoArch {
        /// What was being done.
        what: String,
        /// In OCI's words.
        wanted: &'static str,
        /// In OCI's words.
        there: String,
    },
    /// The store cannot take it, or does not have it.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The policy does not take it.
    #[error(transparent)]
    Policy(#[from] signature::Error),
    /// A file could not be had from its URL.
    #[error("{url}: {why}")]
    Url {
        /// The URL, without a password.
        url: String,
        /// Why.
        why: String,
    },
    /// What the registry sent is no image.
    #[error("{what}: {source}")]
    Image {
        /// What was being done.
        what: String,
        /// What is wrong with it.
        source: Box<source::Error>,
    },
}

impl Error {
    /// Whether the registry says that there is no such image, or none for us:
    /// Docker's own tells these apart for nobody.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(
            self,
            Self::Answer {
                status: 401 | 403 | 404,
                ..
            }
        )
    }
}

/// How long we wait, and how often we ask again.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For a connection.
    pub connect: Duration,
    /// For the beginning of an answer.
    pub answer: Duration,
    /// For the next byte.
    pub idle: Duration,
    /// For a whole answer that is not a blob.
    pub small: Duration,
    /// How often a request is repeated that failed for a reason which may pass.
    pub repeats: u32,
    /// The wait before it is repeated the first time; doubled each time.
    pub pause: Duration,
    /// The longest such wait, also where the registry asks for one.
    pub longest_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            answer: Duration::from_secs(30),
            idle: Duration::from_secs(30),
            small: Duration::from_secs(60),
            repeats: 4,
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
        }
    }
}

/// A host that is asked before a registry: `[REGISTRY=][http://|https://]HOST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// For which registry; for all where there is none.
    of: Option<String>,
    host: String,
    /// It is spoken to without TLS.
    plain: bool,
}

impl FromStr for Mirror {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (of, place) = match text.split_once('=') {
            Some((of, place)) => (Some(of.to_owned()), place),
            None => (None, text),
        };
        let (plain, host) = match (
            place.strip_prefix("http://"),
            place.strip_prefix("https://"),
        ) {
            (Some(host), _) => (true, host),
            (None, Some(host)) => (false, host),
            (None, None) => (false, place),
        };
        let host = host.strip_suffix('/').unwrap_or(host);
        let odd = |c: char| !(c.is_ascii_alphanumeric() || ".-:[]_".contains(c));
        if host.is_empty() || host.contains(odd) || of.as_ref().is_some_and(String::is_empty) {
            return Err(format!(
                "{text:?} is not a mirror: write [REGISTRY=][http://|https://]HOST[:PORT]"
            ));
        }
        Ok(Self {
            of,
            host: host.to_owned(),
            plain,
        })
    }
}

/// How to talk to registries.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Hosts that need no TLS, and whose certificates are not checked. Those
    /// of this machine (loopback) are among them, as in Docker.
    pub insecure: Vec<String>,
    /// Asked first when something is pulled, in this order.
    pub mirrors: Vec<Mirror>,
    /// How long we wait.
    pub limits: Limits,
    /// Says how far it is.
    pub progress: Progress,
}

/// A client of all registries. What it learned (schemes, tokens) it keeps.
#[derive(Debug)]
pub struct Client {
    options: Options,
    agents: Agents,
    endpoints: Mutex<HashMap<String, Arc<Endpoint>>>,
}

impl Client {
    /// A client that has not talked to anybody yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            options,
            agents: Agents::default(),
            endpoints: Mutex::default(),
        }
    }

    /// Says how far it is.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.options.progress
    }

    /// Whom to ask for an image, in this order: mirrors, then its registry.
    fn endpoints(&self, reference: &Reference) -> Vec<Arc<Endpoint>> {
        let mirrors = self.options.mirrors.iter();
        let mut all: Vec<_> = mirrors
            .filter(|m| m.of.as_deref().is_none_or(|of| of == reference.registry()))
            .map(|m| self.endpoint(&m.host, m.plain))
            .collect();
        all.push(self.registry(reference));
        all
    }

    fn registry(&self, reference: &Reference) -> Arc<Endpoint> {
        self.endpoint(endpoint::host_of(reference), false)
    }

    fn endpoint(&self, host: &str, plain: bool) -> Arc<Endpoint> {
        let mut known = self.endpoints.lock().unwrap_or_else(|e| e.into_inner());
        let new = || {
            let insecure = plain || self.is_insecure(host);
            Arc::new(Endpoint::new(host, insecure, plain))
        };
        Arc::clone(known.entry(host.to_owned()).or_insert_with(new))
    }

    fn is_insecure(&self, host: &str) -> bool {
        endpoint::is_loopback(host) || self.options.insecure.iter().any(|one| one == host)
    }
}

#[cfg(test)]
mod tests;
