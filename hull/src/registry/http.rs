//! One request and its answer: redirects, limits, and what failures mean.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::Deserialize;
use ureq::config::ConfigBuilder;
use ureq::http::header::{self, HeaderName};
use ureq::http::{HeaderMap, Method, Response, StatusCode, Uri};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::typestate::AgentScope;
use ureq::{Agent, Body, SendBody};

use super::auth::Authorization;
use super::endpoint::{Endpoint, is_loopback};
use super::progress::Bar;
use super::{Client, Error, Limits};

/// No manifest, configuration or token is larger than this, in bytes.
pub(super) const MAX_SMALL: u64 = 4 << 20;
/// Of an error's own words so many characters are repeated.
const MAX_SAID: usize = 200;
/// A registry sends us on at most so often.
const MAX_REDIRECTS: usize = 5;

/// The pools of connections: one for hosts that we check, one for those that
/// the user does not want checked, which is never asked through a proxy where
/// the host is this machine.
#[derive(Debug, Default)]
pub(super) struct Agents {
    strict: OnceLock<Agent>,
    insecure: OnceLock<Agent>,
    loopback: OnceLock<Agent>,
}

/// A request that can be made more than once.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) uri: Uri,
    /// What is being done, for errors.
    pub(super) what: String,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) authorization: Option<Authorization>,
    pub(super) payload: Payload,
    /// The whole answer comes within [`Limits::small`].
    pub(super) is_small: bool,
    /// Answers that are no errors, besides those from 200 to 299.
    pub(super) also: &'static [u16],
}

/// What is sent with a request.
#[derive(Clone)]
pub(super) enum Payload {
    None,
    Bytes(Vec<u8>),
    /// A whole file.
    File(Arc<File>, u64, Bar),
}

/// Whether it makes sense to ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    No,
    /// Who hangs is given one more chance.
    Once,
    /// After the time that the registry asks for, if it does.
    Later(Option<Duration>),
}

/// Why an exchange failed.
pub(super) struct Failure {
    pub(super) error: Box<Error>,
    pub(super) again: Again,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            error: Box::new(error),
            again: Again::No,
        }
    }
}

/// An answer, and who gave it in the end.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
    /// The address that was asked last, which relative ones are relative to.
    pub(super) from: Uri,
}

