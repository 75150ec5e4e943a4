//! A blob, from a registry into the store.

use std::io::{Read, Write as _};
use std::time::{Duration, Instant};

use ureq::http::header;
use ureq::http::{HeaderMap, StatusCode};

use super::endpoint::Endpoint;
use super::http::{Again, Answer, Failure, MAX_SMALL, Request, broken_off};
use super::progress::Bar;
use super::retry::Patience;
use super::{Client, Error};
use crate::digest::Digest;
use crate::reference::Reference;
use crate::store::{Adding, Partial};

/// So much on the way counts as getting on, in bytes.
const STEP: u64 = 1 << 20;
/// Slower than this on average over [`SPAN`], in bytes, is as good as hanging.
const LEAST: u64 = 64 * 1024;
const SPAN: Duration = Duration::from_secs(60);

/// A blob as a manifest names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wanted {
    pub(super) digest: Digest,
    pub(super) len: u64,
}

/// One registry, and the repository in it that is read.
pub(super) struct Place<'a> {
    pub(super) client: &'a Client,
    pub(super) at: &'a Endpoint,
    pub(super) reference: &'a Reference,
    pub(super) scope: String,
}

impl<'a> Place<'a> {
    pub(super) fn to_read(client: &'a Client, at: &'a Endpoint, reference: &'a Reference) -> Self {
        Self {
            client,
            at,
            reference,
            scope: format!("repository:{}:pull", reference.repository()),
        }
    }

    pub(super) fn what(&self) -> String {
        format!("pulling {}", self.reference.familiar())
    }

    /// A blob that is read into memory: a configuration.
    pub(super) fn small_blob(&self, wanted: Wanted) -> Result<Vec<u8>, Error> {
        let what = format!("{}: blob {}", self.what(), wanted.digest);
        self.check_small(&what, wanted)?;
        let uri = self.client.url(self.at, &self.blob_path(wanted), &what)?;
        let (_, bytes) = self
            .client
            .ask_small(self.at, &self.scope, &Request::get(uri, &what))?;
        self.check(&what, wanted, &bytes)?;
        Ok(bytes)
    }

    /// Refuses what is said to be too large to be small.
    pub(super) fn check_small(&self, what: &str, wanted: Wanted) -> Result<(), Error> {
        if wanted.len <= MAX_SMALL {
            return Ok(());
        }
        Err(Error::Protocol {
            what: what.to_owned(),
            host: self.at.host.clone(),
            why: format!(
                "{} bytes of JSON are refused: {MAX_SMALL} is the limit",
                wanted.len
            ),
        })
    }

    /// Whether bytes are those that were wanted.
    pub(super) fn check(&self, what: &str, wanted: Wanted, bytes: &[u8]) -> Result<(), Error> {
        let found = Digest::of(bytes);
        if bytes.len() as u64 != wanted.len {
            return Err(self.wrong_size(what, wanted, bytes.len().to_string()));
        }
        if found == wanted.digest {
            return Ok(());
        }
        Err(Error::Digest {
            what: what.to_owned(),
            host: self.at.host.clone(),
            expected: wanted.digest,
            found,
        })
    }

    fn wrong_size(&self, what: &str, wanted: Wanted, found: String) -> Error {
        Error::Size {
            what: what.to_owned(),
            host: self.at.host.clone(),
            expected: wanted.len,
            found,
        }
    }

    fn blob_path(&self, wanted: Wanted) -> String {
        format!("{}/blobs/{}", self.reference.repository(), wanted.digest)
    }

    /// Brings a blob into the store, unless it is there. What is there of it
    /// from an earlier try is not loaded again.
    pub(super) fn fetch(&self, adding: &Adding<'_>, wanted: Wanted) -> Result<(), Error> {
        let what = format!("{}: blob {}", self.what(), wanted.digest);
        let Some(mut partial) = adding.partial(wanted.digest, wanted.len)? else {
            return Ok(());
        };
        let name = wanted.digest.hex()[..12].to_owned();
        let bar = self.client.options.progress.bar(name, wanted.len);
        let mut patience = Patience::new(&self.client.options.limits);
        let mut before = 0;
        loop {
            let mut part = Part {
                place: self,
                what: &what,
                wanted,
                partial: &mut partial,
                bar: &bar,
                resumed: false,
                have: 0,
            };
            let failure = match part.go_on() {
                Ok(found) if found == wanted.digest => {
                    bar.done();
                    return Ok(partial.finish()?);
                }
                // What was there already may have been the wrong part of it.
                Ok(_) if part.resumed => {
                    partial.restart()?;
                    continue;
                }
                Ok(found) => {
                    partial.discard()?;
                    return Err(Error::Digest {
                        what,
                        host: self.at.host.clone(),
                        expected: wanted.digest,
                        found,
                    });
                }
                Err(failure) => failure,
            };
            if part.have >= before + STEP {
                before = part.have;
                patience.renew();
            }
            patience.wait(failure)?;
        }
    }
}

