//! A registry or a mirror: its host, how it is spoken to, and who we are to
//! it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, OnceLock};

use ureq::http::Uri;

use super::auth::Authorization;
use super::http::origin;
use crate::reference::Reference;

/// The registry of names without one, and the host that serves it.
const DOCKER: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// A host that we talk to.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// Host and port.
    pub(super) host: String,
    /// `http` or `https`, once it is known.
    pub(super) scheme: OnceLock<&'static str>,
    /// What is sent with requests, by scope.
    authorizations: Mutex<HashMap<String, Authorization>>,
}

impl Endpoint {
    /// `insecure`: plain HTTP and unknown certificates will do; `plain`: there
    /// is no TLS.
    pub(super) fn new(host: &str, insecure: bool, plain: bool) -> Self {
        let scheme = OnceLock::new();
        if plain {
            let _ = scheme.set("http");
        } else if !insecure {
            let _ = scheme.set("https");
        }
        Self {
            host: host.to_owned(),
            scheme,
            authorizations: Mutex::default(),
        }
    }

    /// Whether an address is this host's.
    pub(super) fn is_at(&self, uri: &Uri) -> bool {
        let scheme = self.scheme.get().unwrap_or(&"https");
        let own = format!("{scheme}://{}", self.host).parse().ok();
        own.and_then(|own| origin(&own)) == origin(uri)
    }

    pub(super) fn authorization(&self, scope: &str) -> Option<Authorization> {
        let known = self.authorizations.lock();
        let known = known.unwrap_or_else(|e| e.into_inner());
        known.get(scope).cloned()
    }

    pub(super) fn authorize(&self, scope: &str, with: Authorization) {
        let known = self.authorizations.lock();
        let mut known = known.unwrap_or_else(|e| e.into_inner());
        known.insert(scope.to_owned(), with);
    }
}

/// The host that serves an image.
pub(super) fn host_of(reference: &Reference) -> &str {
    match reference.registry() {
        name if name == DOCKER.0 => DOCKER.1,
        other => other,
    }
}

/// The name that Docker keeps a host's credentials under.
pub(super) fn credentials_key(host: &str) -> &str {
    match host {
        name if name == DOCKER.1 => "https://index.docker.io/v1/",
        other => other,
    }
}

/// Whether a host is this machine: `localhost`, 127.0.0.0/8 or `[::1]`.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