impl Answer {
    /// A header that is text.
    pub(super) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Request {
    fn new(method: Method, uri: Uri, what: &str) -> Self {
        Self {
            method,
            uri,
            what: what.to_owned(),
            headers: Vec::new(),
            authorization: None,
            payload: Payload::None,
            is_small: true,
            also: &[],
        }
    }

    pub(super) fn get(uri: Uri, what: &str) -> Self {
        Self::new(Method::GET, uri, what)
    }

    pub(super) fn head(uri: Uri, what: &str) -> Self {
        Self::new(Method::HEAD, uri, what)
    }

    pub(super) fn post(uri: Uri, what: &str) -> Self {
        Self::new(Method::POST, uri, what)
    }

    pub(super) fn put(uri: Uri, what: &str, payload: Payload) -> Self {
        Self {
            payload,
            ..Self::new(Method::PUT, uri, what)
        }
    }

    pub(super) fn post_form(uri: Uri, what: &str, form: String) -> Self {
        Self {
            payload: Payload::Bytes(form.into_bytes()),
            ..Self::new(Method::POST, uri, what)
        }
        .with(
            header::CONTENT_TYPE,
            "application/x-www-form-urlencoded".to_owned(),
        )
    }

    pub(super) fn with(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    fn unreachable(&self, host: &str, why: String) -> Error {
        Error::Unreachable {
            what: self.what.clone(),
            host: host.to_owned(),
            why,
        }
    }
}

impl Client {
    /// Asks, follows redirects, and judges the status. `host` is the registry
    /// in whose name this is done.
    pub(super) fn exchange(&self, host: &str, request: &Request) -> Result<Answer, Failure> {
        let mut request = request.clone();
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.once(host, &request)?;
            if !answer.status.is_redirection() || answer.status == StatusCode::NOT_MODIFIED {
                return judged(host, &request, answer);
            }
            request = redirected(host, &request, &answer)?;
        }
        Err(Failure::from(Error::Redirect {
            what: request.what.clone(),
            host: host.to_owned(),
            to: origin(&request.uri).unwrap_or_default(),
            why: "that was one redirect too many",
        }))
    }

    /// What lies at a URL (`http:` or `https:`), at most 4 MiB, within the time
    /// that a small answer may take. Redirects are followed as everywhere.
    ///
    /// # Errors
    /// It is no such URL, nobody answers, or not as should be.
    pub fn fetch(&self, url: &str) -> Result<Vec<u8>, Error> {
        let bad = |why: &str| Error::Url {
            // What stands before the @ may be a password.
            url: match url.rsplit_once('@') {
                Some((_, behind)) => format!("…@{behind}"),
                None => url.to_owned(),
            },
            why: why.to_owned(),
        };
        let uri: Uri = url.parse().map_err(|_| bad("that is no URL"))?;
        if origin(&uri).is_none() {
            return Err(bad("allowed: http:// and https://, without a user's name"));
        }
        let host = uri.authority().map_or("", |a| a.as_str()).to_owned();
        let request = Request::get(uri, "fetching YAML");
        let answer = self.small(&host, &request);
        let (_, bytes) = answer.map_err(|e| match e {
            Error::Answer { status, .. } => bad(&format!("the answer is HTTP status {status}")),
            Error::Redirect { to, why, .. } => bad(&format!("redirected to {to}: {why}")),
            Error::Unreachable { why, .. }
            | Error::Hangs { why, .. }
            | Error::Protocol { why, .. } => bad(&why),
            other => other,
        })?;
        Ok(bytes)
    }

    /// A small answer, with repeats: its headers and its bytes.
    pub(super) fn small(
        &self,
        host: &str,
        request: &Request,
    ) -> Result<(HeaderMap, Vec<u8>), Error> {
        self.repeatedly(|| {
            let answer = self.exchange(host, request)?;
            if answer.status == StatusCode::UNAUTHORIZED {
                return Err(refusal(host, request, answer).into());
            }
            read_small(host, &request.what, &self.options.limits, answer)
        })
    }

    fn once(&self, host: &str, request: &Request) -> Result<Answer, Failure> {
        let agent = self.agent(&request.uri);
        let mut head = ureq::http::Request::builder()
            .method(request.method.clone())
            .uri(request.uri.clone());
        for (name, value) in &request.headers {
            head = head.header(name, value);
        }
        if let Some(authorization) = &request.authorization {
            head = head.header(header::AUTHORIZATION, &authorization.header);
        }
        let odd = |e: ureq::http::Error| request.unreachable(host, e.to_string());
        let answer = match &request.payload {
            Payload::None => self.run(agent, request, head.body(()).map_err(odd)?),
            Payload::Bytes(bytes) => self.run(agent, request, head.body(&bytes[..]).map_err(odd)?),
            Payload::File(file, len, bar) => {
                let head = head.header(header::CONTENT_LENGTH, *len);
                let reader = FileReader {
                    file: Arc::clone(file),
                    at: 0,
                    bar: bar.clone(),
                };
                let body = SendBody::from_owned_reader(reader);
                self.run(agent, request, head.body(body).map_err(odd)?)
            }
        };
        let answer = answer.map_err(|e| failure(host, &request.what, &self.options.limits, &e))?;
        let (parts, body) = answer.into_parts();
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body,
            from: request.uri.clone(),
        })
    }

    fn run(
        &self,
        agent: &Agent,
        request: &Request,
        head: ureq::http::Request<impl ureq::AsSendBody>,
    ) -> Result<Response<Body>, ureq::Error> {
        let whole = request.is_small.then_some(self.options.limits.small);
        agent.run(agent.configure_request(head).timeout_global(whole).build())
    }

    fn agent(&self, uri: &Uri) -> &Agent {
        let limits = &self.options.limits;
        let agents = &self.agents;
        let host = uri.authority().map_or("", |a| a.as_str());
        if is_loopback(host) {
            let new = || agent(limits, false, |config| config.proxy(None));
            return agents.loopback.get_or_init(new);
        }
        match self.is_insecure(host) {
            true => agents
                .insecure
                .get_or_init(|| agent(limits, false, |config| config)),
            false => agents
                .strict
                .get_or_init(|| agent(limits, true, |config| config)),
        }
    }

    /// The address of `path` below the registry's `/v2/`. Whether an insecure
    /// registry speaks TLS is tried once.
    pub(super) fn url(&self, at: &Endpoint, path: &str, what: &str) -> Result<Uri, Error> {
        let url = |scheme: &str, path: &str| {
            let url = format!("{scheme}://{}/v2/{path}", at.host);
            url.parse().map_err(|_| Error::Unreachable {
                what: what.to_owned(),
                host: at.host.clone(),
                why: "that is no host".to_owned(),
            })
        };
        if let Some(scheme) = at.scheme.get() {
            return url(scheme, path);
        }
        let ping = Request::get(url("https", "")?, what);
        let scheme = match self.once(&at.host, &ping) {
            Ok(_) => "https",
            Err(_) => "http",
        };
        url(at.scheme.get_or_init(|| scheme), path)
    }
}