/// One try to get a blob's rest.
struct Part<'a> {
    place: &'a Place<'a>,
    what: &'a str,
    wanted: Wanted,
    partial: &'a mut Partial,
    bar: &'a Bar,
    /// Something was there before.
    resumed: bool,
    /// So many bytes are there.
    have: u64,
}

impl Part<'_> {
    /// Gets the rest; the digest of all of it.
    fn go_on(&mut self) -> Result<Digest, Failure> {
        let store = |e| Failure::from(Error::Store(e));
        let mut hash = self.partial.resume().map_err(store)?;
        self.have = hash.len();
        if self.have > self.wanted.len {
            self.partial.restart().map_err(store)?;
            (hash, self.have) = (crate::digest::Hashing::new(std::io::sink()), 0);
        }
        if self.have == self.wanted.len && self.have > 0 {
            self.resumed = true;
            return Ok(hash.finish().0);
        }
        let answer = self.request()?;
        if self.have > 0 && !goes_on(&answer, self.have) {
            self.partial.restart().map_err(store)?;
            (hash, self.have) = (crate::digest::Hashing::new(std::io::sink()), 0);
        }
        self.resumed = self.have > 0;
        self.bar.set(self.have);
        let left = self.wanted.len - self.have;
        if let Some(announced) = length(&answer.headers)
            && announced != left
        {
            let all = self.have.saturating_add(announced);
            return Err(self.wrong_size(all.to_string()).into());
        }
        let mut body = answer.body.into_reader();
        let mut pace = Pace::new();
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let n = body.read(&mut buffer).map_err(|e| self.broken_off(e))?;
            if n == 0 {
                break;
            }
            if n as u64 > self.wanted.len - self.have {
                self.partial.restart().map_err(store)?;
                return Err(self.wrong_size("more".to_owned()).into());
            }
            self.partial.append(&buffer[..n]).map_err(store)?;
            // A sink takes everything.
            let _ = hash.write_all(&buffer[..n]);
            self.have += n as u64;
            self.bar.add(n as u64);
            self.keep_pace(&mut pace, n as u64)?;
        }
        if self.have < self.wanted.len {
            return Err(self.wrong_size(self.have.to_string()).into());
        }
        Ok(hash.finish().0)
    }

    fn request(&self) -> Result<Answer, Failure> {
        let Place { client, at, .. } = self.place;
        let uri = client.url(at, &self.place.blob_path(self.wanted), self.what)?;
        let mut request = Request::get(uri, self.what);
        request.is_small = false;
        if self.have > 0 {
            request.also = &[416];
            request = request.with(header::RANGE, format!("bytes={}-", self.have));
        }
        let answer = client.ask(at, &self.place.scope, &request)?;
        let is_part = answer.status == StatusCode::PARTIAL_CONTENT;
        let odd = is_part && !goes_on(&answer, self.have);
        if !odd && answer.status != StatusCode::RANGE_NOT_SATISFIABLE {
            return Ok(answer);
        }
        // It does not give the part: all of it, then.
        request.headers.clear();
        client.ask(at, &self.place.scope, &request)
    }

    fn wrong_size(&self, found: String) -> Error {
        self.place.wrong_size(self.what, self.wanted, found)
    }

    fn broken_off(&self, e: std::io::Error) -> Failure {
        let limits = &self.place.client.options.limits;
        broken_off(&self.place.at.host, self.what, limits, e)
    }

    fn keep_pace(&self, pace: &mut Pace, bytes: u64) -> Result<(), Failure> {
        if pace.keeps(bytes) {
            return Ok(());
        }
        Err(Failure {
            error: Box::new(Error::Hangs {
                what: self.what.to_owned(),
                host: self.place.at.host.clone(),
                why: format!("less than {LEAST} bytes came in {} s", SPAN.as_secs()),
            }),
            again: Again::Once,
        })
    }
}

/// Whether an answer is the rest of the blob from `have` on, rather than all
/// of it.
fn goes_on(answer: &Answer, have: u64) -> bool {
    answer.status == StatusCode::PARTIAL_CONTENT
        && answer
            .header(&header::CONTENT_RANGE)
            .and_then(|range| range.strip_prefix("bytes "))
            .and_then(|range| range.split('-').next())
            .is_some_and(|start| start.trim().parse() == Ok(have))
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// Tells a trickle from a stream.
struct Pace {
    since: Instant,
    bytes: u64,
}

impl Pace {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            bytes: 0,
        }
    }

    fn keeps(&mut self, bytes: u64) -> bool {
        self.bytes += bytes;
        if self.since.elapsed() < SPAN {
            return true;
        }
        let enough = self.bytes >= LEAST;
        *self = Self::new();
        enough
    }
}
