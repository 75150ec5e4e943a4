//! TLS: whom we believe, and who we are.

use std::fs;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::Error;
use crate::config::TlsFiles;

/// A client that speaks to servers whose certificates the files vouch for.
///
/// # Errors
/// A file cannot be read, or holds no certificate or key.
pub(crate) fn config(files: &TlsFiles) -> Result<Arc<ClientConfig>, Error> {
    let mut roots = RootCertStore::empty();
    let ca = files.ca.as_deref().unwrap_or_default();
    for certificate in certificates(ca)? {
        let added = roots.add(certificate);
        added.map_err(|error| wrong(ca, &error))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(ca, &error))?
        .with_root_certificates(roots);
    let config = match &files.own {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let text = fs::read(key).map_err(Error::os("read", key))?;
            let private = PrivateKeyDer::from_pem_slice(&text).map_err(|e| wrong(key, &e))?;
            let own = builder.with_client_auth_cert(certificates(cert)?, private);
            own.map_err(|error| wrong(cert, &error))?
        }
    };
    Ok(Arc::new(config))
}

fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = fs::read(path).map_err(Error::os("read", path))?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let all = all.map_err(|error| wrong(path, &error))?;
    if all.is_empty() {
        return Err(wrong(path, &"holds no certificate, allowed: PEM"));
    }
    Ok(all)
}

fn wrong(path: &str, reason: &dyn std::fmt::Display) -> Error {
    Error::File {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

/// A connection to the server `host`, which its certificate must name.
pub(crate) fn connect(config: &Arc<ClientConfig>, host: &str) -> Result<ClientConnection, Error> {
    let name = match host.parse::<IpAddr>() {
        Ok(address) => ServerName::from(address),
        Err(_) => ServerName::try_from(host.to_owned()).map_err(|error| wrong(host, &error))?,
    };
    ClientConnection::new(Arc::clone(config), name).map_err(|source| Error::Tls {
        server: host.to_owned(),
        source,
    })
}
