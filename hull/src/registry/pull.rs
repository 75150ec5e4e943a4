//! Images from a registry into the store.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType};
use ureq::http::{StatusCode, header};

use super::fetch::{Place, Wanted};
use super::http::{Request, read_small};
use super::{Client, Error};
use crate::arch::Arch;
use crate::digest::Digest;
use crate::reference::Reference;
use crate::signature::{ANNOTATION, Evidence, Policy, Signature};
use crate::source::layout::{is_for, is_index, json, sha256};
use crate::source::{self, Manifest};
use crate::store::{Adding, Store};

/// All kinds of manifests that we read.
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v2+json";
/// So many layers are loaded at a time.
const AT_ONCE: usize = 4;
/// So many signatures of an image are looked at.
const MAX_SIGNATURES: usize = 50;

/// An image that was brought into the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// For which architecture.
    pub arch: Arch,
    /// Of its manifest.
    pub digest: Digest,
}

/// What a registry has under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The digest of the index, where there is one.
    pub index: Option<Digest>,
    /// The digests of the manifests, for the architectures that there are.
    pub manifests: Vec<Pulled>,
}

/// An index or a manifest, and what it is known to be for.
struct Found {
    manifest: Manifest,
    index: Option<Arc<Manifest>>,
}

impl Client {
    /// Brings an image into the store, for each of `arches`, or for all that
    /// it has and that we know, where there are none. Nothing is named in the
    /// store that `policy` does not take.
    ///
    /// # Errors
    /// No mirror and no registry gives it, or not as it should be.
    pub fn pull(
        &self,
        store: &Store,
        reference: &Reference,
        arches: &[Arch],
        policy: Option<&Policy>,
    ) -> Result<Vec<Pulled>, Error> {
        self.of_any(reference, |place| {
            let adding = store.adding()?;
            let found = place.manifests(arches)?;
            let mut pulled = Vec::new();
            for one in found {
                pulled.push(place.image(&adding, &one, arches, policy)?);
            }
            Ok(pulled)
        })
    }

    /// What there is under a name, without loading it.
    ///
    /// # Errors
    /// No mirror and no registry has it.
    pub fn resolve(&self, reference: &Reference) -> Result<Resolved, Error> {
        self.of_any(reference, |place| {
            let top = place.manifest(None)?;
            if !is_index(&media_type(&top)) {
                let arch = place.arch_of(&top)?;
                let digest = top.digest;
                return Ok(Resolved {
                    index: None,
                    manifests: vec![Pulled { arch, digest }],
                });
            }
            let index: ImageIndex = place.parse(&top)?;
            let mut manifests = Vec::new();
            for arch in Arch::ALL {
                if let Some(one) = index.manifests().iter().find(|one| is_for(one, arch)) {
                    let digest = place.sha256(one)?;
                    manifests.push(Pulled { arch, digest });
                }
            }
            Ok(Resolved {
                index: Some(top.digest),
                manifests,
            })
        })
    }

    /// What speaks for the image `manifest` of a name.
    ///
    /// # Errors
    /// No mirror and no registry says.
    pub fn evidence(&self, reference: &Reference, manifest: Digest) -> Result<Evidence, Error> {
        self.of_any(reference, |place| {
            let top = place.manifest(None)?;
            let index = is_index(&media_type(&top)).then_some(&top);
            place.evidence(manifest, index)
        })
    }

    /// Asks the mirrors, then the registry. The registry's word is the last.
    fn of_any<T>(
        &self,
        reference: &Reference,
        ask: impl Fn(&Place<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let endpoints = self.endpoints(reference);
        let mut last = None;
        for at in &endpoints {
            match ask(&Place::to_read(self, at, reference)) {
                Ok(done) => return Ok(done),
                // The disk does not get better with another registry.
                Err(error @ Error::Store(_)) => return Err(error),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::Unreachable {
            what: format!("pulling {}", reference.familiar()),
            host: reference.registry().to_owned(),
            why: "there is nobody to ask".to_owned(),
        }))
    }
}

impl Place<'_> {
    /// The manifests for `arches`.
    fn manifests(&self, arches: &[Arch]) -> Result<Vec<Found>, Error> {
        let top = self.manifest(None)?;
        if !is_index(&media_type(&top)) {
            return Ok(vec![Found {
                manifest: top,
                index: None,
            }]);
        }
        let top = Arc::new(top);
        let index: ImageIndex = self.parse(&top)?;
        let wanted = if arches.is_empty() {
            &Arch::ALL
        } else {
            arches
        };
        let mut found = Vec::new();
        for &arch in wanted {
            let Some(one) = index.manifests().iter().find(|one| is_for(one, arch)) else {
                if arches.is_empty() {
                    continue;
                }
                return Err(self.no_arch(arch, architectures(&index)));
            };
            found.push(Found {
                manifest: self.manifest(Some(one))?,
                index: Some(Arc::clone(&top)),
            });
        }
        match found.is_empty() {
            true => Err(self.no_arch(Arch::host(), architectures(&index))),
            false => Ok(found),
        }
    }