type Config = ConfigBuilder<AgentScope>;

/// An agent that checks certificates, or does not.
fn agent(limits: &Limits, checks: bool, more: impl FnOnce(Config) -> Config) -> Agent {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = TlsConfig::builder().unversioned_rustls_crypto_provider(provider);
    let tls = match checks {
        // Reading them takes a while.
        true => tls.root_certs(system_roots()),
        false => tls.disable_verification(true),
    };
    let config = Agent::config_builder()
        .user_agent(concat!("hull/", env!("CARGO_PKG_VERSION")))
        .http_status_as_error(false)
        // Ours to follow: see `redirected`.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_resolve(Some(limits.connect))
        .timeout_connect(Some(limits.connect))
        .timeout_recv_response(Some(limits.answer))
        .timeout_per_read(Some(limits.idle))
        .timeout_per_write(Some(limits.idle))
        .input_buffer_size(128 * 1024)
        .output_buffer_size(128 * 1024)
        .tls_config(tls.build());
    more(config).build().into()
}

/// The certificates that this machine trusts; `SSL_CERT_FILE` names others.
fn system_roots() -> RootCerts {
    // Some of them may be broken, without harm to the others.
    let found = rustls_native_certs::load_native_certs().certs;
    let roots: Vec<_> = found
        .iter()
        .map(|der| Certificate::from_der(der).to_owned())
        .collect();
    RootCerts::new_with_certs(&roots)
}

/// Scheme, host and port; `None` of what we do not go to.
pub(super) fn origin(uri: &Uri) -> Option<String> {
    let scheme = uri
        .scheme_str()
        .filter(|s| matches!(*s, "http" | "https"))?;
    let authority = uri.authority().filter(|a| !a.as_str().contains('@'))?;
    let port = authority.port_u16().unwrap_or(match scheme {
        "https" => 443,
        _ => 80,
    });
    Some(format!(
        "{scheme}://{}:{port}",
        authority.host().to_ascii_lowercase()
    ))
}

/// Where a `Location` leads from `base`.
pub(super) fn resolve(base: &Uri, location: &str) -> Option<Uri> {
    let scheme = base.scheme_str()?;
    let absolute = if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{}{location}", base.authority()?)
    } else {
        location.to_owned()
    };
    let uri: Uri = absolute.parse().ok()?;
    origin(&uri)?;
    Some(uri)
}

