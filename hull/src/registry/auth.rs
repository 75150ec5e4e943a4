//! Who we are to a registry: Docker's configuration and credential helpers,
//! Basic authentication, and the tokens of the "token authentication
//! specification" of the distribution project.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use docker_credential::{CredentialRetrievalError, DockerCredential};
use http_auth::ChallengeParser;
use serde::Deserialize;
use ureq::http::{HeaderMap, Uri, header};

use super::endpoint::{Endpoint, credentials_key};
use super::http::{Request, origin};
use super::{Client, Error};

/// The value of an `Authorization` header. Never shown.
#[derive(Clone)]
pub(super) struct Authorization {
    pub(super) header: String,
    /// What an error must not repeat.
    secrets: Vec<String>,
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorization(…)")
    }
}

impl Authorization {
    fn basic(user: &str, password: &str) -> Self {
        let both = STANDARD.encode(format!("{user}:{password}"));
        Self {
            header: format!("Basic {both}"),
            secrets: vec![both, password.to_owned()],
        }
    }

    fn bearer(token: &str) -> Self {
        Self {
            header: format!("Bearer {token}"),
            secrets: vec![token.to_owned()],
        }
    }

    /// `text` without our secrets, if the other side has put them there.
    pub(super) fn redact(&self, text: &str) -> String {
        let known = self.secrets.iter().filter(|secret| !secret.is_empty());
        known.fold(text.to_owned(), |text, secret| text.replace(secret, "…"))
    }
}

/// What a registry asks for in its 401.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
}

/// Both names are in use.
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Client {
    /// Does what the registry's 401 asks for, so that the request can be made
    /// again. `false`: there is nothing that we could do.
    pub(super) fn authenticate(
        &self,
        at: &Endpoint,
        scope: &str,
        what: &str,
        headers: &HeaderMap,
    ) -> Result<bool, Error> {
        let credential = credential(&at.host)?;
        let authorization = match (challenge(headers), credential) {
            (Some(Challenge::Basic), Some(DockerCredential::UsernamePassword(user, password))) => {
                Authorization::basic(&user, &password)
            }
            (
                Some(Challenge::Bearer {
                    realm,
                    service,
                    scope: asked,
                }),
                credential,
            ) => {
                let scope = asked.as_deref().unwrap_or(scope);
                let token = self.token(
                    at,
                    what,
                    &realm,
                    service.as_deref(),
                    scope,
                    credential.as_ref(),
                )?;
                Authorization::bearer(&token)
            }
            _ => return Ok(false),
        };
        at.authorize(scope, authorization);
        Ok(true)
    }

    /// Gets a token from the realm that the registry names.
    fn token(
        &self,
        at: &Endpoint,
        what: &str,
        realm: &str,
        service: Option<&str>,
        scope: &str,
        credential: Option<&DockerCredential>,
    ) -> Result<String, Error> {
        let broken = |why: String| Error::Protocol {
            what: what.to_owned(),
            host: at.host.clone(),
            why,
        };
        let uri: Uri = realm
            .parse()
            .ok()
            .filter(|uri| origin(uri).is_some())
            .ok_or_else(|| broken("its realm for tokens is not a URL".to_owned()))?;
        if uri.scheme_str() == Some("http") && at.scheme.get() != Some(&"http") {
            return Err(Error::Redirect {
                what: what.to_owned(),
                host: at.host.clone(),
                to: origin(&uri).unwrap_or_default(),
                why: "a token is not asked for without TLS",
            });
        }
        let mut query = vec![("scope", scope)];
        query.extend(service.map(|service| ("service", service)));
        let request = match credential {
            Some(DockerCredential::IdentityToken(token)) => {
                query.extend([
                    ("grant_type", "refresh_token"),
                    ("client_id", "hull"),
                    ("refresh_token", token),
                ]);
                Request::post_form(uri, what, form(&query))
            }
            other => {
                let separator = if uri.query().is_some() { '&' } else { '?' };
                let uri = format!("{uri}{separator}{}", form(&query))
                    .parse()
                    .map_err(|_| broken("its realm for tokens is not a URL".to_owned()))?;
                let mut request = Request::get(uri, what);
                if let Some(DockerCredential::UsernamePassword(user, password)) = other {
                    request.authorization = Some(Authorization::basic(user, password));
                }
                request
            }
        };
        let text = self.small(&at.host, &request)?.1;
        let token: Token = serde_json::from_slice(&text)
            .map_err(|_| broken("the answer of its realm is no token".to_owned()))?;
        token
            .token
            .or(token.access_token)
            .filter(|token| !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic()))
            .ok_or_else(|| broken("the answer of its realm is no token".to_owned()))
    }
}

