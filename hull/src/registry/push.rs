//! Images from the store to a registry.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use oci_spec::image::{
    Descriptor, DescriptorBuilder, ImageIndexBuilder, ImageManifest, MediaType, Os, PlatformBuilder,
};
use ureq::http::header;
use ureq::http::{StatusCode, Uri};

use super::endpoint::Endpoint;
use super::fetch::Wanted;
use super::http::{Failure, Payload, Request, origin, refusal, resolve};
use super::pull::at_once;
use super::{Client, Error};
use crate::arch::Arch;
use crate::digest::Digest;
use crate::reference::Reference;
use crate::source::layout::{json, sha256, to_oci};
use crate::source::{self, Image, Manifest, Rootfs, sorted_json};
use crate::store::{self, Store};

/// A blob and where its bytes are.
struct Blob {
    wanted: Wanted,
    bytes: Payload,
}

/// Where an image goes to.
struct Target<'a> {
    client: &'a Client,
    at: &'a Endpoint,
    to: &'a Reference,
    scope: String,
    what: String,
}

impl Client {
    /// Brings the image `name` of the store to a registry as `to`: that of one
    /// architecture as it is, those of several below an index. Returns the
    /// digest of what the name `to` then means.
    ///
    /// # Errors
    /// The image is not in the store, or the registry does not take it.
    pub fn push(
        &self,
        store: &Store,
        name: &Reference,
        arches: &[Arch],
        to: &Reference,
    ) -> Result<Digest, Error> {
        let at = self.registry(to);
        let target = Target {
            client: self,
            at: &at,
            to,
            scope: format!("repository:{}:pull,push", to.repository()),
            what: format!("pushing {}", to.familiar()),
        };
        let Some(tag) = to.tag().filter(|_| to.digest().is_none()) else {
            return Err(target.broken(source::Error::Unsupported {
                what: to.familiar(),
                why: "an image is pushed to a tag, not to a digest".to_owned(),
            }));
        };
        let images = target.images(store, name, arches)?;
        let mut descriptors = Vec::new();
        for (arch, image) in &images {
            let manifest = target.manifest_of(image)?;
            target.blobs(image, manifest)?;
            if images.len() == 1 {
                target.put_manifest(tag, manifest)?;
                return Ok(manifest.digest);
            }
            target.put_manifest(&manifest.digest.to_string(), manifest)?;
            descriptors.push(target.describe(*arch, manifest)?);
        }
        let index = target.index(descriptors)?;
        target.put_manifest(tag, &index)?;
        Ok(index.digest)
    }
}