    /// The manifest that the reference names, or the one that an index names.
    fn manifest(&self, descriptor: Option<&Descriptor>) -> Result<Manifest, Error> {
        let what = self.what();
        let expected = match descriptor {
            Some(descriptor) => Some(self.sha256(descriptor)?),
            None => self.reference.digest(),
        };
        let name = expected.map_or_else(
            || self.reference.tag().unwrap_or("latest").to_owned(),
            |digest| digest.to_string(),
        );
        let path = format!("{}/manifests/{name}", self.reference.repository());
        let request = Request::get(self.client.url(self.at, &path, &what)?, &what)
            .with(header::ACCEPT, ACCEPT.to_owned());
        let (headers, bytes) = self.client.ask_small(self.at, &self.scope, &request)?;
        if let Some(expected) = expected {
            let len = descriptor.map_or(bytes.len() as u64, Descriptor::size);
            let digest = expected;
            self.check(&what, Wanted { digest, len }, &bytes)?;
        }
        let media_type = self.kind(&bytes, descriptor, headers.get(header::CONTENT_TYPE))?;
        Ok(Manifest {
            digest: Digest::of(&bytes),
            media_type,
            bytes,
        })
    }

    /// A manifest's type: its own word, else its descriptor's, else the
    /// registry's.
    fn kind(
        &self,
        bytes: &[u8],
        descriptor: Option<&Descriptor>,
        header: Option<&ureq::http::HeaderValue>,
    ) -> Result<String, Error> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Typed {
            media_type: Option<String>,
        }
        let own: Typed = json(bytes, Path::new("manifest")).map_err(|e| self.broken(e))?;
        let header = header.and_then(|value| value.to_str().ok());
        let kind = own
            .media_type
            .or_else(|| Some(descriptor?.media_type().to_string()))
            .or_else(|| header?.split(';').next().map(|kind| kind.trim().to_owned()))
            .unwrap_or_default();
        if ACCEPT.split(", ").any(|known| known == kind) {
            return Ok(kind);
        }
        Err(self.broken(source::Error::Unsupported {
            what: "its manifest".to_owned(),
            why: format!("is of the type {kind:?}, which is none of an image"),
        }))
    }

    /// Brings one image's parts into the store, and names it there.
    fn image(
        &self,
        adding: &Adding<'_>,
        found: &Found,
        arches: &[Arch],
        policy: Option<&Policy>,
    ) -> Result<Pulled, Error> {
        if let Some(policy) = policy {
            self.admit(policy, adding, found)?;
        }
        let manifest: ImageManifest = self.parse(&found.manifest)?;
        let config = self.wanted(manifest.config())?;
        let raw_config = self.small_blob(config)?;
        let arch = self.arch(&raw_config)?;
        if !arches.is_empty() && !arches.contains(&arch) {
            return Err(self.no_arch(arches[0], arch.oci().to_owned()));
        }
        let layers: BTreeSet<Wanted> = manifest
            .layers()
            .iter()
            .map(|layer| self.wanted(layer))
            .collect::<Result<_, _>>()?;
        let layers: Vec<_> = layers.into_iter().collect();
        at_once(&layers, |&layer| self.fetch(adding, layer))?;
        adding.put(&raw_config)?;
        let index = found.index.as_ref().map(|index| index.digest);
        adding.name(self.reference, arch, &found.manifest, index)?;
        let digest = found.manifest.digest;
        Ok(Pulled { arch, digest })
    }

    /// Asks the policy, with the signatures that it wants.
    fn admit(&self, policy: &Policy, adding: &Adding<'_>, found: &Found) -> Result<(), Error> {
        let digest = found.manifest.digest;
        if !policy.wants_signature(self.reference) {
            return Ok(policy.check(self.reference, digest, &Evidence::default())?);
        }
        let evidence = self.evidence(digest, found.index.as_deref())?;
        policy.check(self.reference, digest, &evidence)?;
        adding.put_evidence(digest, &evidence)?;
        Ok(())
    }

    /// The signatures of a manifest, and of the index that leads to it.
    fn evidence(&self, manifest: Digest, index: Option<&Manifest>) -> Result<Evidence, Error> {
        let mut signatures = self.signatures(manifest)?;
        if let Some(index) = index {
            signatures.extend(self.signatures(index.digest)?);
        }
        Ok(Evidence {
            index: index.map(|index| STANDARD.encode(&index.bytes)),
            signatures,
        })
    }

    /// What cosign has put there for a digest.
    fn signatures(&self, of: Digest) -> Result<Vec<Signature>, Error> {
        let what = format!("{}: signatures", self.what());
        let path = format!(
            "{}/manifests/sha256-{}.sig",
            self.reference.repository(),
            of.hex()
        );
        let mut request = Request::get(self.client.url(self.at, &path, &what)?, &what)
            .with(header::ACCEPT, ACCEPT.to_owned());
        request.also = &[404];
        let limits = &self.client.options.limits;
        let bytes = self.client.repeatedly(|| {
            let answer = self.client.ask(self.at, &self.scope, &request)?;
            if answer.status == StatusCode::NOT_FOUND {
                return Ok(None);
            }
            read_small(&self.at.host, &what, limits, answer).map(|(_, bytes)| Some(bytes))
        })?;
        let Some(bytes) = bytes else {
            return Ok(Vec::new());
        };
        let manifest: ImageManifest =
            json(&bytes, Path::new("signature")).map_err(|e| self.broken(e))?;
        let mut signatures = Vec::new();
        for layer in manifest.layers().iter().take(MAX_SIGNATURES) {
            let annotations = layer.annotations().as_ref();
            if let Some(signature) = annotations.and_then(|all| all.get(ANNOTATION)) {
                signatures.push(Signature {
                    payload: STANDARD.encode(self.small_blob(self.wanted(layer)?)?),
                    signature: signature.clone(),
                });
            }
        }
        Ok(signatures)
    }

    fn arch_of(&self, manifest: &Manifest) -> Result<Arch, Error> {
        let manifest: ImageManifest = self.parse(manifest)?;
        self.arch(&self.small_blob(self.wanted(manifest.config())?)?)
    }

    fn arch(&self, raw_config: &[u8]) -> Result<Arch, Error> {
        let config: ImageConfiguration =
            json(raw_config, Path::new("configuration")).map_err(|e| self.broken(e))?;
        let name = config.architecture().to_string();
        name.parse().map_err(|e: crate::arch::UnknownArch| {
            self.broken(source::Error::Unsupported {
                what: "its configuration".to_owned(),
                why: e.to_string(),
            })
        })
    }

    fn wanted(&self, descriptor: &Descriptor) -> Result<Wanted, Error> {
        Ok(Wanted {
            digest: self.sha256(descriptor)?,
            len: descriptor.size(),
        })
    }

    fn sha256(&self, descriptor: &Descriptor) -> Result<Digest, Error> {
        sha256(descriptor).map_err(|e| self.broken(e))
    }

    fn parse<T: serde::de::DeserializeOwned>(&self, manifest: &Manifest) -> Result<T, Error> {
        json(&manifest.bytes, Path::new("manifest")).map_err(|e| self.broken(e))
    }

    fn broken(&self, source: source::Error) -> Error {
        Error::Image {
            what: self.what(),
            source: Box::new(source),
        }
    }

    fn no_arch(&self, wanted: Arch, there: String) -> Error {
        Error::NoArch {
            what: self.what(),
            wanted: wanted.oci(),
            there,
        }
    }
}

fn media_type(manifest: &Manifest) -> MediaType {
    MediaType::from(manifest.media_type.as_str())
}

/// What an index has images for, as far as it says so.
fn architectures(index: &ImageIndex) -> String {
    let platforms = index
        .manifests()
        .iter()
        .filter_map(|one| one.platform().as_ref());
    let names: BTreeSet<String> = platforms
        .map(|p| format!("{}/{}", p.os(), p.architecture()))
        .collect();
    match names.is_empty() {
        true => "none that it names".to_owned(),
        false => names.into_iter().collect::<Vec<_>>().join(", "),
    }
}

/// Does `work` on each of `items`, several at a time. The first error ends it.
pub(super) fn at_once<T: Sync>(
    items: &[T],
    work: impl Fn(&T) -> Result<(), Error> + Sync,
) -> Result<(), Error> {
    let next = AtomicUsize::new(0);
    let worker = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = work(item) {
                next.store(items.len(), Ordering::Relaxed);
                return Err(error);
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads = AT_ONCE.min(items.len());
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(worker)).collect();
        let mut done = worker();
        for other in others {
            match other.join() {
                Ok(result) => done = done.and(result),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    })
}