/// The request that a redirect asks for. Credentials do not go to another
/// host, and nothing goes from TLS to no TLS.
fn redirected(host: &str, request: &Request, answer: &Answer) -> Result<Request, Error> {
    let location = answer.header(&header::LOCATION).unwrap_or_default();
    let refused = |to: String, why| Error::Redirect {
        what: request.what.clone(),
        host: host.to_owned(),
        to,
        why,
    };
    let Some(uri) = resolve(&request.uri, location) else {
        return Err(refused(
            "nowhere".to_owned(),
            "its Location is no http(s) URL",
        ));
    };
    let (from, to) = (origin(&request.uri), origin(&uri).unwrap_or_default());
    if request.uri.scheme_str() == Some("https") && uri.scheme_str() == Some("http") {
        return Err(refused(to, "from TLS to no TLS"));
    }
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return Err(refused(to, "only reading is redirected"));
    }
    let mut next = request.clone();
    if from != Some(to) {
        next.authorization = None;
    }
    next.uri = uri;
    Ok(next)
}

fn judged(host: &str, request: &Request, answer: Answer) -> Result<Answer, Failure> {
    let status = answer.status.as_u16();
    if answer.status.is_success() || request.also.contains(&status) || status == 401 {
        return Ok(answer);
    }
    let again = match status {
        408 | 429 | 500 | 502 | 503 | 504 => Again::Later(retry_after(&answer)),
        _ => Again::No,
    };
    Err(Failure {
        error: Box::new(refusal(host, request, answer)),
        again,
    })
}

/// The error that an answer is.
pub(super) fn refusal(host: &str, request: &Request, answer: Answer) -> Error {
    let status = answer.status.as_u16();
    let mut said = words(answer.body);
    if let Some(authorization) = &request.authorization {
        said = authorization.redact(&said);
    }
    let mut said: String = said.chars().take(MAX_SAID).collect();
    if !said.is_empty() {
        said = format!(" ({said})");
    }
    Error::Answer {
        what: request.what.clone(),
        host: host.to_owned(),
        status,
        said,
    }
}