impl Target<'_> {
    fn images(
        &self,
        store: &Store,
        name: &Reference,
        arches: &[Arch],
    ) -> Result<Vec<(Arch, Image)>, Error> {
        let wanted = if arches.is_empty() {
            &Arch::ALL
        } else {
            arches
        };
        let mut images = Vec::new();
        for &arch in wanted {
            match store
                .find(&name.familiar(), name, arch)
                .map_err(|e| self.broken(e))?
            {
                Some(image) => images.push((arch, image)),
                None if arches.is_empty() => {}
                None => {
                    return Err(missing(
                        store,
                        format!("{} ({})", name.familiar(), arch.oci()),
                    ));
                }
            }
        }
        match images.is_empty() {
            true => Err(missing(store, name.familiar())),
            false => Ok(images),
        }
    }

    fn manifest_of<'i>(&self, image: &'i Image) -> Result<&'i Manifest, Error> {
        image.manifest.as_ref().ok_or_else(|| {
            self.broken(source::Error::Unsupported {
                what: image.name.clone(),
                why: "there is no manifest".to_owned(),
            })
        })
    }

    /// Brings the configuration and the layers there.
    fn blobs(&self, image: &Image, manifest: &Manifest) -> Result<(), Error> {
        let parsed: ImageManifest =
            json(&manifest.bytes, Path::new("manifest")).map_err(|e| self.broken(e))?;
        let Rootfs::Layers(layers) = &image.rootfs else {
            return Ok(());
        };
        let mut blobs = vec![Blob {
            wanted: self.wanted(parsed.config())?,
            bytes: Payload::Bytes(image.raw_config.clone()),
        }];
        for (descriptor, layer) in parsed.layers().iter().zip(layers) {
            let wanted = self.wanted(descriptor)?;
            if blobs.iter().all(|blob| blob.wanted != wanted) {
                let bytes = self.file(&layer.file, wanted);
                blobs.push(Blob { wanted, bytes });
            }
        }
        at_once(&blobs, |blob| self.upload(blob))
    }

    fn file(&self, file: &Arc<File>, wanted: Wanted) -> Payload {
        let name = wanted.digest.hex()[..12].to_owned();
        let bar = self.client.options.progress.bar(name, wanted.len);
        Payload::File(Arc::clone(file), wanted.len, bar)
    }

    /// Brings a blob there, unless it is there.
    fn upload(&self, blob: &Blob) -> Result<(), Error> {
        let what = format!("{}: blob {}", self.what, blob.wanted.digest);
        let path = format!("{}/blobs/{}", self.to.repository(), blob.wanted.digest);
        let mut head = Request::head(self.client.url(self.at, &path, &what)?, &what);
        head.also = &[404];
        let there = self
            .client
            .repeatedly(|| self.client.ask(self.at, &self.scope, &head))?;
        let bar = match &blob.bytes {
            Payload::File(_, _, bar) => Some(bar),
            _ => None,
        };
        if there.status == StatusCode::NOT_FOUND {
            self.client.repeatedly(|| {
                bar.inspect(|bar| bar.set(0));
                self.send(&what, blob)
            })?;
        }
        bar.inspect(|bar| bar.done());
        Ok(())
    }

    /// One try: a place to put it, then the bytes.
    fn send(&self, what: &str, blob: &Blob) -> Result<(), Failure> {
        let path = format!("{}/blobs/uploads/", self.to.repository());
        let begin = Request::post(self.client.url(self.at, &path, what)?, what);
        let answer = self.client.ask(self.at, &self.scope, &begin)?;
        let location = answer.header(&header::LOCATION).unwrap_or_default();
        let place = self.place(what, &answer.from, location)?;
        let separator = if place.query().is_some() { '&' } else { '?' };
        let place = format!("{place}{separator}digest={}", blob.wanted.digest);
        let place = place
            .parse()
            .map_err(|_| self.protocol(what, "its Location is no URL"))?;
        let mut put = Request::put(place, what, blob.bytes.clone())
            .with(header::CONTENT_TYPE, "application/octet-stream".to_owned());
        put.is_small = false;
        let answer = self.client.ask(self.at, &self.scope, &put)?;
        match answer.status {
            StatusCode::CREATED | StatusCode::NO_CONTENT | StatusCode::OK => Ok(()),
            _ => Err(refusal(&self.at.host, &put, answer).into()),
        }
    }

    /// Where the bytes go: never from TLS to no TLS.
    fn place(&self, what: &str, from: &Uri, location: &str) -> Result<Uri, Error> {
        let place = resolve(from, location)
            .ok_or_else(|| self.protocol(what, "it gives no Location to upload to"))?;
        if from.scheme_str() == Some("https") && place.scheme_str() == Some("http") {
            return Err(Error::Redirect {
                what: what.to_owned(),
                host: self.at.host.clone(),
                to: origin(&place).unwrap_or_default(),
                why: "from TLS to no TLS",
            });
        }
        Ok(place)
    }

    fn put_manifest(&self, name: &str, manifest: &Manifest) -> Result<(), Error> {
        let path = format!("{}/manifests/{name}", self.to.repository());
        let uri = self.client.url(self.at, &path, &self.what)?;
        let put = Request::put(uri, &self.what, Payload::Bytes(manifest.bytes.clone()))
            .with(header::CONTENT_TYPE, manifest.media_type.clone());
        let (headers, _) = self.client.ask_small(self.at, &self.scope, &put)?;
        let theirs = headers
            .get("docker-content-digest")
            .and_then(|v| v.to_str().ok());
        match theirs.map(str::parse::<Digest>) {
            Some(Ok(found)) if found != manifest.digest => Err(Error::Digest {
                what: self.what.clone(),
                host: self.at.host.clone(),
                expected: manifest.digest,
                found,
            }),
            _ => Ok(()),
        }
    }

    fn describe(&self, arch: Arch, manifest: &Manifest) -> Result<Descriptor, Error> {
        let platform = PlatformBuilder::default()
            .architecture(arch.oci())
            .os(Os::Linux)
            .build()
            .map_err(|e| self.incomplete(&e))?;
        DescriptorBuilder::default()
            .media_type(manifest.media_type.as_str())
            .digest(to_oci(manifest.digest))
            .size(manifest.bytes.len() as u64)
            .platform(platform)
            .build()
            .map_err(|e| self.incomplete(&e))
    }

    fn index(&self, descriptors: Vec<Descriptor>) -> Result<Manifest, Error> {
        let index = ImageIndexBuilder::default()
            .schema_version(2u32)
            .media_type(MediaType::ImageIndex)
            .manifests(descriptors)
            .build()
            .map_err(|e| self.incomplete(&e))?;
        let bytes = sorted_json(&index);
        Ok(Manifest {
            digest: Digest::of(&bytes),
            media_type: MediaType::ImageIndex.to_string(),
            bytes,
        })
    }

    fn wanted(&self, descriptor: &Descriptor) -> Result<Wanted, Error> {
        Ok(Wanted {
            digest: sha256(descriptor).map_err(|e| self.broken(e))?,
            len: descriptor.size(),
        })
    }

    /// The builders of `oci-spec` fail where a field was forgotten.
    fn incomplete(&self, why: &dyn std::fmt::Display) -> Error {
        self.broken(source::Error::Unsupported {
            what: self.to.familiar(),
            why: why.to_string(),
        })
    }

    fn broken(&self, source: source::Error) -> Error {
        Error::Image {
            what: self.what.clone(),
            source: Box::new(source),
        }
    }

    fn protocol(&self, what: &str, why: &str) -> Error {
        Error::Protocol {
            what: what.to_owned(),
            host: self.at.host.clone(),
            why: why.to_owned(),
        }
    }
}

fn missing(store: &Store, name: String) -> Error {
    Error::Store(store::Error::NotFound {
        name,
        store: store.dir().to_owned(),
    })
}
