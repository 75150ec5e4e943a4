//! Signatures of images, in the form of cosign's: a *simple signing* payload
//! that names the image's digest, and an ECDSA signature of it by a P-256 key,
//! kept in the registry under the tag `sha256-DIGEST.sig`.
//!
//! A [`Policy`] says which images have to be signed by which keys.

mod policy;

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci_spec::image::ImageIndex;
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};

use policy::Identity;
pub use policy::{Error, Policy};

use crate::digest::Digest;
use crate::reference::Reference;

/// The annotation of a signature's layer that is the signature, in base64.
pub const ANNOTATION: &str = "dev.cosignproject.cosign/signature";
/// What a payload says that it is.
const TYPE: &str = "cosign container image signature";

/// What speaks for an image, from a registry or out of the store.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Evidence {
    /// The index by which the image was found, where it is the index that is
    /// signed: its JSON, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
    /// Signatures of the manifest, or of the index.
    pub signatures: Vec<Signature>,
}

/// A payload and its signature, both in base64.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Signature {
    /// The simple signing JSON.
    pub payload: String,
    /// ECDSA, in ASN.1's form.
    pub signature: String,
}

/// A public key: a point on P-256, uncompressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(Vec<u8>);

/// The parts of a payload that are signed for.
#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    #[serde(rename = "type")]
    kind: String,
    image: Signed,
    identity: Named,
}

#[derive(Deserialize)]
struct Signed {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

#[derive(Deserialize)]
struct Named {
    #[serde(rename = "docker-reference")]
    reference: String,
}

impl Key {
    /// Reads a public key as `cosign generate-key-pair` writes it.
    ///
    /// # Errors
    /// It is no PEM, or another kind of key.
    pub fn from_pem(pem: &[u8]) -> Result<Self, &'static str> {
        /// `SubjectPublicKeyInfo` of id-ecPublicKey on prime256v1 (RFC 5480),
        /// up to the point.
        const P256: [u8; 26] = [
            0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
            0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
        ];
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem)
            .map_err(|_| "not a public key in PEM (as cosign.pub is)")?;
        match der.strip_prefix(&P256) {
            Some(point) if point.len() == 65 && point[0] == 4 => Ok(Self(point.to_vec())),
            _ => Err("not an ECDSA key on P-256"),
        }
    }

    fn signed(&self, payload: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.0)
            .verify(payload, signature)
            .is_ok()
    }
}

impl Evidence {
    /// Whether one of the signatures is by one of `keys`, for the image
    /// `manifest` or the index that leads to it, and for a name that
    /// `identity` takes; else what is wrong with the best of them.
    fn speaks_for(
        &self,
        name: &Reference,
        manifest: Digest,
        keys: &[Key],
        identity: &Identity,
    ) -> Result<(), String> {
        let digests = self.digests(manifest);
        let mut why = "it is not signed".to_owned();
        let decode = |text: &str| STANDARD.decode(text).unwrap_or_default();
        for one in &self.signatures {
            let (payload, signature) = (decode(&one.payload), decode(&one.signature));
            if !keys.iter().any(|key| key.signed(&payload, &signature)) {
                if why == "it is not signed" {
                    "it is signed, but by none of the keys".clone_into(&mut why);
                }
                continue;
            }
            match read(&payload, &digests).and_then(|signed| identity.takes(name, &signed)) {
                Ok(()) => return Ok(()),
                Err(problem) => why = problem,
            }
        }
        Err(why)
    }

    /// The digests that may be signed: that of the manifest, and that of the
    /// index, if it has the manifest.
    fn digests(&self, manifest: Digest) -> BTreeSet<Digest> {
        let mut digests = BTreeSet::from([manifest]);
        let bytes = self
            .index
            .as_ref()
            .and_then(|text| STANDARD.decode(text).ok());
        if let Some(bytes) = bytes
            && let Ok(index) = serde_json::from_slice::<ImageIndex>(&bytes)
        {
            let wanted = manifest.to_string();
            let mut all = index.manifests().iter();
            if all.any(|one| one.digest().to_string() == wanted) {
                digests.insert(Digest::of(&bytes));
            }
        }
        digests
    }
}

/// The name in a payload that speaks for one of `digests`.
fn read(payload: &[u8], digests: &BTreeSet<Digest>) -> Result<String, String> {
    let Ok(Payload { critical }) = serde_json::from_slice(payload) else {
        return Err("what is signed is no simple signing payload".to_owned());
    };
    if critical.kind != TYPE {
        return Err(format!("what is signed is a {:?}", critical.kind));
    }
    let digest: Result<Digest, _> = critical.image.digest.parse();
    if digest.is_ok_and(|digest| digests.contains(&digest)) {
        return Ok(critical.identity.reference);
    }
    Err("what is signed is another image".to_owned())
}

#[cfg(test)]
mod tests;