fn retry_after(answer: &Answer) -> Option<Duration> {
    let seconds = answer.header(&header::RETRY_AFTER)?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// What the registry says about its refusal: the messages of the
/// specification's error form, in one printable line.
fn words(body: Body) -> String {
    #[derive(Deserialize)]
    struct Envelope {
        errors: Vec<One>,
    }
    #[derive(Deserialize)]
    struct One {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let mut bytes = Vec::new();
    // Who is cut off in the middle of an excuse has said enough.
    let _ = body.into_reader().take(64 * 1024).read_to_end(&mut bytes);
    let Ok(envelope) = serde_json::from_slice::<Envelope>(&bytes) else {
        return String::new();
    };
    let mut text = String::new();
    for one in envelope.errors {
        let said = if one.message.is_empty() {
            one.code
        } else {
            one.message
        };
        let _ = write!(text, "{}{said}", if text.is_empty() { "" } else { "; " });
    }
    text.chars().filter(|c| !c.is_control()).collect()
}

/// What people can do about a status.
pub(super) fn advice(status: u16, host: &str) -> String {
    match status {
        401 => format!(
            "it wants credentials, or other ones: `docker login {host}` keeps them in Docker's \
             config.json"
        ),
        403 => "these credentials do not allow it".to_owned(),
        404 => "there is no such image, or only for others to see".to_owned(),
        429 => "it has been asked too often: try again later".to_owned(),
        500..=599 => "the registry itself fails: try again later".to_owned(),
        _ => "it does not do this".to_owned(),
    }
}

/// Reads an answer that has to be small.
pub(super) fn read_small(
    host: &str,
    what: &str,
    limits: &Limits,
    answer: Answer,
) -> Result<(HeaderMap, Vec<u8>), Failure> {
    let mut bytes = Vec::new();
    answer
        .body
        .into_reader()
        .take(MAX_SMALL + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| broken_off(host, what, limits, e))?;
    if bytes.len() as u64 > MAX_SMALL {
        return Err(Failure::from(Error::Protocol {
            what: what.to_owned(),
            host: host.to_owned(),
            why: format!("its answer is longer than {MAX_SMALL} bytes; it is refused"),
        }));
    }
    Ok((answer.headers, bytes))
}

/// The failure that an error in the middle of an answer is.
pub(super) fn broken_off(host: &str, what: &str, limits: &Limits, e: io::Error) -> Failure {
    failure(host, what, limits, &ureq::Error::from(e))
}

fn failure(host: &str, what: &str, limits: &Limits, e: &ureq::Error) -> Failure {
    let seconds = |limit: Duration| format!("{} s", limit.as_secs_f32());
    let hangs = |why: String| Failure {
        error: Box::new(Error::Hangs {
            what: what.to_owned(),
            host: host.to_owned(),
            why,
        }),
        again: Again::Once,
    };
    let unreachable = |again| Failure {
        error: Box::new(Error::Unreachable {
            what: what.to_owned(),
            host: host.to_owned(),
            why: e.to_string().replace('\n', " "),
        }),
        again,
    };
    match e {
        ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect) => {
            hangs(format!("no connection within {}", seconds(limits.connect)))
        }
        ureq::Error::Timeout(ureq::Timeout::Global | ureq::Timeout::PerCall) => {
            hangs(format!("no whole answer within {}", seconds(limits.small)))
        }
        ureq::Error::Timeout(ureq::Timeout::RecvResponse) => {
            hangs(format!("no answer within {}", seconds(limits.answer)))
        }
        ureq::Error::Timeout(_) => hangs(format!("nothing moved for {}", seconds(limits.idle))),
        ureq::Error::Io(e) if e.kind() == io::ErrorKind::TimedOut => {
            hangs(format!("nothing moved for {}", seconds(limits.idle)))
        }
        // Nobody listens, or rustls does not like what it hears: that stays so.
        ureq::Error::Io(e)
            if matches!(
                e.kind(),
                io::ErrorKind::ConnectionRefused | io::ErrorKind::InvalidData
            ) =>
        {
            unreachable(Again::No)
        }
        // Cut off in the middle: the next try may have more luck.
        ureq::Error::Io(_) => unreachable(Again::Later(None)),
        ureq::Error::Protocol(_) => unreachable(Again::Later(None)),
        _ => unreachable(Again::No),
    }
}

/// Reads a file without moving its position.
struct FileReader {
    file: Arc<File>,
    at: u64,
    bar: Bar,
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = std::os::unix::fs::FileExt::read_at(&*self.file, buffer, self.at)?;
        self.at += n as u64;
        self.bar.add(n as u64);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn locations_lead_to_http_only() {
        let base = uri("https://r.x:5000/v2/a/blobs/uploads/");
        for (location, expected) in [
            ("/v2/b?_state=1", Some("https://r.x:5000/v2/b?_state=1")),
            ("https://s3.x/y?sig=1", Some("https://s3.x/y?sig=1")),
            ("//s3.x/y", Some("https://s3.x/y")),
            ("http://user:pw@s3.x/y", None),
            ("file:///etc/passwd", None),
            ("ftp://x/y", None),
            ("relative", None),
            ("", None),
        ] {
            assert_eq!(resolve(&base, location), expected.map(uri), "{location}");
        }
    }

    #[test]
    fn ports_of_schemes_are_the_same_origin() {
        assert_eq!(
            origin(&uri("https://A.x/1")),
            origin(&uri("https://a.x:443/2"))
        );
        assert_ne!(origin(&uri("https://a.x/")), origin(&uri("http://a.x/")));
        assert_ne!(
            origin(&uri("https://a.x/")),
            origin(&uri("https://a.x:444/"))
        );
    }
}