/// The user's credentials for a host, if there are any.
fn credential(host: &str) -> Result<Option<DockerCredential>, Error> {
    use CredentialRetrievalError as E;
    let why = match docker_credential::get_credential(credentials_key(host)) {
        Ok(credential) => return Ok(Some(credential)),
        Err(E::NoCredentialConfigured | E::ConfigNotFound) => return Ok(None),
        // Missing and broken are one to the crate.
        Err(E::ConfigReadError) if !docker_config_exists() => return Ok(None),
        Err(E::ConfigReadError) => "Docker's config.json cannot be read, or is no JSON".to_owned(),
        // It may have printed anything: its words are not repeated, but for
        // the ones that only say that it has nothing.
        Err(E::HelperFailure { stdout, .. }) if stdout.contains("credentials not found") => {
            return Ok(None);
        }
        Err(E::HelperFailure { helper, .. }) => {
            format!("the credential helper docker-credential-{helper} failed")
        }
        Err(E::HelperCommunicationError | E::MalformedHelperResponse) => {
            "the credential helper that Docker's config.json names did not do its work".to_owned()
        }
        Err(E::CredentialDecodingError | E::CredentialMismatchError) => {
            "what Docker's config.json has for it is broken".to_owned()
        }
    };
    Err(Error::Credentials {
        host: host.to_owned(),
        why,
    })
}

fn docker_config_exists() -> bool {
    let home = || Some(std::path::Path::new(&std::env::var_os("HOME")?).join(".docker"));
    std::env::var_os("DOCKER_CONFIG")
        .map(Into::into)
        .or_else(home)
        .is_some_and(|dir| dir.join("config.json").exists())
}

/// The challenge that we can meet; a token rather than a password.
fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    let mut basic = None;
    for value in headers.get_all(header::WWW_AUTHENTICATE) {
        let Ok(text) = value.to_str() else { continue };
        for one in ChallengeParser::new(text).map_while(Result::ok) {
            let param = |name: &str| {
                let mut all = one.params.iter();
                let found = all.find(|(key, _)| key.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.to_unescaped())
            };
            if one.scheme.eq_ignore_ascii_case("bearer")
                && let Some(realm) = param("realm")
            {
                return Some(Challenge::Bearer {
                    realm,
                    service: param("service"),
                    scope: param("scope"),
                });
            }
            if one.scheme.eq_ignore_ascii_case("basic") {
                basic = Some(Challenge::Basic);
            }
        }
    }
    basic
}

/// `application/x-www-form-urlencoded`.
fn form(pairs: &[(&str, &str)]) -> String {
    let encode = |text: &str| {
        text.bytes().fold(String::new(), |mut out, byte| {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    out.push(char::from(byte));
                }
                other => out += &format!("%{other:02X}"),
            }
            out
        })
    };
    let pairs = pairs
        .iter()
        .map(|(key, value)| format!("{key}={}", encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&'static str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::WWW_AUTHENTICATE, value.parse().unwrap());
        }
        challenge(&headers)
    }

    #[test]
    fn a_token_is_preferred_to_a_password() {
        let bearer =
            r#"Bearer realm="https://auth.x/token",service="x",scope="repository:a/b:pull""#;
        let expected = Challenge::Bearer {
            realm: "https://auth.x/token".to_owned(),
            service: Some("x".to_owned()),
            scope: Some("repository:a/b:pull".to_owned()),
        };
        assert_eq!(
            of(&[r#"Basic realm="x""#, bearer]).as_ref(),
            Some(&expected)
        );
        assert_eq!(of(&[r#"Basic realm="x""#]), Some(Challenge::Basic));
        for nothing in [&["Negotiate"][..], &[""], &["Bearer"], &[]] {
            assert_eq!(of(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn secrets_are_taken_out_and_never_shown() {
        let basic = Authorization::basic("me", "s3cret");
        assert_eq!(basic.redact("got s3cret and bWU6czNjcmV0"), "got … and …");
        assert_eq!(format!("{basic:?}"), "Authorization(…)");
    }

    #[test]
    fn forms_are_encoded() {
        assert_eq!(
            form(&[("scope", "a:b c"), ("x", "é")]),
            "scope=a%3Ab%20c&x=%C3%A9"
        );
    }
}
